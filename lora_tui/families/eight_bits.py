"""Matrix products in 8 bits: integers times integers, summed as integers, by the card's own units for that.

A row of what goes in (a token) has a scale of its own, an output of the weight as well (the factor that it is stored
with). With ``x`` [tokens, inputs], stored numbers ``W`` [outputs, inputs] in int8 and factors ``f`` [outputs]:

- forward: ``s[t] = max|x[t, :]| / 127``, ``X = round(x / s)``, ``y[t, o] = (sum over i of X[t, i] W[o, i]) s[t] f[o]``;
- gradient ``g`` [tokens, outputs] of ``y``: the factors lie along the axis that is summed over, so they are folded into
  what goes in, exactly, and the stored numbers serve as they are: ``h = g f``, ``s[t] = max|h[t, :]| / 127``,
  ``H = round(h / s)``, gradient of ``x[t, i] = (sum over o of H[t, o] W[o, i]) s[t]``.

The sums are exact, so the result depends on nothing but the row: not on the batch, not on how rows are parted, not on
the device. They fit 32 bits up to :data:`LONGEST` terms.

Sources: integer products with a scale a row and a scale a column (Dettmers et al. 2022, "LLM.int8()", section 2, there
with outliers apart, which is not done here); straight through the rounding (Bengio et al. 2013).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

LEVELS = 127
LONGEST = (2**31 - 1) // LEVELS**2
"""Terms of a sum that certainly fits 32 bits: 133 144."""
WORK_VALUES = 1 << 24
"""Values of the wider side that are worked on at a time, so that the integers take no more memory than that."""
WORK_BYTES = 12
"""Of each of them, at most: as integers, in float32, and scaled."""
STEP = 16
"""The sides of what is multiplied are filled up to multiples of it, as kernels want them (of 8 at least)."""
FEWEST_ROWS = 32
"""Fewer rows are filled up: kernels refuse 16 and less."""


def forward(inputs: Tensor, numbers: Tensor, factors: Tensor) -> Tensor:
    """``y`` of the formula, [..., outputs] in the type of ``inputs`` [..., inputs].

    Args:
        numbers: [outputs, inputs] int8.
        factors: [outputs, 1] float32.
    """
    return _times(inputs, numbers, after=factors[:, 0])


def input_gradient(gradient: Tensor, numbers: Tensor, factors: Tensor) -> Tensor:
    """The gradient of ``x`` of the formula, [..., inputs] in the type of ``gradient`` [..., outputs].

    The card's units read both operands along the axis that is summed over, so the numbers are turned over each time:
    a copy of one weight in 8 bits, which is not kept.
    """
    return _times(gradient, numbers.t().contiguous(), before=factors[:, 0])


def rounded_rows(values: Tensor) -> tuple[Tensor, Tensor]:
    """Integers [rows, columns] and scales [rows, 1] float32 that stand for ``values`` [rows, columns].

    A row with a number that is not finite has no finite scale, so what is made of it is not finite either.
    """
    largest = torch.linalg.vector_norm(values, float("inf"), dim=1, keepdim=True, dtype=torch.float32)
    scales = (largest / LEVELS).clamp(min=torch.finfo(torch.float32).tiny)
    return (values / scales).round_().to(torch.int8), scales


def _times(values: Tensor, weight: Tensor, *, before: Tensor | None = None, after: Tensor | None = None) -> Tensor:
    """``values`` [..., n] times the transposed ``weight`` [m, n]: [..., m] in their type.

    ``before`` [n] multiplies the columns of what goes in, ``after`` [m] those of what comes out.
    """
    rows, wide = values.reshape(-1, values.shape[-1]), weight.shape[0]
    out = rows.new_empty(len(rows), wide)
    weight = _filled(weight, STEP)
    part = max(WORK_VALUES // max(weight.shape), FEWEST_ROWS)
    for some, found in zip(rows.split(part), out.split(part), strict=True):
        integers, scales = rounded_rows(some if before is None else some * before)
        sums = torch._int_mm(_filled(integers, FEWEST_ROWS), weight.t())[: len(some), :wide]
        torch.mul(sums, scales if after is None else scales * after, out=found)
    return out.view(*values.shape[:-1], wide)


def _filled(integers: Tensor, least: int) -> Tensor:
    """``integers`` [rows, columns] with zeros, which add nothing, up to sides that a kernel takes."""
    rows, columns = integers.shape
    more = max(least - rows, -rows % STEP)
    return functional.pad(integers, (0, -columns % STEP, 0, more)) if more or columns % STEP else integers
