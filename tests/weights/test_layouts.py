"""Files of other programs for every family: the layer, its update and its alpha are found under each of their names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lora_tui.families import facts_for
from lora_tui.weights.reading import LoraLayer, layers_by_name, read_lora

RANK, ALPHA = 4, 1.5
UNET, TEXT = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k", "encoder.layers.0.mlp.fc1"
SGM = "input_blocks.4.1.transformer_blocks.0.attn2.to_k"
CONV = "up_blocks.1.resnets.0.conv1"
KOHYA, PEFT = ("lora_down.weight", "lora_up.weight", "alpha"), ("lora_A.weight", "lora_B.weight", "alpha")


def _flat(path: str) -> str:
    return path.replace(".", "_")


def _unet(te: str, own: str, path: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """Program -> name of the layer -> its kinds of tensors; ``own`` is kohya's name of the layer of the UNet."""
    return {
        "kohya": {f"lora_unet_{_flat(own)}": KOHYA, f"{te}_text_model_{_flat(TEXT)}": KOHYA},
        "kohya, other blocks": {f"lora_unet_{_flat(SGM if own == path else path)}": KOHYA},
        "diffusers": {f"unet.{path}": PEFT, f"text_encoder.text_model.{TEXT}": PEFT},
        "peft": {f"base_model.model.{path}": PEFT, f"base_model.model.unet.{path}": PEFT},
        "OneTrainer": {f"unet.{SGM}": KOHYA, f"clip_l.text_model.{TEXT}": KOHYA},
        "OneTrainer, older": {f"lora_unet_{_flat(path)}": KOHYA, f"lora_te1_text_model_{_flat(TEXT)}": KOHYA},
        "ComfyUI": {f"diffusion_model.{SGM}": PEFT, f"text_encoders.clip_l.transformer.text_model.{TEXT}": PEFT},
    }


FLUX = "transformer_blocks.0.attn.to_out.0"
FILES = {
    "sd15": _unet("lora_te", UNET, UNET),
    "sd2": _unet("lora_te", UNET, UNET),
    "sdxl": _unet("lora_te1", SGM, UNET),
    "flux": {
        "kohya": {"lora_unet_double_blocks_0_img_attn_proj": KOHYA, f"lora_te1_text_model_{_flat(TEXT)}": KOHYA},
        "diffusers, ai-toolkit": {f"transformer.{FLUX}": PEFT, f"text_encoder.text_model.{TEXT}": PEFT},
        "peft": {f"base_model.model.{FLUX}": PEFT},
        "OneTrainer": {"transformer.double_blocks.0.img_attn.proj": KOHYA, f"clip_l.text_model.{TEXT}": KOHYA},
        "OneTrainer, older": {f"lora_transformer_{_flat(FLUX)}": KOHYA, f"lora_te1_text_model_{_flat(TEXT)}": KOHYA},
        "ComfyUI": {"diffusion_model.double_blocks.0.img_attn.proj": PEFT},
    },
}
CASES = [(family, program) for family, programs in FILES.items() for program in programs]


def _pair(inputs: int, outputs: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(inputs + outputs)
    return torch.randn(RANK, inputs, generator=generator), torch.randn(outputs, RANK, generator=generator)


@pytest.mark.parametrize(("family", "program"), CASES)
@pytest.mark.parametrize("stated", [True, False])
def test_a_layer_is_found_by_the_names_of_each_program(tmp_path: Path, family: str, program: str, stated: bool) -> None:
    """With the alpha that stands beside it, and where none does with that of the rank, as ai-toolkit means it."""
    known = layers_by_name(family, [(t.part, t.path) for t in facts_for(family).targets(convolutions=True)])
    down, up = _pair(6, 5)
    for name, kinds in FILES[family][program].items():
        tensors = {f"{name}.{kinds[0]}": down, f"{name}.{kinds[1]}": up}
        tensors |= {f"{name}.{kinds[2]}": torch.tensor(ALPHA)} if stated else {}
        save_file(tensors, tmp_path / "x.safetensors")
        stored = read_lora(tmp_path / "x.safetensors")
        ((found, layer),) = stored.layers.items()
        text = "te" in name.split("_")[1:2] or "clip" in name or "text_encoder" in name or name.startswith("lora_te")
        denoiser = ("transformer", FLUX) if family == "flux" else ("unet", UNET)
        assert known[found] == (("text_encoder", TEXT) if text else denoiser)
        assert torch.allclose(layer.update(), up @ down * ((ALPHA if stated else RANK) / RANK), atol=1e-6)
        assert stored.unread == ()


def test_pieces_of_a_fused_layer_that_are_counted_are_found() -> None:
    """OneTrainer's names: the number of the piece stands behind the original layer."""
    known = layers_by_name("flux", [(t.part, t.path) for t in facts_for("flux").targets()])
    assert known["transformer.double_blocks.3.txt_attn.qkv.2"][1] == "transformer_blocks.3.attn.add_v_proj"
    assert known["transformer.single_blocks.30.linear1.3"][1] == "single_transformer_blocks.30.proj_mlp"


def test_settings_of_peft_beside_the_file_or_in_it_say_the_alpha(tmp_path: Path) -> None:
    """rank_pattern needs no word: ranks are seen. With rank-stabilised scales the root of the rank counts."""
    down, up = _pair(6, 5)
    name = f"base_model.model.{FLUX}"
    save_file({f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}, tmp_path / "adapter_model.safetensors")
    for settings, alpha in (
        ({"lora_alpha": 6}, 6.0),
        ({"lora_alpha": 6, "use_rslora": True}, 12.0),
        ({"lora_alpha": 6, "alpha_pattern": {"to_out.0": 1.5}}, 1.5),
        ({}, RANK),
    ):
        (tmp_path / "adapter_config.json").write_text(json.dumps(settings))
        assert read_lora(tmp_path / "adapter_model.safetensors").layers[name].alpha == alpha
    inside = {"transformer.lora_alpha": 3, "transformer.use_rslora": True}
    tensors = {f"transformer.{FLUX}.lora_A.weight": down, f"transformer.{FLUX}.lora_B.weight": up}
    save_file(tensors, tmp_path / "x.safetensors", {"lora_adapter_metadata": json.dumps(inside)})
    assert read_lora(tmp_path / "x.safetensors").layers[f"transformer.{FLUX}"].alpha == 6.0


def test_a_convolution_in_three_matrices_is_one_in_two(tmp_path: Path) -> None:
    """LyCORIS' use_tucker: up, middle (as wide as the kernel) and down, one after the other."""
    generator = torch.Generator().manual_seed(0)
    down, mid, up = (torch.randn(*shape, generator=generator) for shape in ((2, 3, 1, 1), (4, 2, 3, 3), (5, 4, 1, 1)))
    name = f"lora_unet_{_flat(CONV)}"
    kinds = {"lora_down.weight": down, "lora_mid.weight": mid, "lora_up.weight": up, "alpha": torch.tensor(1.0)}
    save_file({f"{name}.{kind}": tensor for kind, tensor in kinds.items()}, tmp_path / "x.safetensors")
    layer = read_lora(tmp_path / "x.safetensors").layers[name]
    x = torch.randn(1, 3, 8, 8, generator=generator)
    inner = torch.nn.functional.conv2d(torch.nn.functional.conv2d(x, down), mid, padding=1)
    wanted = torch.nn.functional.conv2d(inner, up) * (layer.alpha / 4)
    assert torch.allclose(torch.nn.functional.conv2d(x, layer.update(), padding=1), wanted, atol=1e-4)


@pytest.mark.parametrize("kind", ["dora_scale", "lora_magnitude_vector", "lora_magnitude_vector.default.weight"])
@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 3, 3)])
def test_a_dora_has_its_sizes_on_columns_or_as_peft_on_rows(tmp_path: Path, kind: str, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(1)
    rows = kind != "dora_scale"
    weight = torch.randn(*shape, generator=generator)
    down = torch.randn(RANK, *shape[1:], generator=generator)
    up = torch.randn(5, RANK, *[1] * (len(shape) - 2), generator=generator)
    sizes = torch.rand(5 if rows else 6, generator=generator) + 0.5
    ones = [1] * (len(shape) - 2)
    stored = (sizes.view(1, 5, *ones) if ones else sizes) if rows else sizes.view(1, 6, *ones)
    tensors = {"unet.x.lora_A.weight": down, "unet.x.lora_B.weight": up, f"unet.x.{kind}": stored}
    save_file({**tensors, "unet.x.alpha": torch.tensor(ALPHA)}, tmp_path / "x.safetensors")
    layer = read_lora(tmp_path / "x.safetensors").layers["unet.x"]
    whole = weight + (up.flatten(1) @ down.flatten(1)).view(shape) * (ALPHA / RANK)
    for place in range(5 if rows else 6):
        piece = whole[place] if rows else whole[:, place]
        merged = layer.merged(weight)
        own = merged[place] if rows else merged[:, place]
        assert torch.allclose(own, piece / piece.norm() * sizes[place], atol=1e-5)
    half = layer.merged(weight, 0.5)
    assert torch.allclose(half, (weight + layer.merged(weight)) / 2, atol=1e-5)


def test_what_is_no_layer_of_a_lora_is_named(tmp_path: Path) -> None:
    down, up = _pair(6, 5)
    tensors = {"unet.x.lora_A.weight": down, "unet.x.lora_B.weight": up, "bundle_emb.hat.clip_l": torch.ones(2),
               "unet.norm.w_norm": torch.ones(3), "unet.y.alpha": torch.tensor(1.0)}  # fmt: skip
    save_file(tensors, tmp_path / "x.safetensors")
    stored = read_lora(tmp_path / "x.safetensors")
    assert stored.layers.keys() == {"unet.x"} and isinstance(stored.layers["unet.x"], LoraLayer)
    assert sorted(stored.unread) == ["bundle_emb.hat.clip_l", "unet.norm.w_norm", "unet.y.alpha"]
