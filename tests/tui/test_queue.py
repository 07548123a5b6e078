"""The queue's screen: what it says, and what its keys do. No job is started: somebody has stopped the queue."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from run_folders import write_run
from support import until
from tui.driving import running, screen_text, soon
from tui.seeing import sees

from lora_tui.config.load import parse_config, save_config
from lora_tui.demo.project import MICRO
from lora_tui.jobs.queue.door import Wish, add
from lora_tui.jobs.queue.journal import read_queue, turn
from lora_tui.project import Project
from lora_tui.runs.folder import RunFolder
from lora_tui.tui.queue_rows import QueueView
from lora_tui.tui.screens import queue
from lora_tui.tui.screens.parameters import ParametersScreen


@pytest.fixture(autouse=True)
def stopped() -> None:
    with turn() as change:
        change.say(stopped=True)


def three(tmp_path: Path) -> list[int]:
    wishes = [Wish(("captions", "list", word), folder=str(tmp_path), title=f"job [/{word}]") for word in "abc"]
    return [job.id for job in add(wishes)]


def order() -> list[int]:
    return [job.id for job in read_queue().waiting()]


def becomes(number: int, **changes: object) -> None:
    with turn() as change:
        change.put(replace(change.queue.jobs[number], **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (200, 50)])
async def test_it_says_what_waits_and_keys_move_hold_and_remove(tmp_path: Path, size: tuple[int, int]) -> None:
    one, two, last = three(tmp_path)
    async with running(tmp_path, screen="queue", size=size) as (app, pilot):
        await sees(pilot, "job [/c]")
        await sees(pilot, "the queue is stopped")
        await pilot.press("J")
        await soon(pilot, lambda: order() == [two, one, last])
        await pilot.press("K")
        await soon(pilot, lambda: order() == [one, two, last])
        await pilot.press("h")
        await soon(pilot, lambda: read_queue().jobs[one].held)
        await sees(pilot, "held")
        await pilot.press("h")
        await soon(pilot, lambda: not read_queue().jobs[one].held)
        await pilot.press("G")
        await pilot.press("F")
        await soon(pilot, lambda: order() == [last, one, two])
        await pilot.press("D")
        await sees(pilot, f"Take job {last} out")
        await pilot.press("enter")
        await soon(pilot, lambda: order() == [one, two])
        await pilot.press("H")
        await soon(pilot, lambda: read_queue().held)
        await soon(pilot, lambda: "job [/c]" not in screen_text(app))


async def test_a_queue_on_a_slow_disk_is_seen_and_its_keys_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes longer to read it than until the next look is due."""
    one, *_others = three(tmp_path)
    read, tick, ticks = queue.read_view, queue.QueueScreen._tick, []

    def slow() -> QueueView:
        before = len(ticks)
        until(lambda: len(ticks) > before + 2, 20)
        return read()

    def counted(screen: queue.QueueScreen) -> None:
        ticks.append(1)
        tick(screen)

    monkeypatch.setattr(queue, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(queue, "read_view", slow)
    monkeypatch.setattr(queue.QueueScreen, "_tick", counted)
    async with running(tmp_path, screen="queue") as (_app, pilot):
        await sees(pilot, "job [/c]")
        await pilot.press("h")
        await soon(pilot, lambda: read_queue().jobs[one].held)


async def test_a_job_is_let_wait_for_another_and_a_failed_one_is_tried_again(tmp_path: Path) -> None:
    one, two, last = three(tmp_path)
    becomes(last, state="failed", ended=time.time(), message="CUDA\x1b[31m went away.", advice="Look at the card.")
    async with running(tmp_path, screen="queue") as (_app, pilot):
        await sees(pilot, "CUDA")
        await pilot.press("a")
        await sees(pilot, f"Job {one} comes after")
        await pilot.press(*f"x{two}", "enter")
        await sees(pilot, "Numbers of jobs, such as")
        await pilot.press("ctrl+u", *str(two), "enter")
        await soon(pilot, lambda: read_queue().jobs[one].after == (two,))
        await sees(pilot, f"Job {one} waits for them")
        await pilot.press("G")
        await sees(pilot, "Look at the card.")
        await pilot.press("R")
        await soon(pilot, lambda: read_queue().jobs[last].waits)


async def test_a_training_at_work_opens_on_the_training_screen_and_shows_its_progress(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", steps=100, total=400)
    (job,) = add([Wish(("--runs", "x"), config="schema_version = 1\n", folder=str(tmp_path), title="hat")])
    becomes(job.id, state="running", place=str(run.root), started=time.time())
    async with running(tmp_path, screen="queue") as (app, pilot):
        await sees(pilot, "step 100 of 400")
        await pilot.press("enter")
        await soon(pilot, lambda: app.current_mode == "training")
        await sees(pilot, RunFolder(run.root).name)


async def test_the_form_is_queued_as_it_is_now(tmp_path: Path) -> None:
    Project.create(tmp_path, purpose="character", trigger="hatgirl")
    images = tmp_path / "images"
    images.mkdir(exist_ok=True)
    for number in range(4):
        Image.new("RGB", (64, 64), (number * 60, 90, 200)).save(images / f"{number}.png")
        (images / f"{number}.txt").write_text("blob")
    values = {
        "model": {"base": str(MICRO)},
        "datasets": [{"path": str(images)}],
        "data": {"resolution": 64, "bucket_min": 64, "bucket_max": 64},
        "steps": {"epochs": 1},
        "memory": {"precision": "fp32", "device": "cpu"},
        "saving": {"name": "blob"},
    }
    (tmp_path / "configs").mkdir(exist_ok=True)
    save_config(parse_config(values, base=None, place="test"), tmp_path / "configs" / "blob.toml")
    async with running(tmp_path, screen="parameters") as (app, pilot):
        await sees(pilot, "queue this")
        await pilot.press("Q")
        await soon(pilot, lambda: read_queue().jobs)
        (job,) = read_queue().jobs.values()
        assert (job.kind, job.title, job.gpus) == ("train", "blob", 0)
        await sees(pilot, f"Queued blob.toml: job {job.id}, place 1   u undo   F10 queue")
        await pilot.press("Q")
        await sees(pilot, f"Queued blob.toml: job {job.id + 1}, place 2")
        await pilot.press("u")
        await sees(pilot, f"Taken back: job {job.id + 1} is out of the queue.")
        assert order() == [job.id]
        form = app.screen
        assert isinstance(form, ParametersScreen)
        row = form.form.row_of("steps.epochs")
        assert row is not None
        form.form.set(row, "3")
        form.edited(row)
        await pilot.press("u")
        await sees(pilot, "undone")
        assert form.form.config.steps.epochs == 1
        assert order() == [job.id]
        becomes(job.id, state="running", place=str(tmp_path), started=time.time())
        await pilot.press("u")
        await sees(pilot, f"Job {job.id} does not wait any more; F10 shows it.")
        becomes(job.id, state="waiting", place="", started=None)
        await pilot.press("f10")
        await soon(pilot, lambda: app.current_mode == "queue")
        await sees(pilot, "blob")
        await pilot.press("escape")
        await sees(pilot, "1 waits")
