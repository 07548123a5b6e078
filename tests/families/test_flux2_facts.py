"""FLUX.2 klein without torch: counts and names against the networks that diffusers builds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel
from safetensors.torch import save_file
from torch import nn

from lora_tui.families.flux2.counting import tensors, transformer_parameters
from lora_tui.families.flux2.facts import FACTS
from lora_tui.families.flux2.shape import KLEIN_4B, KLEIN_9B, Shape, shape_of_tensors
from lora_tui.families.flux2.targets import transformer_targets
from lora_tui.families.separate.tensors import vae_tensors
from lora_tui.weights.header.models import identify_model
from lora_tui.weights.names.flux2_original import ORIGINAL, original_names

#: As Black Forest Labs publish them.
PUBLISHED = {"klein 4B": (KLEIN_4B, 3_875_544_576), "klein 9B": (KLEIN_9B, 9_078_581_248)}


def network(shape: Shape) -> nn.Module:
    with torch.device("meta"):
        return Flux2Transformer2DModel.from_config(shape.transformer_config())


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_layers_and_names_are_those_of_the_published_models(name: str) -> None:
    shape, published = PUBLISHED[name]
    module = network(shape)
    assert tensors(shape) == {path: tuple(tensor.shape) for path, tensor in module.state_dict().items()}
    assert transformer_parameters(shape) == sum(p.numel() for p in module.parameters()) == published
    linear = {
        path: (layer.in_features, layer.out_features)
        for path, layer in module.named_modules()
        if isinstance(layer, nn.Linear) and "transformer_blocks." in path
    }
    targets = list(transformer_targets(shape))
    assert {target.path: (target.inputs, target.outputs) for target in targets} == linear
    assert len(targets) == 12 * shape.double + 2 * shape.single
    named = set()
    for tensor in original_names(shape.double, shape.single):
        path = tensor.rpartition(".")[0]
        for place, piece in enumerate(ORIGINAL.layer_of(path)):
            named.add(f"{piece.path}.weight")
            assert ORIGINAL.original_of(piece.path) == (path, place)
    assert named == set(module.state_dict())


def test_the_other_parts_are_as_large_as_they_are() -> None:
    """The text encoder as far as it is read: 27 of Qwen3's 36 layers."""
    counted = FACTS.part_parameters()
    with torch.device("meta"):
        vae = AutoencoderKLFlux2.from_config(KLEIN_4B.vae_config())
    own = {name: tuple(tensor.shape) for name, tensor in vae.state_dict().items() if not name.startswith("bn.")}
    assert own == vae_tensors(KLEIN_4B.vae_channels, KLEIN_4B.latent_channels, around=(True, True))
    assert counted["vae"] == sum(p.numel() for p in vae.parameters())
    assert 3.1e9 < counted["text_encoder"] < 3.2e9
    assert FACTS.text_values() == 512 * 3 * 2560


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_shape_is_told_by_the_names_of_a_single_file(name: str, tmp_path: Path) -> None:
    shape, _published = PUBLISHED[name]
    tensors = {
        f"model.diffusion_model.{tensor}": torch.zeros(1, dtype=torch.float16)
        for tensor in original_names(shape.double, shape.single)
    }
    save_file(tensors, tmp_path / "model.safetensors")
    assert (identify_model(tmp_path / "model.safetensors").family) == "flux2"
    told = {tensor.removeprefix("model.diffusion_model."): (1,) for tensor in tensors}
    told |= {
        "img_in.weight": (shape.width, shape.channels),
        "txt_in.weight": (shape.width, shape.text_width),
        "double_blocks.0.img_attn.norm.query_norm.scale": (shape.head_width,),
    }
    assert shape_of_tensors(told, FACTS.full) == shape
