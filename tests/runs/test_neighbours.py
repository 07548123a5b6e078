"""A new run is told which others are at work on its device."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from config_samples import config_with
from run_builders import end_all, launched, make_run, training

from lora_tui.config.write import save_config
from lora_tui.runs.neighbours import neighbour_lines, neighbours


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path: Path) -> Iterator[None]:
    yield
    end_all(tmp_path)


def test_a_living_run_on_the_same_device_is_named_with_its_memory(tmp_path: Path) -> None:
    here = config_with(memory={"device": "cpu"})
    assert neighbour_lines(here) == []
    run = make_run(tmp_path / "runs", "20260102-000000-living", number=2)
    save_config(here, run.config_path)
    launched(run, "--steps", "100000")
    training(run, 3)
    (found,) = neighbours(here)
    assert found.run.root == run.root
    assert found.ram is not None and found.ram > 1_000_000
    told, free = neighbour_lines(here)
    assert "20260102-000000-living" in told
    assert "RAM" in free
    assert neighbour_lines(here, but=run.root) == []
    assert neighbours(config_with(memory={"device": "auto"}))
    assert not neighbours(config_with(memory={"device": "cuda"}))
