"""Going on with a preparation: the destination becomes what the source is now, and what people did there stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lora_tui.dataset.prepare.carry import carry_out
from lora_tui.dataset.prepare.options import Options
from lora_tui.dataset.prepare.plan import make_plan

from .conftest import prepare

MakeImage = Callable[..., Path]


def report(destination: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((destination / ".lora-tui" / "prepare" / "report.json").read_text())
    return found


def test_a_source_that_is_written_in_two_ways_is_one_source(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("src/sub/a.png", 128, 128, caption="x")
    (tmp_path / "here").mkdir()
    roundabout = tmp_path / "here" / ".." / "src"
    assert make_plan(roundabout, Options(size=128)) == make_plan(tmp_path / "src", Options(size=128))
    prepare(roundabout, tmp_path / "dst", size=128)
    work = tmp_path / "dst" / ".lora-tui" / "prepare" / "work.jsonl"
    for source in (str(tmp_path / "src"), str(roundabout)):  # the other is what earlier versions wrote
        head, *lines = work.read_text().splitlines()
        work.write_text("\n".join([json.dumps({"head": {**json.loads(head)["head"], "source": source}}), *lines, ""]))
        assert prepare(tmp_path / "src", tmp_path / "dst", size=128).progress.fresh == 0


def test_a_source_that_was_not_read_to_its_end_is_not_complete(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("src/a.png", 128, 128)
    plan = make_plan(tmp_path / "src", Options(size=128), should_stop=lambda: True)
    assert carry_out(plan, tmp_path / "dst", workers=1).complete is False
    assert report(tmp_path / "dst")["complete"] is False
