"""Samples of the machine as series over the steps of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from run_builders import add_lines, event_line, make_run, step_line

from lora_tui.runs.folder import RunFolder
from lora_tui.runs.machine_series import CARD, MachineStory, kinds_in


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return make_run(tmp_path)


def card(index: int, **fields: object) -> dict[str, object]:
    values = {"utilization": 50, "memory_used": 10**9, "temperature": 60, "power": 200.0}
    return {"index": index, **values, **fields}


def values(story: MachineStory, name: str) -> list[tuple[int, float]]:
    series = story.series[name]
    return list(zip(series.steps, series.last, strict=True))


def test_each_step_has_its_first_sample_and_a_resume_takes_back_what_lay_after_it(run: RunFolder) -> None:
    for step in range(1, 9):
        samples = [event_line("resources", gpus=[card(0, utilization=10 * step + n)]) for n in range(2)]
        add_lines(run, [step_line(step), *samples])
    story = MachineStory(run)
    assert story.update(9) and story.complete
    assert values(story, "gpu.use.0") == [(step, 10.0 * step) for step in range(1, 9)]
    add_lines(
        run, [event_line("resumed", step=4), step_line(5), event_line("resources", gpus=[card(0, utilization=1)])]
    )
    story.update(9)
    assert values(story, "gpu.use.0")[-2:] == [(4, 40.0), (5, 1.0)]
    read_at_once = MachineStory(run)
    read_at_once.update(9)
    assert values(read_at_once, "gpu.use.0") == values(story, "gpu.use.0")


def test_the_cards_that_the_run_uses_count_where_they_are_known(run: RunFolder) -> None:
    cards = [card(0, memory_run=None), card(1, memory_run=5), card(2, memory_run=0)]
    add_lines(run, [step_line(1), event_line("resources", gpus=cards)])
    story = MachineStory(run)
    story.update(9)
    assert sorted(story.series) == sorted(f"{kind}.1" for kind in CARD)


def test_a_long_run_keeps_few_samples_and_hostile_lines_none(run: RunFolder) -> None:
    lines = []
    for step in range(1, 20_000):
        lines += [step_line(step), event_line("resources", gpus=[], ram_used=step, cpu_percent="x")]
    add_lines(run, lines)
    for told in (5, "x", [5, None, {"index": [], "utilization": float("1e400"), "power": True}], [[]]):
        add_lines(run, [step_line(20_001), event_line("resources", gpus=told, note='"kind":"step"')])
    add_lines(run, ['{"kind":"resources"', '"kind":"resources"}\n', "\n"])
    story = MachineStory(run)
    story.update(9)
    assert "cpu" not in story.series and 1000 < len(values(story, "ram")) <= 4096
    assert kinds_in({"gpus": [card(3)], "ram_used": 5}) == set(CARD)
    assert kinds_in({"ram_used": 5}) == {"ram"} and kinds_in({}) == set()
