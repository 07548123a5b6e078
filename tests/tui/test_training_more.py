"""The training screen beyond its dashboard: asking with words, all samples, losses of images, other runs, the log."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import run_folders as writing
from run_builders import add_lines, event_line, make_run, step_line
from run_folders import write_run
from support import until
from textual.pilot import Pilot
from tui.driving import screen_text, soon
from tui.seeing import app_on, sees, text_of

from lora_tui.jobs import launch
from lora_tui.jobs.events import EventWriter
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.status import inspect
from lora_tui.runs.story import RunStory
from lora_tui.tui.curves import Curves
from lora_tui.tui.screens.tags import TagsScreen
from lora_tui.tui.screens.training import TrainingScreen
from lora_tui.tui.screens.training_requests import lost_words
from lora_tui.tui.widgets.chart import LineChart
from lora_tui.tui.widgets.footer import Keys
from lora_tui.tui.widgets.virtual_list import VirtualList

FAKE_TRAINER = [sys.executable, str(Path(__file__).resolve().parent.parent / "fake_trainer.py")]


async def read(pilot: Pilot[int]) -> TrainingScreen:
    """Wait until the run is read to its end and drawn."""
    screen = pilot.app.screen
    assert isinstance(screen, TrainingScreen)
    await soon(pilot, lambda: screen.story is not None and screen.story.complete and screen.story.step)
    screen.draw()
    await pilot.pause()
    return screen


def tell(run: RunFolder, kind: str, **fields: Any) -> None:
    """One more event of a run."""
    events = EventWriter(run.events_path)
    events.emit(kind, **fields)
    events.close()


def measured(run: RunFolder, step: int, losses: dict[str, float], folder: Path) -> None:
    """What a run measured of its images."""
    images = [{"uid": f"0/{name}", "path": str(folder / name), "levels": [loss] * 4} for name, loss in losses.items()]
    path = run.root / "images" / f"{step:06d}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"version": 1, "step": step, "images": images}))
    tell(run, "images", step=step, path=f"images/{step:06d}.json", images=len(images), loss=0.1)


async def test_loss_by_noise_and_norms_are_curves_with_their_values(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", steps=100)
    for step in (96, 104):
        tell(run, "detail", step=step, levels=[0.02, 0.05, None, 0.2], images=[3, 2, 0, 4], weights={"unet": 3.0})
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await read(pilot)
        assert "weights 3.0" in screen_text(pilot.app)
        assert screen.curves is not None
        for _key in range(screen.curves.metrics().index(6)):
            await pilot.press("c")
        text = screen_text(pilot.app)
        assert "LOSS BY NOISE" in text and "0-25% 0.0200" in text and "75-100 0.2000" in text and "50-75" not in text
        assert {curve.role for curve in screen.query_one("#chart", LineChart).picture.curves} == {
            "level0", "level1", "level3",
        }  # fmt: skip
        await pilot.press("c", "c")
        assert screen.looking.look.name == "gpu.use"  # what was not measured is passed over


async def test_use_memory_heat_and_power_of_the_cards_are_curves(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", steps=100)
    events = EventWriter(run.events_path)
    for number in range(101, 111):
        writing.step(events, number)
        cards = [
            {"index": 0, "utilization": 3, "memory_used": 10**9, "memory_run": None},
            {"index": 5, "utilization": number - 20, "memory_used": number * 10**8, "temperature": 60, "power": 300.5,
             "memory_run": 4 * 10**9},
        ]  # fmt: skip
        events.emit("resources", gpus=cards, ram_used=1, ram_total=2)
    events.close()
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await read(pilot)
        await pilot.press("C")
        await soon(pilot, lambda: "GPU 5 300" in screen_text(pilot.app))
        assert "GPU POWER, W" in screen_text(pilot.app)
        await pilot.press("C", "C")
        assert "GPU MEMORY, GB" in screen_text(pilot.app) and "GPU 5 11" in screen_text(pilot.app)
        await pilot.press("C")
        text = screen_text(pilot.app)
        assert "GPU USE, %" in text and "GPU 5 90" in text
        (curve,) = [curve for curve in screen.query_one("#chart", LineChart).picture.curves if len(curve.last) > 1]
        assert list(curve.last) == [float(number - 20) for number in range(101, 111)]
        await pilot.press("c", "c", "c", "c")
        assert screen.looking.look.name == "loss"


async def test_without_a_card_processor_and_memory_are_curves(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", steps=10)
    events = EventWriter(run.events_path)
    writing.step(events, 11)
    writing.resources(events, gpu=False)
    events.close()
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await read(pilot)
        await pilot.press("C")
        assert "RAM OF THE MACHINE, GB" in screen_text(pilot.app)
        assert screen.curves is not None
        await soon(pilot, lambda: screen.curves is not None and screen.curves.series("ram"))
        assert [screen.curves.value_at(name, 11) for name in ("cpu", "ram")] == [35.0, 9e9]


@pytest.mark.parametrize(("key", "hints"), [
    ("d", "other steps"), ("a", "next prompt"), ("t", "find"), ("enter", "steps"),
])  # fmt: skip
async def test_the_line_of_keys_is_that_of_the_view(tmp_path: Path, key: str, hints: str) -> None:
    run = write_run(tmp_path / "runs", steps=100, ending="completed")
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await read(pilot)
        await pilot.press(key)
        await pilot.pause()
        titles = [hint.title for hint in screen.query_one(Keys).hints]
        assert hints in titles and "back" in titles and "smoothing" not in titles
        if key == "d":
            text = screen_text(pilot.app)
            assert "asks the living run" not in text and "validation.each_image" in text
        await pilot.press("escape")
        assert "smoothing" in [hint.title for hint in screen.query_one(Keys).hints]


async def test_all_samples_stand_by_prompt_and_step_and_one_opens_large(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs")
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        await read(pilot)
        await pilot.press("a")
        await sees(pilot, "2  hatgirl, from behind")
        assert "▌1  hatgirl, smile" in screen_text(pilot.app)
        await pilot.press("n", "left")
        await soon(pilot, lambda: "▌2  hatgirl, from" in screen_text(pilot.app))
        assert screen_text(pilot.app).count("▌100") == 2  # one step for all
        await pilot.press("enter")
        await sees(pilot, "prompt 2 of 2")
        await pilot.press("escape")
        await sees(pilot, "▌2  hatgirl, from")
        await pilot.press("escape")
        await sees(pilot, "LOSS")


async def test_the_worst_images_come_first_and_enter_opens_their_tags(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        from PIL import Image

        Image.new("RGB", (32, 32), (90, 30, 60)).save(folder / name)
        (folder / name).with_suffix(".txt").write_text("disc, red", "utf-8")
    run = write_run(tmp_path / "runs")
    measured(run, 100, {"a.png": 0.2, "b.png": 0.1}, folder)
    measured(run, 150, {"a.png": 0.12, "b.png": 0.15}, folder)
    app = app_on(folder, "training", run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await read(pilot)
        await pilot.press("d")
        await sees(pilot, "@150  2 of 2  mean 0.1350")
        rows = text_of(screen.query_one("#images-list"))
        assert [row.split() for row in rows[:2]] == [
            ["▌", "0.1500", "+0.0500", "b.png"],
            ["0.1200", "-0.0800", "a.png"],
        ]
        await pilot.press("left")
        await sees(pilot, "@100  1 of 2")
        assert "a.png" in text_of(screen.query_one("#images-list"))[0]
        await pilot.press("right")
        await sees(pilot, "@150  2 of 2")
        await pilot.press("home", "enter")
        await soon(pilot, lambda: isinstance(pilot.app.screen, TagsScreen))
        await sees(pilot, "TAGS  2  b.png")


async def test_other_runs_lie_over_the_curve_and_are_taken_away(tmp_path: Path) -> None:
    write_run(tmp_path / "runs", steps=300, ending="completed", name="before")
    run = write_run(tmp_path / "runs", steps=100, name="now")
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=(120, 30)) as pilot:
        screen = await read(pilot)
        await soon(pilot, lambda: screen.workspace.runs)
        await pilot.press("x", "enter")
        chart = screen.query_one("#chart", LineChart)
        await soon(pilot, lambda: any(curve.role == "run0" for curve in chart.picture.curves))
        assert chart.picture.last == 300
        assert "run 1 0." in screen_text(pilot.app)
        await pilot.press("x", "enter")
        await soon(pilot, lambda: not any(curve.role == "run0" for curve in chart.picture.curves))


async def test_a_zoomed_view_is_moved_and_comes_back(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", steps=400)
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await read(pilot)
        chart = screen.query_one("#chart", LineChart)
        await pilot.press("z", "z", "<")
        assert (chart.picture.first, chart.picture.last) == (250, 350)
        await pilot.press("Z")
        assert (chart.picture.first, chart.picture.last) == (200, 400)  # its middle stays, within the run
        await pilot.press("z", "<", "<", "<", "<", "<", "<", "<", "<")
        assert (chart.picture.first, chart.picture.last) == (0, 100)
        await pilot.press("f")
        assert chart.picture.last == 400


async def test_words_are_found_in_the_log_one_after_the_other(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs")
    lines = [f"line {n} {'ODD [/x] thing' if n in (7, 300) else 'fine'}" for n in range(400)]
    run.log_path.write_text("\n".join(lines) + "\n", "utf-8")
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await read(pilot)
        await pilot.press("/", *"odd [/x]", "enter")
        await sees(pilot, "odd [/x]: 0 above, 2 below")
        view = screen.query_one("#log-file", VirtualList)
        assert view.cursor == 300 and view.has_focus
        await pilot.press("n")
        assert view.cursor == 7
        await pilot.press("N")
        assert view.cursor == 300
        await pilot.press("/", *"drew", "enter")
        await soon(pilot, lambda: "0 below" in screen_text(pilot.app))


@pytest.fixture
def living(tmp_path: Path):
    """A run at work, with a program in the trainer's place; ended at the latest with the test."""
    run = writing.new_run(tmp_path / "runs", config="schema_version = 1\n[learning]\nunet_lr = 1e-4\n")
    launch.start(run.root, command=[*FAKE_TRAINER, "--steps", "100000"], wait=30)
    yield run
    status = inspect(run)
    if status.pid:
        os.kill(status.pid, signal.SIGKILL)
        until(lambda: not inspect(run).alive)


async def test_rate_end_prompt_and_measuring_are_asked_for_with_what_they_cost(
    tmp_path: Path, living: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_on(tmp_path, "training", run=living)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await read(pilot)
        await soon(pilot, lambda: screen.seen is not None and screen.seen.alive)
        await pilot.press("d")
        await sees(pilot, "d back")
        await pilot.press("d")
        await sees(pilot, "SAMPLES")
        await pilot.press("e", "enter", *"nothing", "enter")
        await sees(pilot, "A number above 0")
        await pilot.press("ctrl+u", *"5e-5", "enter")
        await sees(pilot, "Learn at 5e-5 instead of 1e-4?")
        assert "is in the record" in screen_text(pilot.app) or "stands in the record" in screen_text(pilot.app)
        await pilot.press("enter")
        await sees(pilot, "change: done")
        await pilot.press("e", "down", "enter", "ctrl+u", *"3", "enter")
        await sees(pilot, "already.")
        await pilot.press("ctrl+u", *"200000", "enter")
        await sees(pilot, "End at step 200,000 instead of 100,000?")
        assert "100,000 steps more" in screen_text(pilot.app)
        await pilot.press("enter")
        await soon(pilot, lambda: len(_said(living, "set")) >= 2)
        await pilot.press("I", *"a hat --s x", "enter")
        await sees(pilot, "--s x cannot be read")
        await pilot.press("ctrl+u", *"a hat --s 4", "enter")
        await soon(pilot, lambda: _said(living, "sample"))
        await pilot.press("M")
        await sees(pilot, "Measure the loss of")
        await pilot.press("enter")
        await soon(pilot, lambda: _said(living, "measure"))
        monkeypatch.setattr(Curves, "value_at", lambda *_place: None)  # as before the first step
        await pilot.press("e")
        await sees(pilot, "Change of the living run")
        assert "by its schedule" not in screen_text(pilot.app)
        await pilot.press("escape")
        assert screen.seen is not None
        screen.seen.story.info = None
        await pilot.press("M")
        await sees(pilot, "Measure the loss of every image now?")
    assert _said(living, "set") == [{"learning_rate": 5e-05}, {"total_steps": 200000}]
    assert _said(living, "sample") == [{"prompt": "a hat --s 4", "like": 0}]


def _said(run: RunFolder, kind: str) -> list[dict[str, Any]]:
    """What the trainer heard of a kind."""
    lines = run.events_path.read_text("utf-8").splitlines()
    found = [json.loads(line) for line in lines if '"control"' in line and line.endswith("}")]
    return [event["fields"] for event in found if event["request"] == kind and "fields" in event]


@pytest.mark.parametrize(
    ("steps", "state", "words"),
    [
        (1, 0, "No state was written yet: 1 step is lost."),
        (3, 0, "No state was written yet: all 3 steps are lost."),
        (3, 2, "The last state is of step 2; 1 step after it is lost."),
        (1200, 2, "The last state is of step 2; 1,198 steps after it are lost."),
    ],
)
def test_a_stop_that_does_not_save_says_what_is_lost(tmp_path: Path, steps: int, state: int, words: str) -> None:
    run = make_run(tmp_path)
    add_lines(run, [event_line("state", step=state, epoch=1, path="state/step")] if state else [])
    add_lines(run, [step_line(steps)])
    story = RunStory(run)
    story.update(60.0)
    assert lost_words(story) == words
