"""``lora-tui demo --headless``: the whole road without a screen, with the real keeper, trainer and base model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lora_tui.cli.demo import Losses, losses
from lora_tui.config.load import load_config, save_config
from lora_tui.demo import dataset, ordinary
from lora_tui.demo.measure import SEEDS
from lora_tui.demo.project import make_demo
from lora_tui.runs.folder import RunFolder
from lora_tui.weights.header.loras import lora_info

SIDE = 64
"""Px of images and samples: half of what the demo has, a quarter of the work."""


def command(*arguments: object, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "lora_tui", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=timeout)


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """What a demo printed that was made short, and what it said meanwhile."""
    demo = make_demo(tmp_path_factory.mktemp("walk") / "demo")
    config = load_config(demo.config)
    config.steps.max_steps, config.validation.mode = 4, "off"
    config.data.resolution = SIDE
    for prompt in config.samples:
        prompt.steps, prompt.width, prompt.height = 1, SIDE, SIDE
    save_config(config, demo.config)
    result = command("demo", demo.root, "--headless", "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout), result.stderr


def test_it_checks_trains_and_measures(walked: tuple[dict[str, Any], str]) -> None:
    told, said = walked
    lora, run = Path(told["lora"]), Path(told["run"])
    assert run.parent == Path(told["project"]) / "runs"
    assert lora.is_relative_to(run)
    assert told["steps"] == told["total_steps"] == 4
    assert told["grid"] is None
    assert told["loss_first_quarter"] > 0
    assert "Training in a process of its own" in said
    assert told["dataset"]["images"] == dataset.IMAGES + ordinary.IMAGES
    assert told["dataset"]["problems"]["trigger.missing"] == 1
    info = lora_info(lora)
    assert (info.family, info.layout, info.text_encoder_modules) == ("sd15", "kohya", 0)
    assert info.metadata["ss_output_name"] == "mimbu"


def test_likeness_comes_with_its_pictures(walked: tuple[dict[str, Any], str]) -> None:
    told = walked[0]["likeness"]
    assert told["pictures"] == 2 * 2 * len(SEEDS) * 3
    for name in ("with_trigger", "without_trigger"):
        assert len(told[name]["margin"]["seeds"]) == len(SEEDS)
        assert told[name]["pixel_difference"] > 0
    assert set(told["bleed"]) == {"likeness_change", "pixel_difference"}
    with Image.open(told["sheet"]) as sheet:
        assert sheet.width > 4 * SIDE
        assert sheet.height > 6 * SIDE


def test_the_losses_are_means_of_quarters_and_skip_what_is_no_number(tmp_path: Path) -> None:
    lines = [{"kind": "run"}, {"kind": "validation", "loss": 100}]
    lines += [{"kind": "step", "loss": value} for value in (4.0, "nan", 2.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.25)]
    run = RunFolder(tmp_path)
    run.events_path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert losses(run) == Losses(8, 3.0, 0.375)


def test_a_run_without_steps_has_no_losses(tmp_path: Path) -> None:
    assert losses(RunFolder(tmp_path)).first_quarter is None


def test_a_folder_in_use_is_one_line_and_exit_2(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    result = command("demo", tmp_path, "--headless")
    assert (result.returncode, result.stdout) == (2, "")
    assert "something else here" in result.stderr
