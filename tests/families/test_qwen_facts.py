"""Qwen-Image without torch: counts and names against the networks that diffusers and transformers build."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLQwenImage, QwenImageTransformer2DModel
from safetensors.torch import save_file
from torch import nn
from transformers import Qwen2_5_VLTextConfig, Qwen2_5_VLTextModel

from lora_tui.families.qwen.counting import transformer_tensors, vae_tensors
from lora_tui.families.qwen.facts import FACTS
from lora_tui.families.qwen.language import QWEN_VL_7B, vl_tensors
from lora_tui.families.qwen.model_text import text_arguments
from lora_tui.families.qwen.shape import QWEN, Shape, shape_of_tensors
from lora_tui.families.qwen.targets import block_layers, transformer_targets
from lora_tui.weights.header.loras import lora_info
from lora_tui.weights.header.models import identify_model
from lora_tui.weights.kinds import adapts


def network(shape: Shape) -> nn.Module:
    with torch.device("meta"):
        return QwenImageTransformer2DModel.from_config(shape.transformer_config())


def shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def test_tensors_layers_and_counts_are_those_of_the_published_model() -> None:
    few = replace(QWEN, blocks=2)
    module = network(few)
    assert shapes(module) == transformer_tensors(few)
    with torch.device("meta"):
        assert shapes(AutoencoderKLQwenImage.from_config(QWEN.vae_config())) == vae_tensors(96, 16)
        language = replace(QWEN_VL_7B, layers=2)
        text = Qwen2_5_VLTextModel(Qwen2_5_VLTextConfig(**text_arguments(language)))
    assert shapes(text) == vl_tensors(language)
    assert FACTS.part_parameters() == {
        "transformer": 20_430_401_088, "text_encoder": 7_070_619_136, "vae": 126_892_531
    }  # fmt: skip
    linear = {
        path: (layer.in_features, layer.out_features)
        for path, layer in module.named_modules()
        if isinstance(layer, nn.Linear) and path.startswith("transformer_blocks.") and "_mod." not in path
    }
    found = {target.path: (target.inputs, target.outputs) for target in transformer_targets(few)}
    silent = {f"transformer_blocks.1.{path}" for path in
              ("attn.add_q_proj", "attn.to_add_out", "txt_mlp.net.0.proj", "txt_mlp.net.2")}  # fmt: skip
    assert found == {path: size for path, size in linear.items() if path not in silent}
    assert len(list(transformer_targets(QWEN))) == 12 * 60 - 4
    scaled = [path for path in block_layers(QWEN, 0) if adapts("ia3", path)]
    assert scaled == [f"attn.{name}" for name in ("to_k", "to_v", "add_k_proj", "add_v_proj")] + [
        f"{stream}_mlp.net.2" for stream in ("img", "txt")
    ]
    assert FACTS.text_values(t5_tokens=40) == 40 * 3584


def test_the_shape_is_told_by_the_names_of_a_single_file(tmp_path: Path) -> None:
    few = replace(QWEN, blocks=2)
    own = transformer_tensors(few)
    beginning = "model.diffusion_model."
    save_file({beginning + name: torch.zeros(1, dtype=torch.float16) for name in own}, tmp_path / "model.safetensors")
    assert identify_model(tmp_path / "model.safetensors").family == "qwen"
    assert shape_of_tensors(own, FACTS.full) == few


@pytest.mark.parametrize(("block", "width", "family"), [(40, 3072, "qwen"), (7, 3072, "unknown"), (30, 2432, "sd3")])
def test_a_lora_of_attentions_alone_is_told_by_the_number_of_its_blocks(
    tmp_path: Path, block: int, width: int, family: str
) -> None:
    """FLUX.1 has 19 such blocks, of the same width."""
    layer = f"transformer.transformer_blocks.{block}.attn.to_q"
    save_file(
        {f"{layer}.lora_A.weight": torch.zeros(2, width), f"{layer}.lora_B.weight": torch.zeros(width, 2)},
        tmp_path / "lora.safetensors",
    )
    assert lora_info(tmp_path / "lora.safetensors").family == family
