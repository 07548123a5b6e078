"""The trainer's part of ``record.json``: what went in, on what machine, and what came out."""

from __future__ import annotations

import hashlib
import platform
import time
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from lora_tui import __version__
from lora_tui.runs.record import read_record, update_record
from lora_tui.trainer.data.passes import Latents
from lora_tui.trainer.prepare import Data
from lora_tui.trainer.session import Session

LIBRARIES = ("torch", "diffusers", "transformers", "peft", "safetensors", "numpy", "pillow")


def record_inputs(session: Session, data: Data, latents: Latents | None) -> None:
    """Note versions, device, base model and dataset before the first step."""
    config = session.config
    update_record(
        session.folder,
        versions={"lora-tui": __version__, "python": platform.python_version(), **_versions()},
        device={
            "type": str(session.device),
            "name": torch.cuda.get_device_name(session.device) if session.device.type == "cuda" else platform.machine(),
            "threads": torch.get_num_threads(),
        },
        memory_policy={
            "precision": config.memory.precision,
            "gradient_checkpointing": config.memory.gradient_checkpointing,
            "cached_latents": latents is not None,
            "cached_text": not config.network.text_encoder,
        },
        base_model={"name": Path(config.model.base).name, "source": config.model.base},
        dataset=_fingerprint(data, latents),
    )


def record_result(session: Session, **values: Any) -> None:
    """Note how this life of the run ended."""
    seconds = round(time.time() - session.started, 3)
    lives = read_record(session.folder).get("lives", [])
    life = {"started": round(session.started, 3), "seconds": seconds, **values}
    update_record(session.folder, lives=[*(lives if isinstance(lives, list) else []), life], result=values)


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _fingerprint(data: Data, latents: Latents | None) -> dict[str, Any]:
    """Files with their content's digest and caption, and the counts that a comparison shows first."""
    plan = data.plan
    hashes = latents.hashes if latents is not None else {}
    files = {
        planned.image.uid: {
            "hash": hashes.get(planned.image.uid, ""),
            "caption": data.captions.get(planned.image.uid, ""),
            "repeats": planned.image.repeats,
        }
        for planned in plan.train
    }
    tags: Counter[str] = Counter()
    for planned in plan.train:
        tags.update(tag.strip() for tag in data.captions.get(planned.image.uid, "").split(",") if tag.strip())
    digest = hashlib.blake2b(repr(sorted(files.items())).encode(), digest_size=16).hexdigest()
    return {
        "digest": digest,
        "images": len(plan.train),
        "validation": [planned.image.uid for planned in plan.validation],
        "buckets": [[size.width, size.height, images] for size, images, _ in plan.bucket_counts],
        "tags": dict(tags.most_common(1000)),
        "files": files,
    }
