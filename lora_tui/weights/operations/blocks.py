"""``lora blocks``: how much of a LoRA lies in each block, and the file with its blocks weighed anew."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.places import expand
from lora_tui.text import _, plain
from lora_tui.weights.base import BaseModel, open_base
from lora_tui.weights.base_reader import BaseReader
from lora_tui.weights.blocks import BlockWeights, block_weights, in_order, slot_of, slots_by_name
from lora_tui.weights.delta import Adapter, Layer, delta, factors, kind_of_layer, needs_weight, open_adapter
from lora_tui.weights.kinds import NORM, kind_of
from lora_tui.weights.names.parts import kind_and_layer, other_and_layer
from lora_tui.weights.operations.output import Pending, checked_target, ready, write_layers
from lora_tui.weights.places import Place
from lora_tui.weights.reading import LoraLayer
from lora_tui.weights.work import Report, check_stopped

KEY = "lora_tui_blocks"
"""In the metadata: the weights that a file was multiplied by, as JSON."""
#: kind -> what of it is multiplied: one factor of each product that is added
MULTIPLIED = {
    "lora": ("up",),
    "loha": ("hada_w1_a",),
    "lokr": ("lokr_w1", "lokr_w1_a"),
    "glora": ("a1.weight", "b1.weight"),
    "ia3": ("weight",),
    "full": ("diff",),
    NORM: ("w_norm", "b_norm"),
}
ALWAYS = ("diff_b",)


def work(options: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Measure the blocks of ``file``; with ``weights`` and ``target`` write it with its blocks weighed.

    Further options: ``base`` (a model: what DoRA and OFT add can only be measured upon one), ``family``, ``force``.

    Raises:
        UserError: the input is wrong, or the output is there.
        OSError: the disk is full or cannot be written.
    """
    report.progress("loading", 0, 0)
    adapter = open_adapter(expand(str(options["file"])), family=str(options.get("family") or ""))
    weights = block_weights(str(options["weights"]), adapter.family) if options.get("weights") else None
    base = open_base(expand(str(options["base"]))) if options.get("base") else None
    found, unmeasured = measured(adapter, base, report)
    told: dict[str, Any] = {"file": str(adapter.path), "family": adapter.family, "blocks": [], "unmeasured": unmeasured}
    for slot in in_order(found):
        told["blocks"].append(
            {"block": slot, **found[slot]} | ({"weight": weights.of_slot(slot)} if weights is not None else {})
        )
    if weights is not None:
        weights.check(found)
        if options.get("target"):
            told |= _written(adapter, weights, expand(str(options["target"])), report, force=bool(options.get("force")))
    return told


def measured(adapter: Adapter, base: BaseModel | None, report: Report) -> tuple[dict[str, Any], int]:
    """Slot -> the Frobenius norm of all that is added in it, its largest in a layer, how many layers, and its share.

    And how many layers there are that can only be measured upon a base model.
    """
    found: dict[str, Any] = {}
    unknown = 0
    reader = BaseReader(base) if base is not None else None
    for number, (place, layer) in enumerate(adapter.layers.items()):
        check_stopped(report)
        report.progress("measuring", number, len(adapter.layers))
        norm = layer_norm(layer, place, reader)
        if norm is None:
            unknown += 1
            continue
        slot = found.setdefault(slot_of(adapter.family, place), {"norm": 0.0, "largest": 0.0, "layers": 0})
        slot["norm"] = math.hypot(slot["norm"], norm)
        slot["largest"] = max(slot["largest"], norm)
        slot["layers"] += 1
    whole = math.hypot(*(slot["norm"] for slot in found.values())) if found else 0.0
    for slot in found.values():
        slot["share"] = slot["norm"] ** 2 / whole**2 if whole else 0.0
    return found, unknown


def layer_norm(layer: Layer, place: Place, reader: BaseReader | None) -> float | None:
    """The Frobenius norm of what a layer adds; none where only a base model tells, and there is none."""
    if not needs_weight(layer):
        thin = factors(layer)
        return thin.norm() if thin is not None else float(delta(layer).norm())
    if reader is None or (place, "weight") not in reader.base.layers:
        return None
    return float(delta(layer, reader.layer(place)).norm())


# -- weighing --------------------------------------------------------------------------------------------------------


def _written(adapter: Adapter, weights: BlockWeights, target: Path, report: Report, *, force: bool) -> dict[str, Any]:
    place = checked_target(target, [adapter.path], force=force)
    _check_linear(adapter, weights)
    layers, dropped = [], 0
    with safe_open(adapter.path, framework="pt") as file:
        groups = dict(_groups(file.keys()))
        slots = slots_by_name(adapter.family, groups)
        for stem, names in groups.items():
            weight = weights.of_slot(slots[stem]) if stem else 1.0
            if weight == 0.0:
                dropped += 1
                continue
            layers.append(_weighed({name: file.get_tensor(name) for name in names}, weight))
        if not any(stem for stem in groups) or dropped == sum(1 for stem in groups if stem):
            raise UserError(
                _("nothing would be left: every block of it has the weight 0."),
                place=plain(str(target)),
                remedy=_("Give some block another weight."),
                code="lora.nothing",
            )
        told = {"weights": weights.text, "left_out": dropped}
        size = write_layers(
            place, layers, {**adapter.metadata, KEY: json.dumps(told, ensure_ascii=False)}, report, force=force
        )
    return {"target": str(target), "size": size, "weights": weights.text, "left_out": dropped}


def _check_linear(adapter: Adapter, weights: BlockWeights) -> None:
    """Refuse to weigh what is not twice as much when its factors are.

    Raises:
        UserError: ``lora.not_linear``.
    """
    for place, layer in adapter.layers.items():
        turned = layer.sizes is not None if isinstance(layer, LoraLayer) else _nonlinear(layer.kind, layer.tensors)
        if turned and weights.of(place) not in (0.0, 1.0):
            raise UserError(
                _("its layer {name} is of kind {kind}: no file holds {weight:g} times what it does.").format(
                    name=plain(adapter.names[place], limit=120), kind=kind_of_layer(layer), weight=weights.of(place)
                ),
                place=plain(str(adapter.path)),
                remedy=_("Give its blocks 0 or 1, bake it with the weights, or convert it to plain LoRA first."),
                code="lora.not_linear",
            )


def _nonlinear(kind: str, tensors: Mapping[str, Tensor]) -> bool:
    return kind in ("oft", "boft") or "dora_scale" in tensors


def _groups(names: list[str]) -> Iterator[tuple[str, list[str]]]:
    """The tensors of each layer by its name in the file; those of none under the empty name."""
    found: dict[str, list[str]] = {}
    for name in names:
        kind, stem = kind_and_layer(name)
        if not kind:
            inner, stem = other_and_layer(name)
            stem = stem if inner else ""
        found.setdefault(stem, []).append(name)
    yield from found.items()


def _weighed(tensors: dict[str, Tensor], weight: float) -> Pending:
    """A layer's tensors with one factor of what it adds multiplied, each of its own type."""
    if weight == 1.0:
        return ready(tensors)
    inner = {name: kind_and_layer(name)[0] or other_and_layer(name)[0] for name in tensors}
    own = {short: tensors[name].dim() for name, short in inner.items()}
    kind = "lora" if "up" in own else kind_of(own, own)
    chosen = (*MULTIPLIED.get(kind, ()), *ALWAYS)
    return ready(
        {
            name: (tensor.to(torch.float32) * weight).to(tensor.dtype) if inner[name] in chosen else tensor
            for name, tensor in tensors.items()
        }
    )
