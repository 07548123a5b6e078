"""Singular values of what adapters add, and how many of them to keep: by rank, by share, or by the size of a file.

The first k singular directions of a matrix are its best approximation of rank k (Eckart and Young 1936, "The
approximation of one matrix by another of lower rank"). Of a product of two thin matrices they are found from two QR
decompositions and the small matrix between them, so that nothing of the layer's own size is ever made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.text import _
from lora_tui.weights.delta import Factors

Rule = Literal["rank", "ratio", "cumulative", "frobenius", "size"]
ZERO = 1e-7
"""Singular values below this share of the largest are what rounding made of none, in float32."""
_WHOLE = 512
"""Sides up to which a whole matrix is decomposed at once; larger ones by the squares of their shorter side."""


@dataclass(frozen=True)
class Keep:
    """How much is kept.

    Attributes:
        rule: ``rank``: the first so many; ``ratio``: singular values of at least the largest divided by ``value``;
            ``cumulative``: the fewest whose sum is a share ``value`` of all; ``frobenius``: the fewest whose norm is a
            share ``value`` of all; ``size``: those that tell the most for their bytes, until the file has ``value`` MB.
        most: no layer has more than so many, whatever the rule; 0 is no limit.
        most_conv: the same for convolutions wider than 1x1; 0: as ``most``.
    """

    rule: Rule
    value: float
    most: int = 0
    most_conv: int = 0

    def limit(self, *, wide: bool) -> int:
        """The most directions of a layer; 0 is no limit."""
        most = (self.most_conv or self.most) if wide else self.most
        if self.rule != "rank":
            return most
        own = self.most_conv if wide and self.most_conv else int(self.value)
        return min(own, self.most) if self.most and not (wide and self.most_conv) else own


@dataclass(frozen=True)
class Singular:
    """A matrix as ``left`` [outputs, r] diag(``values``) ``right`` [r, inputs * k * k]; ``values`` fall, float64."""

    left: Tensor
    values: Tensor
    right: Tensor
    shape: tuple[int, ...]

    def first(self, rank: int) -> Factors:
        """The best approximation of ``rank``, with the roots of the singular values in both matrices."""
        root = self.values[:rank].sqrt().float()
        return Factors(self.left[:, :rank] * root, self.right[:rank] * root.unsqueeze(1), self.shape)


def decomposed(found: Factors | Tensor) -> Singular:
    """The singular values and directions of ``found``; those of an (all but) empty matrix are none."""
    if isinstance(found, Tensor):
        return _of_whole(found)
    if not found.rank:
        return _cut(found.up, torch.zeros(0, dtype=torch.float64), found.down, found.shape)
    if found.rank >= min(found.up.shape[0], found.down.shape[1]):
        return _of_whole((found.up.double() @ found.down.double()).view(found.shape))
    left, rows = torch.linalg.qr(found.up)
    right, columns = torch.linalg.qr(found.down.T)
    inner, values, outer = torch.linalg.svd(rows.double() @ columns.double().T)
    return _cut(left @ inner.float(), values, outer.float() @ right.T, found.shape)


def _of_whole(matrix: Tensor) -> Singular:
    flat = matrix.flatten(1) if matrix.dim() > 1 else matrix.reshape(-1, 1)
    shape = tuple(matrix.shape)
    if min(flat.shape) <= _WHOLE:
        left, values, right = torch.linalg.svd(flat.double(), full_matrices=False)
        return _cut(left.float(), values, right.float(), shape)
    turned = flat.shape[0] < flat.shape[1]
    tall = (flat.T if turned else flat).double()
    squares, directions = torch.linalg.eigh(tall.T @ tall)
    values, directions = squares.flip(0).clamp_min(0).sqrt(), directions.flip(1)
    kept = int((values > values[0] * ZERO).sum()) if float(values[0]) > 0 else 0
    values, directions = values[:kept], directions[:, :kept]
    other = (tall @ directions) / values
    left, right = (directions, other.T) if turned else (other, directions.T)
    return _cut(left.float(), values, right.float(), shape)


def _cut(left: Tensor, values: Tensor, right: Tensor, shape: tuple[int, ...]) -> Singular:
    """Without the directions that rounding made."""
    count = int((values > values[0] * ZERO).sum()) if len(values) and float(values[0]) > 0 else 0
    return Singular(left[:, :count], values[:count], right[:count], shape)


@dataclass(frozen=True)
class Spectrum:
    """One layer's singular values, falling, and the bytes that one more direction takes in the file."""

    values: tuple[float, ...]
    bytes: int
    wide: bool = False

    @property
    def energy(self) -> float:
        return math.fsum(value * value for value in self.values)


def kept_ranks(spectra: Mapping[str, Spectrum], keep: Keep, *, rest: int = 0) -> dict[str, int]:
    """How many directions each layer keeps; a layer that adds nothing keeps none, with ``size`` others may, too.

    Args:
        rest: bytes of the file that are no matrices of these layers.

    Raises:
        UserError: the file cannot be so small (``lora.size``).
    """
    if keep.rule == "size":
        return _by_size(spectra, keep, rest)
    found = {}
    for name, one in spectra.items():
        most = keep.limit(wide=one.wide) or len(one.values)
        found[name] = min(_count(one.values, keep.rule, keep.value), most, len(one.values))
    return found


def _count(values: Sequence[float], rule: Rule, value: float) -> int:
    if not values:
        return 0
    if rule == "rank":
        return len(values)
    if rule == "ratio":
        return sum(1 for one in values if one * value >= values[0])
    power = 1 if rule == "cumulative" else 2
    whole = math.fsum(one**power for one in values)
    wanted, reached = whole * (value if power == 1 else value * value), 0.0
    for count, one in enumerate(values, 1):
        reached += one**power
        if reached >= wanted * (1 - 1e-12):
            return count
    return len(values)


def _by_size(spectra: Mapping[str, Spectrum], keep: Keep, rest: int) -> dict[str, int]:
    """As many as fit, those first that carry the most of the squared norm for their bytes.

    A layer's directions fall and cost the same, so that the greedy choice takes each layer's in order; all together
    they miss the best that is possible by less than one direction.
    """
    budget = int(keep.value * 1_000_000) - rest
    found = dict.fromkeys(spectra, 0)
    for name, _value, cost in in_order(spectra):
        most = keep.limit(wide=spectra[name].wide)
        if cost <= budget and (not most or found[name] < most):
            found[name] += 1
            budget -= cost
    if not any(found.values()) and any(one.values for one in spectra.values()):
        raise UserError(
            _("a file of {size:g} MB has no room for a single direction.").format(size=keep.value),
            remedy=_("Give a larger size; the curve says what is possible."),
            code="lora.size",
        )
    return found


def in_order(spectra: Mapping[str, Spectrum]) -> list[tuple[str, float, int]]:
    """All directions of all layers (name, squared singular value, bytes), by what they carry for their bytes."""
    every = [(name, value * value, one.bytes) for name, one in spectra.items() for value in one.values]
    return sorted(every, key=lambda entry: -entry[1] / entry[2])


def kept_share(spectra: Mapping[str, Spectrum], ranks: Mapping[str, int]) -> float:
    """The share of the norm of all layers together that is kept: the root of the share of the squares."""
    whole = math.fsum(one.energy for one in spectra.values())
    own = math.fsum(value * value for name, one in spectra.items() for value in one.values[: ranks[name]])
    return math.sqrt(own / whole) if whole else 1.0


@dataclass(frozen=True)
class Point:
    """A file of ``size`` bytes keeps a share ``kept`` of the norm."""

    size: int
    kept: float
    rank: int = 0


def curve(spectra: Mapping[str, Spectrum], *, rest: int = 0, points: int = 200) -> list[Point]:
    """What files of each size keep when their bytes are spread best over the layers."""
    ordered = in_order(spectra)
    whole = math.fsum(value for _name, value, _bytes in ordered)
    found, size, own = [Point(rest, 0.0)], rest, 0.0
    every = max(1, len(ordered) // points)
    for number, (_name, value, cost) in enumerate(ordered, 1):
        own, size = own + value, size + cost
        if number % every == 0 or number == len(ordered):
            found.append(Point(size, math.sqrt(min(own / whole, 1.0)) if whole else 1.0))
    return found


def of_ranks(spectra: Mapping[str, Spectrum], ranks: Iterable[int], *, rest: int = 0) -> list[Point]:
    """What files keep whose layers all have the same rank."""
    found = []
    for rank in ranks:
        own = {name: min(rank, len(one.values)) for name, one in spectra.items()}
        size = rest + sum(own[name] * one.bytes for name, one in spectra.items())
        found.append(Point(size, kept_share(spectra, own), rank))
    return found


def difference(first: Factors, second: Factors) -> float:
    """The norm of the difference of two products of the same shape, without either; to 1e-8 of the norm of one."""
    up = torch.cat([first.up, -second.up], dim=1)
    return Factors(up, torch.cat([first.down, second.down]), first.shape).norm()
