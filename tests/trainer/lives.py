"""Small real runs for the trainer's tests: a micro model, drawn images, and the trainer in this process or its own."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

from nursery import Life
from PIL import Image, ImageDraw

from lora_tui.config.load import dump_config, parse_config
from lora_tui.config.schema import Config
from lora_tui.jobs.events import EventWriter
from lora_tui.runs.folder import RunFolder


def draw_dataset(folder: Path, count: int = 24) -> Path:
    """Pictures of a coloured disc in three shapes of image, with tags."""
    folder.mkdir(parents=True)
    rng = random.Random(7)
    for number in range(count):
        image = Image.new("RGB", (96 + 16 * (number % 3), 96), tuple(rng.randrange(256) for _ in range(3)))
        left, top = rng.randrange(60), rng.randrange(60)
        colour = tuple(rng.randrange(256) for _ in range(3))
        ImageDraw.Draw(image).ellipse([left, top, left + 30, top + 30], fill=colour)
        image.save(folder / f"{number:03}.png")
        (folder / f"{number:03}.txt").write_text(f"blob, disc, tag{number % 5}, plain background", "utf-8")
    return folder


def micro_config(base: Path, folder: Path, /, **sections: dict[str, Any]) -> Config:
    """A run of a few seconds at 64 px; ``sections`` change it."""
    values: dict[str, Any] = {
        "model": {"base": str(base)},
        "datasets": [{"path": str(folder)}],
        "data": {"resolution": 64, "bucket_min": 32, "bucket_max": 128, "bucket_step": 8},
        "steps": {"epochs": 3, "batch_size": 4},
        "learning": {"unet_lr": 1e-2, "text_encoder_lr": 1e-3},
        "network": {"rank": 4, "alpha": 2.0},
        "memory": {"precision": "fp32", "threads": 1},
        "saving": {"name": "blob"},
        "validation": {"each_image": "off"},
        "samples": [{"prompt": "blob, disc", "width": 64, "height": 64, "steps": 3}],
    }
    for name, changes in sections.items():
        values[name] = {**values[name], **changes} if isinstance(values.get(name), dict) else changes
    return parse_config(values, base=None, place="test")


LAST_LEVEL: dict[str, Any] = {"text_encoder": False, "layers": ["unet.* rate=0", "unet.up_blocks.3.* rate=1"]}
"""``network`` of a run in which the last level of the UNet alone learns: nothing has to go back through the others."""


def lean_config(base: Path, folder: Path, /, **sections: dict[str, Any]) -> Config:
    """Like :func:`micro_config`, for what does not depend on which layers learn, in less than half the time.

    Nothing is drawn and nothing measured; ``sections`` change that, too.
    """
    lean: dict[str, Any] = {"network": LAST_LEVEL, "samples": [], "validation": {"mode": "off"}}
    network = {**LAST_LEVEL, **sections.get("network", {})}
    return micro_config(base, folder, **{**lean, **sections, "network": network})


def new_run(runs: Path, config: Config) -> RunFolder:
    """A fresh run folder for ``config``."""
    return RunFolder.create(runs, config.saving.name, dump_config(config), {})


def events(run: RunFolder, kind: str = "") -> list[dict[str, Any]]:
    """The whole events so far, of one kind or all."""
    if not run.events_path.exists():
        return []
    lines = run.events_path.read_text("utf-8").splitlines(keepends=True)
    found = [json.loads(line) for line in lines if line.endswith("\n")]
    return [event for event in found if not kind or event["kind"] == kind]


def live_here(run: RunFolder, *, resume: bool = False, writer: EventWriter | None = None) -> int:
    """One life of the run in this process; the exit status. ``writer``: another one for its events."""
    from lora_tui.config.load import load_config
    from lora_tui.trainer.life import live

    writer = writer or EventWriter(run.events_path)
    try:
        return live(run, load_config(run.config_path), writer, resume=resume)
    finally:
        writer.close()


def start(run: RunFolder, *arguments: str, **environment: str) -> Life:
    """One life of the run in a process of its own."""
    return Life([str(run.root), *arguments], run.log_path, {**os.environ, **environment})


def lora(run: RunFolder) -> dict[str, Any]:
    """The tensors of the run's final LoRA file."""
    from safetensors.torch import load

    return load((run.checkpoints_dir / "blob.safetensors").read_bytes())


def same_tensors(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Bit for bit."""
    import torch

    return set(one) == set(other) and all(torch.equal(one[name], other[name]) for name in one)
