"""``scores.json``: read back as it was written; damage is left out, and a newer one is not read."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from lora_tui.scores.told import (
    FILE,
    MEASURES,
    CellScores,
    Choice,
    Model,
    Recommendation,
    References,
    Scores,
    read_scores,
)

SCORES = Scores(
    models=(Model("dinov2-small", "dinov2", ("images",)),),
    trigger="mimbu",
    references=References(20, 2, among=0.8, base=0.2, closest=0.9, alarm=0.95),
    cells={"aa": CellScores(likeness=0.5, nearest=0.7, nearest_image="/x/1.png", copied=True)},
    choices=(
        Choice("", "0", base=True, weight=0.0, cells=("bb",), likeness=0.2),
        Choice("100", "0.5", step=100, weight=0.5, cells=("aa",), likeness=0.5, score=1.2, low=1.0, high=1.4),
        Choice("100", "1", step=100, weight=1.0, cells=("cc",), likeness=0.8, score=1.3, tied=True),
        Choice("200", "1", step=200, weight=1.0, cells=("dd",), likeness=0.9, score=1.4, tied=True),
    ),
    recommendation=Recommendation(
        "200", "1", cells=("dd",), score=1.4, close=True, tied_cells=("cc",), reasons=("so",)
    ),
    notes=("a note",),
    made=1_700_000_000.5,
)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_scores(tmp_path) is None
    (tmp_path / FILE).write_text(json.dumps(SCORES.as_json()))
    assert read_scores(tmp_path) == SCORES


def test_what_is_damaged_is_left_out(tmp_path: Path) -> None:
    told = SCORES.as_json()
    told["cells"] = {"aa": {"likeness": "much", "nearest": math.inf, "copied": 1}, "bb": 7}
    told["choices"] = [{"checkpoint": 3, "cells": ["aa", 4], "step": -2, "score": True}, "x"]
    told["recommendation"], told["references"], told["models"], told["notes"] = [], None, {}, "x"
    (tmp_path / FILE).write_text(json.dumps(told))
    found = read_scores(tmp_path)
    assert found is not None
    assert found.cells == {"aa": CellScores()} and found.choices == (Choice(cells=("aa",)),)
    assert (found.recommendation, found.references, found.models, found.notes) == (None, References(), (), ())
    for text in ('{"format": 2}', "[]", "{", "null", json.dumps({"format": "1"})):
        (tmp_path / FILE).write_text(text)
        assert read_scores(tmp_path) is None


def test_curves_over_steps_and_strengths() -> None:
    steps = {curve.label: curve.points for curve in SCORES.curves("likeness", "step")}
    assert steps == {"0.5": ((100.0, 0.5),), "1": ((100.0, 0.8), (200.0, 0.9))}
    strengths = {curve.label: curve.points for curve in SCORES.curves("likeness", "strength")}
    assert strengths == {"100": ((0.0, 0.2), (0.5, 0.5), (1.0, 0.8)), "200": ((0.0, 0.2), (1.0, 0.9))}
    assert SCORES.curves("bleed", "step") == ()


def test_who_cannot_be_told_apart() -> None:
    assert [one.checkpoint for one in SCORES.tied] == ["100"]
    assert SCORES.choice_of("dd") is SCORES.choices[3] and SCORES.choice_of("ee") is None
    assert Scores().tied == ()


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_is_one_of_a_choice(measure: str) -> None:
    assert hasattr(Choice(), measure)
