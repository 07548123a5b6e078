"""Models larger than the memory that there is are baked into and compared, and a disk that is too small is told."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lora_files import ALPHA, DOWN, UP, written
from weights.files import entries, write

LAYERS = 44
SIDES = (12288, 3072)
ROOM = 2_600_000_000
"""Bytes of addresses that a process may have: what torch's libraries take of them, and little more."""


def model(path: Path, changed: int = -1) -> Path:
    """44 layers of 75 MB in bf16, 3.3 GB that take no room on the disk; zeros, but in one that is ``changed``."""
    shapes = {f"single_transformer_blocks.{number}.proj_mlp.weight": SIDES for number in range(LAYERS)}
    header = entries(shapes, "BF16")
    write(path, header, sum(one["data_offsets"][1] - one["data_offsets"][0] for one in header.values()))
    if changed >= 0:
        start = path.stat().st_size - LAYERS * SIDES[0] * SIDES[1] * 2
        place = header[f"single_transformer_blocks.{changed}.proj_mlp.weight"]["data_offsets"][0]
        with path.open("r+b") as file:
            file.seek(start + place)
            file.write(torch.ones(SIDES[1], dtype=torch.bfloat16).view(torch.uint8).numpy().tobytes() * 8)
    return path


def pair(rank: int, outputs: int, inputs: int) -> dict[str, torch.Tensor]:
    return {DOWN: torch.randn(rank, inputs), UP: torch.randn(outputs, rank), ALPHA: torch.tensor(float(rank))}


def worked(options: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """What a process of its own says last, which may have no more than so much memory; and its exit status."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))

    ran = subprocess.run(
        [sys.executable, "-m", "lora_tui.weights.worker"], input=json.dumps(options).encode(), preexec_fn=limit,
        stdout=subprocess.PIPE, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    told: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return told, ran.returncode


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_model_larger_than_memory_is_baked_into_and_extracted_from(tmp_path: Path) -> None:
    base = model(tmp_path / "base.safetensors")
    assert base.stat().st_size > ROOM
    layers = {
        ("transformer", f"single_transformer_blocks.{number}.proj_mlp"): pair(4, *SIDES) for number in (0, 20, 37)
    }
    lora = written(tmp_path / "a.safetensors", "flux", layers)
    asked = {"operation": "bake", "base": str(base), "loras": [{"file": str(lora)}]}
    target = tmp_path / "baked.safetensors"
    foretold, _status = worked({**asked, "target": str(target), "preview": True})
    told, status = worked({**asked, "target": str(target)})
    assert (status, told["result"]["layers"]) == (0, 3)
    assert told["result"]["peak_memory"] < foretold["result"]["memory"] < base.stat().st_size
    assert target.stat().st_size == pytest.approx(base.stat().st_size, rel=1e-3)
    target.unlink()

    tuned = model(tmp_path / "tuned.safetensors", changed=20)
    asked = {"operation": "extract", "base": str(base), "tuned": str(tuned), "value": 2}
    foretold, _status = worked({**asked, "target": str(target), "preview": True})
    told, status = worked({**asked, "target": str(target)})
    assert (status, told["result"]["layers"], told["result"]["kept"]) == (0, 1, pytest.approx(1, abs=1e-3))
    assert told["result"]["peak_memory"] < foretold["result"]["memory"] < base.stat().st_size


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2.5 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2500k", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("nobody may mount a disk here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_disk_that_is_too_small_or_fills_midway_is_told_and_left_clean(small_disk: Path, tmp_path: Path) -> None:
    stem = "mid_block.attentions.0.transformer_blocks.0"
    layers = {("unet", f"{stem}.attn{number}.to_q"): pair(64, 3000, 3000) for number in (1, 2)}
    lora = written(tmp_path / "a.safetensors", "sd15", layers)  # 3.07 MB
    target = small_disk / "out.safetensors"
    asked = {"operation": "convert", "source": str(lora), "target": str(target), "to": "diffusers"}
    told, status = worked(asked)
    assert (status, told["error"]["code"], list(small_disk.iterdir())) == (2, "disk.full", [])
    (small_disk / "mine").write_bytes(b"x" * 500_000)
    told, status = worked({**asked, "precision": "fp16"})
    assert status == 0, told
    target.unlink()
    held = _fills_midway(small_disk)
    told, status = worked({**asked, "precision": "fp16"})
    held.wait(30)
    assert (status, told["error"]["code"]) == (2, "file.write"), told
    assert {path.name for path in small_disk.iterdir()} == {"mine", "more"}


def _fills_midway(folder: Path) -> subprocess.Popen[bytes]:
    """Another program takes all that is left as soon as a file is being written there."""
    program = (
        "import sys, time, pathlib\n"
        "folder, end = pathlib.Path(sys.argv[1]), time.monotonic() + 30\n"
        "while time.monotonic() < end and not any(folder.glob('.*')): pass\n"
        "file = open(folder / 'more', 'wb', buffering=0)\n"
        "try:\n"
        "    while True: file.write(b'x' * 4096)\n"
        "except OSError: pass\n"
    )
    return subprocess.Popen([sys.executable, "-c", program, str(folder)])
