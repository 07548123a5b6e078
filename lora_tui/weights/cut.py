"""Cutting a DyLoRA file to its first ranks, which serve by themselves."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.weights.header.loras import LoraInfo, lora_info
from lora_tui.weights.lora_file import write_lora
from lora_tui.weights.reading import kind_and_layer

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
    except (ValueError, TypeError, AttributeError):
        return 0


def cut(path: Path, rank: int, target: Path) -> int:
    """Write the DyLoRA at ``path`` with its first ``rank`` ranks to ``target`` and return the size in bytes.

    A layer with fewer ranks keeps what it has. What it is multiplied by stays as it was trained, so alpha shrinks with
    the rank.

    Raises:
        UserError: it cannot be read, is no DyLoRA, or ``rank`` is none that it has (``lora.rank``).
        OSError: ``target`` cannot be written.
    """
    unit, info = unit_of(path), lora_info(path)
    most = max(info.ranks, default=0)
    if not 0 < rank <= most or (rank % unit and rank != most):
        raise UserError(
            _("rank {rank} is none that it can be cut to.").format(rank=rank),
            place=plain(str(path)),
            remedy=_("Choose a multiple of {unit} up to {most}.").format(unit=unit, most=most),
            code="lora.rank",
        )
    try:
        with safe_open(path, framework="pt") as file:
            whole = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise UserError(
            _("it cannot be read: {reason}.").format(reason=plain(str(error))),
            place=plain(str(path)),
            remedy=_("The file may be incomplete; fetch it again."),
            code="model.torn",
        ) from None
    metadata[RANK] = str(rank)
    if ALPHA in metadata and most:
        metadata[ALPHA] = f"{float(metadata[ALPHA]) * rank / most:g}"
    return write_lora(target, _cut(whole, rank), metadata)


def _cut(whole: dict[str, Tensor], rank: int) -> dict[str, Tensor]:
    ranks = {layer: tensor.shape[0] for name, tensor in whole.items() for kind, layer in [kind_and_layer(name)]
             if kind == "down"}  # fmt: skip
    found: dict[str, Tensor] = {}
    for name, tensor in whole.items():
        kind, layer = kind_and_layer(name)
        before = ranks.get(layer, 0)
        if kind == "down":
            tensor = tensor[:rank]
        elif kind == "up":
            tensor = tensor[:, :rank]
        elif kind == "alpha" and before:
            tensor = (tensor.double() * min(rank, before) / before).to(torch.float32)
        found[name] = tensor.contiguous()
    return found
