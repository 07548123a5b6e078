"""A layer and its LoRA in one product give what peft's own forward pass gives, and so do their gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from lora_tui.families.precision import autocast
from lora_tui.families.quantized import quantize_linears
from lora_tui.trainer.adapters.at_rank import AtRank


class Twins:
    """The same layers twice: with peft's forward pass, and with ours."""

    def __init__(self, make: Any, *, alpha: float, base: str = "full", dtype: torch.dtype = torch.float32) -> None:
        self.networks = []
        for _twin in range(2):
            torch.manual_seed(0)
            network = nn.Sequential(make(), nn.GELU()).to(dtype).requires_grad_(False)
            if base != "full":
                quantize_linears(network, base)  # type: ignore[arg-type]
            inject_adapter_in_model(LoraConfig(r=4, lora_alpha=alpha, target_modules=["0"]), network)  # type: ignore[arg-type]
            layer: Any = network[0]
            for matrix in (layer.lora_A["default"], layer.lora_B["default"]):
                matrix.weight = nn.Parameter(torch.randn(matrix.weight.shape))
            self.networks.append(network)
        self.layers: list[Any] = [network[0] for network in self.networks]
        self.layers[1].forward = AtRank(self.layers[1], "default")

    def found(self, x: Tensor, dtype: torch.dtype) -> list[list[Tensor]]:
        """Of each twin: output, gradients of the input and of both matrices."""
        found = []
        for network, layer in zip(self.networks, self.layers, strict=True):
            own = x.clone().requires_grad_()
            with autocast(x.device, dtype):
                out = network(own)
            out.float().square().mean().backward()
            matrices = (layer.lora_A["default"].weight, layer.lora_B["default"].weight)
            found.append([out.float(), own.grad, *(matrix.grad for matrix in matrices)])
            layer.zero_grad()
        return found  # type: ignore[return-value]


def _alike(twins: Twins, x: Tensor, dtype: torch.dtype = torch.float32, *, within: float = 1e-5) -> None:
    plain, own = twins.found(x, dtype)
    for wanted, got in zip(plain, own, strict=True):
        assert got.dtype == wanted.dtype and got.shape == wanted.shape
        assert (got - wanted).norm() <= within * wanted.norm()


@pytest.mark.parametrize("base", ["full", "int8", "fp8", "nf4"])
@pytest.mark.parametrize("alpha", [4.0, 1.0])
@pytest.mark.parametrize("bias", [True, False])
def test_it_gives_what_peft_gives(base: str, alpha: float, bias: bool) -> None:
    twins = Twins(lambda: nn.Linear(64, 48, bias=bias), alpha=alpha, base=base)
    _alike(twins, torch.randn(2, 5, 64))
    _alike(twins, torch.randn(3, 64))
    _alike(twins, torch.randn(5, 2, 64).transpose(0, 1))


@pytest.mark.parametrize("base", ["full", "int8"])
def test_in_half_precision_it_is_as_near_as_that_is_fine(base: str) -> None:
    twins = Twins(lambda: nn.Linear(64, 48), alpha=2.0, base=base, dtype=torch.bfloat16)
    _alike(twins, torch.randn(2, 5, 64), torch.bfloat16, within=0.02)


@pytest.mark.gpu
@pytest.mark.parametrize("base", ["full", "int8", "fp8", "nf4"])
def test_on_a_gpu_it_gives_what_peft_gives(base: str) -> None:
    with torch.device("cuda"):
        twins = Twins(lambda: nn.Linear(64, 48), alpha=2.0, base=base, dtype=torch.bfloat16)
        _alike(twins, torch.randn(2, 5, 64), torch.bfloat16, within=0.02)


def test_convolutions_are_scaled_at_rank_too() -> None:
    _alike(Twins(lambda: nn.Conv2d(8, 6, 3, padding=1), alpha=1.0), torch.randn(2, 8, 5, 5))


@pytest.mark.parametrize("alpha", [4.0, 1.0])
@pytest.mark.parametrize("bias", [True, False])
def test_convolutions_of_points_give_what_peft_gives(bias: bool, alpha: float) -> None:
    twins = Twins(lambda: nn.Conv2d(8, 6, 1, bias=bias), alpha=alpha)
    x = torch.randn(3, 8, 4, 5)
    _alike(twins, x)
    _alike(twins, x.to(memory_format=torch.channels_last))
    _alike(twins, x.transpose(2, 3))
    _alike(twins, x[0])  # without a batch


def test_convolutions_of_points_in_half_precision() -> None:
    twins = Twins(lambda: nn.Conv2d(16, 6, 1), alpha=2.0, dtype=torch.bfloat16)
    _alike(twins, torch.randn(3, 16, 4, 5), torch.bfloat16, within=0.02)


@pytest.mark.parametrize("other", [{"stride": 2}, {"padding": 1}, {"groups": 2}])
def test_other_convolutions_of_points_are_left_to_torch(other: dict[str, int]) -> None:
    _alike(Twins(lambda: nn.Conv2d(8, 6, 1, **other), alpha=1.0), torch.randn(2, 8, 5, 5))


@pytest.mark.parametrize("make", [lambda: nn.Linear(64, 48), lambda: nn.Conv2d(64, 6, 1)])
def test_what_stands_between_is_heeded(make: Any) -> None:
    """Hooks of dropout, hooks on the base, and an adapter that is switched off."""
    twins = Twins(make, alpha=1.0)
    x = torch.randn(2, 64) if isinstance(make(), nn.Linear) else torch.randn(2, 64, 3, 3)
    for layer in twins.layers:
        layer.lora_A["default"].register_forward_hook(lambda _module, _inputs, output: output * 0.5)
    _alike(twins, x)
    for layer in twins.layers:
        layer.base_layer.register_forward_hook(lambda _module, _inputs, output: output + 1)
    _alike(twins, x)
    for layer in twins.layers:
        layer.enable_adapters(False)
    assert torch.equal(twins.networks[0](x), twins.networks[1](x))


def test_the_full_width_is_not_scaled() -> None:
    """Of all that a step computes, only the narrow numbers are multiplied by a factor, and nothing is summed apart."""
    twins = Twins(lambda: nn.Linear(64, 48), alpha=1.0)
    wide = []
    for network in twins.networks:
        with torch.profiler.profile(record_shapes=True) as profile:
            network[0](torch.randn(10, 64, requires_grad=True)).sum().backward()
        events = profile.events() or []
        wide.append(
            [
                e.name
                for e in events
                if e.name in ("aten::mul", "aten::mul_", "aten::add") and [10, 48] in e.input_shapes
            ]
        )
    assert len(wide[0]) == 3 and wide[1] == []


def test_matrices_are_converted_once_a_step() -> None:
    """Each is, and its gradient: hundreds of layers do it, and on a GPU a launch takes longer than such a copy."""

    class Copies(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.count += func is torch.ops.aten._to_copy.default
            return func(*args, **(kwargs or {}))

    layer = Twins(lambda: nn.Linear(64, 48), alpha=1.0, dtype=torch.bfloat16).layers[1]
    x = torch.randn(2, 5, 64, dtype=torch.bfloat16).requires_grad_()
    with autocast(x.device, torch.bfloat16):
        out = layer(x)
    gradient = torch.ones_like(out)
    with Copies() as copies:
        with autocast(x.device, torch.bfloat16):
            out = layer(x)
        out.backward(gradient)
    assert copies.count == 4


def test_a_convolution_of_points_is_no_convolution_any_more() -> None:
    """It is one product for each image, forward and back."""
    twins = Twins(lambda: nn.Conv2d(8, 6, 1), alpha=1.0)
    counts = []
    for network in twins.networks:
        with torch.profiler.profile() as profile:
            network(torch.randn(2, 8, 5, 5, requires_grad=True)).sum().backward()
        counts.append(sum("convolution" in event.name for event in profile.events() or []))
    assert counts[0] > 0 and counts[1] == 0
