"""Linear layers of 8 and 4 bits: what they store, what they give, what flows back, what adapters make of them."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from lora_tui.families.quantized import LEVELS, Kind, QuantizedLinear, dequantize, quantize, quantize_linears

KINDS: tuple[Kind, ...] = ("int8", "fp8", "nf4")
#: The largest error of a value, in shares of the largest value that shares its factor: half a step of 127; half of the
#: widest step of E4M3 (448 - 416); half of the widest gap between levels.
WORST = {"int8": 0.5 / 127, "fp8": 16 / 448, "nf4": max(b - a for a, b in pairwise(LEVELS)) / 2}


def layer(kind: Kind, weight: Tensor, bias: Tensor | None = None) -> QuantizedLinear:
    made = QuantizedLinear(weight.shape[1], weight.shape[0], kind, bias=bias is not None, dtype=torch.float32)
    made.fill(weight, bias)
    return made


@pytest.mark.parametrize("kind", KINDS)
@given(
    rows=st.integers(1, 9), columns=st.integers(1, 150), seed=st.integers(0, 99), size=st.sampled_from([1e-4, 1, 300])
)
@settings(max_examples=25)
def test_no_value_is_further_away_than_half_a_step(kind: Kind, rows: int, columns: int, seed: int, size: float) -> None:
    weight = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)) * size
    numbers, factors = quantize(weight, kind)
    back = dequantize(numbers, factors, kind, weight.shape)
    if kind == "nf4":
        flat = torch.cat([weight.reshape(-1), weight.new_zeros(-weight.numel() % 64)]).view(-1, 64)
        largest = flat.abs().amax(1, keepdim=True).expand_as(flat).reshape(-1)[: weight.numel()].view_as(weight)
    else:
        largest = weight.abs().amax(1, keepdim=True)
    assert ((back - weight).abs() <= largest * WORST[kind] * 1.001 + 1e-12).all()


@pytest.mark.parametrize("kind", KINDS)
def test_zeros_stay_zeros(kind: Kind) -> None:
    assert not dequantize(*quantize(torch.zeros(3, 70), kind), kind, (3, 70)).any()


@pytest.mark.parametrize(("kind", "bits"), [("int8", 8.2), ("fp8", 8.2), ("nf4", 4.6)])
def test_a_weight_takes_as_many_bits_as_it_says(kind: Kind, bits: float) -> None:
    made = layer(kind, torch.randn(256, 512))
    held = made.weight.numel() * made.weight.element_size() + made.factors.numel() * made.factors.element_size()
    assert held * 8 / (256 * 512) <= bits


@pytest.mark.parametrize("kind", KINDS)
def test_products_and_gradients_are_those_of_the_stored_weight(kind: Kind) -> None:
    generator = torch.Generator().manual_seed(1)
    weight, bias = torch.randn(40, 72, generator=generator), torch.randn(40, generator=generator)
    made = layer(kind, weight, bias)
    inputs = torch.randn(2, 5, 72, generator=generator, requires_grad=True)
    plain = inputs.detach().clone().requires_grad_()
    told = torch.randn(2, 5, 40, generator=generator)
    given_ = made(inputs)
    wanted = nn.functional.linear(plain, made.full_weight(), bias)
    assert torch.allclose(given_, wanted, atol=1e-4)
    given_.backward(told)
    wanted.backward(told)
    assert inputs.grad is not None and plain.grad is not None
    assert torch.allclose(inputs.grad, plain.grad, atol=1e-4)
    assert not made.weight.requires_grad


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_the_size_of_the_full_weight_is_kept_for_the_backward_pass(kind: Kind) -> None:
    made = layer(kind, torch.randn(64, 128))
    kept: list[int] = []
    inputs = torch.randn(3, 128, requires_grad=True)

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel() * tensor.element_size())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        made(inputs)
    assert sum(kept) < 64 * 128 * 2  # half precision would take as much


def test_half_precision_works_on_the_stored_numbers() -> None:
    made = layer("int8", torch.randn(32, 64))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = made(torch.randn(4, 64))
    assert found.dtype == torch.bfloat16


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_learns_through_adapters_on_such_layers(kind: Kind) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(16, 64), nn.GELU(), nn.Linear(64, 16)).requires_grad_(False)
    assert quantize_linears(network, kind, lambda name: name != "2") == 1
    assert isinstance(network[0], QuantizedLinear) and not isinstance(network[2], QuantizedLinear)
    inject_adapter_in_model(LoraConfig(r=4, target_modules=["0", "2"]), network)
    inputs, wanted = torch.randn(32, 16), torch.randn(32, 16)
    chosen = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert len(chosen) == 4
    optimizer = torch.optim.Adam(chosen, 0.02)
    losses = []
    for _step in range(60):
        loss = nn.functional.mse_loss(network(inputs), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] * 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_is_stored_and_loaded_as_it_is(kind: Kind) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(16, 64), nn.Linear(64, 16))
    quantize_linears(network, kind)
    with torch.device("meta"):
        shell = nn.Sequential(nn.Linear(16, 64), nn.Linear(64, 16))
    quantize_linears(shell, kind)
    shell.load_state_dict(network.state_dict(), assign=True)
    inputs = torch.randn(3, 16)
    assert torch.equal(shell(inputs), network(inputs))


@pytest.mark.parametrize("kind", KINDS)
def test_a_change_of_type_leaves_the_stored_numbers(kind: Kind) -> None:
    network = nn.Sequential(nn.Linear(16, 64))
    quantize_linears(network, kind)
    before = network[0].weight.dtype
    network.to(torch.bfloat16)
    assert network[0].weight.dtype == before
    assert network[0].factors.dtype == torch.float32
