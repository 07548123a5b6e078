"""Products in 8 bits against the same numbers multiplied in float32, and what a layer makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from passes import apart, passed
from torch import Tensor, nn

from lora_tui.config import estimate
from lora_tui.families import eight_bits
from lora_tui.families.quantized import Kind, dequantize, multiply_in_eight_bits, quantize, quantize_linears

EXACT = 1024
"""Products of such integers that float32 sums exactly: 127 * 127 * 1024 is less than 2 to the 24."""


def rounded(values: Tensor, largest: int) -> tuple[Tensor, Tensor]:
    """Numbers of 8 bits, in float32, and each row's scale, by the formula; ``largest`` is 127 (int8) or 448 (fp8)."""
    scales = values.float().abs().amax(dim=1, keepdim=True) / largest
    scaled = torch.where(scales > 0, values.float() / scales, 0.0)
    return scaled.round() if largest == 127 else e4m3(scaled), scales


def e4m3(values: Tensor) -> Tensor:
    """The nearest numbers with four bits before the rest is cut off, and none finer than 2 to the -9; ties to even."""
    finest = (values.abs().log2().floor() - 3).clamp(min=-9).exp2()
    return (values / finest).round() * finest


def summed(one: Tensor, other: Tensor) -> Tensor:
    """``one`` times the transposed ``other``, integers in float32, without a rounding: [rows, columns] float64."""
    parts = zip(one.split(EXACT, dim=1), other.split(EXACT, dim=1), strict=True)
    total = torch.zeros(len(one), len(other), dtype=torch.float64)
    for left, right in parts:
        total += left @ right.t()
    return total


def slow_forward(inputs: Tensor, numbers: Tensor, factors: Tensor) -> Tensor:
    integers, scales = rounded(inputs, 127)
    return (summed(integers, numbers.float()) * scales * factors[:, 0]).float()


def slow_gradient(gradient: Tensor, numbers: Tensor, factors: Tensor) -> Tensor:
    integers, scales = rounded(gradient.float() * factors[:, 0], 127)
    return (summed(integers, numbers.float().t()) * scales).float()


def fp8_twins(x: Tensor, g: Tensor, numbers: Tensor, factors: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """What the formula makes of fp8, forward and back, and how much float32 may round away of it."""
    weight = numbers.view(torch.float8_e4m3fn).float()
    for given_, stored, after in ((x, weight.t(), factors[:, 0]), (g * factors[:, 0], weight, torch.ones(1))):
        rows, scales = rounded(given_, 448)
        scales = scales * after
        yield rows @ stored * scales, rows.abs() @ stored.abs() * scales * 2e-6


def values(rows: int, columns: int, seed: int, size: float = 1.0) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * size


def alike(found: Tensor, wanted: Tensor) -> bool:
    return bool(torch.allclose(found, wanted, rtol=1e-6, atol=0))


@given(
    rows=st.integers(1, 70), inputs=st.integers(1, 90), outputs=st.integers(1, 90), seed=st.integers(0, 99),
    size=st.sampled_from([1e-20, 1e-6, 1.0, 1e4]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_the_integers_are_those_of_the_slow_twin(rows: int, inputs: int, outputs: int, seed: int, size: float) -> None:
    numbers, factors = quantize(values(outputs, inputs, seed), "int8")
    x, g = values(rows, inputs, seed + 1, size), values(rows, outputs, seed + 2, size)
    x[0] = 0
    assert alike(eight_bits.forward(x, numbers, factors), slow_forward(x, numbers, factors))
    assert alike(eight_bits.input_gradient(g, numbers, factors), slow_gradient(g, numbers, factors))


def test_long_sums_are_exact() -> None:
    numbers, factors = quantize(values(16, 5000, 0), "int8")
    x = values(3, 5000, 1).abs()
    assert alike(eight_bits.forward(x, numbers, factors), slow_forward(x, numbers, factors))
    most = torch.full((1, eight_bits.LONGEST), 1.0)
    ones, each = quantize(most, "int8")
    assert eight_bits.forward(most, ones, each).item() == pytest.approx(eight_bits.LONGEST, rel=1e-6)


@pytest.mark.parametrize("by_the_kernel", [True, False])
@given(
    rows=st.integers(1, 70), inputs=st.integers(1, 90), outputs=st.integers(1, 90), seed=st.integers(0, 99),
    size=st.sampled_from([1e-20, 1e-6, 1.0, 1e4]),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_numbers_with_a_fraction_are_those_of_the_slow_twin(
    by_the_kernel: bool, rows: int, inputs: int, outputs: int, seed: int, size: float
) -> None:
    """Scaled by the kernel, as bfloat16 is on a card, or after it, as float32 is on cards that know no other way."""
    if not by_the_kernel:
        rows, inputs, outputs = (-(-side // 4) for side in (rows, inputs, outputs))  # which is slow on a processor
    numbers, factors = quantize(values(outputs, inputs, seed), "fp8")
    x, g = values(rows, inputs, seed + 1, size), values(rows, outputs, seed + 2, size)
    x[0] = 0
    with mock.patch.object(eight_bits, "scales_rows", lambda _device, _dtype: by_the_kernel):
        found = eight_bits.forward(x, numbers, factors), eight_bits.input_gradient(g, numbers, factors)
    for one, (other, most) in zip(found, fp8_twins(x, g, numbers, factors), strict=True):
        assert ((one - other).abs() <= most).all()


@pytest.mark.parametrize("by_the_kernel", [True, False])
def test_kernels_are_given_sides_that_they_take(by_the_kernel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    multiply = torch._scaled_mm

    def spy(left: Tensor, right: Tensor, scales: Tensor, factors: Tensor, **more: Any) -> Tensor:
        seen.append((left, right, scales, factors))
        return multiply(left, right, scales, factors, **more)

    monkeypatch.setattr(torch, "_scaled_mm", spy)
    monkeypatch.setattr(eight_bits, "scales_rows", lambda _device, _dtype: by_the_kernel)
    for rows, inputs, outputs in ((5, 24, 7), (32, 16, 48)):
        numbers, factors = quantize(values(outputs, inputs, 0), "fp8")
        eight_bits.forward(values(rows, inputs, 1), numbers, factors)
        eight_bits.input_gradient(values(rows, outputs, 2), numbers, factors)
    assert len(seen) == 4
    for left, right, scales, factors in seen:
        assert not any(side % 16 for side in (*left.shape, *right.shape))
        assert left.is_contiguous() and right.t().is_contiguous()
        if by_the_kernel:
            assert (scales.shape, factors.shape) == ((len(left), 1), (1, right.shape[1]))
            assert scales.is_contiguous() and factors.is_contiguous()
        else:
            assert scales.item() == factors.item() == 1


def test_which_types_a_kernel_gives_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def picky(*_numbers: Tensor, out_dtype: torch.dtype, out: None) -> None:
        tried.append(out_dtype)
        if out_dtype != torch.bfloat16:
            raise RuntimeError("Only bf16 high precision output types are supported for row-wise scaling.")

    monkeypatch.setattr(torch, "_scaled_mm", picky)
    monkeypatch.setattr(eight_bits, "_scales_rows", {})
    for dtype in (torch.bfloat16, torch.float32) * 2:
        assert eight_bits.scales_rows(torch.device("cpu"), dtype) is (dtype == torch.bfloat16)
    assert tried == [torch.bfloat16, torch.float32]


@pytest.mark.parametrize("kind", ["int8", "fp8"])
def test_rows_that_are_worked_on_in_parts_give_the_same(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers, factors = quantize(values(24, 40, 0), kind)
    x, g = values(150, 40, 1), values(150, 24, 2)
    whole = eight_bits.forward(x, numbers, factors), eight_bits.input_gradient(g, numbers, factors)
    monkeypatch.setattr(eight_bits, "WORK_VALUES", 48 * 40)
    parted = eight_bits.forward(x, numbers, factors), eight_bits.input_gradient(g, numbers, factors)
    for one, other in zip(whole, parted, strict=True):
        assert torch.equal(one, other) if kind == "int8" else torch.allclose(one, other, atol=1e-5)


def test_no_part_of_rows_but_the_last_is_filled_up(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers, factors = quantize(values(24, 40, 0), "int8")
    seen: list[int] = []

    def rounded_rows(some: Tensor, *, integers: bool) -> tuple[Tensor, Tensor]:
        seen.append(len(some))
        return whole(some, integers=integers)

    whole = eight_bits.rounded_rows
    monkeypatch.setattr(eight_bits, "rounded_rows", rounded_rows)
    monkeypatch.setattr(eight_bits, "WORK_VALUES", 70 * 48)
    eight_bits.forward(values(150, 40, 1), numbers, factors)
    assert seen == [64, 64, 22]


@pytest.mark.parametrize("kind", ["int8", "fp8"])
def test_what_is_not_finite_stays_so(kind: Kind) -> None:
    numbers, factors = quantize(values(8, 8, 0), kind)
    x = values(3, 8, 1)
    x[0, 0], x[1, 3] = float("inf"), float("nan")
    found = eight_bits.forward(x, numbers, factors)
    assert not found[:2].isfinite().any() and found[2].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("kind", "near"), [("int8", 0.015), ("fp8", 0.04)])
def test_a_layer_gives_nearly_what_its_stored_weight_gives(kind: Kind, near: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(128, 96)).to(dtype)
    quantize_linears(network, kind)
    x, told = torch.randn(2, 20, 128, dtype=dtype), torch.randn(2, 20, 96, dtype=dtype)
    found = [passed(network, x, told, in_eight_bits=wanted) for wanted in (False, True)]
    for full, eight in zip(*found, strict=True):
        assert eight.dtype == dtype
        assert 0 < apart(full, eight) < near


def test_outliers_cost_fp8_less_than_int8() -> None:
    """Rows in which a few numbers are far larger than the others, as those of trained models are."""
    x = values(64, 256, 0) * (2 * values(64, 256, 1)).exp()
    stored = {kind: (x, *quantize(values(128, 256, 2), kind)) for kind in ("int8", "fp8")}
    lost = {kind: apart(x @ dequantize(*packed, kind, (128, 256)).t(), eight_bits.forward(x, *packed))
            for kind, (x, *packed) in stored.items()}  # fmt: skip
    assert lost["fp8"] < 0.8 * lost["int8"]


def test_only_int8_and_fp8_are_multiplied_so() -> None:
    network = nn.Sequential(*(nn.Linear(32, 32) for _kind in range(3)))
    for number, kind in enumerate(("int8", "fp8", "nf4")):
        quantize_linears(network, kind, lambda name, number=number: name == str(number))
    for wanted in (True, False):
        multiply_in_eight_bits(network, wanted)
        assert [layer.in_eight_bits for layer in network] == [wanted, wanted, False]


def test_the_plan_counts_what_the_rows_take() -> None:
    assert eight_bits.WORK_VALUES * eight_bits.WORK_BYTES <= 1.01 * estimate.PRODUCT_BYTES


@pytest.mark.gpu
@pytest.mark.parametrize("shape", [(1, 64, 48), (17, 40, 72), (4608, 3072, 12288), (2816, 15360, 3072)])
def test_on_a_gpu_they_are_those_of_a_processor(shape: tuple[int, int, int]) -> None:
    rows, inputs, outputs = shape
    numbers, factors = quantize(values(outputs, inputs, 0), "int8")
    x, g = values(rows, inputs, 1), values(rows, outputs, 2)
    for work, given_ in ((eight_bits.forward, x), (eight_bits.input_gradient, g)):
        found = work(given_.cuda(), numbers.cuda(), factors.cuda()).cpu()
        wanted = work(given_, numbers, factors)
        # a number between two integers may be rounded to the other one there
        assert (found - wanted).norm() <= 1e-4 * wanted.norm()


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(1, 64, 48), (17, 40, 72), (4608, 3072, 12288), (2816, 15360, 3072)])
def test_on_a_gpu_those_with_a_fraction_are_those_of_a_processor(
    shape: tuple[int, int, int], dtype: torch.dtype
) -> None:
    rows, inputs, outputs = shape
    numbers, factors = quantize(values(outputs, inputs, 0), "fp8")
    x, g = values(rows, inputs, 1).to(dtype), values(rows, outputs, 2).to(dtype)
    print(dtype, "rows scaled by the kernel:", eight_bits.scales_rows(torch.device("cuda", 0), dtype))
    for work, given_ in ((eight_bits.forward, x), (eight_bits.input_gradient, g)):
        found = work(given_.cuda(), numbers.cuda(), factors.cuda()).cpu()
        # cards sum products of fp8 in fewer bits than float32 has, and bfloat16 rounds by up to 2 to the -9
        assert apart(work(given_.float(), numbers, factors), found.float()) < 4e-3


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["int8", "fp8"])
def test_on_a_gpu_they_are_faster_than_bf16(kind: Kind) -> None:
    """A layer of FLUX.1 at 1024 px; the ratio is printed with ``-s``."""
    numbers, factors = (each.cuda() for each in quantize(values(12288, 3072, 0), kind))
    x = values(4608, 3072, 1).cuda().bfloat16()
    weight = dequantize(numbers, factors, kind, (12288, 3072)).bfloat16()

    def milliseconds(plain: bool) -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _event in range(2))
        for turn in range(30):
            if turn == 10:
                start.record()
            out = x @ weight.t() if plain else eight_bits.forward(x, numbers, factors)
            _back = out @ weight if plain else eight_bits.input_gradient(out, numbers, factors)
        end.record()
        torch.cuda.synchronize()
        return start.elapsed_time(end) / 20

    full, eight = milliseconds(True), milliseconds(False)
    print(f"bf16 {full:.2f} ms, {kind} {eight:.2f} ms, ratio {eight / full:.2f}")
    assert eight < full
