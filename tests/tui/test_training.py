"""The training dashboard: a run that is over, a run that lives, what is asked of it, and how it is looked at."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
import run_folders as writing
from run_folders import write_run
from support import until
from textual.pilot import Pilot
from tui.driving import screen_text, soon
from tui.seeing import app_on, sees, text_of

from lora_tui.jobs import launch
from lora_tui.jobs.events import EventWriter
from lora_tui.jobs.lock import RunLock
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.status import inspect
from lora_tui.text import duration
from lora_tui.tui.app import LoraTuiApp
from lora_tui.tui.screens.training import TrainingScreen
from lora_tui.tui.widgets.chart import LineChart
from lora_tui.tui.widgets.sample_strip import SampleSlot, SampleStrip

FAKE_TRAINER = [sys.executable, str(Path(__file__).resolve().parent.parent / "fake_trainer.py")]


def dashboard(pilot: Pilot[int]) -> TrainingScreen:
    screen = pilot.app.screen
    assert isinstance(screen, TrainingScreen)
    return screen


async def read(pilot: Pilot[int]) -> TrainingScreen:
    """Wait until the run is read to its end and drawn."""
    await soon(pilot, lambda: (story := dashboard(pilot).story) is not None and story.complete and story.step)
    dashboard(pilot).draw()
    await pilot.pause()
    return dashboard(pilot)


async def test_a_finished_run_is_shown_whole_at_80x24(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", steps=400, total=400, ending="completed")
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        await read(pilot)
        text = screen_text(pilot.app)
        for words in (
            "finished",
            "step 400 of 400  100%  epoch 8/8",
            "LOSS",
            "loss",
            "smooth",
            "best @400",
            "2.50",
            "7.0  / 24.0 GB",
            "97%",
            "saved        @400  state @400",
            "SAMPLES  prompt 1 of 2",
            "LOG  @400     finished",
            "took",
            "F5 ✓Train",
        ):
            assert words in text, f"{words!r} is not in\n{text}"
        assert "stop+save" not in text and "Enter full view" in text  # what cannot be done gives way
        assert all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ("died", ["died at step 174: The system killed it", "Close other programs.", "R resumes it from step 150."]),
        ("failed", ["failed at step 174: CUDA ran out", "gradient_checkpointing", "R resumes it from step 150."]),
        ("stopped", ["stopped at step 174", "R resumes it from step 150."]),
        ("completed", ["finished at step 174", "hat-girl-000150.safetensors"]),
    ],
)
async def test_an_ended_run_says_how_and_what_to_do(tmp_path: Path, ending: str, words: list[str]) -> None:
    run = write_run(tmp_path / "runs", ending=ending)
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=(120, 30)) as pilot:
        await read(pilot)
        for part in words:
            await sees(pilot, part)


async def test_without_a_run_it_says_where_one_comes_from(tmp_path: Path) -> None:
    app = app_on(tmp_path, "training")
    async with app.run_test(size=(80, 24)) as pilot:
        await sees(pilot, "F4 describes a run")
        await pilot.press("s", "z", "left", "R")
        assert "There is no run to watch yet." in screen_text(pilot.app)


async def test_a_run_without_prompts_gives_its_room_to_the_curves(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", prompts=0)
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await read(pilot)
        assert "SAMPLES" not in screen_text(pilot.app)
        assert screen.query_one("#chart").size.height > 10


async def test_scrubbing_moves_cursor_numbers_and_picture_together(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs")
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await read(pilot)
        assert screen.looking.look.at is None
        await pilot.press("left")
        assert screen.looking.look.at == 100
        text = screen_text(pilot.app)
        assert "@100" in text and "▌100" in text and f"{writing.loss_at(100):.4f}" in text
        chart = screen.query_one("#chart", LineChart)
        assert chart.picture.cursor == 100
        await pilot.press("right")
        assert screen.looking.look.at == 150
        await pilot.press("right")
        assert screen.looking.look.at is None
        await pilot.press("left", "left", "left", "left", "left")
        assert screen.looking.look.at == 0
        await pilot.press("escape")
        assert screen.looking.look.at is None


async def test_the_cursor_moves_finely_and_zoom_follows_it(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", steps=400)
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await read(pilot)
        await pilot.press("left_square_bracket")
        first = screen.looking.look.at
        assert first is not None and 380 < first < 400
        await pilot.press("z", "z")
        picture = screen.query_one("#chart", LineChart).picture
        assert picture.last - picture.first == 100
        assert picture.first <= first <= picture.last
        await pilot.press("f", "Z", "Z")
        picture = screen.query_one("#chart", LineChart).picture
        assert (picture.first, picture.last) == (0, 400)


async def test_axis_smoothing_and_curve_change_with_their_keys(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs")
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await read(pilot)
        await pilot.press("l")
        assert screen.query_one("#chart", LineChart).picture.log and "log axis" in screen_text(pilot.app)
        await pilot.press("m")
        assert "smooth .999" in screen_text(pilot.app)
        await pilot.press("m")
        assert "smooth off" in screen_text(pilot.app)
        await pilot.press("c")
        assert "LEARNING RATE" in screen_text(pilot.app)


async def test_prompts_and_the_full_view(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs")
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await read(pilot)
        await pilot.press("n")
        assert "prompt 2 of 2" in screen_text(pilot.app) and writing.PROMPTS[1][:20] in screen_text(pilot.app)
        assert all(item.path.name.endswith("-1.png") for item in screen.query_one(SampleStrip).shown)
        await pilot.press("enter")
        await sees(pilot, "step 150  epoch 3  prompt 2 of 2")
        image = screen.query_one("#full-image")
        await soon(pilot, lambda: image.shown == run.samples_dir / "000150-1.png")  # type: ignore[attr-defined]
        await pilot.press("left")
        await sees(pilot, "step 100")
        await pilot.press("escape")
        await sees(pilot, "LOSS")


async def test_the_log_shows_what_happened_and_what_was_printed(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", ending="died")
    run.log_path.write_text("one\n[/red] two\x1b[31m\nthree\n")
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        await read(pilot)
        await pilot.press("t")
        for words in ("saved checkpoints/hat-girl-000150.safetensors", "[/red] two␛[31m", "three"):
            await sees(pilot, words)
        with run.log_path.open("a") as file:
            file.write("four\n")
        await sees(pilot, "four")
        await pilot.press("t")
        await sees(pilot, "LOSS")


async def test_new_events_appear_and_only_changed_rows_are_repainted(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", steps=100)
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await read(pilot)
        chart = screen.query_one("#chart", LineChart)
        assert chart.show(chart.picture) == 0
        events = EventWriter(run.events_path)
        writing.step(events, 101)
        events.close()
        await soon(pilot, lambda: "step 101 of 400" in screen_text(pilot.app))
        places = [line.index("step") for line in text_of(screen.query_one("#run"))]
        for number in range(102, 110):
            events = EventWriter(run.events_path)
            writing.step(events, number)
            events.close()
        await soon(pilot, lambda: "step 109 of 400" in screen_text(pilot.app))
        assert [line.index("step") for line in text_of(screen.query_one("#run"))] == places


async def test_nan_is_a_gap_and_said_as_nan(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", steps=100)
    events = EventWriter(run.events_path)
    for number in range(101, 120):
        writing.step(events, number, loss=float("nan"))
    events.close()
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await read(pilot)
        assert any("loss" in line and "nan" in line for line in text_of(screen.query_one("#facts")))


async def test_ascii_mode_draws_ascii_alone(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", ending="died")
    app = app_on(tmp_path, "training", run=run, ascii_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await read(pilot)
        await soon(pilot, lambda: screen_text(pilot.app).isascii())


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (120, 35), (120, 40), (200, 50)])
async def test_every_size_has_its_numbers(tmp_path: Path, size: tuple[int, int]) -> None:
    run = write_run(tmp_path / "runs")
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=size) as pilot:
        await read(pilot)
        text = screen_text(pilot.app)
        assert "LOSS" in text and "174" in text
        assert pilot.app.screen.query_one("#chart").size.height >= min(4, size[1] // 4)
        if size[0] >= 110 and size[1] >= 40:
            assert "LEARNING RATE" in text and "GRADIENT NORM" in text


# --- a living run ------------------------------------------------------------------------------------------------


@pytest.fixture
def living(tmp_path: Path):
    """A run at work, with a program in the trainer's place; ended at the latest with the test."""
    run = writing.new_run(tmp_path / "runs")
    launch.start(run.root, command=[*FAKE_TRAINER, "--steps", "100000"], wait=30)
    yield run
    status = inspect(run)
    if status.pid:
        os.kill(status.pid, signal.SIGKILL)
    until(lambda: not inspect(run).alive, 20)


async def at_work(pilot: Pilot[int]) -> TrainingScreen:
    await soon(pilot, lambda: (seen := dashboard(pilot).seen) is not None and seen.alive and seen.story.step > 3)
    return dashboard(pilot)


async def test_a_living_run_moves_on_screen_and_is_left_running(tmp_path: Path, living: RunFolder) -> None:
    app = app_on(tmp_path, "training")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await at_work(pilot)
        assert "leaving this screen does not stop the run" in screen_text(pilot.app)
        assert screen.story is not None
        before = screen.story.step
        await soon(pilot, lambda: screen.story is not None and screen.story.step > before + 5)
        await sees(pilot, "ETA")
    assert inspect(living).alive


async def test_the_time_left_is_one_number_on_all_screens(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", steps=174)
    app = app_on(tmp_path, "training", run=run)
    with RunLock.acquire(run.lock_path), RunLock.acquire(run.keeper_lock_path):
        async with app.run_test(size=(120, 30)) as pilot:
            await sees(pilot, "ETA")
            bar = text_of((await read(pilot)).query_one("#bar"))[0]
            assert inspect(run).eta is not None
            told = "ETA " + duration(inspect(run).eta)
            assert bar.endswith(told)
            await pilot.press("f8")
            await sees(pilot, told)
            events = EventWriter(run.events_path)
            events.emit("phase", phase="paused", done=0, total=0, detail="")
            events.close()
            await soon(pilot, lambda: "ETA" not in screen_text(pilot.app))
            await pilot.press("f5")
            await sees(pilot, "paused")
            assert "ETA" not in screen_text(pilot.app)


async def test_a_request_is_shown_from_asked_to_done(tmp_path: Path, living: RunFolder) -> None:
    app = app_on(tmp_path, "training")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await at_work(pilot)
        await pilot.press("w")
        await sees(pilot, "save now: done")
        await soon(pilot, lambda: screen.story is not None and len(screen.story.checkpoints) >= 1)
        await pilot.press("i")
        await sees(pilot, "sample now: done")
        await pilot.press("v")
        await sees(pilot, "validate: done")


async def test_a_pause_is_taken_back_before_it_has_come(tmp_path: Path, living: RunFolder) -> None:
    app = app_on(tmp_path, "training", run=living)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await read(pilot)
        await soon(pilot, lambda: screen.seen is not None and screen.seen.alive)
        await pilot.press("p", "p")
        await soon(pilot, lambda: not any(living.control_dir.iterdir()))
        step = screen.seen.newest
        await soon(pilot, lambda: screen.seen is not None and screen.seen.newest > step + 5)


async def test_pause_and_go_on(tmp_path: Path, living: RunFolder) -> None:
    app = app_on(tmp_path, "training")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await at_work(pilot)
        await pilot.press("p")
        await soon(pilot, lambda: screen.seen is not None and screen.seen.state == "paused")
        await sees(pilot, "paused")
        await soon(pilot, lambda: screen_text(pilot.app).splitlines()[-1].startswith("p go on"))
        await pilot.press("p")
        await soon(pilot, lambda: screen.seen is not None and screen.seen.state == "running")


async def test_stop_saves_ends_and_resume_goes_on(
    tmp_path: Path, living: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LoraTuiApp, "trainer_command", [*FAKE_TRAINER, "--steps", "100000"])
    app = app_on(tmp_path, "training")
    async with app.run_test(size=(120, 30)) as pilot:
        screen = await at_work(pilot)
        await pilot.press("R")
        assert "It is running." in screen_text(pilot.app)
        await pilot.press("s")
        await sees(pilot, f"Stop {living.name} and save?")
        await pilot.press("escape")
        assert inspect(living).alive and not any(living.control_dir.iterdir())
        await pilot.press("s")
        await sees(pilot, f"Stop {living.name} and save?")
        await pilot.press("enter")
        await sees(pilot, "stopped at step")
        await soon(pilot, lambda: not inspect(living).alive)
        assert any(living.state_dir.iterdir())
        await soon(pilot, lambda: not screen.refusal("training.resume"))
        await pilot.press("w")
        assert "It is not running." in screen_text(pilot.app)
        await pilot.press("R")
        await sees(pilot, f"Resume {living.name}?")
        await pilot.press("enter")
        await soon(pilot, lambda: screen.seen is not None and screen.seen.alive)
        await soon(pilot, lambda: "stopped at step" not in screen_text(pilot.app))


async def test_stop_now_asks_and_says_what_is_lost(tmp_path: Path, living: RunFolder) -> None:
    app = app_on(tmp_path, "training")
    async with app.run_test(size=(120, 30)) as pilot:
        await at_work(pilot)
        await pilot.press("S")
        await sees(pilot, f"Stop {living.name} now?")
        assert "lost" in screen_text(pilot.app)
        await pilot.press("escape")
        assert inspect(living).alive
        await pilot.press("S", "enter")
        await sees(pilot, "stopped at step")


async def test_a_killed_trainer_is_explained_on_screen(tmp_path: Path, living: RunFolder) -> None:
    app = app_on(tmp_path, "training")
    async with app.run_test(size=(120, 30)) as pilot:
        await at_work(pilot)
        os.kill(inspect(living).pid, signal.SIGKILL)
        await sees(pilot, "died at step")
        await sees(pilot, "R resumes it from step")


async def test_a_click_on_the_curve_and_on_a_picture_goes_to_that_step(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs")
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await read(pilot)
        await pilot.click("#chart", offset=(20, 3))
        assert screen.looking.look.at is not None and 30 < screen.looking.look.at < 90
        await pilot.click(screen.query(SampleSlot).first())
        assert screen.looking.look.at == 0
        await pilot.click(screen.query(SampleSlot).first())
        await sees(pilot, "step   0  start    prompt 1 of 2")


async def test_another_run_is_shown_when_it_is_opened(tmp_path: Path) -> None:
    first = write_run(tmp_path / "runs", steps=60, name="one")
    second = write_run(tmp_path / "runs", steps=90, name="two")
    app = app_on(tmp_path, "training", run=first)
    async with app.run_test(size=(80, 24)) as pilot:
        await read(pilot)
        await sees(pilot, "step  60 of 400")
        await sees(pilot, "run 2 is newer: o shows it")
        await pilot.press("o")
        await sees(pilot, "step  90 of 400")
        assert "shows it" not in screen_text(pilot.app)
        assert app.workspace.run == second


async def test_opening_a_run_begins_with_its_dashboard(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs")
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        await read(pilot)
        await pilot.press("enter")
        await sees(pilot, "prompt 1 of 2")
        await pilot.press("f8")
        await sees(pilot, "1 run")
        await pilot.press("enter")
        await sees(pilot, "LOSS")


async def test_speeds_agree_with_the_batch_and_with_the_step_that_is_looked_at(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", steps=100)  # 2 images in 0.4 s
    events = EventWriter(run.events_path)
    events.emit("step", step=101, epoch=3, loss=0.1, step_seconds=0.2, images_per_second=5.0)  # a last batch of one
    events.emit("finished", reason="stopped", step=100, path="checkpoints/hat-girl-000100.safetensors")
    events.close()
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await read(pilot)
        assert screen.seen is not None and screen.seen.pace is not None
        (line,) = [line for line in text_of(screen.query_one("#facts")) if "it/s" in line]
        assert f"{2 * screen.seen.pace:.1f} images/s" in line
        assert "step 100 of 400" in screen_text(app) and "stopped at step 100" in screen_text(app)
        screen.looking.point(101)
        await sees(pilot, "5.00  10.0 images/s")


async def test_two_lines_of_the_learning_rate_are_told_apart(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs")
    app = app_on(tmp_path, "training", run=run)
    async with app.run_test(size=(120, 45)) as pilot:
        screen = await read(pilot)
        await soon(pilot, lambda: "LEARNING RATE  9.65e-5, te 9.65e-6" in text_of(screen.query_one("#small-line-0"))[0])
        await pilot.press("c")
        await sees(pilot, "LEARNING RATE    image model 9.65e-5, text encoder 9.65e-6")
