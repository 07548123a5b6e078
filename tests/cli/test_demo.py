"""``lora-tui demo --headless``: the whole road without a screen, with the real keeper and trainer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lora_tui.cli.demo import losses
from lora_tui.runs.folder import RunFolder


def command(*arguments: object, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "lora_tui", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=timeout)


@pytest.mark.timeout(900)
def test_the_demo_trains_a_lora_whose_loss_falls(tmp_path: Path) -> None:
    result = command("demo", tmp_path / "demo", "--headless", "--json", timeout=850)
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    lora, run = Path(told["lora"]), Path(told["run"])
    assert run.parent == tmp_path / "demo" / "runs"
    assert lora.is_relative_to(run)
    assert told["steps"] == told["total_steps"] > 200
    assert told["loss_last_quarter"] < 0.85 * told["loss_first_quarter"]
    assert "Training in a process of its own" in result.stderr

    info = json.loads(command("lora", "info", lora, "--json").stdout)
    assert (info["family"], info["layout"], info["rank"], info["alpha"]) == ("sd15", "kohya", 16, 16.0)
    assert (info["unet_modules"], info["text_encoder_modules"]) == (192, 12)
    assert info["metadata"]["ss_output_name"] == "mimbu"
    assert info["metadata"]["modelspec.architecture"] == "stable-diffusion-v1/lora"


def test_the_losses_are_means_of_quarters_and_skip_what_is_no_number(tmp_path: Path) -> None:
    lines = [{"kind": "run"}, {"kind": "validation", "loss": 100}]
    lines += [{"kind": "step", "loss": value} for value in (4.0, "nan", 2.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.25)]
    run = RunFolder(tmp_path)
    run.events_path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    told = losses(run)
    assert (told.steps, told.first_quarter, told.last_quarter) == (8, 3.0, 0.375)


def test_a_run_without_steps_has_no_losses(tmp_path: Path) -> None:
    assert losses(RunFolder(tmp_path)).first_quarter is None


def test_a_folder_in_use_is_one_line_and_exit_2(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    result = command("demo", tmp_path, "--headless")
    assert (result.returncode, result.stdout) == (2, "")
    assert "something else here" in result.stderr
