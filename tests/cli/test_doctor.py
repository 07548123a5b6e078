"""``lora-tui doctor`` as a person and a script see it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from doctor.libraries import write_stand_ins


def doctor(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "lora_tui", "doctor", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=200, env={**os.environ, **environment})


@pytest.fixture(autouse=True)
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torch is the real one; ``tests/doctor/test_software.py`` looks at the other libraries, too."""
    return write_stand_ins(tmp_path / "stand-ins", monkeypatch)


def test_json_names_every_check_and_a_sound_machine_is_exit_0(tmp_path: Path) -> None:
    result = doctor("--dir", tmp_path, "--json")
    assert result.returncode == 0, result.stdout
    data = json.loads(result.stdout)
    assert data["ok"] is True
    assert {check["group"] for check in data["checks"]} == {"software", "training", "machine", "terminal"}
    assert {"python", "torch", "memory", "disk", "characters"} <= {check["name"] for check in data["checks"]}


@pytest.mark.parametrize(
    ("variables", "sound", "failed"),
    [({}, "✓", "×"), ({"PYTHONIOENCODING": "ascii", "LANG": "C", "LC_ALL": "C"}, "+", "x")],
    ids=["utf-8", "ascii"],
)
def test_something_essential_that_fails_is_exit_3_with_marks_that_the_terminal_has(
    tmp_path: Path, stand_ins: Path, variables: dict[str, str], sound: str, failed: str
) -> None:
    (stand_ins / "torch.py").write_text("raise OSError('cannot open shared object file')")
    (tmp_path / "file").touch()
    result = doctor(LORA_TUI_HOME=str(tmp_path / "file"), **variables)
    assert result.returncode == 3
    assert "things must be fixed" in result.stdout
    assert f"  {failed} torch" in result.stdout
    assert f"  {sound} Python" in result.stdout
    assert result.stdout.isascii() is (failed == "x")
