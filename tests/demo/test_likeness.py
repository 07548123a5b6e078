"""What a demo's likeness is computed from: margins by seed, spreads, bleed, and errors that are said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lora_tui.cli.demo import learned_lines
from lora_tui.config.schema import Config
from lora_tui.demo.likeness import Spread, measure, parse
from lora_tui.demo.measure import difference, ordinary_pictures, trial_of
from lora_tui.errors import UserError

TOLD: dict[str, Any] = {
    "aspect": "subject",
    "trigger": {"at_0": [0.1, 0.2, 0.0], "at_1": [0.8, 1.0, 0.9], "pixels": 0.2},
    "plain": {"at_0": [0.0, 0.1, 0.2], "at_1": [0.0, 0.1, 0.2], "pixels": 0.0125},
    "pictures": 36,
    "seconds": 12.5,
    "sheet": "/runs/x/likeness.png",
}


def test_margins_are_taken_seed_by_seed() -> None:
    learned = parse(TOLD)
    assert learned.trigger.margin.seeds == pytest.approx((0.7, 0.8, 0.9))
    assert (learned.trigger.margin.mean, learned.trigger.margin.spread) == (pytest.approx(0.8), pytest.approx(0.1))
    assert learned.trigger.margin_over_spread == pytest.approx(8)
    assert learned.trigger.at_0.mean == pytest.approx(0.1)
    assert learned.plain.margin_over_spread == float("inf")
    assert Spread.of([0.5]).spread == 0


def test_the_json_names_bleed_and_both_strengths() -> None:
    told = parse(TOLD).as_json()
    assert told["bleed"] == {"likeness_change": 0.0, "pixel_difference": 0.0125}
    assert told["with_trigger"]["strength_1"]["seeds"] == (0.8, 1.0, 0.9)
    assert told["with_trigger"]["margin"]["mean"] == pytest.approx(0.8)
    assert told["without_trigger"]["margin"]["mean"] == 0


def test_a_person_reads_the_same_in_a_few_lines() -> None:
    lines = learned_lines(parse(TOLD))
    assert len(lines) == 4
    assert "0.10 at strength 0, 0.90 at 1: 0.80 more, 8.0 times" in lines[1]
    assert "1.25 %" in lines[3]


def test_the_difference_of_pictures_is_a_share_of_the_full_range() -> None:
    black, white = Image.new("RGB", (8, 8), "black"), Image.new("RGB", (8, 8), "white")
    half = black.copy()
    half.paste(white.crop((0, 0, 8, 4)), (0, 0))
    assert (difference(black, black), difference(black, white), difference(black, half)) == (0, 1, 0.5)


def test_ordinary_pictures_are_always_the_same() -> None:
    one, other = ordinary_pictures(5), ordinary_pictures(5)
    assert [picture.tobytes() for picture in one] == [picture.tobytes() for picture in other]
    assert len({picture.tobytes() for picture in one}) == 5


def test_a_run_that_is_none_of_the_demos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        trial_of(Config())
    assert caught.value.code == "demo.likeness"
    (tmp_path / "config.toml").write_text("schema_version = 1\n")
    with pytest.raises(UserError, match="none of the demo's") as caught:
        measure(tmp_path, tmp_path / "none.safetensors")
    assert caught.value.remedy
