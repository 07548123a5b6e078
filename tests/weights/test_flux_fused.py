"""FLUX.1's LoRA files in other programs' names: every layer's update is found, whole or among others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers.loaders.lora_conversion_utils import _convert_kohya_flux_lora_to_diffusers
from safetensors.torch import save_file
from torch import Tensor

from lora_tui.families.flux.facts import FACTS
from lora_tui.weights.reading import layers_by_name, read_lora

WIDTH, RANK, ALPHA = 3072, 4, 1.5
#: kohya's name of a layer -> its inputs and outputs, in hidden widths
KOHYA = {
    "lora_unet_double_blocks_3_img_attn_qkv": (1, 3),
    "lora_unet_double_blocks_3_txt_attn_proj": (1, 1),
    "lora_unet_double_blocks_18_img_mlp_2": (4, 1),
    "lora_unet_double_blocks_0_txt_mod_lin": (1, 6),
    "lora_unet_single_blocks_37_linear1": (1, 7),
    "lora_unet_single_blocks_0_linear2": (5, 1),
    "lora_unet_single_blocks_0_modulation_lin": (1, 3),
}


@pytest.fixture(scope="module")
def kohya() -> dict[str, Tensor]:
    generator, found = torch.Generator().manual_seed(0), {}
    for name, (inputs, outputs) in KOHYA.items():
        found[f"{name}.lora_down.weight"] = torch.randn(RANK, inputs * WIDTH, generator=generator)
        found[f"{name}.lora_up.weight"] = torch.randn(outputs * WIDTH, RANK, generator=generator)
        found[f"{name}.alpha"] = torch.tensor(ALPHA)
    return found


def updates(path: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Down and up, which has the factor in it, by the layer's path in the transformer."""
    places = [(target.part, target.path) for target in FACTS.targets()]
    known = layers_by_name("flux", places)
    return {known[name][1]: (layer.down, layer.up * layer.scale) for name, layer in read_lora(path).items()}


@pytest.mark.parametrize("dotted", [False, True])
def test_layers_that_lie_in_one_are_read_as_diffusers_reads_them(
    kohya: dict[str, Tensor], tmp_path: Path, dotted: bool
) -> None:
    save_file(_dotted(kohya) if dotted else kohya, tmp_path / "x.safetensors")
    found = updates(tmp_path / "x.safetensors")
    theirs = _convert_kohya_flux_lora_to_diffusers({name: tensor.clone() for name, tensor in kohya.items()})
    paths = {name.removeprefix("transformer.").rpartition(".lora_")[0] for name in theirs}
    assert found.keys() == paths and len(paths) == 12
    probe = torch.randn(2, 5 * WIDTH, generator=torch.Generator().manual_seed(1))
    for path, (down, up) in found.items():
        values = probe[:, : down.shape[1]]
        wanted = values @ theirs[f"transformer.{path}.lora_A.weight"].T @ theirs[f"transformer.{path}.lora_B.weight"].T
        assert torch.allclose(values @ down.T @ up.T, wanted, atol=1e-2, rtol=1e-4)


def _dotted(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """As files for ComfyUI name them: the original names, with dots."""
    inner = {"img_attn_qkv": "img_attn.qkv", "txt_attn_proj": "txt_attn.proj", "img_mlp_2": "img_mlp.2",
             "txt_mod_lin": "txt_mod.lin", "modulation_lin": "modulation.lin"}  # fmt: skip
    found = {}
    for name, tensor in tensors.items():
        layer, _dot, kind = name.removeprefix("lora_unet_").partition(".")
        block, number, flat = layer.split("_blocks_")[0] + "_blocks", *layer.split("_blocks_")[1].split("_", 1)
        found[f"diffusion_model.{block}.{number}.{inner.get(flat, flat)}.{kind}"] = tensor
    return found


def test_layers_of_other_sizes_are_left_as_they_are(tmp_path: Path) -> None:
    name = "lora_unet_double_blocks_0_img_attn_qkv"
    tensors = {f"{name}.lora_down.weight": torch.zeros(2, 32), f"{name}.lora_up.weight": torch.zeros(64, 2)}
    save_file(tensors, tmp_path / "x.safetensors")
    assert list(read_lora(tmp_path / "x.safetensors")) == [name]


@pytest.mark.parametrize(
    "name",
    [
        "lora_transformer_transformer_blocks_0_attn_to_q",
        "transformer.transformer_blocks.0.attn.to_q",
        "lora_te1_text_model_encoder_layers_0_mlp_fc1",
    ],
)
def test_names_of_other_programs_are_known(name: str) -> None:
    assert name in layers_by_name("flux", [(target.part, target.path) for target in FACTS.targets()])
