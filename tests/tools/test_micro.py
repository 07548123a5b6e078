"""The training of the demo's model, on a tiny budget: it learns, it can be cut off, and it gives the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import until

ROOT = Path(__file__).parents[2]


def command(folder: Path, *more: str) -> list[str]:
    options = ["--budget", "tiny", "--threads", "1", "--judge", "0", *more]
    return [sys.executable, "-m", "tools.micro", str(folder), *options]


def environment() -> dict[str, str]:
    return {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}


def digests(folder: Path) -> dict[str, str]:
    files = [*(folder / "pipeline").rglob("*"), folder / "encoder.safetensors"]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path.is_file()
    }


def figures(folder: Path) -> list[dict[str, object]]:
    path = folder / "figures.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("micro")
    subprocess.run(command(folder), cwd=ROOT, env=environment(), check=True, capture_output=True)
    yield folder


@pytest.mark.parametrize("stage", ["vae", "text", "unet-64", "unet-128", "encoder"])
def test_each_stage_lowers_its_loss(trained: Path, stage: str) -> None:
    losses = [line["loss"] for line in figures(trained) if line["stage"] == stage and "loss" in line]
    assert len(losses) >= 8
    assert sum(losses[-3:]) < sum(losses[:3])  # type: ignore[arg-type]


def test_a_pipeline_that_diffusers_loads_is_written(trained: Path) -> None:
    import torch
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(
        trained / "pipeline", local_files_only=True, torch_dtype=torch.float32
    )
    pipeline.set_progress_bar_config(disable=True)
    picture = pipeline("red circle, large, center, blue background", num_inference_steps=2).images[0]
    assert picture.size == (128, 128)


@pytest.mark.slow
def test_cut_off_anywhere_it_gives_the_same_bytes(trained: Path, tmp_path: Path) -> None:
    """Killed in the first stage and in the UNet's, it goes on and ends with the bytes of one that was let run."""
    for stage in ("vae", "unet-64"):
        process = subprocess.Popen(
            command(tmp_path, "--save-seconds", "0"),
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(lambda stage=stage: any(line["stage"] == stage for line in figures(tmp_path)), 120)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command(tmp_path), cwd=ROOT, env=environment(), check=True, capture_output=True)
    assert digests(tmp_path) == digests(trained)
