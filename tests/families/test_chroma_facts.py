"""Chroma without torch: counts and names against the network that diffusers builds."""

from __future__ import annotations

import pytest
import torch
from diffusers import ChromaTransformer2DModel
from torch import nn

from lora_tui.families.chroma.counting import tensors, transformer_parameters
from lora_tui.families.chroma.facts import FACTS
from lora_tui.families.chroma.shape import Shape, shape_of_tensors
from lora_tui.weights.names.chroma_original import APPROXIMATOR, ORIGINAL, approximator_path, original_names
from lora_tui.weights.names.flux_original import split_name


@pytest.fixture(scope="module")
def network() -> nn.Module:
    with torch.device("meta"):
        return ChromaTransformer2DModel.from_config(FACTS.full.transformer_config())


def test_parameters_layers_and_names_are_those_of_the_published_model(network: nn.Module) -> None:
    shape = FACTS.full
    assert tensors(shape) == {path: tuple(tensor.shape) for path, tensor in network.state_dict().items()}
    assert transformer_parameters(shape) == sum(p.numel() for p in network.parameters())
    assert round(transformer_parameters(shape) / 1e9, 1) == 8.9  # as it was published
    linear = {
        path: (layer.in_features, layer.out_features)
        for path, layer in network.named_modules()
        if isinstance(layer, nn.Linear) and "transformer_blocks." in path
    }
    assert {target.path: (target.inputs, target.outputs) for target in FACTS.targets()} == linear
    named = set()
    for name in original_names(shape.double, shape.single, approximator=shape.deep):
        path, kind = split_name(name)
        if path.startswith(APPROXIMATOR):
            named.add(f"{approximator_path(path)}.{kind}")
            continue
        for place, piece in enumerate(ORIGINAL.layer_of(path)):
            named.add(f"{piece.path}.{kind}")
            assert ORIGINAL.original_of(piece.path) == (path, place)
    assert named == set(network.state_dict())


@pytest.mark.parametrize("path", ["img_in", f"{APPROXIMATOR}.layers.0", f"{APPROXIMATOR}.layers.x.in_layer"])
def test_names_of_no_layer_are_refused(path: str) -> None:
    with pytest.raises(KeyError):
        approximator_path(path)


def test_the_shape_is_told_by_the_names_of_a_single_file() -> None:
    shape = FACTS.full
    names = original_names(shape.double, shape.single, approximator=shape.deep)
    told: dict[str, tuple[int, ...]] = dict.fromkeys(names, (1,))
    told |= {
        "img_in.weight": (3072, 64), "txt_in.weight": (3072, 4096), f"{APPROXIMATOR}.in_proj.weight": (5120, 64),
        "double_blocks.0.img_attn.norm.query_norm.scale": (128,),
    }  # fmt: skip
    assert shape_of_tensors(told, Shape(double=1, single=1, heads=1, hidden=1, deep=1)) == shape
