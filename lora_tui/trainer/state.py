"""Everything that an exact resume needs, written so that a reader finds a whole state or none.

A state is a folder ``state/step-00001234`` that appears by a rename after its files are on disk: ``adapter``,
``optimizer`` and ``random`` as safetensors, ``state.json`` with the rest. Nothing pickled is written or read.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.files import sync_folder
from lora_tui.text import _
from lora_tui.trainer.copies import Copies
from lora_tui.trainer.finite import require_finite
from lora_tui.trainer.writer import Taken
from lora_tui.weights.ordered import save_file_ordered

VERSION = 2
_PREFIX = "step-"


@dataclass
class Position:
    """Where a run is: updates done, and the place of the next batch (epoch and index from 0)."""

    step: int = 0
    epoch: int = 0
    batch: int = 0


@dataclass(frozen=True)
class Learned:
    """What changes while a run learns.

    Attributes:
        adapter: its tensors by name.
        optimizer, scaler: their ``state_dict``.
        configured: what each of the optimizer's groups said when it was built from the configuration.
        average: of the adapter's tensors, by name; empty where none is kept.
    """

    adapter: dict[str, Tensor]
    optimizer: dict[str, Any]
    configured: list[dict[str, Any]]
    scaler: dict[str, Any]
    average: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """A state in memory.

    Attributes:
        origin: what the outcome depends on besides the state, see :mod:`lora_tui.trainer.origin`.
        notes: small facts that go on with the run: ``owed`` lists what is still to be done at this step, ``best`` is
            the best validation, ``changes`` are those of rate and end so far.
    """

    position: Position
    learned: Learned
    origin: dict[str, str]
    notes: dict[str, Any] = field(default_factory=dict)


def take_state(folder: Path, snapshot: Snapshot, copies: Copies, *, keep: int) -> Taken:
    """A copy of ``snapshot`` and of the random generators as they are now.

    Written it is a state under ``folder``, and states older than the newest ``keep`` are removed.

    Raises:
        UserError: its weights are NaN or Inf (``nan``).
    """
    learned = snapshot.learned
    for weights in (learned.adapter, learned.average):
        require_finite(weights, snapshot.position.step, kept=newest_step(folder))
    tensors: dict[str, Tensor] = {}
    manifest = {
        "version": VERSION,
        "position": asdict(snapshot.position),
        "origin": snapshot.origin,
        "optimizer": _flatten(learned.optimizer, "", tensors),
        "configured": _flatten(learned.configured, "configured", tensors),
        "scaler": learned.scaler,
        "averaged": bool(learned.average),
        "notes": snapshot.notes,
    }
    named = {"adapter": learned.adapter, "optimizer": tensors, "average": learned.average}
    held, wait = copies.of({(file, name): tensor for file, own in named.items() for name, tensor in own.items()})
    files = {file: {name: held[file, name] for name in own} for file, own in named.items() if own or file != "average"}
    files["random"] = _random_state()
    text = json.dumps(manifest).encode()  # in lines it would take a tenth of the time that the training waits
    every = (tensor for each in files.values() for tensor in each.values())
    return Taken.of(partial(_write_state, folder, snapshot.position.step, files, text, keep), every, wait)


def _write_state(
    folder: Path, step: int, files: Mapping[str, Mapping[str, Tensor]], manifest: bytes, keep: int
) -> Path:
    folder.mkdir(exist_ok=True)  # not the run's: one that was deleted does not come back
    _remove_leftovers(folder)
    final = folder / f"{_PREFIX}{step:08d}"
    temporary = folder / f".writing-{final.name}"
    try:
        temporary.mkdir()
        for name, tensors in files.items():
            save_file_ordered(tensors, temporary / f"{name}.safetensors", {})
            _flush(temporary / f"{name}.safetensors")
        (temporary / "state.json").write_bytes(manifest)
        _flush(temporary / "state.json")
        sync_folder(temporary)
        older = folder / f".writing-old-{final.name}"
        if final.exists():  # the same step again, after a resume
            final.rename(older)
        temporary.rename(final)
        sync_folder(folder)
        shutil.rmtree(older, ignore_errors=True)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    for old in [path for path in states(folder) if path != final][: -(keep - 1) or None]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def states(folder: Path) -> list[Path]:
    """The states under ``folder``, oldest first."""
    found = [path for path in folder.glob(f"{_PREFIX}*") if path.name.removeprefix(_PREFIX).isdigit()]
    return sorted(found, key=step_of)


def newest_step(folder: Path) -> int | None:
    """The step of the newest state under ``folder``; none where there is no state."""
    found = states(folder)
    return step_of(found[-1]) if found else None


def step_of(path: Path) -> int:
    """The step of a state's folder."""
    return int(path.name.removeprefix(_PREFIX))


def read_newest(folder: Path, passed_over: Callable[[Path], None]) -> tuple[Snapshot, Path] | None:
    """The newest state that reads whole, its random generators put back; none when there is none.

    A state that does not read is renamed to ``*.bad`` and told to ``passed_over``.

    Raises:
        UserError: the newest was written by another version of the program.
    """
    for path in reversed(states(folder)):
        snapshot = _read(path)
        if snapshot is not None:
            return snapshot, path
        with contextlib.suppress(OSError):
            path.rename(path.with_name(f"{path.name}.bad"))
        passed_over(path)
    return None


def _read(path: Path) -> Snapshot | None:
    try:
        manifest = json.loads((path / "state.json").read_text("utf-8"))
        if manifest["version"] != VERSION:
            raise UserError(
                _("this state was written by another version of lora-tui."),
                place=str(path),
                remedy=_("Resume with that version, or start a new run."),
                code="state.version",
            )
        adapter = load((path / "adapter.safetensors").read_bytes())
        tensors = load((path / "optimizer.safetensors").read_bytes())
        random = load((path / "random.safetensors").read_bytes())
        average = load((path / "average.safetensors").read_bytes()) if manifest.get("averaged") else {}
        snapshot = Snapshot(
            position=Position(**manifest["position"]),
            learned=Learned(
                adapter=adapter,
                optimizer=_unflatten(manifest["optimizer"], tensors),
                configured=_unflatten(manifest["configured"], tensors),
                scaler=manifest["scaler"],
                average=average,
            ),
            origin=manifest["origin"],
            notes=manifest["notes"],
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None
    _restore_random(random)
    return snapshot


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _remove_leftovers(folder: Path) -> None:
    for path in folder.glob(".writing-*"):
        shutil.rmtree(path, ignore_errors=True)


def _random_state() -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        for index, tensor in enumerate(torch.cuda.get_rng_state_all()):
            state[f"cuda.{index}"] = tensor
    return state


def _restore_random(state: Mapping[str, Tensor]) -> None:
    torch.set_rng_state(state["cpu"])
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            if f"cuda.{index}" in state:
                torch.cuda.set_rng_state(state[f"cuda.{index}"], index)


def _flatten(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """``value`` with every tensor replaced by ``{"$": name}``, its name in ``tensors``; keys keep their types."""
    if isinstance(value, Tensor):
        tensors[path] = value
        return {"$": path}
    if isinstance(value, dict):
        return {"d": [[key, _flatten(item, f"{path}/{key}", tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        items = [_flatten(item, f"{path}/{index}", tensors) for index, item in enumerate(value)]
        return {"t" if isinstance(value, tuple) else "l": items}
    return {"v": value}


def _unflatten(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    ((kind, content),) = value.items()
    match kind:
        case "$":
            return tensors[content]
        case "d":
            return {key: _unflatten(item, tensors) for key, item in content}
        case "l":
            return [_unflatten(item, tensors) for item in content]
        case "t":
            return tuple(_unflatten(item, tensors) for item in content)
        case "v":
            return content
    raise ValueError(f"unknown entry {kind!r}")
