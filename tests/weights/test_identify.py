"""Families and kinds of model files, by header alone."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from weights.files import model

from lora_tui.errors import UserError
from lora_tui.families.unet.particulars import TOKENIZER
from lora_tui.weights.header.models import identify_model

UNET = "model.diffusion_model."
BLOCK = "transformer_blocks.0.attn2.to_k.weight"
SD1 = {
    f"{UNET}input_blocks.0.0.weight": (32, 4, 3, 3),
    f"{UNET}input_blocks.1.1.{BLOCK}": (32, 64),
    f"{UNET}input_blocks.1.1.proj_in.weight": (32, 32, 1, 1),
    "first_stage_model.encoder.conv_in.weight": (8, 3, 3, 3),
    "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight": (100, 64),
}
FILES = {
    "a micro SD1.5 checkpoint": (SD1, "sd15", "checkpoint"),
    "SD1.5 for inpainting": ({**SD1, f"{UNET}input_blocks.0.0.weight": (32, 9, 3, 3)}, "sd15", "checkpoint"),
    "SD2": (
        {
            f"{UNET}input_blocks.0.0.weight": (32, 4, 3, 3),
            f"{UNET}input_blocks.1.1.{BLOCK}": (32, 64),
            "cond_stage_model.model.token_embedding.weight": (10, 4),
        },
        "sd2",
        "checkpoint",
    ),
    "SDXL": (
        {
            f"{UNET}input_blocks.0.0.weight": (32, 4, 3, 3),
            f"{UNET}label_emb.0.0.weight": (8, 8),
            "conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight": (10, 4),
            "conditioner.embedders.1.model.positional_embedding": (7, 4),
        },
        "sdxl",
        "checkpoint",
    ),
    "SD3": (
        {
            f"{UNET}joint_blocks.0.x_block.attn.qkv.weight": (12, 4),
            "text_encoders.clip_l.transformer.text_model.embeddings.token_embedding.weight": (10, 4),
        },
        "sd3",
        "checkpoint",
    ),
    "FLUX transformer": (
        {"double_blocks.0.img_attn.qkv.weight": (12, 4), "guidance_in.in_layer.weight": (4, 4)},
        "flux",
        "unet",
    ),
    "FLUX in diffusers' names": ({"single_transformer_blocks.0.attn.to_q.weight": (4, 4)}, "flux", "unet"),
    "FLUX.2": (
        {"double_stream_modulation_img.lin.weight": (4, 4), "double_blocks.0.img_attn.qkv.weight": (12, 4)},
        "flux2",
        "unet",
    ),
    "Chroma": (
        {"distilled_guidance_layer.in_proj.weight": (4, 4), "double_blocks.0.img_attn.qkv.weight": (12, 4)},
        "chroma",
        "unet",
    ),
    "SD1.5 UNet of diffusers": (
        {"down_blocks.0.resnets.0.conv1.weight": (4, 4, 3, 3), f"down_blocks.0.attentions.0.{BLOCK}": (32, 768)},
        "sd15",
        "unet",
    ),
    "SD2 UNet of diffusers": (
        {"down_blocks.0.resnets.0.conv1.weight": (4, 4, 3, 3), f"down_blocks.0.attentions.0.{BLOCK}": (32, 1024)},
        "sd2",
        "unet",
    ),
    "SDXL UNet of diffusers": (
        {"down_blocks.0.resnets.0.conv1.weight": (4, 4, 3, 3), "add_embedding.linear_1.weight": (4, 4)},
        "sdxl",
        "unet",
    ),
    "VAE of SD1.5": ({"decoder.conv_in.weight": (8, 4, 3, 3), "encoder.conv_in.weight": (8, 3, 3, 3)}, "sd15", "vae"),
    "VAE of FLUX": (
        {"decoder.conv_in.weight": (8, 16, 3, 3), "encoder.conv_in.weight": (8, 3, 3, 3)},
        "unknown",
        "vae",
    ),
    "Qwen-Image": ({"transformer_blocks.0.img_mod.1.weight": (12, 2)}, "qwen", "unet"),
    "VAE of Qwen-Image": ({"decoder.middle.0.residual.0.gamma": (8, 1, 1, 1)}, "unknown", "vae"),
    "CLIP": ({"text_model.embeddings.token_embedding.weight": (10, 4)}, "unknown", "text_encoder"),
    "LoRA": ({"lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": (4, 32, 1, 1)}, "sd15", "lora"),
    "ControlNet": (
        {
            "control_model.input_blocks.0.0.weight": (32, 4, 3, 3),
            f"control_model.input_blocks.1.1.{BLOCK}": (32, 768),
        },
        "sd15",
        "controlnet",
    ),
    "textual inversion": ({"emb_params": (4, 768)}, "unknown", "embedding"),
    "something else": ({"conv1.weight": (4, 4)}, "unknown", "unknown"),
}


@pytest.mark.parametrize("what", FILES)
def test_a_single_file_is_known_by_its_header(tmp_path: Path, what: str) -> None:
    shapes, family, kind = FILES[what]
    found = identify_model(model(tmp_path / "a.safetensors", shapes))
    assert (found.family, found.kind) == (family, kind)


def test_what_is_special_is_said(tmp_path: Path) -> None:
    assert "inpainting" in identify_model(model(tmp_path / "a", FILES["SD1.5 for inpainting"][0])).detail
    assert identify_model(model(tmp_path / "b", SD1)).detail == ""
    guided = {**SD1, f"{UNET}time_embed.cond_proj.weight": (32, 8)}
    assert "LCM" in identify_model(model(tmp_path / "c", guided)).detail


def test_the_shipped_configuration_is_a_diffusers_folder_of_sd15() -> None:
    assert identify_model(TOKENIZER.parent).family == "sd15"
    assert identify_model(TOKENIZER.parent).kind == "diffusers"
    assert identify_model(TOKENIZER.parent / "unet").kind == "unet"
    assert identify_model(TOKENIZER.parent / "vae").kind == "vae"
    assert identify_model(TOKENIZER.parent / "text_encoder").kind == "text_encoder"


@pytest.mark.parametrize(
    ("pipeline", "unet", "family"),
    [
        ("StableDiffusionPipeline", {"cross_attention_dim": 1024, "use_linear_projection": True}, "sd2"),
        ("StableDiffusionPipeline", {"cross_attention_dim": 64}, "sd15"),
        ("StableDiffusionXLPipeline", {}, "sdxl"),
        ("StableDiffusion3Pipeline", {}, "sd3"),
        ("FluxPipeline", {}, "flux"),
        ("Flux2KleinPipeline", {}, "flux2"),
        ("QwenImagePipeline", {}, "qwen"),
        ("QwenImage21Pipeline", {}, "unknown"),
        ("WanPipeline", {}, "unknown"),
    ],
)
def test_a_diffusers_folder_is_known_by_its_index(tmp_path: Path, pipeline: str, unet: dict, family: str) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
    (tmp_path / "unet" / "config.json").write_text(json.dumps(unet))
    assert (identify_model(tmp_path).family, identify_model(tmp_path).kind) == (family, "diffusers")


def test_a_damaged_index_is_an_error_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{")
    with pytest.raises(UserError, match=r"model_index\.json"):
        identify_model(tmp_path)


def test_other_formats_are_named_and_not_opened(tmp_path: Path) -> None:
    ckpt, gguf = tmp_path / "a.ckpt", tmp_path / "b.gguf"
    ckpt.write_bytes(pickle.dumps({}, protocol=4))
    gguf.write_bytes(b"GGUF" + bytes(100))
    assert identify_model(ckpt).kind == "pickle"
    assert identify_model(gguf).kind == "gguf"
    assert identify_model(tmp_path).kind == "unknown"
