"""The micro model that ships, examined as docs/micro-model.md tells: takes minutes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEAST = {"background": 0.98, "colour": 0.98, "place": 0.98, "size": 0.95, "shape": 0.95}
"""Shares of 200 captions it was never trained on that must be drawn right, as the judge of pixels measures them."""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_model_that_ships_draws_what_it_is_told() -> None:
    line = [sys.executable, "-m", "tools.micro.examine"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    told = subprocess.run(line, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout
    figures = json.loads(told.strip().splitlines()[-1])
    assert {name: share for name, least in LEAST.items() if (share := figures[name]) < least} == {}
