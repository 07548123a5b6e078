"""Layers of a file that is made: what each adds, planned before it is computed, and exactly the sum of its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce

import torch
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.weights.delta import Factors, Layer, bias_delta, delta, factors, kind_of_layer, needs_weight
from lora_tui.weights.kinds import NAMES, NORM, RANKED, ROWS, SIZES, rank_of
from lora_tui.weights.reading import LoraLayer, OtherLayer

Shape = tuple[int, ...]
Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Matrices:
    """``up`` [outputs, rank] times ``down`` [rank, inputs * k * k] times alpha / rank, in the types of the file."""

    down: Tensor
    up: Tensor
    alpha: float

    def factors(self, shape: Shape) -> Factors:
        """As float32 with the scale in the second matrix."""
        scale = self.alpha / max(int(self.down.shape[0]), 1)
        return Factors(self.up.float().flatten(1) * scale, self.down.float().flatten(1), shape)


@dataclass(frozen=True)
class Thin:
    """A layer that adds the product of two matrices.

    Attributes:
        shape: of the weight it is for.
        dtype: what it is stored in, where nothing else is wished for.
        exact: whether the matrices are the source's own, bit for bit.
        sizes: of a DoRA.
    """

    shape: Shape
    rank: int
    dtype: torch.dtype
    make: Callable[[], Matrices]
    exact: bool = False
    sizes: Tensor | None = None


@dataclass(frozen=True)
class Whole:
    """A layer that adds a matrix as it is, and perhaps something to the bias."""

    shape: Shape
    dtype: torch.dtype
    make: Callable[[], Tensor]
    bias: Callable[[], Tensor] | None = None


@dataclass(frozen=True)
class Copied:
    """A layer of another kind as its source has it; of a norm, what is added to its numbers."""

    kind: str
    tensors: Mapping[str, Tensor]


Made = Thin | Whole | Copied
#: A layer and what it is multiplied by.
Part = tuple[Layer, float]


class Mixed(ValueError):
    """Layers that cannot be added up, with a word for what they are."""


def summed(
    parts: Sequence[Part],
    shape: Callable[[Shape], Shape] = lambda shape: shape,
    weight: Callable[[], Tensor] | None = None,
    *,
    plainly: bool = False,
) -> Made | None:
    """What ``parts`` add together, exactly; none where that is nothing.

    Args:
        shape: what the weight's shape is where a file keeps it flat.
        plainly: whether kinds of their own (LoHa, LoKr) become matrices.
        weight: the base model's, for parts that are no sums without it (DoRA, OFT …): each is what it makes of that
            weight at its strength, by its own formula.

    Raises:
        Mixed: one of them is no sum, there is no ``weight`` and it is not alone at full strength; or they are for other
            sizes.
    """
    parts = [(layer, strength) for layer, strength in parts if strength != 0 and not _is_nothing(layer)]
    if not parts:
        return None
    if weight is not None and any(needs_weight(layer) for layer, _strength in parts):
        return _on_weight(parts, weight)
    single = len(parts) == 1 and not (plainly and (_has_matrices(parts[0][0]) or needs_weight(parts[0][0])))
    if single and (made := alone(*parts[0], shape)) is not None:
        return made
    for layer, _strength in parts:
        if needs_weight(layer):
            raise Mixed(NAMES.get(kind_of_layer(layer), "DoRA") if kind_of_layer(layer) != "dora" else "DoRA")
    if any(kind_of_layer(layer) == NORM for layer, _strength in parts):
        return _norms(parts)
    found = [factors(layer) for layer, _strength in parts]
    dtype = widest([one for layer, _strength in parts for one in tensors_of(layer)])
    shapes = {shape(one.shape) for one in found if one is not None}
    biased = [(layer, strength) for layer, strength in parts if bias_delta(layer) is not None]
    if all(one is not None for one in found) and not biased:
        if len({(one[0], _columns(one)) for one in shapes}) > 1:
            raise Mixed(_sizes(shapes))
        return _concatenated(parts, max(shapes, key=len), sum(one.rank for one in found if one), dtype)
    return _added(parts, shape, dtype, biased)


def alone(layer: Layer, strength: float, shape: Callable[[Shape], Shape]) -> Made | None:
    """One layer at a strength with its own matrices, the strength in its alpha; none where there is no such."""
    if isinstance(layer, LoraLayer):
        if layer.sizes is not None and strength != 1:
            return None
        own_shape = shape((int(layer.up.shape[0]), *map(int, layer.down.shape[1:])))
        made = partial(_own_matrices, layer, layer.alpha * strength)
        return Thin(own_shape, int(layer.down.shape[0]), layer.down.dtype, made, exact=True, sizes=layer.sizes)
    own = dict(layer.tensors)
    if layer.kind in RANKED and SIZES not in own and ROWS not in own and "diff_b" not in own:
        rank = _stated_rank(layer)
        if rank:
            return Copied(layer.kind, own | {"alpha": torch.tensor(layer.scale * strength * rank)})
        return Copied(layer.kind, own | {"lokr_w1": _times(own["lokr_w1"], strength)})
    if ROWS in own:
        return None
    if layer.kind == "full":
        bias = bias_delta(layer)
        return Whole(
            shape(tuple(own["diff"].shape)), own["diff"].dtype, lambda: _times(own["diff"], strength),
            None if bias is None else lambda: bias * strength,
        )  # fmt: skip
    if layer.kind == NORM:
        return Copied(NORM, {name: _times(one, strength) for name, one in own.items()})
    if strength != 1:
        return None
    if layer.kind in RANKED and (rank := _stated_rank(layer)):
        own["alpha"] = torch.tensor(layer.scale * rank)
    return Copied(layer.kind, own)


def _own_matrices(layer: LoraLayer, alpha: float) -> Matrices:
    """The sign goes to the second matrix: programs that halve an alpha until it fits would never end below 0."""
    return Matrices(layer.down, layer.up if alpha >= 0 else _times(layer.up, -1), abs(alpha))


def _has_matrices(layer: Layer) -> bool:
    """Whether it is of a kind of its own that a LoRA can stand in for."""
    return isinstance(layer, OtherLayer) and layer.kind not in (NORM, "full")


def _stated_rank(layer: OtherLayer) -> int:
    if {"lokr_w1", "lokr_w2"} <= layer.tensors.keys():
        return 0
    return rank_of(layer.kind, {name: tuple(one.shape) for name, one in layer.tensors.items()})


def _times(tensor: Tensor, strength: float) -> Tensor:
    return tensor if strength == 1 else (tensor.float() * strength).to(tensor.dtype)


def _is_nothing(layer: Layer) -> bool:
    """Whether its alpha makes nothing of it."""
    if isinstance(layer, LoraLayer):
        return layer.alpha == 0 and layer.sizes is None
    return layer.kind in RANKED and layer.scale == 0 and SIZES not in layer.tensors


def _concatenated(parts: Sequence[Part], shape: Shape, rank: int, dtype: torch.dtype) -> Thin:
    """The matrices of all one below the other; what differs in scale is multiplied into the second ones.

    W' = W + sum of c B A is the product of [c1 B1, c2 B2 …] and [A1; A2; …]: any ranks, any signs, exactly. The scale
    alpha / rank is the largest of theirs, so that no number grows.
    """
    scales = [
        layer.scale * strength if isinstance(layer, LoraLayer) else strength for layer, strength in parts
    ]  # what the matrices are multiplied by; those of other kinds have theirs in them
    whole = max(abs(scale) for scale in scales)

    def make() -> Matrices:
        downs, ups = [], []
        for (layer, _strength), scale in zip(parts, scales, strict=True):
            if isinstance(layer, LoraLayer):
                down, up = layer.down.flatten(1), layer.up.flatten(1)
            else:
                found = factors(layer)
                assert found is not None
                down, up = found.down, found.up
            downs.append(down.float())
            ups.append(up.float() * (scale / whole))
        return Matrices(torch.cat(downs), torch.cat(ups, dim=1), whole * rank)

    return Thin(shape, rank, dtype, make)


def _on_weight(parts: Sequence[Part], weight: Callable[[], Tensor]) -> Whole:
    """What the parts make of the base model's weight, less that."""
    dtype = widest([one for layer, _strength in parts for one in tensors_of(layer)])
    shape = tuple(weight().shape)

    def make() -> Tensor:
        own = weight()
        try:
            return reduce(torch.add, (layer.merged(own, strength) - own for layer, strength in parts))
        except ValueError:
            raise Mixed(_sizes({shape})) from None

    return Whole(shape, dtype, make, _biases([part for part in parts if bias_delta(part[0]) is not None]))


def _biases(parts: Sequence[Part]) -> Callable[[], Tensor] | None:
    return (lambda: reduce(torch.add, (_bias(layer) * strength for layer, strength in parts))) if parts else None


def _added(parts: Sequence[Part], shape: Callable[[Shape], Shape], dtype: torch.dtype, biased: Sequence[Part]) -> Whole:
    """A sum of which not every part is a product of thin matrices."""
    shapes = {shape(tuple(delta(layer).shape)) for layer, _strength in parts}
    if len({(one[0], _columns(one)) for one in shapes}) > 1:
        raise Mixed(_sizes(shapes))
    own = max(shapes, key=len)

    def make() -> Tensor:
        return reduce(torch.add, (delta(layer).reshape(own) * strength for layer, strength in parts))

    return Whole(own, dtype, make, _biases(biased))


def _bias(layer: Layer) -> Tensor:
    found = bias_delta(layer)
    assert found is not None
    return found


def _norms(parts: Sequence[Part]) -> Copied:
    found: Tensors = {}
    for layer, strength in parts:
        if not isinstance(layer, OtherLayer) or layer.kind != NORM:
            raise Mixed(_("a norm and a layer"))
        for name, tensor in layer.tensors.items():
            own = tensor.float() * strength
            if name in found and found[name].shape != own.shape:
                raise Mixed(_sizes({tuple(found[name].shape), tuple(own.shape)}))
            found[name] = found[name] + own if name in found else own
    dtype = widest([one for layer, _strength in parts for one in tensors_of(layer)])
    return Copied(NORM, {name: one.to(dtype) for name, one in found.items()})


def dense(made: Made) -> Tensor:
    """What ``made`` adds, float32, of its shape.

    Raises:
        Mixed: it is no sum.
    """
    if isinstance(made, Whole):
        return made.make().float().reshape(made.shape)
    if isinstance(made, Thin) and made.sizes is None:
        return made.make().factors(made.shape).dense()
    raise Mixed(getattr(made, "kind", "DoRA"))


def of_factors(found: Factors, dtype: torch.dtype) -> Thin:
    """A layer of these matrices, whose scale is in them: alpha is the rank."""
    return Thin(found.shape, found.rank, dtype, lambda: Matrices(found.down, found.up, float(found.rank)))


def tensors_of(layer: Layer) -> tuple[Tensor, ...]:
    """Those with numbers."""
    own = (layer.down, layer.up) if isinstance(layer, LoraLayer) else tuple(layer.tensors.values())
    return tuple(one for one in own if one.is_floating_point() and one.dim())


def widest(tensors: Sequence[Tensor]) -> torch.dtype:
    """A type that holds the numbers of all; those of 8 bits are not computed with, and get 16."""
    types = {one.dtype if one.dtype.itemsize > 1 else torch.bfloat16 for one in tensors}
    found = reduce(torch.promote_types, types)
    return torch.float32 if found == torch.float64 else found


def not_finite(name: str) -> UserError:
    """For a layer whose numbers are beyond float32."""
    return UserError(
        _("what is added to the layer {name} is beyond the numbers that are computed with.").format(
            name=plain(name, limit=120)
        ),
        remedy=_("Give smaller strengths; lora-tui lora check says which layers are too large."),
        code="lora.damaged",
    )


def _columns(shape: Shape) -> int:
    count = 1
    for side in shape[1:]:
        count *= side
    return count


def _sizes(shapes: set[Shape]) -> str:
    return _(" and ").join(f"[{', '.join(map(str, one))}]" for one in sorted(shapes))
