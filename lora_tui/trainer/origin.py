"""What the outcome of a run depends on besides its state: told when a resumed run finds it changed.

On a CPU, equal origins mean the exact continuation, to the bit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import torch

from lora_tui.config.schema import Config
from lora_tui.dataset.batches import PlannedImage
from lora_tui.dataset.load import content_hash
from lora_tui.families.protocol import Model
from lora_tui.text import N_, _, plain
from lora_tui.trainer.prepare import Data
from lora_tui.trainer.record import library_versions
from lora_tui.trainer.session import Session

#: Sections of the configuration that decide what a step learns.
DECISIVE = ("model", "data", "masks", "captions", "network", "learning", "optimizer", "steps", "noise")
#: Settings in them that decide nothing: a longer run goes on with the same steps, and models are told by content.
FREE = {"steps": ("epochs", "max_steps"), "model": ("base", "vae", "loras")}
HEAD = 1 << 20  # bytes at the start of a model file that are looked at: names and shapes of its tensors
PIECES, PIECE = 64, 1 << 16  # as many pieces of so many bytes over the rest of it

#: What changed -> what is said of it. ``{before}`` and ``{now}`` are the values, for those that a person can read.
CHANGES = {
    "images": N_("images were added, removed or replaced since the state at step {step} was written."),
    "captions": N_("captions were edited since the state at step {step} was written."),
    "settings": N_("settings that decide what is learned were changed since the state at step {step} was written."),
    "base": N_("the base model is not the one that the state at step {step} was trained on."),
    "weights": N_("how the base model was kept when the state at step {step} was written: {before}; now: {now}."),
    "libraries": N_("the state at step {step} was written with {before}; here it is {now}."),
    "device": N_("the state at step {step} was trained on {before}; now it is {now}."),
    "threads": N_("the state at step {step} was trained with {before} threads; now there are {now}."),
    "processes": N_("the processes of the run when the state at step {step} was written: {before}; now: {now}."),
}


def origin_of(session: Session, data: Data, model: Model) -> dict[str, str]:
    """What this life's outcome depends on, by the names of :data:`CHANGES`: digests and words."""
    on_cpu = session.device.type == "cpu"
    train = [planned.image for planned in data.plan.train]
    return {
        "images": _digest(_image(planned, data) for planned in data.plan.train),
        "captions": _digest((image.uid, data.captions.get(image.uid)) for image in train),
        "settings": _digest([_decisive(session.config)]),
        "base": _digest([*map(_sample, _files(model)), *model.beneath.words, sorted(model.scheduler_config().items())]),
        "weights": session.ladder.policy.weights,
        "libraries": ", ".join(f"{name} {version}" for name, version in library_versions().items()),
        "device": "CPU" if on_cpu else torch.cuda.get_device_name(session.device),
        "threads": str(torch.get_num_threads()) if on_cpu else "",
        "processes": str(session.ranks.count),
    }


def _files(model: Model) -> tuple[Path, ...]:
    return (*model.weight_files(), *model.beneath.files)


def tell_changes(
    before: Mapping[str, str], now: Mapping[str, str], step: int, warn: Callable[[str, str, str], None]
) -> None:
    """``warn`` (code, message, remedy) of each thing that is not as it was at ``step``, in one sentence each."""
    # What states have in common from before there could be more processes, or do not tell.
    before = {"processes": "1", "weights": now["weights"], **before}
    changed = [name for name in CHANGES if before.get(name, "") != now[name]]
    for told, implied in (("images", "captions"), ("device", "threads")):  # new images bring new captions
        if told in changed and implied in changed:
            changed.remove(implied)
    for name in changed:
        message, then, here = CHANGES[name], before.get(name, ""), now[name]
        if name == "libraries":
            then, here = _differing(then, here)
        warn(
            f"resume.{name}",
            _(message).format(step=step, before=plain(then), now=plain(here)),
            _("The run goes on from there; it is not the exact continuation."),
        )


def _image(planned: PlannedImage, data: Data) -> tuple[object, ...]:
    """What is learned from an image: its content, how it is cut, its mask."""
    image = planned.image
    mask = (content_hash(image.mask_path),) if data.plan.masks == "file" and image.mask_path else ()
    return (image.uid, image.repeats, planned.fit, data.hashes.get(image.uid), *mask)


def _decisive(config: Config) -> str:
    settings = config.model_dump(include=set(DECISIVE))
    for section, names in FREE.items():
        for name in names:
            settings[section].pop(name)
    folders = [entry.model_dump(exclude={"path"}) for entry in config.datasets]  # images are told by their content
    memory = config.memory
    besides = [memory.products] if memory.products != "full" else []  # as states from before say it
    besides += ["compile"] if memory.compile else []
    besides += ["graphs"] if memory.cuda_graphs else []
    besides += ["channels last"] if config.lays_channels_last else []
    besides += [f"attention {memory.attention}"] if memory.attention != "torch" else []
    return json.dumps([settings, folders, memory.precision, memory.cache_latents, *besides], sort_keys=True)


def _digest(values: Iterable[object]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for value in values:
        digest.update(repr(value).encode() + b"\n")
    return digest.hexdigest()


def _sample(path: Path) -> tuple[int, str]:
    """Size and digest of a part of a file: enough to tell models apart, without reading tens of gigabytes."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        digest.update(file.read(HEAD))
        for piece in range(PIECES):
            file.seek(HEAD + max(size - HEAD - PIECE, 0) * piece // (PIECES - 1))
            digest.update(file.read(PIECE))
    return size, digest.hexdigest()


def _differing(before: str, now: str) -> tuple[str, str]:
    """The entries of two lists that are not in both."""
    then, here = before.split(", "), now.split(", ")
    return ", ".join(x for x in then if x not in here), ", ".join(x for x in here if x not in then)
