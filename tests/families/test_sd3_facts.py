"""SD3 and SD3.5 without torch: counts and names against the networks that diffusers builds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import SD3Transformer2DModel
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from lora_tui.families.sd3.checks import ENCODER_G, ENCODER_L
from lora_tui.families.sd3.counting import tensors, transformer_parameters
from lora_tui.families.sd3.facts import FACTS
from lora_tui.families.sd3.shape import SD3_MEDIUM, SD35_LARGE, SD35_MEDIUM, Shape, shape_of_tensors
from lora_tui.families.sd3.targets import transformer_targets
from lora_tui.families.separate.tensors import clip_tensors
from lora_tui.weights.header.models import identify_model
from lora_tui.weights.names.sd3_original import BLOCKS, ORIGINAL, POSITIONS, original_names

#: As Stability publishes them, the table of positions left out.
PUBLISHED = {"sd3-medium": (SD3_MEDIUM, 2_028_328_000), "sd35-medium": (SD35_MEDIUM, 2_243_171_520),
             "sd35-large": (SD35_LARGE, 8_056_627_520)}  # fmt: skip


def network(shape: Shape) -> nn.Module:
    with torch.device("meta"):
        return SD3Transformer2DModel.from_config(shape.transformer_config())


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_layers_and_names_are_those_of_the_published_models(name: str) -> None:
    shape, published = PUBLISHED[name]
    module = network(shape)
    assert tensors(shape) == {path: tuple(tensor.shape) for path, tensor in module.state_dict().items()}
    assert transformer_parameters(shape) == sum(p.numel() for p in module.parameters()) == published
    linear = {
        path: (layer.in_features, layer.out_features)
        for path, layer in module.named_modules()
        if isinstance(layer, nn.Linear) and path.startswith("transformer_blocks.")
    }
    for path in ("norm1_context.linear", "attn.add_q_proj"):  # the last block gives no text
        del linear[f"transformer_blocks.{shape.blocks - 1}.{path}"]
    assert {target.path: (target.inputs, target.outputs) for target in transformer_targets(shape)} == linear
    named = set()
    for tensor in original_names(shape.blocks, dual=shape.dual, norms=shape.norms):
        path, _dot, kind = tensor.rpartition(".")
        if tensor == POSITIONS:
            named.add("pos_embed.pos_embed")
            continue
        for place, piece in enumerate(ORIGINAL.layer_of(path)):
            named.add(f"{piece.path}.{kind}")
            assert ORIGINAL.original_of(piece.path) == (path, place)
    assert named == set(module.state_dict())


def test_text_encoders_are_as_large_as_they_are() -> None:
    counted = FACTS.part_parameters()
    for part, shape, encoder in (
        ("text_encoder", SD35_LARGE.clip_l, ENCODER_L),
        ("text_encoder_2", SD35_LARGE.clip_g, ENCODER_G),
    ):
        with torch.device("meta"):
            module = CLIPTextModelWithProjection(CLIPTextConfig(**shape.config(encoder.activation)))
        there = {name.removeprefix("text_model."): tuple(one.shape) for name, one in module.state_dict().items()}
        assert {name: there[name] for name in there if not name.endswith("position_ids")} == clip_tensors(shape)
        assert counted[part] == sum(p.numel() for p in module.parameters())
        own = [target.path for target in FACTS.targets() if target.part == part]
        assert len(own) == 6 * shape.layers
    assert counted["text_encoder"] == 123_650_304 and counted["text_encoder_2"] == 694_659_840  # with projections


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_shape_is_told_by_the_names_of_a_single_file(name: str, tmp_path: Path) -> None:
    shape, _published = PUBLISHED[name]
    small = {path: tuple(tensor.shape) for path, tensor in network(shape).state_dict().items()}
    original = {
        f"model.diffusion_model.{tensor}": torch.zeros(1, dtype=torch.float16)
        for tensor in original_names(shape.blocks, dual=shape.dual, norms=shape.norms)
    }
    save_file(original, tmp_path / "model.safetensors")
    assert (identify_model(tmp_path / "model.safetensors").family) == "sd3"
    told = {tensor.removeprefix("model.diffusion_model."): (1,) for tensor in original}
    told |= {
        "x_embedder.proj.weight": small["pos_embed.proj.weight"],
        "pos_embed": small["pos_embed.pos_embed"],
        "context_embedder.weight": small["context_embedder.weight"],
        "y_embedder.mlp.0.weight": small["time_text_embed.text_embedder.linear_1.weight"],
    }
    if shape.norms:
        told[f"{BLOCKS}.0.x_block.attn.ln_q.weight"] = small["transformer_blocks.0.attn.norm_q.weight"]
    assert shape_of_tensors(told, FACTS.full) == shape
