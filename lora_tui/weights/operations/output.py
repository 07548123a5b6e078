"""Writing what was made of LoRA files: layer by layer, whole or not at all, read back, never over what it came from."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.files import kind_of, sweep_temporaries, written_whole
from lora_tui.jobs.resources import disk_free
from lora_tui.text import _, bytes_text, plain
from lora_tui.weights.header.format import HEADER_LIMIT
from lora_tui.weights.header.written import Entry, framed, header_text, ordered, placed
from lora_tui.weights.ordered import TYPES, bytes_of
from lora_tui.weights.work import Report, check_stopped

SUFFIX = ".safetensors"
MODEL_HASH, LEGACY_HASH, SPEC_HASH = "sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256"
ROOM = 8192
"""Bytes of the header that are kept for what is known at the end alone: what was measured."""
_PIECE = 1 << 24
_LEGACY = (0x100000, 0x110000)
"""The bytes of a file that sd-scripts' older hash is of."""
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Pending:
    """Tensors that are made together when they are written: name -> (type, shape), and what makes all of them."""

    tensors: Mapping[str, tuple[torch.dtype, Shape]]
    make: Callable[[], Mapping[str, Tensor]]

    @property
    def bytes(self) -> int:
        return sum(_bytes(dtype, shape) for dtype, shape in self.tensors.values())


def ready(tensors: Mapping[str, Tensor]) -> Pending:
    """Tensors that are there already."""
    return Pending({name: (one.dtype, tuple(one.shape)) for name, one in tensors.items()}, lambda: tensors)


def checked_target(target: Path, sources: Iterable[Path], *, force: bool) -> Path:
    """Where ``target`` is written to, links resolved.

    Raises:
        UserError: it is one of ``sources`` (``lora.same_file``), is there already (``file.exists``), is no file or has
            another ending (``file.name``).
    """
    place = Path(os.path.realpath(target))
    if target.suffix != SUFFIX:
        raise UserError(
            _("the name of a LoRA file ends in {ending}.").format(ending=SUFFIX),
            place=plain(str(target)),
            remedy=_("Call it {name}.").format(name=plain(f"{target.name}{SUFFIX}")),
            code="file.name",
        )
    for source in sources:
        with suppress(OSError):
            if place == Path(os.path.realpath(source)) or place.samefile(source):
                raise UserError(
                    _("it is what is read."),
                    place=plain(str(target)),
                    remedy=_("Give another name: sources are never written over."),
                    code="lora.same_file",
                )
    if not os.path.lexists(place):
        return place
    if kind := kind_of(place.lstat().st_mode):
        raise UserError(
            _("It is {kind}, not a file, and is left as it is.").format(kind=kind),
            place=plain(str(target)),
            remedy=_("Give another name."),
            code="file.name",
        )
    if not force:
        raise _exists(target)
    return place


def check_room(target: Path, size: int) -> None:
    """Refuse before it begins what the disk has no room for, when what killed processes left there is gone.

    Raises:
        UserError: ``disk.full``.
    """
    folder = next((one for one in target.parents if one.is_dir()), Path("/"))
    sweep_temporaries(folder)
    free = disk_free(folder)
    if free is not None and free < size:
        raise UserError(
            _("the disk has {free} left, and the file takes {size}.").format(
                free=bytes_text(free), size=bytes_text(size)
            ),
            place=plain(str(target)),
            remedy=_("Make room on the disk, or write to another."),
            code="disk.full",
        )


def write_layers(
    target: Path,
    layers: Iterable[Pending],
    metadata: Mapping[str, str],
    report: Report,
    *,
    force: bool = False,
    told: Callable[[], Mapping[str, str]] = dict,
) -> int:
    """Write a LoRA file layer by layer, with hashes as sd-scripts has them; its size in bytes.

    The file stands at ``target`` when all of it is on disk and was read back, or not at all. Tensors stand in the order
    of the safetensors library.

    Args:
        told: further metadata, asked for when all layers are made; at most :data:`ROOM` bytes.

    Raises:
        UserError: ``disk.full``, ``file.exists``, ``weights.verify``.
        Stopped: somebody asked to.
        OSError: the disk is full or cannot be written.
    """
    layers = list(layers)
    file = _File.planned(layers, metadata)
    check_room(target, file.size)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with written_whole(target, new=not force) as temporary, temporary.open("r+b") as out:
            for number, layer in enumerate(layers):
                check_stopped(report)
                report.progress("writing", number, len(layers))
                file.put(out, layer.make(), layer)
            out.truncate(file.size)
            file.finish(out, {**metadata, **told()})
            out.flush()
            os.fsync(out.fileno())
            report.progress("writing", len(layers), len(layers))
    except FileExistsError:
        raise _exists(target) from None
    return file.size


@dataclass
class _File:
    """The file that is written: where each tensor goes.

    Attributes:
        begin: where the tensors begin; the header before it is filled up with blanks.
        sums: what was written of each tensor, to be compared with what is read.
    """

    entries: dict[str, Entry]
    begin: int
    size: int
    sums: dict[str, int] = field(default_factory=dict)

    @classmethod
    def planned(cls, layers: Iterable[Pending], metadata: Mapping[str, str]) -> _File:
        tensors = {name: one for layer in layers for name, one in layer.tensors.items()}
        entries = placed(ordered((name, TYPES[dtype], shape) for name, (dtype, shape) in tensors.items()))
        length = len(header_text(entries, metadata)) + ROOM
        length += -length % 8
        if length > HEADER_LIMIT:
            raise UserError(_("its metadata are too large for a file."), code="lora.metadata")
        behind = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
        return cls(entries, 8 + length, 8 + length + behind)

    def put(self, out: BinaryIO, tensors: Mapping[str, Tensor], planned: Pending) -> None:
        for name, (dtype, shape) in planned.tensors.items():
            tensor = tensors[name].detach()
            assert tuple(tensor.shape) == shape, (name, tuple(tensor.shape), shape)
            data = bytes_of(tensor.to("cpu", dtype))
            self.sums[name] = zlib.crc32(data)
            out.seek(self.begin + self.entries[name]["data_offsets"][0])
            out.write(data)

    def finish(self, out: BinaryIO, metadata: Mapping[str, str]) -> None:
        """Read everything back, and write the header with what it comes to."""
        out.flush()
        kept = {name: value for name, value in metadata.items() if name.startswith("ss_")}
        short = framed(header_text(self.entries, kept))
        digest, window, at = hashlib.sha256(), bytearray(short[_LEGACY[0] : _LEGACY[1]]), len(short)
        for name, entry in self.entries.items():
            start, end = entry["data_offsets"]
            out.seek(self.begin + start)
            found, left = 0, end - start
            while left:
                piece = out.read(min(left, _PIECE))
                if not piece:
                    break
                found, left = zlib.crc32(piece, found), left - len(piece)
                digest.update(piece)
                window += piece[max(_LEGACY[0] - at, 0) : max(_LEGACY[1] - at, 0)]
                at += len(piece)
            if left or found != self.sums[name]:
                raise UserError(
                    _("the file does not read back as it was written."),
                    remedy=_("The disk may be failing; write to another."),
                    code="weights.verify",
                )
        whole = digest.hexdigest()
        hashes = {MODEL_HASH: whole, LEGACY_HASH: hashlib.sha256(bytes(window)).hexdigest()[:8]}
        if any(name.startswith("modelspec.") for name in metadata):
            hashes[SPEC_HASH] = f"0x{whole}"
        header = header_text(self.entries, {**metadata, **hashes})
        assert len(header) <= self.begin - 8, len(header)
        out.seek(0)
        out.write((self.begin - 8).to_bytes(8, "little") + header.ljust(self.begin - 8))


def _bytes(dtype: torch.dtype, shape: Shape) -> int:
    count = 1
    for side in shape:
        count *= side
    return count * int(dtype.itemsize)


def _exists(target: Path) -> UserError:
    return UserError(
        _("there is such a file already."),
        place=plain(str(target)),
        remedy=_("Give another name, or write over it with --force."),
        code="file.exists",
    )
