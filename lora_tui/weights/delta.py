"""Any adapter of a file as what it adds to each layer: two thin matrices where it is their product, else the whole.

A file is mapped, not loaded: a layer's numbers are read when they are asked for, one layer after the other. All that is
given is float32 with alpha / rank multiplied in. The formulas are those of :mod:`lora_tui.weights.algebra` and
:mod:`lora_tui.weights.added`; which layer of the family's model a name stands for says :mod:`lora_tui.weights.places`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.weights import algebra
from lora_tui.weights.header.format import read_header
from lora_tui.weights.header.loras import lora_family
from lora_tui.weights.kinds import NORM, ROWS, SIZES
from lora_tui.weights.places import Place, places_by_name, shaped
from lora_tui.weights.reading import LoraLayer, OtherLayer, read_lora

Layer = LoraLayer | OtherLayer
WEIGHT_NEEDED = ("glora", "ia3", "oft", "boft")
"""Kinds that are no sum: what they add depends on the weight they are added to. So does whatever has DoRA's sizes."""


@dataclass(frozen=True)
class Factors:
    """``up`` [outputs, rank] @ ``down`` [rank, inputs * k * k], which is added to a weight of ``shape``; float32."""

    up: Tensor
    down: Tensor
    shape: tuple[int, ...]

    @property
    def rank(self) -> int:
        return int(self.down.shape[0])

    def dense(self) -> Tensor:
        """The product, of ``shape``."""
        return (self.up @ self.down).view(self.shape)

    def times(self, strength: float) -> Factors:
        """The same, ``strength`` times as much."""
        return Factors(self.up * strength, self.down, self.shape)

    def norm(self) -> float:
        """The Frobenius norm of the product, without it: tr((UᵀU)(DDᵀ)), in float64."""
        up, down = self.up.double(), self.down.double()
        return float(((up.T @ up) * (down @ down.T)).sum().clamp_min(0).sqrt())


@dataclass(frozen=True)
class Adapter:
    """A LoRA file of any kind, layout and program, layer by layer.

    Attributes:
        family: as the schema calls it, or ``unknown``.
        layers: by their place in diffusers' model, see :mod:`lora_tui.weights.places`; those that a file holds several
            in one are given apart.
        names: what the file, or its reader for pieces of a layer, calls the layer at a place.
        strange: names of tensors that are no part of any layer.
        metadata: as written.
    """

    path: Path
    family: str
    layers: dict[Place, Layer]
    names: dict[Place, str]
    strange: tuple[str, ...]
    metadata: Mapping[str, str]

    def only(self, wanted: Callable[[Place], bool]) -> Adapter:
        """The same with those of its layers that are ``wanted``."""
        layers = {place: layer for place, layer in self.layers.items() if wanted(place)}
        return replace(self, layers=layers, names={place: self.names[place] for place in layers})

    def factors(self, place: Place) -> Factors | None:
        """See :func:`factors`; the shape is that of the family's layer, also where the file keeps it flat."""
        found = factors(self.layers[place])
        return None if found is None else replace(found, shape=shaped(self.family, place, found.shape))

    def delta(self, place: Place, weight: Tensor | None = None) -> Tensor:
        """See :func:`delta`; of the family's layer's shape, also where the file keeps it flat.

        Raises:
            ValueError: it depends on the ``weight``, and none is given, or one of another size.
        """
        found = delta(self.layers[place], weight)
        return found.view(shaped(self.family, place, tuple(found.shape)))


def open_adapter(path: Path, *, family: str = "", as_stored: bool = False) -> Adapter:
    """The file at ``path``; ``family`` where its names do not tell.

    Args:
        as_stored: leave several layers in one as the file has them: such a one is no layer of diffusers' model, and
            stands under its own name.

    Raises:
        UserError: it cannot be read, is damaged, holds no LoRA (``lora.not_a_lora``), or the same layer twice under
            names of two programs (``lora.twice``).
    """
    header = read_header(path)
    stored = read_lora(path, as_stored=as_stored)
    family = family or lora_family(header.tensors, header.metadata)
    if not stored.all:
        raise UserError(_("it holds no LoRA."), place=plain(str(path)), code="lora.not_a_lora")
    places = places_by_name(family, stored.all)
    names: dict[Place, str] = {}
    for name, place in places.items():
        if place in names:
            raise UserError(
                _("it has one layer twice, as {first} and as {second}.").format(
                    first=plain(names[place], limit=120), second=plain(name, limit=120)
                ),
                place=plain(str(path)),
                remedy=_("Two files were put into one; use the one or the other."),
                code="lora.twice",
            )
        names[place] = name
    layers = {place: stored.all[name] for place, name in names.items()}
    return Adapter(path, family, layers, names, stored.strange, header.metadata)


def kind_of_layer(layer: Layer) -> str:
    """``lora``, ``dora``, ``loha`` … as :data:`lora_tui.weights.kinds.NAMES` has them; or ``norm``."""
    if isinstance(layer, LoraLayer):
        return "lora" if layer.sizes is None else "dora"
    return layer.kind


def needs_weight(layer: Layer) -> bool:
    """Whether what it adds depends on the base model's weight (DoRA, OFT, BOFT, (IA)^3, GLoRA): it is no sum then."""
    if isinstance(layer, LoraLayer):
        return layer.sizes is not None
    return layer.kind in WEIGHT_NEEDED or SIZES in layer.tensors


def factors(layer: Layer) -> Factors | None:
    """The two matrices whose product it adds, exactly; none where it adds no product of two thinner ones.

    LoHa's two products of rank r are one of rank r² (their rows multiplied with each other, as are their columns).
    LoKr's product of w1 [a, b] and w2 = A B of rank r is one of rank b r: (w1 x A)(1 x B) with Kronecker products.
    """
    if needs_weight(layer):
        return None
    if isinstance(layer, LoraLayer):
        shape = (int(layer.up.shape[0]), *map(int, layer.down.shape[1:]))
        return Factors(layer.up.float().flatten(1) * layer.scale, layer.down.float().flatten(1), shape)
    if layer.kind == "loha":
        return _loha(layer)
    return _lokr(layer) if layer.kind == "lokr" else None


def _loha(layer: OtherLayer) -> Factors | None:
    halves = [_half(layer.tensors, number) for number in ("1", "2")]
    if halves[0] is None or halves[1] is None:
        return None
    (up, down, shape), (other_up, other_down, _shape) = halves
    rank = down.shape[0] * other_down.shape[0]
    if rank >= min(up.shape[0], down.shape[1]):
        return None
    rows = (up.unsqueeze(2) * other_up.unsqueeze(1)).flatten(1)
    columns = (down.unsqueeze(1) * other_down.unsqueeze(0)).flatten(0, 1)
    return Factors(rows * layer.scale, columns, shape)


def _half(tensors: algebra.Tensors, number: str) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """One of LoHa's two products: [outputs, r], [r, inputs * k * k], and the weight's shape as far as it is told."""
    first, second = tensors[f"hada_w{number}_a"].float(), tensors[f"hada_w{number}_b"].float()
    core = tensors.get(f"hada_t{number}")
    if core is None:
        return first, second, (first.shape[0], second.shape[1])
    down = torch.einsum("ij...,jr->ir...", core.float(), second)
    return first.T, down.flatten(1), (first.shape[1], *down.shape[1:])


def _lokr(layer: OtherLayer) -> Factors | None:
    own = layer.tensors
    if "lokr_w2" in own:
        return None
    first = own["lokr_w1"].float() if "lokr_w1" in own else own["lokr_w1_a"].float() @ own["lokr_w1_b"].float()
    outer, inner = own["lokr_w2_a"].float(), own["lokr_w2_b"].float()
    sides: tuple[int, ...] = ()
    if "lokr_t2" in own:
        core = torch.einsum("ij...,jr->ir...", own["lokr_t2"].float(), inner)
        outer, inner, sides = outer.T, core.flatten(1), tuple(core.shape[2:])
    up = torch.kron(first, outer.contiguous())
    down = torch.kron(torch.eye(first.shape[1]), inner.contiguous())
    if ROWS in own:
        up = up[own[ROWS]]
    shape = (up.shape[0], down.shape[1] // (sides[0] * sides[1] if sides else 1), *sides)
    if down.shape[0] >= min(up.shape[0], down.shape[1]):
        return None
    return Factors(up * layer.scale, down, shape)


def delta(layer: Layer, weight: Tensor | None = None) -> Tensor:
    """What it adds to the weight at strength 1, [outputs, inputs(, k, k)] or of a norm [width]; float32.

    Raises:
        ValueError: it depends on the ``weight``, and none is given, or one of another size.
    """
    if weight is not None:
        return layer.merged(weight) - weight.float()
    if needs_weight(layer):
        raise ValueError(kind_of_layer(layer))
    if isinstance(layer, LoraLayer):
        return layer.update()
    if layer.kind == NORM:
        return layer.tensors["w_norm"].float()
    return algebra.update(layer.kind, layer.tensors) * layer.scale


def bias_delta(layer: Layer) -> Tensor | None:
    """What it adds to the bias at strength 1."""
    bias = layer.bias if isinstance(layer, OtherLayer) else None
    return None if bias is None else bias.float()
