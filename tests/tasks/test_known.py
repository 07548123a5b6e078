"""What a project has started is remembered until its end was told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lora_tui.settings import state_dir
from lora_tui.state import recall
from lora_tui.tasks.folder import create
from lora_tui.tasks.known import (
    FILE,
    note_told,
    project_tasks,
    remember_task,
    remembered_tasks,
    task_called,
    tasks_about,
    untold_tasks,
)


def test_the_end_of_a_task_is_told_once(tmp_path: Path) -> None:
    first, second = (create(tmp_path / name, "prepare", name, {}) for name in ("a", "b"))
    remember_task(tmp_path, first)
    remember_task(tmp_path, second)
    assert untold_tasks(tmp_path) == [second, first]
    note_told(tmp_path, second)
    note_told(tmp_path, second)
    assert untold_tasks(tmp_path) == [first]
    assert remembered_tasks(tmp_path) == [second, first]
    assert untold_tasks(tmp_path / "another") == []


def test_tasks_that_are_gone_and_damaged_notes_are_no_trouble(tmp_path: Path) -> None:
    task = create(tmp_path, "prepare", "a", {})
    remember_task(tmp_path, task)
    (task.root / "task.json").unlink()
    assert untold_tasks(tmp_path) == []
    for wrong in ("[]", "{", '{"x": [1]}'):
        (state_dir() / "tasks.json").write_text(wrong)
        assert remembered_tasks(tmp_path) == []


def test_several_programs_remember_at_once(tmp_path: Path) -> None:
    code = """
import sys
import subprocess
import sys
from pathlib import Path
from lora_tui.tasks.folder import TaskFolder
from lora_tui.tasks.known import remember_task
for number in range(20):
    remember_task(Path(f"/{sys.argv[1]}-{number}"), TaskFolder(Path(f"/task/{number}")))
"""
    running = [subprocess.Popen([sys.executable, "-c", code, name]) for name in "abc"]
    assert [one.wait(60) for one in running] == [0, 0, 0]
    assert len(recall(FILE)) == 60


def test_a_task_is_found_from_a_project_and_from_what_it_reads_and_writes(tmp_path: Path) -> None:
    (tmp_path / "proj").mkdir()
    (tmp_path / "proj" / "lora-tui.toml").write_text('[[datasets]]\npath = "../big"\n')
    (tmp_path / "big").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "big")
    task = create(tmp_path / "out", "prepare", "big > out", {})
    for folder in (tmp_path / "big", tmp_path / "out"):
        remember_task(folder, task, told=True)
    for folder in ("out", "big", "link", "proj"):
        assert tasks_about(tmp_path / folder) == [task], folder
    assert tasks_about(tmp_path) == []
    assert project_tasks(tmp_path, [tmp_path / "big"]) == [task]
    assert untold_tasks(tmp_path / "big") == []
    assert task_called(task.name, tmp_path) == task
    assert task_called("prepare", tmp_path) == task
    assert task_called("nothing", tmp_path) is None
