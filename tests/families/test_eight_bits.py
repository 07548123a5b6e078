"""Products in 8 bits against the same integers multiplied in float32, and what a layer makes of them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lora_tui.config import estimate
from lora_tui.families import eight_bits
from lora_tui.families.quantized import multiply_in_eight_bits, quantize, quantize_linears

EXACT = 1024
"""Products of such integers that float32 sums exactly: 127 * 127 * 1024 is less than 2 to the 24."""


def rounded(values: Tensor) -> tuple[Tensor, Tensor]:
    """Integers in float32, and the scale of each row, by the formula."""
    scales = values.float().abs().amax(dim=1, keepdim=True) / 127
    return torch.where(scales > 0, values.float() / scales, 0.0).round(), scales


def summed(one: Tensor, other: Tensor) -> Tensor:
    """``one`` times the transposed ``other``, integers in float32, without a rounding: [rows, columns] float64."""
    parts = zip(one.split(EXACT, dim=1), other.split(EXACT, dim=1), strict=True)
    total = torch.zeros(len(one), len(other), dtype=torch.float64)
    for left, right in parts:
        total += left @ right.t()
    return total


def slow_forward(inputs: Tensor, numbers: Tensor, factors: Tensor) -> Tensor:
    integers, scales = rounded(inputs)
    return (summed(integers, numbers.float()) * scales * factors[:, 0]).float()


def slow_gradient(gradient: Tensor, numbers: Tensor, factors: Tensor) -> Tensor:
    integers, scales = rounded(gradient.float() * factors[:, 0])
    return (summed(integers, numbers.float().t()) * scales).float()


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


def test_rows_that_are_worked_on_in_parts_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers, factors = quantize(values(24, 40, 0), "int8")
    x, g = values(150, 40, 1), values(150, 24, 2)
    whole = eight_bits.forward(x, numbers, factors), eight_bits.input_gradient(g, numbers, factors)
    monkeypatch.setattr(eight_bits, "WORK_VALUES", 48 * 40)
    assert torch.equal(eight_bits.forward(x, numbers, factors), whole[0])
    assert torch.equal(eight_bits.input_gradient(g, numbers, factors), whole[1])


def test_what_is_not_finite_stays_so() -> None:
    numbers, factors = quantize(values(8, 8, 0), "int8")
    x = values(3, 8, 1)
    x[0, 0], x[1, 3] = float("inf"), float("nan")
    found = eight_bits.forward(x, numbers, factors)
    assert not found[:2].isfinite().any() and found[2].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_layer_gives_nearly_what_its_stored_weight_gives(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(128, 96)).to(dtype)
    quantize_linears(network, "int8")
    x = torch.randn(2, 20, 128, dtype=dtype)
    told = torch.randn(2, 20, 96, dtype=dtype)
    found = []
    for wanted in (False, True):
        multiply_in_eight_bits(network, wanted)
        own = x.clone().requires_grad_()
        out = network(own)
        out.backward(told)
        assert own.grad is not None
        assert out.dtype == own.grad.dtype == dtype
        found.append((out.detach().float(), own.grad.float()))
    for full, eight in zip(*found, strict=True):
        assert not torch.equal(full, eight)
        assert (eight - full).norm() < 0.015 * full.norm()


def test_only_int8_is_multiplied_so() -> None:
    network = nn.Sequential(nn.Linear(32, 32), nn.Linear(32, 32))
    quantize_linears(network, "fp8", lambda name: name == "0")
    quantize_linears(network, "int8", lambda name: name == "1")
    multiply_in_eight_bits(network, True)
    assert [layer.in_eight_bits for layer in network] == [False, True]


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
def test_on_a_gpu_they_are_faster_than_bf16() -> None:
    """A layer of FLUX.1 at 1024 px; the ratio is printed with ``-s``."""
    numbers, factors = quantize(values(12288, 3072, 0), "int8")
    numbers, factors = numbers.cuda(), factors.cuda()
    x, weight = values(4608, 3072, 1).cuda().bfloat16(), numbers.bfloat16()

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
    print(f"bf16 {full:.2f} ms, 8 bits {eight:.2f} ms, ratio {eight / full:.2f}")
    assert eight < full
