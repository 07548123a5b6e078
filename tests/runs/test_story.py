import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_builders import T0, add_lines, event_line, launched, make_run, step_line, training
from support import until

from lora_tui.jobs.control import request
from lora_tui.jobs.events import LAST_MOMENT
from lora_tui.jobs.lock import holder
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.rewinds import find_rewinds
from lora_tui.runs.story import RunStory


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path)


def told(run: RunFolder) -> RunStory:
    """The whole story, read from the start."""
    story = RunStory(run)
    while not story.complete:
        story.update()
    story.update()
    return story


def picture(story: RunStory) -> dict[str, Any]:
    """Everything a screen would draw, to compare two readings."""
    names = ("steps", "last_steps", "first", "low", "high", "last", "counts", "width")
    series = {name: [repr(getattr(s, column)) for column in names] for name, s in story.series.items()}
    facts = ("info", "step", "epoch", "phase", "samples", "checkpoints", "states", "warnings", "markers", "ending")
    numbers = (story.bad_lines, story.latest, story.first_time, story.last_time, story.eta_seconds)
    return {"series": series, "facts": [getattr(story, name) for name in facts], "numbers": numbers}


def steps_of(story: RunStory, name: str = "loss") -> list[int]:
    return list(story.series[name].steps)


def test_curves_come_from_the_steps(run: RunFolder) -> None:
    add_lines(run, [event_line("run", total_steps=100, epochs=4)])
    add_lines(run, [step_line(step) for step in range(1, 51)])
    story = told(run)
    assert steps_of(story) == list(range(1, 51))
    names = {"loss", "grad_norm", "step_seconds", "data_wait", "memory_allocated", "lr.unet", "lr.text_encoder"}
    assert set(story.series) == names
    assert list(story.series["memory_allocated"].last[:2]) == [1001.0, 1002.0]
    assert (story.step, story.epoch, story.total_steps) == (50, 1, 100)
    assert story.latest["loss"] == 1 / 50 and story.latest["lr.unet"] == 1e-4
    assert story.it_per_second == pytest.approx(2.0)
    assert story.data_wait == pytest.approx(0.1)
    assert story.eta_seconds == pytest.approx(25.0)
    assert (story.first_time, story.last_time) == (T0, T0 + 25)


def test_the_time_left_counts_what_samples_cost_but_no_pause(run: RunFolder) -> None:
    add_lines(run, [event_line("run", total_steps=40)])
    add_lines(run, [step_line(step, t=T0 + step) for step in range(1, 11)])
    add_lines(run, [event_line("phase", T0 + 11, phase="paused"), event_line("phase", T0 + 5011, phase="training")])
    add_lines(run, [step_line(step, t=T0 + 5001 + step) for step in range(11, 21)])
    story = told(run)
    assert story.step_seconds == pytest.approx(0.5)
    assert story.eta_seconds == pytest.approx(20 * 1.05, rel=0.1)  # a step takes 0.5 s, but one a second is done


def test_what_the_trainer_made_is_listed_with_its_place(run: RunFolder) -> None:
    add_lines(
        run,
        [
            event_line("sample", step=0, epoch=0, prompt=1, path="samples/a.png", text="a [b] cat"),
            event_line("checkpoint", step=5, epoch=1, path="checkpoints/x.safetensors", bytes=37),
            event_line("state", step=5, epoch=1, path="state/5"),
            event_line("validation", step=5, epoch=1, loss=0.09),
            event_line("warning", code="w", message="odd", remedy="mend"),
        ],
    )
    story = told(run)
    (sample,), (checkpoint,), (state,), (warning,) = story.samples, story.checkpoints, story.states, story.warnings
    assert (sample.path, sample.prompt, sample.text) == (run.root / "samples/a.png", 1, "a [b] cat")
    assert (checkpoint.path.name, checkpoint.size, state.path) == ("x.safetensors", 37, run.root / "state/5")
    assert (warning.code, warning.message, warning.remedy) == ("w", "odd", "mend")
    assert list(story.series["validation"].last) == [0.09]


@pytest.mark.parametrize("path", ["/etc/passwd", "../../x.png", "a/../../x", "", "a\0b", 7, None, "x" * 5000])
def test_files_outside_of_the_run_are_not_listed(run: RunFolder, path: Any) -> None:
    add_lines(run, [event_line("sample", step=1, path=path)])
    assert told(run).samples == []


def test_an_absolute_path_into_the_run_is_taken(run: RunFolder) -> None:
    add_lines(run, [event_line("sample", step=1, path=str(run.samples_dir / "a.png"))])
    assert told(run).samples[0].path == run.samples_dir / "a.png"


def resumed_lines() -> list[str]:
    """Ten steps, back to six, four more, back to eight, two more: losses tell the life they are of."""
    lines = [event_line("attempt", number=1), event_line("run", total_steps=20)]
    lines += [step_line(step, loss=1.0) for step in range(1, 11)]
    lines += [event_line("sample", step=step, path=f"samples/{step}.png", text="first") for step in (5, 10)]
    lines += [event_line("checkpoint", step=10, path="checkpoints/10"), event_line("validation", step=10, loss=1.0)]
    lines += [event_line("attempt", number=2), event_line("run", total_steps=20), event_line("resumed", step=6)]
    lines += [step_line(step, loss=2.0) for step in range(7, 11)]
    lines += [event_line("sample", step=10, path="samples/10.png", text="second")]
    lines += [event_line("attempt", number=3), event_line("run", total_steps=20), event_line("resumed", step=8)]
    lines += [step_line(step, loss=3.0) for step in range(9, 11)]
    return lines


def test_what_lies_after_the_step_a_run_went_back_to_is_dropped(run: RunFolder) -> None:
    add_lines(run, resumed_lines())
    story = told(run)
    assert steps_of(story) == list(range(1, 11))
    assert list(story.series["loss"].last) == [1.0] * 6 + [2.0] * 2 + [3.0] * 2
    assert [(sample.step, sample.text) for sample in story.samples] == [(5, "first")]
    assert story.checkpoints == [] and "validation" not in story.series
    assert [(marker.step, marker.kind) for marker in story.markers] == [(6, "resumed"), (8, "resumed")]
    assert find_rewinds(run) == [6, 8]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 3000), max_size=8))
def test_a_living_story_is_the_same_as_one_read_at_once(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    run = make_run(tmp_path_factory.mktemp("r"))
    lines = [*resumed_lines(), "garbage\n", event_line("warning", message="x"), step_line(11, loss="nan")]
    lines += [step_line(12, grad_norm=None), event_line("resources", ram_used=5), event_line("finished", step=12)]
    data = "".join(lines)
    living = RunStory(run)
    position = 0
    for cut in [*cuts, len(data)]:
        with run.events_path.open("a") as file:
            file.write(data[position : position + cut])
        position += cut
        living.update()
    assert picture(living) == picture(told(run))


def test_a_long_story_is_the_same_read_at_once_as_it_grows_and_line_by_line(run: RunFolder) -> None:
    """The fast way through thousands of lines of one shape and the careful way give the same."""
    lines = []
    for step in range(1, 9000):
        lines.append(step_line(step, loss="nan" if step == 4000 else math.sin(step) + 2))
        if step % 50 == 0:
            lines.append(event_line("resources", T0 + step / 2, gpus=[], ram_used=step))
        if step % 1000 == 0:
            lines.append(event_line("sample", T0 + step / 2, step=step, path=f"samples/{step}.png", text="x"))
    add_lines(run, lines[:3000])
    living = RunStory(run)
    living.update(10)
    for begin in range(3000, len(lines), 500):
        add_lines(run, lines[begin : begin + 500])
        living.update(10)
    whole = told(run)
    assert picture(living) == picture(whole)
    spaced = make_run(run.root.parent, "20260101-000001-spaced")
    add_lines(spaced, [json.dumps(json.loads(line)) + "\n" for line in lines])  # another layout, so no fast way
    slow = told(spaced)
    assert picture(slow)["series"] == picture(whole)["series"]
    assert [sample.step for sample in slow.samples] == [sample.step for sample in whole.samples]
    assert (whole.resources["ram_used"], slow.resources["ram_used"]) == (8950, 8950)
    assert whole.series["loss"].not_finite == 1


def canonical(run: RunFolder, lines: list[str]) -> RunStory:
    """The story of a run that was watched from its beginning, when nothing could be expected of it."""
    story = RunStory(run)
    story.update()
    add_lines(run, lines)
    while not story.complete or story.update():
        story.update()
    return story


def test_the_rate_of_a_transformer_is_that_of_the_network_that_draws(run: RunFolder) -> None:
    rates = {"lr": {"transformer": 2e-4, "text_encoder": 1e-5}}
    add_lines(run, [step_line(step, **rates) for step in range(1, 6)])
    story = told(run)
    assert list(story.series["lr.unet"].last) == [2e-4] * 5
    assert (story.latest["lr.unet"], story.latest["lr.text_encoder"]) == (2e-4, 1e-5)


@pytest.mark.parametrize(
    "fields",
    [
        lambda step: {},
        lambda step: {"grad_norm": 0.5} if step < 5000 else {"grad_norm": None},
        lambda step: {"images_per_second": step} if step > 6000 else {},
        lambda step: {"lr": {"unet": 1e-4, "late": 1.0}} if step % 100 == 0 else {},
    ],
    ids=["dense", "ends early", "begins late", "seldom"],
)
def test_a_story_told_at_once_is_that_of_one_who_was_there(run: RunFolder, fields: Any) -> None:
    """Whatever reading a long file at once expects of it: curves that end early, begin late or have few values."""
    lines = [step_line(step, **fields(step)) for step in range(1, 12_000)]
    lines.insert(9000, event_line("validation", step=9000, loss=0.5))
    there = canonical(run, lines)
    assert there.series["loss"].width == 4
    assert picture(there) == picture(told(run))


def test_steps_that_go_back_without_a_word_replace_the_earlier_ones(run: RunFolder) -> None:
    add_lines(run, [step_line(step, loss=1.0) for step in range(1, 11)])
    story = told(run)
    add_lines(run, [step_line(step, loss=2.0) for step in range(6, 9)])
    story.update()
    assert list(story.series["loss"].last) == [1.0] * 5 + [2.0] * 3
    assert story.step == 8


def test_a_growing_file_is_followed_and_a_torn_line_waits(run: RunFolder) -> None:
    story = RunStory(run)
    assert not story.update()
    assert story.complete and story.series == {}
    line = step_line(1)
    add_lines(run, [line[:40]])
    story.update()
    assert story.series == {}
    add_lines(run, [line[40:]])
    assert story.update()
    assert steps_of(story) == [1]
    assert not story.update()


def test_a_replaced_file_is_told_anew(run: RunFolder) -> None:
    add_lines(run, [step_line(step) for step in range(1, 20)])
    story = told(run)
    run.events_path.unlink()
    add_lines(run, [step_line(step, loss=7.0) for step in range(1, 4)])
    story.update()
    assert list(story.series["loss"].last) == [7.0] * 3


def test_a_folder_that_vanishes_is_told_and_what_was_read_stays(run: RunFolder) -> None:
    add_lines(run, [step_line(1)])
    story = told(run)
    shutil.rmtree(run.root)
    assert story.update()
    assert story.gone and steps_of(story) == [1]
    assert not story.update()


@pytest.mark.parametrize("reason", ["completed", "stopped"])
def test_an_end_is_told(run: RunFolder, reason: str) -> None:
    add_lines(run, [event_line("run", total_steps=9), step_line(9), event_line("finished", reason=reason, step=9)])
    story = told(run)
    assert story.ending is not None and (story.ending.reason, story.ending.step) == (reason, 9)
    assert story.eta_seconds is None


def test_a_failure_and_a_death_are_told_apart_and_end_with_the_next_life(run: RunFolder) -> None:
    add_lines(run, [event_line("failed", code="nan", message="m", advice="a")])
    story = told(run)
    assert story.ending is not None
    assert (story.ending.reason, story.ending.code, story.ending.message, story.ending.advice) == (
        "failed",
        "nan",
        "m",
        "a",
    )
    add_lines(run, [event_line("attempt", number=2)])
    story.update()
    assert story.ending is None
    add_lines(run, [event_line("failed", code="killed", message="m", by="keeper")])
    story.update()
    assert story.ending is not None and story.ending.reason == "died"


def test_a_pause_is_over_with_the_next_step(run: RunFolder) -> None:
    add_lines(run, [step_line(1), event_line("phase", phase="paused")])
    story = told(run)
    assert story.phase is not None and story.phase.name == "paused"
    add_lines(run, [step_line(2)])
    story.update()
    assert story.phase.name == "training"


HOSTILE = [
    '{"kind":"step","step":"x","loss":1}\n',
    '{"kind":"step","step":-3,"loss":1}\n',
    '{"kind":"step","step":true,"loss":1}\n',
    '{"kind":"step","step":1e99,"loss":1}\n',
    '{"kind":"step","step":99999999999999999999999999,"loss":1}\n',
    '{"kind":"step","loss":1}\n',
    '{"kind":["step"],"step":{}}\n',
    '{"kind":"sample","step":[],"path":{},"prompt":"x"}\n',
    '{"kind":"phase","phase":7,"done":-1}\n',
    '{"kind":"resumed","step":"six"}\n',
    '{"kind":"run","total_steps":"many"}\n',
    '{"kind":"unknown","x":1}\n',
    '{"t":"noon","kind":"warning","message":{"a":1}}\n',
    "resumed\n",
    '{"t":1e308,"kind":"warning","message":"x"}\n',
    '{"t":Infinity,"kind":"step","step":21,"loss":Infinity,"step_seconds":1e308}\n',
    '{"kind":"step","step":21,"t":1' + "0" * 400 + ',"loss":1' + "0" * 400 + "}\n",
    '{"kind":"step","step":21,"loss":[1],"lr":5,"grad_norm":{"a":1},"step_seconds":"soon","t":[]}\n',
    '{"kind":"validation","step":20,"loss":"x"}\n',
    "[" * 50_000 + "\n",
]


@pytest.mark.parametrize("line", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_lines_hurt_nothing(run: RunFolder, line: str) -> None:
    add_lines(run, [step_line(step) for step in range(1, 11)])
    add_lines(run, [line])
    add_lines(run, [step_line(step) for step in range(11, 21)])
    for story in (told(run), RunStory(run)):
        story.update()
        if "resumed" not in line:
            assert story.step in (20, 21)
            assert steps_of(story)[:20] == list(range(1, 21))
        moments = [story.first_time, story.last_time, *(marker.time for marker in story.markers)]
        assert all(moment is None or 0 <= moment < LAST_MOMENT for moment in moments)


def test_step_lines_of_a_known_shape_with_hostile_values_hurt_nothing(run: RunFolder) -> None:
    good = step_line(1)
    for old, new in [("0.5", "0.5.5"), ("1.0", "null"), ("1.0", "1_0"), ('"step":1,', '"step":1x,'), ("}\n", "\n")]:
        run.events_path.write_text("".join(step_line(step) for step in range(1, 100)))
        story = told(run)
        add_lines(run, [good.replace('"step":1,', '"step":100,').replace(old, new, 1), step_line(101)])
        story.update()
        assert story.step == 101
        assert set(steps_of(story)) >= {1, 99, 101}


def test_values_that_are_not_finite_are_gaps(run: RunFolder) -> None:
    add_lines(run, [step_line(1), step_line(2, loss="nan"), step_line(3, loss="inf"), step_line(4, loss=None)])
    loss = told(run).series["loss"]
    assert (list(loss.steps), loss.not_finite) == ([1, 2, 3], 2)


def test_markers_and_warnings_are_bounded(run: RunFolder) -> None:
    add_lines(run, [event_line("warning", message="x" * 10_000) for _ in range(1200)])
    story = told(run)
    assert len(story.warnings) == len(story.markers) == 1000
    assert len(story.warnings[0].message) == 4000


def test_a_little_time_gives_a_first_picture_of_a_long_run(run: RunFolder) -> None:
    add_lines(run, [event_line("run", total_steps=30_000)])
    add_lines(run, [step_line(step) for step in range(1, 30_001)])
    story = RunStory(run)
    story.update(0.0)
    assert len(story.series["loss"]) > 100 and not story.complete
    assert 0 < story.read_share < 1
    while not story.complete:
        story.update(0.0)
    assert (story.step, story.read_share) == (30_000, 1.0)


def test_a_real_job_is_followed_live_through_a_resume(run: RunFolder) -> None:
    launched(run, "--steps", "100000")
    story = RunStory(run)
    until(lambda: story.update() and story.step >= 5)
    assert story.ending is None and story.total_steps == 100_000
    request(run.root, "stop")
    until(lambda: story.update() or story.ending is not None)
    until(lambda: (story.update(), story.ending)[1])
    stopped = story.step
    run.state_dir.joinpath("step.txt").write_text(str(stopped - 2))
    until(lambda: holder(run.lock_path) is None and holder(run.keeper_lock_path) is None)
    launched(run, "--steps", str(stopped + 10), resume=True)
    until(lambda: (story.update(), story.ending)[1] and story.step == stopped + 10)
    training(run, stopped + 10)
    assert steps_of(story) == list(range(1, stopped + 11))
    assert picture(story) == picture(told(run))
