"""Layers that are made, with fewer directions; and what was kept of each, measured on what is written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import psutil  # type: ignore[import-untyped]
import torch
from torch import Tensor

from lora_tui.weights.delta import Factors
from lora_tui.weights.operations.arrange import ALPHA, DOWN, UP, Names, pending
from lora_tui.weights.operations.layers import Copied, Made, Matrices, Thin, Whole, dense, not_finite
from lora_tui.weights.operations.output import Pending
from lora_tui.weights.operations.spectrum import (
    Keep,
    Singular,
    Spectrum,
    decomposed,
    difference,
    kept_ranks,
    kept_share,
)
from lora_tui.weights.work import Report, check_stopped

_SHARE = 4
"""Of the memory that is left, one part of so many may keep what was decomposed until it is written."""
HEADER_BYTES = 160
"""Of a layer in a file's header, about."""


@dataclass
class Row:
    """One layer: its rank before and after (0: none), the norm of what it adds, and of what is missing of that."""

    before: int
    rank: int
    norm: float = 0.0
    missing: float = 0.0

    @property
    def error(self) -> float:
        """What is missing, of the whole."""
        return self.missing / self.norm if self.norm else 0.0


@dataclass
class Ledger:
    """What became of every layer, and its alpha."""

    rows: dict[str, Row] = field(default_factory=dict)
    alphas: dict[str, float] = field(default_factory=dict)

    @property
    def error(self) -> float:
        """Of all layers together: the norm of what is missing, of the norm of the whole."""
        norm = math.hypot(*(row.norm for row in self.rows.values()))
        return math.hypot(*(row.missing for row in self.rows.values())) / norm if norm else 0.0

    @property
    def kept(self) -> float:
        """The share of the norm that is kept."""
        return math.sqrt(max(0.0, 1.0 - self.error**2))

    def told(self) -> dict[str, Any]:
        """In a few numbers, for a file's metadata."""
        worst = max(self.rows.items(), key=lambda entry: entry[1].error, default=("", Row(0, 0)))
        return {
            "layers": len(self.rows),
            "dropped": sum(1 for row in self.rows.values() if not row.rank and row.before),
            "error": round(self.error, 9),
            "kept": round(self.kept, 9),
            "worst_layer": worst[0][:200],
            "worst_error": round(worst[1].error, 9),
        }

    def as_dict(self) -> dict[str, Any]:
        """With each layer."""
        layers = [
            {"layer": name, "rank_before": row.before, "rank": row.rank, "norm": row.norm, "error": row.error}
            for name, row in self.rows.items()
        ]
        told = self.told()
        return {**told, "layers_kept": layers}


class Decomposed:
    """The singular values of layers, and their directions as long as memory suffices, else made anew when needed."""

    def __init__(self, layers: Mapping[str, Made]) -> None:
        self._layers = layers
        self._room = psutil.virtual_memory().available // _SHARE
        self._kept: dict[str, Singular] = {}

    def of(self, name: str) -> Singular:
        if name in self._kept:
            return self._kept[name]
        try:
            found = decomposed(exact(name, self._layers[name]))
        except torch.linalg.LinAlgError:
            raise not_finite(name) from None
        size = 4 * (found.left.numel() + found.right.numel())
        if size <= self._room:
            self._room -= size
            self._kept[name] = found
        return found


def exact(name: str, made: Made) -> Factors | Tensor:
    """What a layer adds, float32.

    Raises:
        UserError: some number of it is infinite.
        Mixed: it is no sum.
    """
    if isinstance(made, Thin) and made.sizes is None:
        own = made.make().factors(made.shape)
        if not (own.up.isfinite().all() and own.down.isfinite().all()):
            raise not_finite(name)
        return own
    found = dense(made)
    if not found.isfinite().all():
        raise not_finite(name)
    return found


def can_be_reduced(made: Made) -> bool:
    """Whether it adds a matrix that can have fewer directions: no norm, no DoRA, no kind of its own."""
    if isinstance(made, Thin):
        return made.sizes is None
    return isinstance(made, Whole) and len(made.shape) > 1


def spectra_of(
    layers: Mapping[str, Made], found: Decomposed, report: Report, dtype: torch.dtype | None
) -> tuple[dict[str, Spectrum], int]:
    """The singular values of all layers that have some, and the bytes of the file that are none of their matrices.

    Raises:
        Stopped: somebody asked to.
    """
    spectra: dict[str, Spectrum] = {}
    rest = 0
    for number, (name, made) in enumerate(layers.items()):
        check_stopped(report)
        report.progress("decomposing", number, len(layers), name)
        rest += HEADER_BYTES
        if can_be_reduced(made):
            assert not isinstance(made, Copied)
            columns = math.prod(made.shape[1:])
            size = (made.shape[0] + columns) * (dtype or made.dtype).itemsize
            values = tuple(found.of(name).values.tolist())
            spectra[name] = Spectrum(values, size, wide=math.prod(made.shape[2:]) > 1)
            rest += 4
        else:
            rest += _bytes(made, dtype)
    report.progress("decomposing", len(layers), len(layers))
    return spectra, rest


def _bytes(made: Made, dtype: torch.dtype | None) -> int:
    if isinstance(made, Copied):
        return sum(one.numel() * int((dtype or one.dtype).itemsize) for one in made.tensors.values())
    if isinstance(made, Whole):
        return math.prod(made.shape) * int((dtype or made.dtype).itemsize)
    return made.rank * (made.shape[0] + math.prod(made.shape[1:])) * int((dtype or made.dtype).itemsize)


def reduced(
    layers: Mapping[str, Made], keep: Keep, report: Report, *, dtype: torch.dtype | None = None, alpha: bool = True
) -> tuple[dict[str, Made], dict[str, int], float]:
    """``layers`` with as many directions as ``keep`` says; the rank of each that has fewer, 0 where it is dropped; and
    the share of the norm that is kept.

    A layer that has no more keeps its own matrices. The ratio of alpha and rank stays what it was.

    Raises:
        UserError: as :func:`~lora_tui.weights.operations.spectrum.kept_ranks`.
        Stopped: somebody asked to.
    """
    found = Decomposed(layers)
    spectra, rest = spectra_of(layers, found, report, dtype)
    ranks = kept_ranks(spectra, keep, rest=rest)
    made: dict[str, Made] = {}
    changed: dict[str, int] = {}
    for name, one in layers.items():
        if name not in ranks:
            made[name] = one
            continue
        rank = ranks[name]
        if isinstance(one, Thin) and rank >= one.rank:
            made[name] = one
            continue
        changed[name] = rank
        if rank:
            assert not isinstance(one, Copied)
            scale = _scale(one) if alpha else 1.0
            made[name] = Thin(one.shape, rank, one.dtype, partial(_first, found, name, rank, scale))
    return made, changed, kept_share(spectra, ranks)


def _scale(made: Thin | Whole) -> float:
    """Alpha / rank, which stays what it was."""
    if isinstance(made, Whole):
        return 1.0
    return made.make().alpha / made.rank or 1.0


def _first(found: Decomposed, name: str, rank: int, scale: float) -> Matrices:
    own = found.of(name).first(rank)
    root = math.sqrt(scale)
    return Matrices(own.down / root, own.up / root, scale * rank)


def measured(
    name: str, made: Made | None, whole: Made, names: Names, dtype: torch.dtype | None, ledger: Ledger
) -> Pending | None:
    """The tensors of a layer, which enter in the ``ledger`` what they miss of the ``whole`` when they are made.

    ``made`` is none for a layer that is dropped.
    """
    before = _rank(whole)
    row = ledger.rows[name] = Row(before, 0 if made is None else _rank(made))
    if made is None:
        row.norm = row.missing = _norm(exact(name, whole))
        return None
    plan = pending(name, made, names, dtype)
    if isinstance(made, Copied) or (isinstance(made, Thin) and made.sizes is not None):
        return plan
    same = isinstance(made, Thin) and made.exact and made is whole and names.alpha and dtype in (None, made.dtype)

    def make() -> Mapping[str, Tensor]:
        found = {key: one.to(plan.tensors[key][0]) for key, one in plan.make().items() if key in plan.tensors}
        if any(not one.isfinite().all() for one in found.values() if one.is_floating_point()):
            raise not_finite(name)
        if isinstance(made, Thin):
            alpha = found.get(names.tensor(name, ALPHA))
            ledger.alphas[name] = made.rank if alpha is None else float(alpha)
        own = exact(name, whole)
        row.norm = _norm(own)
        row.missing = 0.0 if same else _missing(own, found, name, made, names)
        if not math.isfinite(row.norm + row.missing):
            raise not_finite(name)
        return found

    return replace(plan, make=make)


def _rank(made: Made) -> int:
    """Of a whole matrix the most that it can be; 0 for what has none."""
    if isinstance(made, Thin):
        return made.rank
    return min(made.shape[0], math.prod(made.shape[1:])) if isinstance(made, Whole) and len(made.shape) > 1 else 0


def _norm(found: Factors | Tensor) -> float:
    return float(found.double().norm()) if isinstance(found, Tensor) else found.norm()


def _missing(own: Factors | Tensor, found: Mapping[str, Tensor], name: str, made: Made, names: Names) -> float:
    if isinstance(made, Whole):
        stored = found[names.tensor(name, "diff")].float()
        return float((stored - (own if isinstance(own, Tensor) else own.dense()).reshape(stored.shape)).double().norm())
    assert isinstance(made, Thin)
    alpha = float(found[key]) if (key := names.tensor(name, ALPHA)) in found else float(made.rank)
    written = Matrices(found[names.tensor(name, DOWN)], found[names.tensor(name, UP)], alpha).factors(made.shape)
    if isinstance(own, Tensor):
        return float((own.reshape(written.shape) - written.dense()).double().norm())
    return difference(own, written)
