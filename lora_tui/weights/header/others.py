"""The layers of LyCORIS' kinds in a file, by their tensors' shapes. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lora_tui.weights.header.format import TensorInfo
from lora_tui.weights.kinds import NORM, SIZED, SIZES, Shapes, kind_of
from lora_tui.weights.names.parts import other_and_layer


@dataclass(frozen=True)
class OtherShapes:
    """One layer: its kind (see :func:`lora_tui.weights.kinds.kind_of`) and shapes by tensor, alphas left out."""

    kind: str
    shapes: Shapes


def other_layers(tensors: Mapping[str, TensorInfo]) -> dict[str, OtherShapes]:
    """The layers that can be merged, drawn with and gone on from besides LoRA's, by name; norms are among them."""
    groups: dict[str, Shapes] = {}
    for name, tensor in tensors.items():
        inner, stem = other_and_layer(name)
        if inner:
            groups.setdefault(stem, {})[inner] = tensor.shape
    found = {}
    for stem, shapes in groups.items():
        kind = kind_of(shapes, {name: len(shape) for name, shape in shapes.items()})
        if kind and (SIZES not in shapes or kind in SIZED):
            found[stem] = OtherShapes(kind, {name: shape for name, shape in shapes.items() if name != "alpha"})
    return found


def trained_kind(layers: Mapping[str, OtherShapes]) -> str:
    """The kind of most of the ``layers`` that can be trained; empty where there is none."""
    kinds = [layer.kind for layer in layers.values() if layer.kind != NORM]
    return max(dict.fromkeys(kinds), key=kinds.count, default="")
