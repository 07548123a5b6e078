"""The measurement of taggers runs, agrees with the bare loop, and cleans up."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from lora_tui.bench.tag import build, make_pictures, measure
from lora_tui.errors import UserError


def options(*args: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    build(parser)
    return parser.parse_args(args)


def test_every_row_is_measured_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    figures = list(measure(options("--images", "2", "--batch", "2", "--pairs", "1", "--threads", "1", "--rows", "50")))
    assert [figure.unit for figure in figures] == ["ratio", "s", "s", "ms"]
    assert [figure.bar for figure in figures] == [0.9, None, None, 100.0]
    assert figures[0].least
    assert all(figure.value > 0 for figure in figures)
    assert not list(tmp_path.glob("lora-tui-bench-*"))


def test_pictures_are_photographs_of_a_megapixel(tmp_path: Path) -> None:
    make_pictures(tmp_path / "set", 1)
    (path,) = (tmp_path / "set").iterdir()
    assert 50_000 < path.stat().st_size < 1_000_000


def test_too_few_are_refused() -> None:
    with pytest.raises(UserError):
        list(measure(options("--images", "1")))
