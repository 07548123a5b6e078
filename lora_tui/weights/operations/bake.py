"""``lora bake``: any number of LoRA files into a base model, which becomes another file or folder."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lora_tui import __version__
from lora_tui.errors import UserError
from lora_tui.files import default_mode
from lora_tui.places import expand
from lora_tui.text import _, plain
from lora_tui.weights.baking import Plan, plan
from lora_tui.weights.base import BaseFile, BaseModel, open_base
from lora_tui.weights.base_reader import DTYPES, BaseReader
from lora_tui.weights.ingredients import Ingredient, of_options
from lora_tui.weights.operations.output import Pending, check_room, checked_target, write_layers
from lora_tui.weights.rounding import PRECISIONS, Precision, Stored, check_overflow, mark, numbers, rounded, storage
from lora_tui.weights.work import Report, check_stopped

KEY = "lora_tui_bake"
"""In the metadata: what was baked into the file, as JSON."""
SHARE = 0.9
"""Of what was to be added to a layer; where less of it survived, a person is warned."""
LIBRARIES = 400 << 20
"""Bytes that Python and torch take."""
COPIES = 7
"""Of the largest tensor in float32 that are in memory at once."""
_WEIGHTS = (".safetensors", ".bin", ".ckpt", ".pt", ".pth", ".msgpack", ".h5", ".onnx", ".onnx_data", ".gguf")
_ENDING = ".lora-tui.tmp"
_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}" + re.escape(_ENDING))
_CHUNK = 1 << 23


@dataclass(frozen=True)
class Asked:
    """What is to be done: the options of a bake."""

    base: Path
    target: Path
    ingredients: tuple[Ingredient, ...]
    precision: Precision
    share: float
    leave_out: bool
    force: bool
    preview: bool


def work(options: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Bake; see the module. The options are those of :func:`asked`.

    Raises:
        UserError: the input is wrong, the output is there, or the disk is too small.
        OSError: the disk is full or cannot be written.
    """
    wanted = asked(options)
    begun = time.monotonic()
    report.progress("loading", 0, 0)
    base = open_base(wanted.base)
    target = _checked(wanted, base)
    found = plan(base, wanted.ingredients, leave_out=wanted.leave_out)
    if not found.changes:
        raise UserError(
            _("nothing would change: every strength is 0, or no layer fits."),
            place=plain(str(wanted.base)),
            remedy=_("Give LoRA files with a strength: A.safetensors=0.8."),
            code="lora.nothing",
        )
    for name in found.left_out[:20]:
        report.warn(_left_out(name))
    size = _size(base, wanted.precision)
    if wanted.preview:
        return _told(wanted, found, size, begun) | {"memory": memory(base), "preview": True}
    if base.is_folder:
        _sweep(target.parent)
    check_room(target, size)
    size = _bake(wanted, found, target, report)
    told = _told(wanted, found, size, begun)
    if told["below"]:
        report.warn(_lost(wanted, told))
    return told | {"layers_kept": [_layer(found, place) for place in sorted(found.kept)]}


def asked(options: Mapping[str, Any]) -> Asked:
    """What ``options`` ask for: ``base``, ``target``, ``loras`` (see :func:`of_options`), and perhaps ``precision``,
    ``share``, ``leave_out``, ``force``, ``preview``.

    Raises:
        UserError: they are none.
    """
    precision = str(options.get("precision", "keep"))
    loras = options.get("loras")
    if precision not in PRECISIONS or not isinstance(loras, list) or not loras:
        raise UserError(
            _("there is nothing to bake, or no such precision."),
            place=plain(precision, limit=40),
            remedy=_("Give LoRA files, and one of: {names}.").format(names=", ".join(PRECISIONS)),
            code="lora.options",
        )
    return Asked(
        expand(str(options["base"])),
        expand(str(options["target"])),
        tuple(map(of_options, loras)),
        precision,
        float(options.get("share", SHARE)),
        bool(options.get("leave_out")),
        bool(options.get("force")),
        bool(options.get("preview")),
    )


def memory(base: BaseModel) -> int:
    """Bytes of memory that baking into ``base`` takes at most, about: it is streamed, so its largest tensor decides."""
    largest = max(
        (4 * _count(info.shape) for file in base.files for name, info in file.tensors.items() if name in file.holds),
        default=0,
    )
    return LIBRARIES + COPIES * largest


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count


def _checked(wanted: Asked, base: BaseModel) -> Path:
    """Where the result goes.

    Raises:
        UserError: it is there, or is one of the sources.
    """
    sources = [one.path for one in wanted.ingredients]
    if not base.is_folder:
        return checked_target(wanted.target, [base.path, *sources], force=wanted.force)
    place, home = Path(os.path.realpath(wanted.target)), Path(os.path.realpath(base.path))
    if place == home or home in place.parents or place in home.parents:
        raise UserError(
            _("it is what is read, or lies in it."),
            place=plain(str(wanted.target)),
            remedy=_("Give another name: sources are never written over."),
            code="lora.same_file",
        )
    if os.path.lexists(place):
        raise UserError(
            _("there is such a folder or file already."),
            place=plain(str(wanted.target)),
            remedy=_("Give another name; folders are never written over."),
            code="file.exists",
        )
    return place


# -- what is told ----------------------------------------------------------------------------------------------------


def _told(wanted: Asked, found: Plan, size: int, begun: float) -> dict[str, Any]:
    lost = [kept for kept in found.kept.values() if kept.survived < wanted.share and kept.norm]
    lowest = min(found.kept.values(), key=lambda kept: kept.survived, default=None)
    return {
        "file": str(wanted.target),
        "family": found.base.family,
        "size": size,
        "layers": len(found.changes),
        "left_out": found.left_out,
        "precision": wanted.precision,
        "loras": [one.told() for one in wanted.ingredients],
        "survived": found.survived if found.kept else None,
        "error": found.error if found.kept else None,
        "lowest": None if lowest is None else {"layer": ".".join(lowest.place), "survived": lowest.survived},
        "below": len(lost),
        "share": wanted.share,
        "peak_memory": peak_memory(),
        "seconds": time.monotonic() - begun,
    }


def peak_memory() -> int:
    """Bytes that this process had in memory at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _layer(found: Plan, place: tuple[str, str]) -> dict[str, Any]:
    kept = found.kept[place]
    return {
        "layer": ".".join(place), "block": kept.slot, "norm": kept.norm, "weight": kept.weight,
        "survived": kept.survived, "error": kept.error,
    }  # fmt: skip


def _left_out(name: str) -> UserError:
    return UserError(
        _("it fits no layer of the model and is left out."), place=plain(name, limit=120), code="lora.left_out"
    )


def _lost(wanted: Asked, told: Mapping[str, Any]) -> UserError:
    return UserError(
        _("of {count} layers less than {share:.0%} of what was added survived rounding, of {name} {least:.0%}.").format(
            count=told["below"],
            share=wanted.share,
            name=plain(told["lowest"]["layer"], limit=120),
            least=told["lowest"]["survived"],
        ),
        place=plain(str(wanted.target)),
        remedy=_("Choose a finer --precision, or use the LoRA beside the model."),
        code="lora.lost",
    )


def _metadata(wanted: Asked, found: Plan) -> dict[str, str]:
    """What the result says of itself once it is known."""
    told = {
        "loras": [one.told() for one in wanted.ingredients],
        "precision": wanted.precision,
        "layers": len(found.changes),
        "survived": round(found.survived, 6),
        "software": f"lora-tui {__version__}",
    }
    return {KEY: json.dumps(told, ensure_ascii=False)}


# -- writing ---------------------------------------------------------------------------------------------------------


def _size(base: BaseModel, precision: Precision) -> int:
    """Bytes that the result takes."""
    total = sum(_file_size(base, file, precision) for file in base.files)
    return total + sum(path.stat().st_size for path in _beside(base)) if base.is_folder else total


def _file_size(base: BaseModel, file: BaseFile, precision: Precision) -> int:
    sizes: list[int] = [
        _count(file.tensors[name].shape) * how.dtype.itemsize for name, how in storage(base, file, precision).items()
    ]
    return sum(sizes) + 200 * len(file.tensors)


def _bake(wanted: Asked, found: Plan, target: Path, report: Report) -> int:
    base = found.base
    with BaseReader(base) as reader:
        if not base.is_folder:
            return _write(wanted, found, reader, base.files[0], target, report, force=wanted.force)
        with _new_folder(target) as folder:
            for path in _beside(base):
                _copied(path, folder / path.relative_to(base.path), report)
            for file in base.files:
                _write(wanted, found, reader, file, folder / file.path.relative_to(base.path), report, force=True)
            size: int = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            return size


def _write(
    wanted: Asked, found: Plan, reader: BaseReader, file: BaseFile, target: Path, report: Report, *, force: bool
) -> int:
    stored = storage(found.base, file, wanted.precision)
    told = {} if wanted.base.is_dir() else {"format": "pt"}
    return write_layers(
        target,
        list(_pending(found, reader, file, stored)),
        {**told, **file.header.metadata},
        report,
        force=force,
        told=lambda: _metadata(wanted, found),
    )


def _pending(found: Plan, reader: BaseReader, file: BaseFile, stored: Mapping[str, Stored]) -> Iterator[Pending]:
    for name, how in stored.items():
        info = file.tensors[name]
        tensors = {name: (how.dtype, info.shape)}
        if how.same and not found.touches(file, name):
            if how.factor:
                tensors[how.factor] = (DTYPES[file.tensors[how.factor].dtype], how.factor_shape)
            yield Pending(tensors, partial(_as_it_is, reader, file, tuple(tensors)))
            continue
        if how.factor:
            tensors[how.factor] = (torch.float32, how.factor_shape)
        yield Pending(tensors, partial(_made, found, reader, file, name, how))
    for name, tensor in mark(found.base, file, stored).items():
        yield Pending({name: (tensor.dtype, tuple(tensor.shape))}, partial(_given, name, tensor))


def _given(name: str, tensor: Tensor) -> dict[str, Tensor]:
    return {name: tensor}


def _as_it_is(reader: BaseReader, file: BaseFile, names: tuple[str, ...]) -> dict[str, Tensor]:
    return {name: reader.raw(file, name) for name in names}


def _made(found: Plan, reader: BaseReader, file: BaseFile, name: str, how: Stored) -> dict[str, Tensor]:
    """A tensor with what is added to it, rounded; noted what is left of that."""
    before = reader.numbers(file, name)
    touched = found.touches(file, name)
    meant = found.apply(file, name, before) if touched else before
    kept, factor = rounded(meant, how)
    check_overflow(meant, kept, file, name)
    if touched:
        found.measure(file, name, before, meant, numbers(*rounded(before, how)), numbers(kept, factor))
    return {name: kept} if factor is None else {name: kept, how.factor: factor}


# -- folders ---------------------------------------------------------------------------------------------------------


def _beside(base: BaseModel) -> list[Path]:
    """What of a folder is copied as it is: all but the files that are written anew, other versions of their weights,
    weights that belong to no part, and what is hidden."""
    written = {file.path for file in base.files}
    parts = {file.part for file in base.files}
    found = []
    for path in sorted(base.path.rglob("*")):
        inside = path.relative_to(base.path).parts
        if any(name.startswith(".") for name in inside) or path in written or not path.is_file():
            continue
        weights = path.name.endswith(_WEIGHTS) or (".index." in path.name and not _lists(path, written))
        if not (weights and (len(inside) == 1 or inside[0] in parts)):
            found.append(path)
    return found


def _lists(index: Path, files: set[Path]) -> bool:
    """Whether an index of shards is that of ``files``."""
    try:
        names = set(json.loads(index.read_bytes())["weight_map"].values())
        return all(index.parent / name in files for name in names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def _copied(path: Path, target: Path, report: Report) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with path.open("rb") as source, target.open("xb") as out:
        while piece := source.read(_CHUNK):
            check_stopped(report)
            out.write(piece)
        out.flush()
        os.fsync(out.fileno())


@contextlib.contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """A folder to fill, which becomes ``target`` at the end, or goes when that failed.

    It is locked while it is filled, so that what a killed process left is known by the next and removed.

    Raises:
        UserError: ``target`` came to be in the meantime.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name[:40]}.", suffix=_ENDING, dir=target.parent))
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
        folder.chmod(0o755 & ~_umask())
        if os.path.lexists(target):
            raise UserError(_("there is such a folder or file already."), place=plain(str(target)), code="file.exists")
        folder.rename(target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        os.close(lock)


def _umask() -> int:
    return 0o666 & ~default_mode()


def _sweep(parent: Path) -> None:
    for folder in parent.glob(f".*{_ENDING}"):
        if folder.is_dir() and _TEMPORARY.fullmatch(folder.name):
            with contextlib.suppress(OSError):
                lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # whoever fills it holds it
                    shutil.rmtree(folder, ignore_errors=True)
                finally:
                    os.close(lock)
