"""The leading singular directions of a large matrix, from random products with it, and how far from the best they are.

Halko, Martinsson, Tropp 2011, "Finding structure with randomness": a random subspace, sharpened by a few products with
the matrix (section 4.5), holds the leading directions; what it misses is measured, and its largest singular value is
bounded by a few more random products (lemma 4.1). Where that bound does not suffice, the matrix is decomposed whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lora_tui.weights.operations.spectrum import Singular, decomposed

WHOLE = 256
"""Shorter sides up to which a matrix is decomposed whole: that takes no longer."""
PROBES = 8
"""Random products that bound what is missed: it is larger than said once in 10^8 times."""
FACTOR = 10 * math.sqrt(2 / math.pi)
"""Of the lemma, for that probability."""
ROUNDS = 2
"""Products with the matrix, both ways, that sharpen the subspace."""
POWERS = 6
"""Such products with what is missed, for its bound: the more there are, the tighter it is."""
FURTHER = 1.1
"""How many times the error of the best approximation ours may be at most; else it is found exactly."""
NOTHING = 1e-5
"""An error of this share of the matrix is none, in float32."""


@dataclass(frozen=True)
class Leading:
    """Leading singular directions.

    Attributes:
        found: at least as many as were asked for, if there are so many.
        norm: Frobenius norm of the whole matrix.
        further: the error of what was asked for is at most so many times that of the best; 1 where it is exact.
    """

    found: Singular
    norm: float
    further: float = 1.0


def leading(matrix: Tensor, rank: int, *, seed: int = 0) -> Leading:
    """The first ``rank`` singular directions of ``matrix`` ([outputs, inputs(, k, k)], float32), or more."""
    flat = matrix.flatten(1)
    norm = float(flat.double().norm()) if flat.numel() < 1 << 22 else float(flat.norm())
    short, wide = min(flat.shape), rank * 4 + 16
    if short <= WHOLE or wide * 2 > short:
        return Leading(decomposed(matrix), norm)
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(flat.shape[1], wide, generator=generator)
    basis = torch.linalg.qr(flat @ drawn)[0]
    for _round in range(ROUNDS):
        basis = torch.linalg.qr(flat @ torch.linalg.qr(flat.T @ basis)[0])[0]
    inside = basis.T @ flat
    inner, values, right = torch.linalg.svd(inside.double(), full_matrices=False)
    found = Singular(basis @ inner.float(), values, right.float(), tuple(matrix.shape))
    further = _further(flat, basis, inside, values, rank, norm, generator)
    if further > FURTHER:
        return Leading(decomposed(matrix), norm)
    return Leading(found, norm, further)


def _further(
    flat: Tensor, basis: Tensor, inside: Tensor, values: Tensor, rank: int, norm: float, generator: torch.Generator
) -> float:
    """A bound on the error of the first ``rank`` directions, in errors of the best ones.

    With E what the ``basis`` misses: the best keeps at most rank |E|² more of the squared norm (the squares of the
    singular values are eigenvalues of a sum of two Gram matrices; Weyl's inequality), and |E| to the power 2 p + 1 is
    the largest singular value of E (EᵀE)^p.
    """
    missed = flat - basis @ inside
    error = float(missed.double().pow(2).sum()) if missed.numel() < 1 << 22 else float(missed.norm()) ** 2
    error += float(values[rank:].pow(2).sum())
    if error <= (NOTHING * norm) ** 2:
        return 1.0
    probe = torch.randn(flat.shape[1], PROBES, generator=generator)
    seen, scale = missed @ probe, 0.0  # the logarithm of what was divided by, so that nothing overflows
    for _power in range(POWERS):
        size = float(seen.norm())
        scale += math.log(size)
        seen = missed @ (missed.T @ (seen / size))
    highest = math.log(FACTOR * float(seen.norm(dim=0).max())) + scale
    best = error - rank * math.exp(highest * 2 / (2 * POWERS + 1))
    return math.sqrt(error / best) if best > 0 else math.inf
