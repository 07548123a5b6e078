"""From a run's story to pictures, lines and moments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import run_folders as writing
from run_folders import new_run, write_run

from lora_tui.jobs.events import EventWriter
from lora_tui.runs.settings_text import settings_of
from lora_tui.runs.status import inspect
from lora_tui.runs.story import RunStory
from lora_tui.tui.curves import Curves, Look
from lora_tui.tui.marks import ASCII, UNICODE
from lora_tui.tui.run_facts import fact_lines
from lora_tui.tui.run_moments import Moments
from lora_tui.tui.run_reading import full_lines
from lora_tui.tui.run_text import Seen, bar_line, chart_line, ending_lines, meter, run_line
from lora_tui.tui.widgets.chart import window


def story_of(run) -> RunStory:
    story = RunStory(run)
    story.update(10)
    return story


def seen(story: RunStory, look: Look | None = None) -> Seen:
    return Seen(story, Curves(story), look or Look(), inspect(story.run), 0.0, UNICODE)


def text(line) -> str:
    return "".join(cell.text for cell in line)


def test_the_window_keeps_the_tail_or_the_step_that_is_looked_at() -> None:
    assert window(0, 1000, 0, None) == (0, 1000)
    assert window(0, 1000, 2, None) == (750, 1000)
    assert window(0, 1000, 2, 500) == (375, 625)
    assert window(0, 1000, 2, 10) == (0, 250)
    assert window(0, 1000, 2, 990) == (750, 1000)
    assert window(0, 4, 7, None) == (0, 4)


def test_the_loss_is_drawn_raw_and_smoothed_with_validations_and_saved_files(tmp_path: Path) -> None:
    story = story_of(write_run(tmp_path, steps=174))
    picture = Curves(story).picture(Look(), UNICODE)
    assert [curve.role for curve in picture.curves] == ["raw", "smooth"]
    assert [mark.x for mark in picture.markers] == [50, 100, 150]
    assert {mark.x for mark in picture.rail if mark.char == "▲"} == {50, 100, 150}
    assert (picture.first, picture.last) == (0, 174)
    plain = Curves(story).picture(Look(smoothing=0), ASCII)
    assert [curve.role for curve in plain.curves] == ["smooth"]
    assert all(mark.char.isascii() for mark in (*plain.rail, *plain.markers))


def test_many_validations_become_a_line(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    events = writing.begin(run)
    for step in range(1, 41):
        writing.step(events, step)
        events.emit("validation", step=step, epoch=1, loss=0.1)
    picture = Curves(story_of(run)).picture(Look(), UNICODE)
    assert picture.markers == () and picture.curves[-1].role == "validation"


def test_a_picture_does_not_change_while_the_run_goes_on(tmp_path: Path) -> None:
    run = write_run(tmp_path, steps=50)
    story = story_of(run)
    picture = Curves(story).picture(Look(), UNICODE)
    lengths = [len(curve.start) for curve in picture.curves]
    events = writing.EventWriter(run.events_path)
    for step in range(51, 90):
        writing.step(events, step)
    story.update(10)
    assert [len(curve.start) for curve in picture.curves] == lengths == [len(c.last) for c in picture.curves]


def test_values_are_those_of_the_step_that_is_looked_at(tmp_path: Path) -> None:
    curves = Curves(story_of(write_run(tmp_path, steps=174)))
    assert curves.value_at("loss", 100) == pytest.approx(writing.loss_at(100))
    assert curves.value_at("loss", 100.7) == curves.value_at("loss", 100) != curves.value_at("loss", 101)
    assert curves.value_at("validation", 49) is None
    assert curves.best("validation") is not None and curves.best("validation")[0] == 150
    assert curves.value_at("nothing", 5) is None and curves.best("nothing") is None


def test_every_line_has_the_width_that_it_is_given(tmp_path: Path) -> None:
    story = story_of(write_run(tmp_path, steps=174, ending="died"))
    for width in (40, 60, 80, 200):
        now = seen(story, Look(at=100.0, zoom=2, log=True))
        for line in (run_line(now, width), bar_line(now, width), chart_line(now, width, clipped=True)):
            assert len(text(line)) == width


def test_numbers_keep_their_places_while_they_change(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    events = writing.begin(run, total=4240)
    story = RunStory(run)
    places = set()
    for step in range(1, 1200):
        writing.step(events, step)
        if step in (1, 99, 1001):
            story.update(10)
            line = text(run_line(seen(story), 90))
            facts = [text(fact) for fact in fact_lines(seen(story), 34, 10)]
            places.add((line.index(" of "), line.index("%"), facts[0].index("smooth"), facts[3].index("te ")))
    assert len(places) == 1


def test_a_run_without_its_keeper_says_so_while_it_trains(tmp_path: Path) -> None:
    story = RunStory(new_run(tmp_path))
    events = writing.begin(story.run, total=100)
    events.emit("phase", phase="training")
    writing.step(events, 1)
    story.update(10)
    now = seen(story)
    assert now.status is not None and story.phase is not None and story.phase.name == "training"
    for state, words in (("running", "training"), ("orphaned", "running without its keeper")):
        told = replace(now, status=replace(now.status, state=state))
        assert text(run_line(told, 80)).count(words) == 1


def test_while_samples_are_drawn_it_says_which_and_at_which_of_its_steps(tmp_path: Path) -> None:
    story = RunStory(new_run(tmp_path))
    events = writing.begin(story.run, total=4240)
    writing.step(events, 1200)
    events.emit("phase", phase="sampling", done=0, total=0, detail="3 images")
    story.update(10)
    running = replace(seen(story), status=replace(seen(story).status, state="running"))
    assert "drawing samples" in text(run_line(running, 80))
    events.emit("phase", phase="sampling", done=20, total=36, detail="sample 2 of 3, step 9 of 12")
    story.update(10)
    told = text(run_line(running, 80))
    assert "sample 2 of 3, step 9 of 12" in told and "20/36" not in told


def test_the_facts_fit_their_height_and_keep_what_was_saved(tmp_path: Path) -> None:
    story = story_of(write_run(tmp_path, steps=174))
    for height in range(1, 20):
        lines = [text(line) for line in fact_lines(seen(story), 34, height)]
        assert len(lines) <= height
        assert any(line.startswith("saved") for line in lines)


def test_a_meter_is_as_wide_as_asked_in_every_style() -> None:
    for marks in (UNICODE, ASCII):
        for share in (-1, 0, 0.01, 0.5, 0.999, 1, 7, float("nan")):
            assert len(text(meter(share, 10, marks, ""))) == 10
    assert text(meter(0.5, 10, ASCII, "")) == "#####....."


def test_an_ending_is_told_only_when_there_is_one(tmp_path: Path) -> None:
    alive = seen(story_of(write_run(tmp_path, steps=10)))
    status = inspect(alive.story.run)
    living = replace(alive, status=replace(status, state="running"))
    assert ending_lines(living, "R", 80) == []
    assert "died at step 10" in text(ending_lines(alive, "R", 80)[0])


def test_moments_come_in_the_order_of_their_steps_and_outside_text_is_made_safe(tmp_path: Path) -> None:
    run = write_run(tmp_path, steps=120)
    events = writing.EventWriter(run.events_path)
    events.emit("warning", code="x", message="odd \x1b[31m thing", remedy="Look.")
    events.emit("control", request="save", status="done", detail="")
    moments = Moments(story_of(run)).all()
    assert [moment.step for moment in moments] == sorted(moment.step for moment in moments)
    texts = [moment.text for moment in moments]
    assert "saved checkpoints/hat-girl-000100.safetensors (37.9 MB)" in texts
    assert "! odd ␛[31m thing Look." in texts
    assert "save now: done" in texts and "drew 2 samples" in texts


def test_what_has_no_room_beside_the_numbers_gives_way_whole(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", name="a-long-name-of-a-run", ending="stopped")
    now = seen(story_of(run))
    assert run.name in text(run_line(now, 120))
    narrow = text(run_line(now, 80))
    assert "  a-long-name-of-a-run  " in narrow and run.name[:9] not in narrow
    assert "highest peaks not shown" in text(chart_line(now, 44, clipped=True))
    assert "highest" not in text(chart_line(now, 40, clipped=True))
    assert len(ending_lines(now, "R", 120)) == 1
    first, second = (text(line) for line in ending_lines(now, "R", 80))
    assert first.endswith("hat-girl-000150.safetensors. ") and second == "  R resumes it from step 150."


def test_the_log_in_one_line_has_what_happened_without_what_to_do(tmp_path: Path) -> None:
    moment = Moments(story_of(write_run(tmp_path / "runs", ending="failed"))).all()[-1]
    assert moment.brief == "CUDA ran out of memory while training."
    assert moment.text == f"{moment.brief} Set memory.gradient_checkpointing to true."


def test_what_the_run_was_asked_to_do_is_the_last_of_the_facts(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs")
    run.config_path.write_text('[network]\ntype = "loha"\n[memory]\nbase_weights = "nf4"\n')
    asked = replace(seen(story_of(run)), settings=settings_of(run))
    lines = [text(line) for line in fact_lines(asked, 34, 30)]
    assert lines[-4:] == [
        "adapter    LoHa, rank 32, alpha 32",
        "optimizer  AdamW",
        "schedule   cosine",
        "the base is packed in 4 bits (nf4)",
    ]
    assert "sd15, LoHa, rank 32, alpha 32, 512 px" in full_lines(asked, "R")


@pytest.mark.parametrize("held", [6_800_000_000, 3_000_000_000])
def test_the_memory_of_a_card_that_the_run_holds_is_told_first_where_others_hold_some(tmp_path: Path, held: int):
    run = write_run(tmp_path / "runs")
    events = EventWriter(run.events_path)
    writing.resources(events, memory_run=held, memory_run_most=7_000_000_000)
    events.close()
    lines = [text(line) for line in fact_lines(seen(story_of(run)), 34, 20)]
    own = next(number for number, line in enumerate(lines) if line.startswith("this run"))
    assert lines[own].split() == ["this", "run", f"{held / 1e9:.1f}", "GB", "VRAM,", "most", "7.0"]
    alone = held > 6_000_000_000
    before = "data wait" if alone else "VRAM"
    assert lines[own - 1].startswith(before)


def test_epoch_cost_drift_and_tensors_are_told(tmp_path: Path) -> None:
    run = new_run(tmp_path / "runs")
    events = writing.begin(run, total=400)
    for number in range(1, 231):
        slow = {"step_seconds": 0.4 if number < 130 else 0.8}
        events.emit("step", step=number, epoch=1, loss=0.1, lr={"unet": 1e-4}, grad_norm=1.0, d=3e-4, t=number, **slow,
                    memory_allocated=7_000_000_000, memory_reserved=8_000_000_000)  # fmt: skip
    writing.resources(events)
    events.close()
    story = story_of(run)
    alive = replace(inspect(run), state="running", eta=3600.0)
    now = replace(seen(story), status=alive, price=2.0, currency="EUR")
    lines = [text(line).split() for line in fact_lines(now, 40, 30)]
    assert ["it/s", "1.25", "100%", "slower"] in lines
    assert ["lr", "1e-4", "d", "3e-4"] in lines
    assert ["tensors", "7.0", "/", "8.0", "GB", "kept"] in lines and ["free", "17.0", "GB", "VRAM"] in lines
    cost = next(line for line in lines if line[0] == "cost")
    assert cost[2:] == ["of", f"{float(cost[1]) + 2.0:.2f}", "EUR"]
    assert "epoch" in text(bar_line(now, 80)) and "epoch" not in text(bar_line(now, 50))
    assert len(text(bar_line(now, 80))) == 80


@pytest.mark.parametrize("gpus", [5, True, "x", [5, None, {"memory_total": [], "utilization": "x"}], {"0": {}}])
def test_samples_of_the_machine_that_are_none_are_passed_over(tmp_path: Path, gpus: object) -> None:
    run = write_run(tmp_path, steps=5)
    EventWriter(run.events_path).emit("resources", gpus=gpus, ram_used=1_000_000_000, ram_total=2_000_000_000)
    assert any(text(line).startswith("loss") for line in fact_lines(seen(story_of(run)), 48, 30))


def test_the_time_between_two_lives_of_a_run_is_not_what_it_took(tmp_path: Path) -> None:
    story = story_of(write_run(tmp_path, steps=20, ending="stopped"))
    story.first_time, story.last_time = 1_700_000_000.0, 1_700_090_000.0
    found = replace(seen(story), price=3600.0)
    assert found.status is not None
    found = replace(found, status=replace(found.status, took=120.0))
    lines = [text(line) for line in (bar_line(found, 80), *fact_lines(found, 48, 40))]
    assert lines[0].endswith("took 2m 00s") and any("120.00" in line for line in lines)
    assert any(line.startswith("elapsed") and "2m 00s" in line for line in lines)


def test_a_run_that_loads_names_no_steps(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    EventWriter(run.events_path).emit("phase", phase="loading", done=0, total=0)
    line = text(run_line(seen(story_of(run)), 80))
    assert run.name[:8] in line and "step" not in line and "0%" not in line
