"""``lora-tui demo --headless`` in full: the creature appears with its name, and stays away without it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lora_tui.demo.recipe import STEPS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_the_creature_appears_with_its_name_and_stays_away_without(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "lora_tui", "demo", str(tmp_path / "demo"), "--headless", "--json"]
    result = subprocess.run(line, capture_output=True, text=True, timeout=850)
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["steps"] == told["total_steps"] == STEPS
    assert told["loss_last_quarter"] < 0.85 * told["loss_first_quarter"]
    likeness = told["likeness"]
    named, unnamed = likeness["with_trigger"], likeness["without_trigger"]
    assert named["margin"]["mean"] >= 5 * named["margin"]["spread"]
    assert named["strength_0"]["mean"] < 0.5 < 0.75 < named["strength_1"]["mean"]
    assert abs(likeness["bleed"]["likeness_change"]) < 0.2 * named["margin"]["mean"]
    assert likeness["bleed"]["pixel_difference"] < named["pixel_difference"] * 2 / 3
    assert unnamed["strength_1"]["mean"] < 0.5
