"""Processes of our own: modules that lie in the current folder are never run."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import lora_tui
from lora_tui.python import python_command

PACKAGE = Path(lora_tui.__file__).parent


def traps(folder: Path) -> Path:
    """A folder with modules of familiar names; the file that each of them would write."""
    fallen = folder / "fallen"
    for name in ("json", "argparse", "torch", "pydantic", "lora_tui"):
        (folder / f"{name}.py").write_text(f"open({str(fallen)!r}, 'w').write({name!r}); raise SystemExit(9)")
    return fallen


def test_code_and_modules_are_not_looked_for_in_the_current_folder(tmp_path):
    fallen = traps(tmp_path)
    for arguments in (("-c", "import json, lora_tui"), ("-m", "lora_tui", "--version")):
        assert subprocess.run(python_command(*arguments), cwd=tmp_path, stdout=subprocess.DEVNULL).returncode == 0
    assert not fallen.exists()


def test_a_measurement_is_not_taken_in_by_the_current_folder(tmp_path):
    fallen = traps(tmp_path)
    command = [sys.executable, "-P", "-m", "lora_tui", "bench", "start", "--help"]
    assert subprocess.run(command, cwd=tmp_path, stdout=subprocess.DEVNULL).returncode == 0
    assert not fallen.exists()


def test_every_command_line_of_this_python_comes_from_one_place():
    """A list or tuple that begins with ``sys.executable`` is a command line without its guard."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.List | ast.Tuple) and node.elts and ast.unparse(node.elts[0]) == "sys.executable":
                found.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert [place.partition(":")[0] for place in found] == ["python.py"], found
