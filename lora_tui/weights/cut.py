"""Cutting a DyLoRA file to its first ranks, which serve by themselves. Needs no torch."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from lora_tui.errors import UserError
from lora_tui.files import write_atomic
from lora_tui.text import _, plain
from lora_tui.weights.header.format import Header, read_header, scalar
from lora_tui.weights.header.loras import LoraInfo, lora_info
from lora_tui.weights.header.whole import check_layers
from lora_tui.weights.header.written import framed, header_text, placed
from lora_tui.weights.names.parts import kind_and_layer

ARGUMENTS, MODULE, RANK, ALPHA = "ss_network_args", "ss_network_module", "ss_network_dim", "ss_network_alpha"


def unit_of(path: Path) -> int:
    """The unit of ranks that the DyLoRA at ``path`` was trained with.

    Raises:
        UserError: it cannot be read, or is no DyLoRA (``lora.not_nested``).
    """
    info = lora_info(path)
    unit = _unit(info)
    if unit < 1 or "dylora" not in info.metadata.get(MODULE, ""):
        raise UserError(
            _("it is no DyLoRA: its first ranks do not serve by themselves."),
            place=plain(str(path)),
            remedy=_("Train one with network.type dylora."),
            code="lora.not_nested",
        )
    return unit


def _unit(info: LoraInfo) -> int:
    try:
        return int(json.loads(info.metadata.get(ARGUMENTS) or "{}").get("unit", 0))
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return 0


def ranks_of(path: Path, wanted: Collection[int] = ()) -> list[int]:
    """The ranks that the DyLoRA at ``path`` is cut to: those ``wanted``, else every multiple of its unit below its own.

    Raises:
        UserError: it cannot be read, is damaged or no DyLoRA, a rank is none that it has, or there is none
            (``lora.rank``).
    """
    unit, most = unit_of(path), max(lora_info(path).ranks, default=0)
    check_layers(path, read_header(path).tensors)
    for rank in wanted:
        if not 0 < rank <= most or (rank % unit and rank != most):
            raise UserError(
                _("rank {rank} is none that it can be cut to.").format(rank=str(rank)[:20]),
                place=plain(str(path)),
                remedy=_("Choose a multiple of {unit} up to {most}.").format(unit=unit, most=most),
                code="lora.rank",
            )
    if not wanted and unit >= most:
        raise UserError(
            _("it has rank {most} and a unit of {unit} ranks: there is nothing to cut.").format(most=most, unit=unit),
            place=plain(str(path)),
            remedy=_("Use the file as it is."),
            code="lora.rank",
        )
    return list(wanted) or list(range(unit, most, unit))


def rank_file(path: Path, rank: int, folder: Path | None = None) -> Path:
    """Where the file of one rank goes: into ``folder``, else beside the DyLoRA."""
    return (folder or path.parent) / f"{path.stem}-rank{rank:02d}.safetensors"


def cut(path: Path, rank: int, target: Path) -> int:
    """Write the DyLoRA at ``path`` with its first ``rank`` ranks to ``target`` and return the size in bytes.

    A layer with fewer ranks keeps what it has. What it is multiplied by stays as it was trained, so alpha shrinks with
    the rank.

    Raises:
        UserError: it cannot be read, is damaged or no DyLoRA, or ``rank`` is none that it has (``lora.rank``).
        OSError: ``target`` cannot be written.
    """
    ranks_of(path, [rank])
    most = max(lora_info(path).ranks)
    header = read_header(path)
    metadata = dict(header.metadata)
    metadata[RANK] = str(rank)
    try:
        metadata[ALPHA] = f"{float(metadata[ALPHA]) * rank / most:g}"
    except (KeyError, ValueError):  # not stated, or no number: the layers' own say what holds
        metadata.pop(ALPHA, None)
    with path.open("rb") as file:
        tensors = _cut(file, header, rank)
    data = b"".join(tensor.data for tensor in tensors.values())
    digest = hashlib.sha256(data).hexdigest()
    metadata["sshs_model_hash"] = digest
    kept = {name: value for name, value in metadata.items() if name.startswith("ss_")}
    metadata["sshs_legacy_hash"] = hashlib.sha256((_header(tensors, kept) + data)[0x100000:0x110000]).hexdigest()[:8]
    if "modelspec.hash_sha256" in metadata:
        metadata["modelspec.hash_sha256"] = f"0x{digest}"
    whole = _header(tensors, metadata) + data
    write_atomic(target, whole)
    return len(whole)


@dataclass(frozen=True)
class _Tensor:
    dtype: str
    shape: tuple[int, ...]
    data: bytes


def _cut(file: BinaryIO, header: Header, rank: int) -> dict[str, _Tensor]:
    """The tensors with their first ranks, in the order of the file."""
    places = {name: kind_and_layer(name) for name in header.tensors}
    ranks = {layer: header.tensors[name].shape[0] for name, (kind, layer) in places.items() if kind == "down"}
    found: dict[str, _Tensor] = {}
    for name, info in sorted(header.tensors.items(), key=lambda entry: entry[1].start):
        kind, layer = places[name]
        before = ranks.get(layer, 0)
        file.seek(info.start)
        data, shape = file.read(info.bytes), info.shape
        kept = min(rank, before)
        if kind == "down":
            data, shape = data[: len(data) // before * kept], (kept, *shape[1:])
        elif kind == "up" and before:
            row = len(data) // shape[0]
            part = row // before * kept
            data = b"".join(data[start : start + part] for start in range(0, len(data), row))
            shape = (shape[0], kept, *shape[2:])
        elif kind == "alpha" and before:
            alpha = scalar(info.dtype, data) * kept / before
            found[name] = _Tensor("F32", (), struct.pack("<f", alpha))
            continue
        found[name] = _Tensor(info.dtype, shape, data)
    return found


def _header(tensors: Mapping[str, _Tensor], metadata: Mapping[str, str]) -> bytes:
    """What stands before the tensors' bytes."""
    return framed(header_text(placed((name, one.dtype, one.shape) for name, one in tensors.items()), metadata))
