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


def test_json_names_every_check_and_a_sound_machine_is_exit_0(tmp_path: Path) -> None:
    result = doctor("--dir", tmp_path, "--json")
    assert result.returncode == 0, result.stdout
    data = json.loads(result.stdout)
    assert data["ok"] is True
    assert {check["group"] for check in data["checks"]} == {"software", "training", "machine", "terminal"}
    assert {"python", "torch", "memory", "disk", "characters"} <= {check["name"] for check in data["checks"]}


def test_something_essential_that_fails_is_exit_3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_stand_ins(tmp_path / "stand-ins", monkeypatch)
    (tmp_path / "file").touch()
    result = doctor(LORA_TUI_HOME=str(tmp_path / "file"))
    assert result.returncode == 3
    assert "must be mended" in result.stdout
    assert "× " in result.stdout


def test_a_terminal_without_unicode_gets_ascii_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_stand_ins(tmp_path / "stand-ins", monkeypatch)
    result = doctor(PYTHONIOENCODING="ascii", LANG="C", LC_ALL="C")
    assert result.returncode == 0
    assert result.stdout.isascii()
    assert "+ torch" in result.stdout
