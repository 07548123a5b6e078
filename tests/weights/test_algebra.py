"""The algebra of adapters against LyCORIS' own modules and functions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from lycoris.functional import boft as their_boft
from lycoris.functional import diag_oft as their_oft
from lycoris.functional.general import factorization, power2factorization
from lycoris.modules.boft import ButterflyOFTModule
from lycoris.modules.diag_oft import DiagOFTModule
from lycoris.modules.glora import GLoRAModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from torch import Tensor, nn

from lora_tui.weights.algebra import butterfly, loha, lokr, rotate, rotations
from lora_tui.weights.kinds import Form, butterfly_sizes, factors, tensor_shapes

LAYERS: dict[str, Any] = {
    "linear": lambda: nn.Linear(24, 32),
    "conv": lambda: nn.Conv2d(8, 16, 3, padding=1),
}


def learned(kind: Any, layer: nn.Module, **settings: Any) -> tuple[Any, dict[str, Tensor]]:
    """A module of LyCORIS whose numbers are all random, and what its file would hold."""
    module = kind("layer", layer, lora_dim=4, alpha=2.0, **settings)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape))
    return module, {name: tensor.detach() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("tucker", [False, True])
@pytest.mark.parametrize("layer", LAYERS)
def test_loha_is_that_of_lycoris(layer: str, tucker: bool) -> None:
    base = LAYERS[layer]()
    module, tensors = learned(LohaModule, base, use_tucker=tucker)
    assert torch.allclose(
        loha(tensors).reshape(base.weight.shape) * 0.5, module.get_weight(base.weight.shape), atol=1e-5
    )


@pytest.mark.parametrize("settings", [{}, {"decompose_both": True, "factor": 8}, {"full_matrix": True}])
@pytest.mark.parametrize("tucker", [False, True])
@pytest.mark.parametrize("layer", LAYERS)
def test_lokr_is_that_of_lycoris(layer: str, tucker: bool, settings: dict[str, Any]) -> None:
    base = nn.Linear(96, 128) if layer == "linear" else nn.Conv2d(64, 96, 3)
    module, tensors = learned(LokrModule, base, use_tucker=tucker, **settings)
    whole = "lokr_w1" in tensors and "lokr_w2" in tensors
    scale = 1.0 if whole else 0.5
    assert torch.allclose(
        lokr(tensors).reshape(base.weight.shape) * scale, module.get_weight(base.weight.shape), atol=1e-4
    )


@pytest.mark.parametrize("constraint", [0.0, 0.5])
def test_oft_is_that_of_lycoris(constraint: float) -> None:
    weight, blocks = torch.randn(32, 24), torch.randn(8, 4, 4)
    ours = rotate(weight, rotations(blocks, constraint))
    theirs = weight + their_oft.diff_weight(weight, blocks, None, constraint=constraint, backend="torch")
    assert torch.allclose(ours, theirs, atol=1e-4)
    assert torch.allclose(ours.norm(), weight.norm(), atol=1e-3), "it only turns"


@pytest.mark.parametrize("shape", [(32, 24), (16, 8, 3, 3)])
def test_boft_is_that_of_lycoris(shape: tuple[int, ...]) -> None:
    weight = torch.randn(shape)
    stages, count, size = butterfly_sizes(shape[0], 4)
    blocks = torch.randn(stages, count, size, size) * 0.3
    theirs = weight + their_boft.diff_weight(weight, blocks, None, constraint=0, backend="torch")
    assert torch.allclose(butterfly(weight, rotations(blocks)), theirs, atol=1e-4)


@given(some.integers(1, 4096), some.sampled_from([-1, 0, 1, 2, 4, 6, 8, 16, 32]))
def test_a_dimension_is_split_as_lycoris_splits_it(dimension: int, factor: int) -> None:
    assert factors(dimension, factor) == factorization(dimension, factor)


@given(some.sampled_from([32, 64, 96, 128, 320, 640, 768, 1280, 1536, 2432, 3072]), some.sampled_from([4, 8, 16, 64]))
def test_butterfly_blocks_are_those_of_lycoris(outputs: int, most: int) -> None:
    size, count = power2factorization(outputs, most)
    if count:
        assert butterfly_sizes(outputs, most)[1:] == (count, size)
    else:  # they give up
        assert butterfly_sizes(outputs, most)[2] > most


def test_an_odd_number_of_outputs_has_no_butterfly() -> None:
    with pytest.raises(ValueError, match="33"):
        butterfly_sizes(33, 8)


FORMS: dict[str, tuple[Form, Any, dict[str, Any]]] = {
    "loha": (Form("loha"), LohaModule, {}),
    "loha tucker": (Form("loha", tucker=True), LohaModule, {"use_tucker": True}),
    "lokr": (Form("lokr"), LokrModule, {}),
    "lokr 8": (Form("lokr", factor=8), LokrModule, {"factor": 8}),
    "lokr both": (Form("lokr", factor=32, both=True), LokrModule, {"factor": 32, "decompose_both": True}),
    "lokr tucker": (Form("lokr", factor=4, tucker=True), LokrModule, {"factor": 4, "use_tucker": True}),
    "lokr whole": (Form("lokr", whole=True), LokrModule, {"full_matrix": True}),
    "lokr unbalanced": (
        Form("lokr", factor=8, both=True, unbalanced=True),
        LokrModule,
        {"factor": 8, "decompose_both": True, "unbalanced_factorization": True},
    ),
    "oft rescaled": (Form("oft", rescaled=True), DiagOFTModule, {"rescaled": True}),
    "boft rescaled": (Form("boft", rescaled=True), ButterflyOFTModule, {"rescaled": True}),
    "glora": (Form("glora"), GLoRAModule, {}),
    "oft": (Form("oft"), DiagOFTModule, {}),
    "boft": (Form("boft"), ButterflyOFTModule, {}),
}


@pytest.mark.parametrize("conv", [False, True])
@pytest.mark.parametrize("name", FORMS)
def test_a_layer_has_the_tensors_that_lycoris_gives_it(name: str, conv: bool) -> None:
    form, kind, settings = FORMS[name]
    layer = nn.Conv2d(96, 128, 3) if conv else nn.Linear(96, 128)
    theirs = {key: tuple(tensor.shape) for key, tensor in learned(kind, layer, **settings)[1].items()}
    theirs.pop("alpha")
    assert tensor_shapes(form, "layer", 96, 128, 4, kernel=3 if conv else None) == theirs
