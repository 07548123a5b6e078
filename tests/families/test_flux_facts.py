"""FLUX.1 without torch: its counts and names against the network that diffusers builds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

from lora_tui.families.flux.counting import tensors
from lora_tui.families.flux.facts import DEV, FACTS
from lora_tui.families.flux.shape import AXES, Shape
from lora_tui.families.separate.shapes import XXL, rotary_axes
from lora_tui.families.separate.tensors import clip_tensors, vae_tensors
from lora_tui.families.zimage.shape import AXES as QUARTER
from lora_tui.weights.names.flux_original import layer_of, original_names, original_of, split_name

#: Other names of the same words, and numbers that stand for themselves.
UNREAD = ("encoder.embed_tokens.weight", "embeddings.position_ids")


@pytest.fixture(scope="module")
def transformer() -> nn.Module:
    with torch.device("meta"):
        return FluxTransformer2DModel.from_config(DEV.transformer_config())


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_are_those_of_the_published_model(transformer: nn.Module) -> None:
    with torch.device("meta"):
        vae = AutoencoderKL.from_config(DEV.vae_config())
        clip = CLIPTextModel(
            CLIPTextConfig(vocab_size=49408, hidden_size=768, intermediate_size=3072, num_attention_heads=12)
        )
        t5 = T5EncoderModel(
            T5Config(vocab_size=32128, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64,
                     feed_forward_proj="gated-gelu")
        )  # fmt: skip
    counted = FACTS.part_parameters()
    assert counted == {
        "transformer": _parameters(transformer),
        "text_encoder": _parameters(clip),
        "text_encoder_2": _parameters(t5),
        "vae": _parameters(vae),
    }
    for part, found in (
        (transformer, tensors(DEV)), (clip, clip_tensors(DEV.clip)), (t5, XXL.tensors()),
        (vae, vae_tensors(DEV.vae_channels, DEV.latent_channels)),
    ):  # fmt: skip
        there = {name.removeprefix("text_model."): tuple(tensor.shape) for name, tensor in part.state_dict().items()}
        assert {name: there[name] for name in there if name not in UNREAD} == found
    assert counted["transformer"] == 11_901_408_320  # as Black Forest Labs publish it


def test_targets_are_all_linear_layers_of_the_blocks(transformer: nn.Module) -> None:
    linear = {
        name: (module.in_features, module.out_features)
        for name, module in transformer.named_modules()
        if isinstance(module, nn.Linear) and "transformer_blocks" in name
    }
    found = {target.path: (target.inputs, target.outputs) for target in FACTS.targets(text_encoder=False)}
    assert found == linear


def test_names_of_both_layouts_are_the_same_tensors(transformer: nn.Module) -> None:
    named = set()
    for name in original_names(DEV.double, DEV.single, guidance=True):
        path, kind = split_name(name)
        for place, piece in enumerate(layer_of(path)):
            named.add(f"{piece.path}.{kind}")
            assert original_of(piece.path) == (path, place)
    assert named == set(transformer.state_dict())


@pytest.mark.parametrize("name", ["double_blocks.0.img_attn.q", "blocks.0.linear1", "img_in.0"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(KeyError):
        layer_of(name)
    with pytest.raises(KeyError):
        original_of(name)


@pytest.mark.parametrize("width", [8, 16, 32, 64, 128])
def test_a_heads_width_is_shared_in_even_parts(width: int) -> None:
    for share in (AXES, QUARTER):
        axes = rotary_axes(width, share)
        assert sum(axes) == width
        assert not any(part % 2 for part in axes)
    assert (rotary_axes(128, AXES), rotary_axes(128, QUARTER)) == ((16, 56, 56), (32, 48, 48))


def test_a_hub_name_is_taken_for_the_full_model(tmp_path: Path) -> None:
    assert FACTS.part_parameters("black-forest-labs/FLUX.1-dev") == FACTS.part_parameters()
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    assert FACTS.part_parameters(tmp_path / "model.safetensors") == FACTS.part_parameters()
    assert Shape().width == 3072
