"""What the doctor says of terminals, with a real tmux."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import until

from lora_tui.doctor.check import Check
from lora_tui.doctor.terminal import TmuxSettings, terminal_checks, tmux_checks


def by_name(environment: dict[str, str]) -> dict[str, str]:
    return {check.name: check.status for check in terminal_checks(environment)}


def test_a_modern_terminal_is_well() -> None:
    found = by_name({"LANG": "de_DE.UTF-8", "COLORTERM": "truecolor", "TERM": "xterm-256color"})
    assert (found["colours"], found["characters"]) == ("ok", "ok")


@pytest.mark.parametrize(
    ("environment", "name", "status"),
    [
        ({"LANG": "C"}, "characters", "warning"),
        ({"LC_ALL": "zh_CN.GBK", "LANG": "zh_CN.UTF-8"}, "characters", "warning"),
        ({"LANG": "C.utf8"}, "characters", "ok"),
        ({"TERM": "xterm"}, "colours", "note"),
        ({"NO_COLOR": "1", "TERM": "xterm"}, "colours", "ok"),
        ({"STY": "1234.pts"}, "screen", "note"),
        ({"SSH_CONNECTION": "1 2 3 4"}, "ssh", "note"),
    ],
)
def test_what_is_poorer_is_named(environment: dict[str, str], name: str, status: str) -> None:
    assert by_name(environment)[name] == status


def test_it_says_how_pictures_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(environment: dict[str, str]) -> Check:
        return next(check for check in terminal_checks(environment) if check.name == "pictures")

    kitty = {"TERM": "xterm-kitty"}
    assert found({"TERM": "xterm-256color"}).text == "half cells"
    assert found(kitty).text == "Kitty graphics"
    assert found({"TERM": "foot"}).text == "Sixel"
    assert "passthrough" in found({**kitty, "STY": "1.pts"}).remedy
    monkeypatch.setattr("lora_tui.doctor.terminal.find_spec", lambda _name: None)
    assert (found(kitty).status, found(kitty).remedy) == ("note", 'pip install "lora-tui[graphics]"')


def test_each_setting_of_tmux_has_its_line() -> None:
    poor = TmuxSettings("3.4", "500", "external", "off", "off", "256,clipboard")
    remedies = " ".join(check.remedy for check in tmux_checks(poor))
    for setting in ("escape-time 10", "set-clipboard on", "focus-events on", "allow-passthrough on", "RGB"):
        assert setting in remedies
    good = TmuxSettings("3.4", "10", "on", "on", "on", "256,RGB,clipboard")
    assert [check.name for check in tmux_checks(good)] == ["tmux"]
    assert [check.status for check in tmux_checks(TmuxSettings())] == ["ok"]


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[list[str]]:
    command = ["tmux", "-L", f"lora-tui-doctor-{os.getpid()}", "-f", "/dev/null"]
    subprocess.run([*command, "new-session", "-d", "-x", "80", "-y", "24", "sh"], check=True)
    yield command
    subprocess.run([*command, "kill-server"], check=False)


def test_a_real_tmux_is_asked(tmux: list[str], tmp_path: Path) -> None:
    subprocess.run([*tmux, "set", "-sg", "escape-time", "321"], check=True)
    subprocess.run([*tmux, "set", "-s", "set-clipboard", "off"], check=True)
    code = "import dataclasses, json; from lora_tui.doctor.terminal import ask_tmux; "
    code += "print(json.dumps(dataclasses.asdict(ask_tmux())))"
    answer, ready = tmp_path / "answer.json", tmp_path / "ready"
    line = f"{sys.executable} -c '{code}' > {answer}; touch {ready}"
    subprocess.run([*tmux, "send-keys", line, "Enter"], check=True)
    until(ready.exists, 30)
    found = json.loads(answer.read_text())
    assert (found["escape_time"], found["set_clipboard"]) == ("321", "off")
    assert found["focus_events"] in ("on", "off")
    assert found["version"][0].isdigit()
