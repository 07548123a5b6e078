"""Writing LoRA files: the family's names, the true alpha, complete metadata, read back after writing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.files import write_atomic
from lora_tui.text import _
from lora_tui.weights.fused import fuse
from lora_tui.weights.names import Layout, folds, fuses, names_for
from lora_tui.weights.ordered import save_ordered

DOWN, UP, ALPHA = "lora_down.weight", "lora_up.weight", "alpha"
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


Layers = Mapping[tuple[str, str], Mapping[str, Tensor]]


def file_tensors(
    family: str, layers: Layers, *, dtype: torch.dtype, layout: Layout = "auto", own: bool = False, stays: bool = False
) -> dict[str, Tensor]:
    """Tensors as a LoRA file of ``family`` in ``layout`` names them, from (part, path) -> kind -> tensor.

    Kinds are what :meth:`lora_tui.weights.names.Names.tensor_name` takes. The weights are stored in ``dtype``; alpha
    always in float32, since a half would round it (0.3 to 0.30078). With ``own`` they share no memory with ``layers``.
    With ``stays`` they lie where these do, else on the processor.

    Raises:
        ValueError: layers with sizes of their own (DoRA) cannot be held in one.
    """
    names = names_for(family, layout)
    if fuses(family, layout):
        layers = _fused(family, layers, part="transformer")
    if folds(family, layout):
        layers = {place: _folded(tensors) for place, tensors in layers.items()}
    return {
        names.tensor_name(part, path, kind): _stored(tensor, torch.float32 if kind == "alpha" else dtype, own, stays)
        for (part, path), tensors in layers.items()
        for kind, tensor in tensors.items()
    }


def _fused(family: str, layers: Layers, *, part: str) -> Layers:
    """``layers`` with those of the part that draws as the original ones, several in one."""
    own = {path: tensors for (whose, path), tensors in layers.items() if whose == part}
    odd = sorted({kind for tensors in own.values() for kind in tensors} - {DOWN, UP, ALPHA})
    if odd:
        raise ValueError(f"layers with {odd[0]} cannot be held in one")
    whole = fuse(family, {path: (t[DOWN].detach(), t[UP].detach(), float(t[ALPHA])) for path, t in own.items()})
    fused: dict[tuple[str, str], Mapping[str, Tensor]] = {
        (part, path): {DOWN: down, UP: up, ALPHA: torch.tensor(alpha)} for path, (down, up, alpha) in whole.items()
    }
    return fused | {place: tensors for place, tensors in layers.items() if place[0] != part}


def _folded(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without an alpha, which then is the rank: the scale is multiplied into the up matrix.

    Layers that are none of LoRA keep theirs.
    """
    if DOWN not in tensors:
        return dict(tensors)
    scale = float(tensors[ALPHA]) / tensors[DOWN].shape[0]
    up = tensors[UP].detach().float() * scale
    return {kind: up if kind == UP else tensor for kind, tensor in tensors.items() if kind != ALPHA}


def _stored(tensor: Tensor, dtype: torch.dtype, own: bool, stays: bool) -> Tensor:
    kind = dtype if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to(tensor.device if stays else "cpu", kind, copy=own).contiguous()


def write_lora(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> int:
    """Write a LoRA file atomically with its hashes in the metadata, read it back, return its size in bytes.

    Its folder is made where it is missing, but not the one around that: a run that was deleted does not come back.

    ``sshs_model_hash`` is the sha256 of the tensors' bytes and ``sshs_legacy_hash`` the first 8 digits of that of
    64 KiB at offset 1 MiB, both over a serialisation with only ``ss_`` keys, as sd-scripts computes them.

    Raises:
        OSError: the disk is full or cannot be written; an older file of this name is untouched.
        UserError: the file does not read back as it was written.
    """
    hashed = _hashes(tensors, metadata)
    data = save_ordered(tensors, {**metadata, **hashed})
    path.parent.mkdir(exist_ok=True)
    write_atomic(path, data)
    _verify(path, tensors)
    return len(data)


def _hashes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in metadata.items() if name.startswith("ss_")}
    data = save_ordered(tensors, kept)
    start = 8 + int.from_bytes(data[:8], "little")
    tensors_hash = hashlib.sha256(data[start:]).hexdigest()
    hashes = {
        "sshs_model_hash": tensors_hash,
        "sshs_legacy_hash": hashlib.sha256(data[0x100000:0x110000]).hexdigest()[:8],
    }
    if any(name.startswith("modelspec.") for name in metadata):
        hashes["modelspec.hash_sha256"] = f"0x{tensors_hash}"  # ModelSpec's, of everything behind the header
    return hashes


def _verify(path: Path, tensors: Mapping[str, Tensor]) -> None:
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
        same = names == set(tensors) and all(_equal(file.get_tensor(name), tensors[name]) for name in names)
    if not same:
        raise UserError(
            _("the file does not read back as it was written."),
            place=str(path),
            remedy=_("The disk may be failing; copy the run elsewhere and resume it there."),
            code="weights.verify",
        )


def _equal(read: Tensor, written: Tensor) -> bool:
    """Bit for bit; NaN equals itself."""
    return read.dtype == written.dtype and read.shape == written.shape and torch.equal(
        read.reshape(-1).view(torch.uint8), written.reshape(-1).view(torch.uint8)
    )  # fmt: skip


def as_text(value: object) -> str:
    """A metadata value as sd-scripts writes it: text as it is, none as ``None``, the rest as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return "None"
    if isinstance(value, bool | int | float):
        return str(value)
    return json.dumps(value, ensure_ascii=False)
