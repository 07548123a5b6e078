"""The trainer's part of ``record.json``: what went in, on what machine, and what came out."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from lora_tui import __version__
from lora_tui.caches.contents import sha256_of
from lora_tui.captions.as_trained import tags_in
from lora_tui.config.loras import read_loras
from lora_tui.dataset.batches import PlannedImage
from lora_tui.dataset.origin import origins_of
from lora_tui.dataset.scan import DatasetImage
from lora_tui.places import expand
from lora_tui.records.manifest import write_manifest
from lora_tui.runs import beginning, quicker
from lora_tui.runs.record import read_record, update_record
from lora_tui.runs.totals import ENTRY
from lora_tui.text import _
from lora_tui.trainer.metadata import FileHashes
from lora_tui.trainer.prepare import Data
from lora_tui.trainer.session import Session

LIBRARIES = ("torch", "diffusers", "transformers", "peft", "safetensors", "numpy", "pillow")


def record_inputs(session: Session, data: Data, base: FileHashes) -> None:
    """Note versions, device, base model (``base``: the file of its denoiser) and dataset before the first step."""
    config = session.config
    update_record(
        session.folder,
        versions={"lora-tui": __version__, "python": platform.python_version(), **library_versions()},
        device={
            "type": str(session.device),
            "name": torch.cuda.get_device_name(session.device) if session.device.type == "cuda" else platform.machine(),
            "threads": torch.get_num_threads(),
            "processes": [str(device) for device in session.devices],
        },
        memory_policy={
            "precision": config.memory.precision,
            "gradient_checkpointing": config.memory.gradient_checkpointing and config.memory.checkpointed_share,
            "cached_latents": config.memory.cache_latents,
            **session.ladder.as_record(),
            "cached_text": config.keeps_text,
        },
        base_model={"name": Path(config.model.base).name, "source": config.model.base, "hash": base.sha256},
        merged_loras=[
            {"source": lora.place, "strength": lora.strength, "hash": sha256_of(expand(lora.place))}
            for lora in read_loras(config.model.loras)
        ],
        dataset=_fingerprint(data),
        **{quicker.ENTRY: {}},
    )
    try:
        write_manifest(session.folder, _files(data, [*data.plan.train, *data.plan.validation]))
    except OSError as error:  # a later comparison of datasets lacks it; the training does not
        session.warn("record.write", _("the record cannot be written: {reason}").format(reason=error.strerror))


def record_totals(session: Session, **totals: int) -> None:
    """Note the steps and epochs that this life counts up to, for readers that do not read every event."""
    with contextlib.suppress(OSError):  # the ``run`` event says it, too
        update_record(session.folder, **{ENTRY: totals})


def record_beginning(session: Session) -> None:
    """Tell and note, when the first step of this life is done, what the time until then went into."""
    parts = session.clock.stop()
    if parts is None:
        return
    told = {"seconds": round(sum(parts.values()), 3), "parts": parts}
    session.events.emit("began", **told)
    with contextlib.suppress(OSError):
        update_record(session.folder, **{beginning.ENTRY: told})


def record_quicker(session: Session, kind: str, **told: Any) -> None:
    """Note what became of ``compiled`` blocks or of ``graphs``; in one process for all."""
    if not session.ranks.is_first:
        return
    before = read_record(session.folder).get(quicker.ENTRY)
    entry = before if isinstance(before, dict) else {}
    with contextlib.suppress(OSError):  # the events say it, too
        update_record(session.folder, **{quicker.ENTRY: {**entry, kind: told}})


def record_result(session: Session, **values: Any) -> None:
    """Note how this life of the run ended."""
    seconds = round(time.time() - session.started, 3)
    lives = read_record(session.folder).get("lives", [])
    life = {"started": round(session.started, 3), "seconds": seconds, **values}
    before = lives if isinstance(lives, list) else []
    try:
        update_record(session.folder, lives=[*before, life], result=values)
    except OSError as error:  # how the run ended matters more than where that is written
        session.warn("record.write", _("the record cannot be written: {reason}").format(reason=error.strerror))


def library_versions() -> dict[str, str]:
    """Versions of the libraries that a result depends on, by name."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _crop(image: DatasetImage) -> dict[str, list[int]]:
    """The part of an image that was chosen by hand: left, top, right, bottom in px; nothing for a whole one."""
    return {} if image.crop is None else {"crop": list(astuple(image.crop))}


def _files(data: Data, images: Iterable[PlannedImage]) -> dict[str, dict[str, Any]]:
    """Files of images with their content's digest and caption as it is trained."""
    return {
        planned.image.uid: {
            "hash": data.hashes.get(planned.image.uid, ""),
            "caption": data.captions.get(planned.image.uid, ""),
            "repeats": planned.image.repeats,
            **_crop(planned.image),
        }
        for planned in images
    }


def _fingerprint(data: Data) -> dict[str, Any]:
    """The counts that a comparison shows first; the files are in a file of their own, which lists need not read."""
    plan, files = data.plan, _files(data, data.plan.train)
    tags: Counter[str] = Counter()
    for planned in plan.pictures:
        tags.update(tags_in(data.captions.get(planned.image.uid, ""), data.rules_of(planned.image.uid)))
    digest = hashlib.blake2b(repr(sorted(files.items())).encode(), digest_size=16).hexdigest()
    return {
        "digest": digest,
        "images": len(plan.pictures),
        "validation": [planned.image.uid for planned in plan.validation],
        "buckets": [[size.width, size.height, images] for size, images, _ in plan.bucket_counts],
        "tags": dict(tags.most_common(1000)),
        "origins": [
            {"folder": str(origin.folder), "source": origin.source, "licence": origin.licence}
            for origin in origins_of(planned.image.path.parent for planned in plan.train)
            if origin.is_known
        ],
    }
