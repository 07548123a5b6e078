"""Z-Image without torch: counts and names against the network that diffusers builds."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import ZImageTransformer2DModel
from safetensors.torch import save_file
from torch import nn

from lora_tui.families.zimage.counting import tensors, transformer_parameters
from lora_tui.families.zimage.facts import FACTS
from lora_tui.families.zimage.shape import ZIMAGE, Shape, shape_of_tensors
from lora_tui.families.zimage.targets import transformer_targets
from lora_tui.weights.header.models import identify_model
from lora_tui.weights.names.zimage_original import ORIGINAL, OUTER, TOKENS, original_names


def network(shape: Shape) -> nn.Module:
    with torch.device("meta"):
        return ZImageTransformer2DModel.from_config(shape.transformer_config())


def test_parameters_layers_and_names_are_those_of_the_published_model() -> None:
    module = network(ZIMAGE)
    assert tensors(ZIMAGE) == {path: tuple(tensor.shape) for path, tensor in module.state_dict().items()}
    assert transformer_parameters(ZIMAGE) == sum(p.numel() for p in module.parameters()) == 6_154_908_736
    linear = {
        path: (layer.in_features, layer.out_features)
        for path, layer in module.named_modules()
        if isinstance(layer, nn.Linear) and path.startswith("layers.") and "adaLN" not in path
    }
    assert {target.path: (target.inputs, target.outputs) for target in transformer_targets(ZIMAGE)} == linear
    named = set()
    for tensor in original_names(ZIMAGE.blocks, ZIMAGE.refiners):
        path, _dot, kind = tensor.rpartition(".")
        if tensor in TOKENS or path in OUTER:
            named.add(tensor if tensor in TOKENS else f"{OUTER[path]}.{kind}")
            continue
        for place, piece in enumerate(ORIGINAL.layer_of(path)):
            named.add(f"{piece.path}.{kind}")
            assert ORIGINAL.original_of(piece.path) == (path, place)
    assert named == set(module.state_dict())


def test_the_language_model_is_counted_as_far_as_it_is_read() -> None:
    """Without its last layer, whose input is read."""
    counted = FACTS.part_parameters()
    assert counted["text_encoder"] == 3_921_534_720 and counted["vae"] == 83_819_683
    assert FACTS.text_values(t5_tokens=40) == 40 * 2560


def test_the_shape_is_told_by_the_names_of_a_single_file(tmp_path: Path) -> None:
    beginning = "model.diffusion_model."
    names = list(original_names(ZIMAGE.blocks, ZIMAGE.refiners))
    save_file({beginning + name: torch.zeros(1, dtype=torch.float16) for name in names}, tmp_path / "model.safetensors")
    assert identify_model(tmp_path / "model.safetensors").family == "zimage"
    small = {name: tuple(tensor.shape) for name, tensor in network(ZIMAGE).state_dict().items()}
    told = dict.fromkeys(names, (1,))
    told |= {
        "x_embedder.weight": small["all_x_embedder.2-1.weight"],
        "layers.0.attention.q_norm.weight": small["layers.0.attention.norm_q.weight"],
        "cap_embedder.1.weight": small["cap_embedder.1.weight"],
    }
    assert shape_of_tensors(told, FACTS.full) == ZIMAGE


def test_files_of_lumina_are_none_of_z_image(tmp_path: Path) -> None:
    """Its blocks have the same names; it has no tokens that fill up."""
    names = [name for name in original_names(2, 1) if name not in TOKENS]
    save_file({name: torch.zeros(1) for name in names}, tmp_path / "lumina.safetensors")
    assert identify_model(tmp_path / "lumina.safetensors").family == "unknown"
