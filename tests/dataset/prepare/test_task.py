"""A preparation in the background tells how far it is, warns of images, and stops when it is asked to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from support import until

from lora_tui.dataset.prepare.options import Options
from lora_tui.dataset.prepare.task import work
from lora_tui.errors import UserError
from lora_tui.jobs import control
from lora_tui.jobs.events import EventReader, EventWriter
from lora_tui.tasks.folder import TaskFolder
from lora_tui.tasks.report import Report
from lora_tui.tasks.start import start_task
from lora_tui.tasks.status import task_status

from .conftest import hashes

MakeImage = Callable[..., Path]


def a_report(root: Path) -> Report:
    (root / "control").mkdir(parents=True)
    return Report(root, EventWriter(root / "events.jsonl"), threading.Event())


def request(tmp_path: Path, **options: object) -> dict[str, object]:
    places = {"source": str(tmp_path / "src"), "destination": str(tmp_path / "dst")}
    return {**places, "options": Options(**options).as_dict(), "workers": 1}  # type: ignore[arg-type]


def test_a_task_makes_the_images_and_tells_how_far_it_is(tmp_path: Path, mixed: Path) -> None:
    (mixed / "broken.png").write_bytes(b"\x89PNG")
    told = work(request(tmp_path, size=128), a_report(tmp_path / "task"))
    assert (told["complete"], told["images"], told["done"], told["refused"]) == (True, 10, 10, 1)
    assert len([name for name in hashes(tmp_path / "dst") if name.endswith(".png")]) == 10
    events = EventReader(tmp_path / "task" / "events.jsonl").poll()
    last = [event for event in events if event["kind"] == "phase"][-1]
    assert (last["phase"], last["done"], last["total"]) == ("preparing", 10, 10)
    assert [event["place"] for event in events if event["kind"] == "warning"] == [str(mixed / "broken.png")]


def test_a_task_stops_when_it_is_asked_to(tmp_path: Path, mixed: Path) -> None:
    report = a_report(tmp_path / "task")
    control.request(tmp_path / "task", "stop")
    told = work(request(tmp_path, size=128), report)
    assert told["complete"] is False


@pytest.mark.parametrize("wrong", [{}, {"source": "a", "destination": "b", "options": {"size": "x"}}])
def test_a_request_that_says_too_little_is_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(UserError):
        work(wrong, a_report(tmp_path / "task"))


def test_a_task_under_its_keeper_prepares_into_its_own_home(tmp_path: Path, make_image: MakeImage) -> None:
    for number in range(3):
        make_image(f"src/{number}.png", 200, 200, seed=number)
    (tmp_path / "dst").mkdir()
    task: TaskFolder = start_task(tmp_path / "dst", "prepare", "src", request(tmp_path, size=128))
    until(lambda: task_status(task).state not in ("starting", "running"), seconds=60)
    assert len(hashes(tmp_path / "dst")) == 3
