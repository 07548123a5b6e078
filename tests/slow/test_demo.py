"""``lora-tui demo --headless`` in full: the creature appears with its name, and stays away without it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scored_grids import stands_in

from lora_tui.config.load import load_config
from lora_tui.demo.recipe import STEPS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the demo printed."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    line = [sys.executable, "-m", "lora_tui", "demo", str(folder), "--headless", "--grid", "--json"]
    result = subprocess.run(line, capture_output=True, text=True, timeout=1750)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_the_creature_appears_with_its_name_and_stays_away_without(told: dict[str, Any]) -> None:
    assert told["steps"] == told["total_steps"] == STEPS
    assert told["loss_last_quarter"] < 0.85 * told["loss_first_quarter"]
    likeness = told["likeness"]
    named, unnamed = likeness["with_trigger"], likeness["without_trigger"]
    assert named["margin"]["mean"] >= 5 * named["margin"]["spread"]
    assert named["strength_0"]["mean"] < 0.5 < 0.75 < named["strength_1"]["mean"]
    assert abs(likeness["bleed"]["likeness_change"]) < 0.2 * named["margin"]["mean"]
    assert likeness["bleed"]["pixel_difference"] < named["pixel_difference"] * 2 / 3
    assert unnamed["strength_1"]["mean"] < 0.5


def test_the_recommended_cells_likeness_beats_the_baselines_far_above_its_noise(told: dict[str, Any]) -> None:
    scores = told["grid"]["scores"]
    best = scores["recommendation"]
    cells = {tuple(one["place"]): one for one in told["grid"]["cells"]}
    gains = []
    for place, one in cells.items():
        if one["key"] in best["cells"] and "mimbu" in one["settings"]["prompt"]:
            before = cells[0, *place[1:]]
            gains.append(scores["cells"][one["key"]]["likeness"] - scores["cells"][before["key"]]["likeness"])
    assert len(gains) == 4 and best["by"] == "scores"
    mean, error = np.mean(gains), np.std(gains, ddof=1) / len(gains) ** 0.5
    assert mean > 0.3 and mean > 4 * error
    base = next(one for one in scores["choices"] if one["base"])
    assert base["behind_low"] > 0 and best["reasons"]


def test_strength_0_is_the_base_bit_for_bit(told: dict[str, Any]) -> None:
    """Against the base model drawn without any LoRA beside it, and with one that is worn at strength 0."""
    from lora_tui.config.schema import SamplePrompt
    from lora_tui.demo.measure import Painter

    painter = Painter(load_config(Path(told["run"]) / "config.toml"))
    zero = {one["key"]: one for one in told["grid"]["cells"] if one["axes"]["strength"] == "0"}
    assert len(zero) == 2 * 3
    names = ("prompt", "negative", "width", "height", "steps", "guidance", "seed", "sampler")
    for worn in (False, True):
        if worn:
            painter.wear(Path(told["lora"]))
        for one in zero.values():
            drawn = painter.draw(SamplePrompt(**{name: one["settings"][name] for name in names}), 0.0)
            with Image.open(Path(told["grid"]["grid"]) / one["file"]) as picture:
                assert np.array_equal(np.asarray(picture.convert("RGB")), np.asarray(drawn))


def test_the_sheets_have_every_cell(told: dict[str, Any]) -> None:
    cells, sheets = told["grid"]["cells"], told["grid"]["sheets"]
    across, down = (len(axis["values"]) for axis in told["grid"]["axes"][:2])
    on_each = across * down
    assert len(cells) == len(sheets) * on_each and (across, down, len(sheets)) == (4, STEPS // 75, 2 * 3)
    for number, path in enumerate(sheets):
        with Image.open(path) as sheet:
            pixels = sheet.convert("RGB")
        for one in cells[number * on_each :][:on_each]:
            with Image.open(Path(told["grid"]["grid"]) / one["file"]) as picture:
                assert stands_in(pixels, picture.convert("RGB")), one["place"]
