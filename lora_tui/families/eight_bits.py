"""Matrix products in 8 bits, of integers or of numbers with a fraction, by the card's own units for that.

A row of what goes in (a token) has a scale of its own, an output of the weight as well (the factor that it is stored
with). With ``x`` [tokens, inputs], stored numbers ``W`` [outputs, inputs], factors ``f`` [outputs] and ``m``, the
largest of the numbers that ``W`` is stored in and that ``round`` rounds to (int8: 127; fp8, here E4M3: 448):

- forward: ``s[t] = max|x[t, :]| / m``, ``X = round(x / s)``, ``y[t, o] = (sum over i of X[t, i] W[o, i]) s[t] f[o]``;
- gradient ``g`` [tokens, outputs] of ``y``: the factors lie along the axis that is summed over, so they are folded into
  what goes in, exactly, and the stored numbers serve as they are: ``h = g f``, ``s[t] = max|h[t, :]| / m``,
  ``H = round(h / s)``, gradient of ``x[t, i] = (sum over o of H[t, o] W[o, i]) s[t]``.

Sums of integers are exact, so the result depends on nothing but the row: not on the batch, not on how rows are parted,
not on the device. They fit 32 bits up to :data:`LONGEST` terms. Those of fp8 are sums in float32.

E4M3 serves for gradients, too, where E5M2 is usual for its range: with a scale a row none of that is needed, and E4M3
rounds half as coarsely. Against int8 it rounds rows of even size more coarsely (by 2.6% of a normal row, where int8
does by 0.7%), and rows with outliers more finely.

Sources: integer products with a scale a row and a scale a column (Dettmers et al. 2022, "LLM.int8()", section 2, there
with outliers apart, which is not done here); E4M3 and E5M2 (Micikevicius et al. 2022, "FP8 Formats for Deep Learning");
straight through the rounding (Bengio et al. 2013).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

LEVELS = 127
LARGEST = 448.0
"""Of E4M3."""
LONGEST = (2**31 - 1) // LEVELS**2
"""Terms of a sum that certainly fits 32 bits: 133 144."""
WORK_VALUES = 1 << 24
"""Values of the wider side that are worked on at a time, so that the integers take no more memory than that."""
WORK_BYTES = 12
"""Of each of them, at most: in 8 bits, in float32, and scaled."""
STEP = 16
"""The sides of what is multiplied are filled up to multiples of it, as kernels want them (of 8 at least)."""
FEWEST_ROWS = 32
"""Fewer rows are filled up: kernels refuse 16 and less."""
_scales_rows: dict[tuple[torch.device, torch.dtype], bool] = {}


def forward(inputs: Tensor, numbers: Tensor, factors: Tensor) -> Tensor:
    """``y`` of the formula, [..., outputs] in the type of ``inputs`` [..., inputs].

    Args:
        numbers: [outputs, inputs], int8, or bytes that are fp8.
        factors: [outputs, 1] float32.
    """
    return _times(inputs, numbers, after=factors[:, 0])


def input_gradient(gradient: Tensor, numbers: Tensor, factors: Tensor) -> Tensor:
    """The gradient of ``x`` of the formula, [..., inputs] in the type of ``gradient`` [..., outputs].

    The card's units read both operands along the axis that is summed over, so the numbers are turned over each time:
    a copy of one weight in 8 bits, which is not kept.
    """
    return _times(gradient, numbers.t().contiguous(), before=factors[:, 0])


def rounded_rows(values: Tensor, *, integers: bool) -> tuple[Tensor, Tensor]:
    """What stands for ``values`` [rows, columns]: of int8 or of fp8, as bytes, and scales [rows, 1] in float32.

    A row with a number that is not finite has no finite scale, so what is made of it is not finite either.
    """
    largest = torch.linalg.vector_norm(values, float("inf"), dim=1, keepdim=True, dtype=torch.float32)
    scales = (largest / (LEVELS if integers else LARGEST)).clamp(min=torch.finfo(torch.float32).tiny)
    scaled = values / scales
    if integers:
        return scaled.round_().to(torch.int8), scales
    return scaled.to(torch.float8_e4m3fn).view(torch.uint8), scales


def _times(values: Tensor, weight: Tensor, *, before: Tensor | None = None, after: Tensor | None = None) -> Tensor:
    """``values`` [..., n] times the transposed ``weight`` [m, n]: [..., m] in their type.

    ``before`` [n] multiplies the columns of what goes in, ``after`` [m] those of what comes out.
    """
    rows, wide = values.reshape(-1, values.shape[-1]), weight.shape[0]
    out = rows.new_empty(len(rows), wide)
    integers = weight.dtype == torch.int8
    weight = _filled(weight, STEP)
    part = max(WORK_VALUES // max(weight.shape) // FEWEST_ROWS, 1) * FEWEST_ROWS  # whole, so that none is filled up
    for some, found in zip(rows.split(part), out.split(part), strict=True):
        numbers, scales = rounded_rows(some if before is None else some * before, integers=integers)
        if integers:
            sums = torch._int_mm(_filled(numbers, FEWEST_ROWS), weight.t())
        elif scales_rows(values.device, values.dtype):
            _multiply_scaled(numbers, scales, weight, after, found)
            continue
        else:
            sums = _scaled(_filled(numbers, FEWEST_ROWS), weight, *scales.new_ones(2).unbind(), torch.float32)
        torch.mul(sums[: len(some), :wide], scales if after is None else scales * after, out=found)
    return out.view(*values.shape[:-1], wide)


def _multiply_scaled(numbers: Tensor, scales: Tensor, weight: Tensor, after: Tensor | None, out: Tensor) -> None:
    """Bytes times the transposed ``weight``, filled up already, into ``out``, by a kernel that scales what it gives."""
    rows, wide = out.shape
    numbers = _filled(numbers, FEWEST_ROWS)
    scales = functional.pad(scales, (0, 0, 0, len(numbers) - rows))
    factors = scales.new_ones(wide) if after is None else after
    factors = functional.pad(factors, (0, len(weight) - wide))[None]
    if out.shape == (len(numbers), len(weight)):
        _scaled(numbers, weight, scales, factors, out.dtype, out)
    else:
        out.copy_(_scaled(numbers, weight, scales, factors, out.dtype)[:rows, :wide])


def _scaled(
    numbers: Tensor, weight: Tensor, scales: Tensor, factors: Tensor, dtype: torch.dtype, out: Tensor | None = None
) -> Tensor:
    """Bytes [rows, n] times transposed bytes [m, n], both fp8, times a scale for all or for each row and column."""
    left, right = numbers.view(torch.float8_e4m3fn), weight.view(torch.float8_e4m3fn)
    return torch._scaled_mm(left, right.t(), scales, factors, out_dtype=dtype, out=out)


def scales_rows(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the ``device`` has a kernel for fp8 that scales rows and columns by itself and gives ``dtype``: tried.

    It saves writing and reading what comes out in float32. Some cards have it for bfloat16 alone, or on Linux alone.
    """
    if (device, dtype) not in _scales_rows:
        numbers = torch.zeros(FEWEST_ROWS, FEWEST_ROWS, dtype=torch.uint8, device=device)
        scales = torch.ones(FEWEST_ROWS, 1, device=device)
        try:
            _scaled(numbers, numbers, scales, scales.t(), dtype)
            _scales_rows[device, dtype] = True
        except torch.OutOfMemoryError:
            raise
        except RuntimeError:
            _scales_rows[device, dtype] = False
    return _scales_rows[device, dtype]


def _filled(numbers: Tensor, least: int) -> Tensor:
    """``numbers`` [rows, columns] with zeros, which add nothing, up to sides that a kernel takes."""
    rows, columns = numbers.shape
    more = max(least - rows, -rows % STEP)
    return functional.pad(numbers, (0, -columns % STEP, 0, more)) if more or columns % STEP else numbers
