"""What adapters of LyCORIS' kinds do beside a layer, against LyCORIS' own modules."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from lycoris.modules.boft import ButterflyOFTModule
from lycoris.modules.diag_oft import DiagOFTModule
from lycoris.modules.full import FullModule
from lycoris.modules.glora import GLoRAModule
from lycoris.modules.ia3 import IA3Module
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from lycoris.modules.norms import NormModule
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from lora_tui.families.quantized import QuantizedLinear, quantize_linears
from lora_tui.weights.effects import CHILD, Effect, is_norm
from lora_tui.weights.kinds import NORM, RANKED, kind_of, rank_of, scale_of
from lora_tui.weights.reading import OtherLayer

KINDS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "loha": ("loha", LohaModule, {}),
    "loha tucker": ("loha", LohaModule, {"use_tucker": True}),
    "lokr": ("lokr", LokrModule, {"factor": 4}),
    "lokr whole": ("lokr", LokrModule, {"full_matrix": True}),
    "loha scalar": ("loha", LohaModule, {"use_scalar": True}),
    "lokr scalar": ("lokr", LokrModule, {"use_scalar": True, "decompose_both": True}),
    "loha columns": ("loha", LohaModule, {"weight_decompose": True, "wd_on_out": False, "use_scalar": True}),
    "loha rows": ("loha", LohaModule, {"weight_decompose": True, "use_tucker": True}),
    "lokr columns": ("lokr", LokrModule, {"weight_decompose": True, "wd_on_out": False, "factor": 4}),
    "lokr rows": ("lokr", LokrModule, {"weight_decompose": True, "use_scalar": True}),
    "glora": ("glora", GLoRAModule, {}),
    "ia3": ("ia3", IA3Module, {}),
    "ia3 on input": ("ia3", IA3Module, {"train_on_input": True}),
    "oft": ("oft", DiagOFTModule, {}),
    "oft rescaled": ("oft", DiagOFTModule, {"rescaled": True}),
    "oft bound": ("oft", DiagOFTModule, {"constraint": 0.01}),
    "boft": ("boft", ButterflyOFTModule, {}),
    "boft bound": ("boft", ButterflyOFTModule, {"constraint": 0.01, "rescaled": True}),
    "lokr unbalanced": ("lokr", LokrModule, {"factor": 4, "unbalanced_factorization": True}),
}


def layer_of(conv: bool) -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(48, 64, 3, padding=1, stride=2) if conv else nn.Linear(48, 64)


def learned(name: str, layer: nn.Module) -> tuple[Any, dict[str, Tensor]]:
    """A module of LyCORIS with random numbers, and what its file would hold."""
    module = KINDS[name][1]("layer", layer, lora_dim=4, alpha=2.0, **KINDS[name][2])
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (0.2 if parameter.dim() else 2.0))
    return module, {key: tensor.detach().clone() for key, tensor in module.state_dict().items()}


def effect_of(kind: str, tensors: dict[str, Tensor], strength: float = 1.0) -> Effect:
    own = {name: tensor for name, tensor in tensors.items() if name != "alpha" or kind not in RANKED}
    scale = 1.0
    if kind in RANKED:
        rank = rank_of(kind, {name: tuple(tensor.shape) for name, tensor in own.items()})
        scale = scale_of(own, float(tensors["alpha"]), rank)
    return Effect(kind, own, scale=scale, strength=lambda: strength)


def other_of(kind: str, tensors: dict[str, Tensor]) -> OtherLayer:
    effect = effect_of(kind, tensors)
    return OtherLayer(kind, effect.tensors(), (), effect.scale)


NORMS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "layer": (nn.LayerNorm(24), (2, 5, 24)),
    "group": (nn.GroupNorm(4, 24), (2, 24, 5, 3)),
    "mean square": (nn.RMSNorm(24, eps=1e-6), (2, 5, 24)),
}


@pytest.mark.parametrize("name", NORMS)
def test_what_is_added_to_a_norms_numbers_is_as_in_lycoris(name: str) -> None:
    """By LyCORIS' own module where it knows the norm; by the numbers added to its own in any case."""
    norm, shape = copy.deepcopy(NORMS[name][0]), NORMS[name][1]
    weight, values = norm.weight, torch.randn(shape)
    tensors = {"w_norm": torch.randn(24)} | ({"b_norm": torch.randn(24)} if name != "mean square" else {})
    whole = copy.deepcopy(norm)
    with torch.no_grad():
        layer = OtherLayer(NORM, tensors, ())
        whole.weight.copy_(layer.merged(weight, 0.5))  # type: ignore[arg-type, operator, union-attr]
        if layer.bias is not None:
            whole.bias.add_(layer.bias, alpha=0.5)  # type: ignore[operator, union-attr]
    if name != "mean square":
        with torch.no_grad():
            theirs = NormModule.make_module_from_state_dict("x", copy.deepcopy(norm), **tensors)
        theirs.multiplier = 0.5
        assert torch.allclose(theirs(values), whole(values), atol=1e-5)
    assert is_norm(norm) and not is_norm(nn.LayerNorm(4, elementwise_affine=False)) and kind_of(tensors) == NORM
    Effect(NORM, tensors, strength=lambda: 0.5).attach(norm)
    assert torch.allclose(norm(values), whole(values), atol=1e-5)


@pytest.mark.parametrize("conv", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_a_layer_gives_what_it_gives_with_lycoris(name: str, conv: bool) -> None:
    layer, kind = layer_of(conv), KINDS[name][0]
    module, tensors = learned(name, layer)
    assert kind_of(tensors, {key: tensor.dim() for key, tensor in tensors.items()}) == kind
    values = torch.randn(2, 48, 10, 8) if conv else torch.randn(2, 5, 48)
    if kind in ("loha", "lokr"):  # 4.1.3 multiplies by the scale twice when it merges
        merged = layer.weight + module.get_weight(layer.weight.shape) * module.scalar  # type: ignore[operator]
        merged = module.apply_weight_decompose(merged) if module.wd else merged
    else:
        merged = module.get_merged_weight(multiplier=1)[0].reshape(layer.weight.shape).float()  # type: ignore[union-attr]
    whole = layer_of(conv)
    with torch.no_grad():
        whole.weight.copy_(merged)  # type: ignore[union-attr, operator]
    before = layer(values)
    handle = effect_of(kind, tensors).attach(layer)
    assert torch.allclose(layer(values), whole(values), atol=1e-4)
    with torch.no_grad():
        weight, one = layer.weight.detach().clone(), other_of(kind, tensors)  # type: ignore[operator, union-attr]
        assert torch.allclose(one.merged(weight), merged, atol=1e-4)  # type: ignore[arg-type]
        whole.weight.copy_(one.merged(weight, 0.6))  # type: ignore[union-attr, operator, arg-type]
        half = layer_of(conv)
        effect_of(kind, tensors, strength=0.6).attach(half)
        assert torch.allclose(half(values), whole(values), atol=1e-4)
    assert not torch.allclose(before, layer(values), atol=1e-2)
    handle.remove()
    delattr(layer, CHILD)
    assert torch.equal(layer(values), before)


@pytest.mark.parametrize("name", KINDS)
def test_at_no_strength_nothing_changes_and_gradients_reach_what_learns(name: str) -> None:
    layer, kind = layer_of(False).requires_grad_(False), KINDS[name][0]
    _module, tensors = learned(name, layer)
    values = torch.randn(3, 48)
    plain = layer(values)
    effect_of(kind, tensors, strength=0.0).attach(layer)
    assert torch.equal(layer(values), plain)
    layer = layer_of(False).requires_grad_(False)
    effect = effect_of(kind, tensors)
    effect.attach(layer)
    values.requires_grad_(True)
    layer(values).square().sum().backward()
    assert values.grad is not None
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for n, p in effect.named_parameters() if n != "alpha")


@pytest.mark.parametrize("name", KINDS)
def test_a_packed_layer_serves_as_well(name: str) -> None:
    layer, kind = layer_of(False), KINDS[name][0]
    _module, tensors = learned(name, layer)
    packed = QuantizedLinear(48, 64, "int8", bias=True, dtype=torch.float32).to_empty(device="cpu")
    packed.fill(layer.weight, layer.bias)  # type: ignore[arg-type]
    values = torch.randn(3, 48)
    effect_of(kind, tensors).attach(layer)
    effect_of(kind, tensors).attach(packed)
    assert (packed(values) - layer(values)).abs().mean() < 0.05 * layer(values).abs().mean()


class Waited(TorchDispatchMode):
    """What would wait for a device: numbers that are read, factors that are checked, tensors made of Python's."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name
        if name in ("aten::_local_scalar_dense", "aten::_linalg_check_errors", "aten::lift_fresh"):
            self.found.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("packed", ["", "int8", "nf4"])
@pytest.mark.parametrize("name", KINDS)
def test_a_step_waits_for_nothing(name: str, packed: Any) -> None:
    layer, kind = layer_of(False).requires_grad_(False), KINDS[name][0]
    _module, tensors = learned(name, layer)
    network = nn.Sequential(layer)
    if packed:
        quantize_linears(network, packed)
    effect_of(kind, tensors).attach(layer)
    values = torch.randn(3, 48, requires_grad=True)
    with Waited() as waited:
        network(values).square().sum().backward()
    assert values.grad is not None and not waited.found


def test_full_differences_are_added() -> None:
    layer = layer_of(False)
    module = FullModule("layer", layer)
    diff, bias = torch.randn(64, 48), torch.randn(64)
    assert set(module.weight_list) == {"diff", "diff_b"}
    values = torch.randn(3, 48)
    wanted = nn.functional.linear(values, layer.weight + diff, layer.bias + bias)  # type: ignore[operator]
    effect_of("full", {"diff": diff, "diff_b": bias}).attach(layer)
    assert torch.allclose(layer(values), wanted, atol=1e-5)
