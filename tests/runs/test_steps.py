"""Cutting step lines into columns gives what parsing every line gives."""

import json
import math
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from run_builders import event_line, step_line

from lora_tui.jobs.events import Event, parse_lines
from lora_tui.runs.steps import PRIMARY, StepBatch, StepSplitter

NUMBERS = st.floats(width=64, allow_nan=False, allow_infinity=False) | st.integers(-(10**20), 10**20)
VALUES = NUMBERS | st.sampled_from(["nan", "inf", "-inf", None, True, "text, with a comma", [1, 2], {"a": {"b": 1}}])
LAYOUTS = (
    ("t", "kind", "loss", "grad_norm", "step", "epoch", "lr", "step_seconds", "data_wait"),
    ("t", "kind", "step", "loss"),
    ("kind", "t", "loss", "lr", "step"),
    ("step", "kind", "step_seconds"),
)


def line(layout: Iterable[str], step: int, value: Any) -> str:
    fields = {"t": 1.5, "kind": "step", "step": step, "epoch": 1, "lr": {"unet": 1e-4, "te": 0.0}, "data_wait": 0.1}
    return json.dumps({name: fields.get(name, value) for name in layout}, separators=(",", ":")) + "\n"


OTHERS = st.sampled_from(
    [
        event_line("resources", ram_used=1, gpus=[{"index": 0}]),
        event_line("validation", step=3, loss=0.5),
        event_line("warning", message='"kind":"step","step":7,"loss":0.5'),
        '{"t":1.5,"kind":"step","loss":0.5,"grad_no\n',
        '{"t":1.5,"kind":"step","loss":0.5,"grad_norm":1,"step":9,"epoch":1,"lr":{"unet":1e-4\n',
        '{"t":1.5,"kind":"step","loss":0.5,"grad_norm":1,"step":9,"epoch":1,"lr":{},"step_seconds":1\n',
        "\n",
    ]
)


def told(pieces: Iterable[StepBatch | Event]) -> tuple[list[tuple[Any, ...]], list[Event]]:
    """Steps with the numbers of their columns and all their fields, and the other events but for samples."""
    steps: list[tuple[Any, ...]] = []
    others = []
    for piece in pieces:
        if isinstance(piece, StepBatch):
            events = piece.events(range(len(piece.steps)))
            for index, (step, event) in enumerate(zip(piece.steps, events, strict=True)):
                assert event["step"] == step
                numbers = [repr(float(piece.columns[name][index])) for name in PRIMARY if name in piece.columns]
                steps.append((step, numbers, json.dumps(event)))
        elif piece["kind"] != "resources":
            others.append(piece)
    return steps, others


def fully_parsed(block: bytes) -> tuple[list[tuple[int, str]], list[Event], int]:
    events, bad = parse_lines(block)
    steps = [(event["step"], json.dumps(event)) for event in events if event["kind"] == "step"]
    return steps, [event for event in events if event["kind"] not in ("step", "resources")], bad


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(LAYOUTS),
    st.lists(st.tuples(st.integers(0, 3), NUMBERS | VALUES, st.none() | OTHERS), min_size=1, max_size=30),
)
def test_any_lines_are_cut_as_they_are_parsed(layout: tuple[str, ...], wishes: list[tuple[int, Any, Any]]) -> None:
    splitter = StepSplitter()
    learnt = line(layout, 1, 0.5).encode()
    list(splitter.pieces(learnt))
    step, lines = 1, []
    for stride, value, other in wishes:
        step += stride  # sometimes the same step again
        lines += [line(layout, step, value), other or ""]
    block = "".join(lines).encode()
    steps, others = told(splitter.pieces(block))
    wanted, wanted_others, bad = fully_parsed(block)
    assert [(number, event) for number, _numbers, event in steps] == wanted
    assert (others, splitter.bad_lines) == (wanted_others, bad)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=50))
def test_numbers_are_read_to_the_last_bit(values: list[float]) -> None:
    splitter = StepSplitter()
    block = "".join(line(LAYOUTS[0], step, value) for step, value in enumerate(values, 1)).encode()
    list(splitter.pieces(block))
    (batch,) = splitter.pieces(block)
    assert isinstance(batch, StepBatch) and batch.rising
    for name in PRIMARY:
        assert list(batch.columns[name]) == values


def test_nan_and_infinities_are_numbers() -> None:
    splitter = StepSplitter()
    block = "".join(step_line(step, loss=loss) for step, loss in enumerate(("nan", "inf", "-inf", 1, 2.5), 1)).encode()
    list(splitter.pieces(block))
    (batch,) = splitter.pieces(block)
    assert isinstance(batch, StepBatch)
    assert math.isnan(batch.columns["loss"][0]) and list(batch.columns["loss"][1:]) == [math.inf, -math.inf, 1, 2.5]


def test_a_step_is_told_from_one_that_begins_like_it() -> None:
    splitter = StepSplitter()
    block = "".join(step_line(step) for step in range(1, 500)).encode()
    list(splitter.pieces(block))
    (batch,) = splitter.pieces(block)
    assert isinstance(batch, StepBatch)
    assert [event["memory_allocated"] for event in batch.events((0, 9, 98, 498, 498))] == [1001, 1010, 1099, 1499, 1499]
    assert [event["step"] for event in batch.only([4, 48]).events((0, 1))] == [5, 49]


@pytest.mark.parametrize("spoilt", ['"loss":0.5.5', '"loss":1_0', '"loss":+1', '"loss":', '"loss":0.5,7', '"loss":[1'])
def test_a_number_that_is_none_is_a_bad_line_and_nothing_else(spoilt: str) -> None:
    splitter = StepSplitter()
    good = "".join(step_line(step) for step in range(1, 100))
    list(splitter.pieces(good.encode()))
    block = good + step_line(100, loss=0.5).replace('"loss":0.5', spoilt) + step_line(101)
    steps, _others = told(splitter.pieces(block.encode()))
    assert [step for step, *_rest in steps] == [*range(1, 100), 101]
    assert splitter.bad_lines == 1
