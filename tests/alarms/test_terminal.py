from __future__ import annotations

import pytest

from lora_tui.alarms.terminal import announcement, notification
from lora_tui.settings import Settings


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TERM": "xterm-256color"}, "\x1b]9;lora-tui: run 3: it; died\a"),
        ({"TERM": "foot"}, "\x1b]777;notify;run 3;it; died\a"),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7600"}, "\x1b]777;notify;run 3;it; died\a"),
        ({"TERM": "tmux-256color", "TMUX": "/tmp/x"}, "\x1bPtmux;\x1b\x1b]9;lora-tui: run 3: it; died\a\x1b\\"),
        ({"TERM": "linux"}, ""),
        ({"TERM": "dumb"}, ""),
    ],
)
def test_the_escape_is_that_of_the_terminal_and_wrapped_for_tmux(environment: dict[str, str], expected: str) -> None:
    assert notification("run 3", "it; died", "auto", environment) == expected


def test_a_hostile_name_ends_no_escape() -> None:
    for style in ("osc9", "osc777"):
        text = notification("a\x1b\\\a;b", "c\x9c\x07d", style, {"TERM": "xterm"})
        assert text.count("\x1b") == 1 and text.count("\a") == 1 and text.endswith("\a") and "\x9c" not in text
    assert notification("a;b", "c", "osc777", {}).split(";")[2:] == ["a,b", "c\a"]


def test_the_settings_decide() -> None:
    xterm = {"TERM": "xterm"}
    assert announcement("a", "b", Settings(bell=False, desktop="off"), xterm) == ""
    assert announcement("a", "b", Settings(desktop="off"), xterm) == "\a"
    assert announcement("a", "b", Settings(bell=False), xterm).count("\a") == 1
