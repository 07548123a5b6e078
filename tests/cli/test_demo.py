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
from lora_tui.demo.dataset import IMAGES
from lora_tui.demo.recipe import STEPS
from lora_tui.runs.folder import RunFolder


def command(*arguments: object, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "lora_tui", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=timeout)


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """What the demo printed, and what it said meanwhile."""
    folder = tmp_path_factory.mktemp("walk") / "demo"
    result = command("demo", folder, "--headless", "--json", timeout=850)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout), result.stderr


@pytest.mark.timeout(900)
def test_the_demo_trains_a_lora_whose_loss_falls(walked: tuple[dict[str, Any], str]) -> None:
    told, said = walked
    lora, run = Path(told["lora"]), Path(told["run"])
    assert run.parent == Path(told["project"]) / "runs"
    assert lora.is_relative_to(run)
    assert told["steps"] == told["total_steps"] == STEPS
    assert told["loss_last_quarter"] < 0.85 * told["loss_first_quarter"]
    assert "Training in a process of its own" in said
    assert told["dataset"]["images"] == IMAGES
    assert told["dataset"]["problems"]["trigger.missing"] == 1

    info = json.loads(command("lora", "info", lora, "--json").stdout)
    assert (info["family"], info["layout"], info["rank"], info["alpha"]) == ("sd15", "kohya", 8, 8.0)
    assert (info["unet_modules"], info["text_encoder_modules"]) == (192, 0)
    assert info["metadata"]["ss_output_name"] == "mimbu"
    assert info["metadata"]["modelspec.architecture"] == "stable-diffusion-v1/lora"


def test_the_creature_appears_with_its_name_and_stays_away_without(walked: tuple[dict[str, Any], str]) -> None:
    told = walked[0]["likeness"]
    named, unnamed = told["with_trigger"], told["without_trigger"]
    assert named["margin"]["mean"] >= 5 * named["margin"]["spread"]
    assert named["strength_0"]["mean"] < 0.5 < 0.75 < named["strength_1"]["mean"]
    assert abs(told["bleed"]["likeness_change"]) < 0.2 * named["margin"]["mean"]
    assert told["bleed"]["pixel_difference"] < named["pixel_difference"] / 2
    assert unnamed["strength_1"]["mean"] < 0.5
    with Image.open(told["sheet"]) as sheet:
        assert sheet.width > 4 * 128
        assert sheet.height > 6 * 128


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
