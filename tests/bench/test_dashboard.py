import argparse
import os
from pathlib import Path

import pytest

from lora_tui.bench.dashboard import build, build_run, measure
from lora_tui.bench.terminal import Terminal
from lora_tui.runs.status import inspect
from lora_tui.runs.story import RunStory


def options(*args: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    build(parser)
    return parser.parse_args(args)


def test_a_made_up_run_is_whole(tmp_path: Path) -> None:
    run = build_run(tmp_path / "runs" / "20250101-000000-x", 3000, every=1000)
    story = RunStory(run)
    while not story.complete:
        story.update()
    assert (story.step, story.bad_lines, len(story.samples), len(story.checkpoints)) == (3000, 0, 3, 3)
    assert (inspect(run).state, inspect(run).step) == ("finished", 3000)


def test_the_reading_is_measured_in_small(tmp_path: Path) -> None:
    figures = list(measure(options("--steps", "5000", "--runs", "5", "--no-app")))
    assert [figure.unit for figure in figures] == ["s", "s", "bytes", "s", "s"]
    assert all(figure.value > 0 and figure.bar for figure in figures)


def test_a_program_on_a_terminal_is_heard_timed_and_ended(tmp_path: Path) -> None:
    with Terminal(["--help"], tmp_path) as program:
        assert program.wait_for("commands:.*bench") > 0
        assert program.received > 500
    with pytest.raises(ProcessLookupError):
        os.kill(program.pid, 0)
