"""Folders of tasks: made, found, read, forgotten."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lora_tui.errors import UserError
from lora_tui.tasks import folder
from lora_tui.tasks.folder import TaskFolder, create, is_task, tasks_of
from lora_tui.tasks.start import resume_task
from lora_tui.tasks.status import task_status


def test_what_was_asked_for_comes_back(tmp_path: Path) -> None:
    task = create(tmp_path, "tag", "wd14 on 30 images", {"threshold": 0.35, "path": "图/a.png"})
    assert is_task(task.root)
    found = task.read()
    assert (found["kind"], found["title"]) == ("tag", "wd14 on 30 images")
    assert found["options"] == {"threshold": 0.35, "path": "图/a.png"}


def test_tasks_of_one_second_keep_their_order_and_the_oldest_are_forgotten(tmp_path: Path) -> None:
    made = [create(tmp_path, "tag", str(number), {}) for number in range(folder.KEPT + 5)]
    found = tasks_of(tmp_path)
    assert found == list(reversed(made))[: folder.KEPT]
    assert not made[0].root.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '{"kind": "tag", "options": 3, "format": 1}'])
def test_a_damaged_request_is_named(tmp_path: Path, text: str) -> None:
    task = create(tmp_path, "tag", "", {})
    (task.root / "task.json").write_text(text)
    with pytest.raises(UserError) as caught:
        task.read()
    assert caught.value.code == "task.damaged"
    assert caught.value.place == str(task.root / "task.json")


def test_a_newer_request_is_not_guessed_at(tmp_path: Path) -> None:
    task = create(tmp_path, "tag", "", {})
    value = json.loads((task.root / "task.json").read_text())
    (task.root / "task.json").write_text(json.dumps({**value, "format": 99}))
    with pytest.raises(UserError, match="another version"):
        task.read()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / ".lora-tui").write_text("a file in its place")
    with pytest.raises(UserError) as caught:
        create(tmp_path, "tag", "", {})
    assert caught.value.code == "task.create"
    assert str(tmp_path) in caught.value.place


def test_a_folder_without_tasks_has_none(tmp_path: Path) -> None:
    assert tasks_of(tmp_path) == []
    assert tasks_of(tmp_path / "nowhere") == []
    assert not TaskFolder(tmp_path).alive()


@pytest.mark.parametrize("name", ["events.jsonl", "job.json", "lock", "keeper.lock", "trainer.log"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path, name: str) -> None:
    task = create(tmp_path, "tag", "", {})
    os.mkfifo(task.root / name)
    assert task_status(task).state == "died"


def test_a_pipe_in_the_place_of_the_events_ends_a_start_at_once(tmp_path: Path) -> None:
    task = create(tmp_path, "tag", "", {})
    os.mkfifo(task.events_path)
    with pytest.raises(UserError) as caught:
        resume_task(task)
    assert caught.value.code == "job.start"
