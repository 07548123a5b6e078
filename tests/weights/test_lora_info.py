"""What ``lora info`` knows of files from different programs."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from weights.files import entries, model, write

from lora_tui.errors import UserError
from lora_tui.weights.header.loras import lora_info

ATTENTION = "down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
TEXT = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"


def kohya(
    module: str, rank: int, inputs: int, outputs: int = 32, kernel: tuple[int, ...] = ()
) -> dict[str, tuple[int, ...]]:
    up = (1,) * len(kernel)
    return {
        f"{module}.lora_down.weight": (rank, inputs, *kernel),
        f"{module}.lora_up.weight": (outputs, rank, *up),
        f"{module}.alpha": (),
    }


def test_a_kohya_file_of_sd15_with_alphas(tmp_path: Path) -> None:
    shapes = {**kohya(f"lora_unet_{ATTENTION}", 16, 64), **kohya(TEXT, 16, 64), **kohya("lora_unet_mid_block_x", 8, 4)}
    header = entries(shapes)
    body = bytearray(sum(e["data_offsets"][1] - e["data_offsets"][0] for e in header.values()))
    for module, alpha in ((f"lora_unet_{ATTENTION}", 8.0), (TEXT, 8.0), ("lora_unet_mid_block_x", 0.5)):
        struct.pack_into("<e", body, header[f"{module}.alpha"]["data_offsets"][0], alpha)
    metadata = {"ss_output_name": "hat", "sshs_model_hash": "ab12", "ss_sd_model_hash": ""}
    path = write(tmp_path / "a.safetensors", {"__metadata__": metadata, **header}, bytes(body))
    info = lora_info(path)
    assert (info.family, info.layout, info.kind, info.dtype) == ("sd15", "kohya", "lora", "F16")
    assert info.ranks == {16: 2, 8: 1}
    assert info.alphas == {8.0: 2, 0.5: 1}
    assert (info.rank, info.alpha) == (16, 8.0)
    assert (info.modules, info.unet_modules, info.text_encoder_modules) == (3, 2, 1)
    assert info.metadata == metadata
    assert info.hashes == {"sshs_model_hash": "ab12"}
    assert info.size == path.stat().st_size
    json.dumps(info.as_dict())


def test_bf16_and_fp32_alphas_are_read(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    for dtype in (torch.bfloat16, torch.float32, torch.float64):
        tensors = {
            f"lora_unet_{ATTENTION}.lora_down.weight": torch.zeros(4, 64, dtype=dtype),
            f"lora_unet_{ATTENTION}.lora_up.weight": torch.zeros(32, 4, dtype=dtype),
            f"lora_unet_{ATTENTION}.alpha": torch.tensor(1.5, dtype=dtype),
        }
        save_file(tensors, tmp_path / "a.safetensors")
        assert lora_info(tmp_path / "a.safetensors").alphas == {1.5: 1}


def test_the_type_is_that_of_the_matrices_not_of_as_many_alphas(tmp_path: Path) -> None:
    names = {f"lora_unet_mid_block_{number}" for number in range(3)}
    header = entries({f"{name}.alpha": () for name in names}, "F32")
    start = 4 * len(header)
    for name in names:
        header[f"{name}.diff"] = {"dtype": "BF16", "shape": [8, 8], "data_offsets": [start, start + 128]}
        start += 128
    assert lora_info(write(tmp_path / "a.safetensors", header, start)).dtype == "BF16"


DOWN = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
LAYOUTS = {
    "diffusers": (
        {f"unet.{DOWN}.lora_A.weight": (4, 768), f"unet.{DOWN}.lora_B.weight": (32, 4)},
        ("sd15", "diffusers", "lora", 4),
    ),
    "diffusers of old": (
        {
            "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.processor.to_k_lora.down.weight": (4, 1024),
            "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.processor.to_k_lora.up.weight": (32, 4),
        },
        ("sd2", "diffusers", "lora", 4),
    ),
    "peft": (
        {f"base_model.model.{DOWN}.lora_A.weight": (4, 2048), f"base_model.model.{DOWN}.lora_B.weight": (32, 4)},
        ("sdxl", "peft", "lora", 4),
    ),
    "SDXL of kohya": (
        kohya("lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q", 8, 640),
        ("sdxl", "kohya", "lora", 8),
    ),
    "SD2 by its linear projection": (
        kohya("lora_unet_down_blocks_0_attentions_0_proj_in", 8, 320),
        ("sd2", "kohya", "lora", 8),
    ),
    "FLUX of kohya": (
        kohya("lora_unet_double_blocks_0_img_attn_qkv", 16, 3072),
        ("flux", "kohya", "lora", 16),
    ),
    "FLUX of diffusers": (
        {
            "transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight": (16, 3072),
            "transformer.single_transformer_blocks.0.attn.to_q.lora_B.weight": (3072, 16),
        },
        ("flux", "diffusers", "lora", 16),
    ),
    "SD3 of diffusers": (
        {
            "transformer.transformer_blocks.0.attn.to_q.lora_A.weight": (16, 1536),
            "transformer.transformer_blocks.0.attn.to_q.lora_B.weight": (1536, 16),
        },
        ("sd3", "diffusers", "lora", 16),
    ),
    "ComfyUI": (
        {
            "diffusion_model.joint_blocks.0.x_block.attn.qkv.lora_A.weight": (16, 8),
            "diffusion_model.joint_blocks.0.x_block.attn.qkv.lora_B.weight": (8, 16),
        },
        ("sd3", "comfyui", "lora", 16),
    ),
    "LoCon": (
        {
            **kohya(f"lora_unet_{ATTENTION}", 8, 768),
            **kohya("lora_unet_down_blocks_0_resnets_0_conv1", 8, 4, kernel=(3, 3)),
        },
        ("sd15", "kohya", "locon", 8),
    ),
    "DoRA": (
        {**kohya(f"lora_unet_{ATTENTION}", 8, 768), f"lora_unet_{ATTENTION}.dora_scale": (32, 1)},
        ("sd15", "kohya", "dora", 8),
    ),
    "LoHa": (
        {
            f"lora_unet_{ATTENTION}.hada_w1_a": (32, 6),
            f"lora_unet_{ATTENTION}.hada_w1_b": (6, 768),
            f"lora_unet_{ATTENTION}.hada_w2_a": (32, 6),
            f"lora_unet_{ATTENTION}.hada_w2_b": (6, 768),
        },
        ("sd15", "kohya", "loha", 6),
    ),
    "LoKr without a rank": (
        {f"lora_unet_{ATTENTION}.lokr_w1": (4, 4), f"lora_unet_{ATTENTION}.lokr_w2": (8, 16)},
        ("sd15", "kohya", "lokr", None),
    ),
}


@pytest.mark.parametrize("what", LAYOUTS)
def test_files_of_other_programs_are_understood(tmp_path: Path, what: str) -> None:
    shapes, expected = LAYOUTS[what]
    info = lora_info(model(tmp_path / "a.safetensors", shapes))
    assert (info.family, info.layout, info.kind, info.rank) == expected


def test_diffusers_states_alpha_in_its_metadata(tmp_path: Path) -> None:
    shapes, _ = LAYOUTS["diffusers"]
    metadata = {"lora_adapter_metadata": json.dumps({"unet.lora_alpha": 12, "unet.r": 4})}
    assert lora_info(model(tmp_path / "a", shapes, metadata)).alphas == {12.0: 1}
    assert lora_info(model(tmp_path / "b", shapes, {"lora_adapter_metadata": "[["})).alphas == {}


def test_metadata_decide_where_names_do_not(tmp_path: Path) -> None:
    shapes = {"some.layer.lora_A.weight": (4, 8), "some.layer.lora_B.weight": (8, 4)}
    assert lora_info(model(tmp_path / "a", shapes)).family == "unknown"
    assert lora_info(model(tmp_path / "b", shapes, {"modelspec.architecture": "flux-1-dev/lora"})).family == "flux"
    assert lora_info(model(tmp_path / "c", shapes, {"ss_base_model_version": "sdxl_base_v1-0"})).family == "sdxl"
    shared = {
        "lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": (4, 8)
    }  # FLUX.1's names, which Chroma has, too
    assert lora_info(model(tmp_path / "d", shared)).family == "flux"
    assert lora_info(model(tmp_path / "e", shared, {"modelspec.architecture": "chroma/lora"})).family == "chroma"


@pytest.mark.parametrize(("version", "family"), [("sd_v2_768_v", "sd2"), ("sd_v1", "sd15"), ("", "sd15")])
def test_sd2_and_sd15_are_told_apart_whatever_the_kind_of_adapter(tmp_path: Path, version: str, family: str) -> None:
    """By the width of the text features where some tensor tells it, else by the metadata."""
    told = {"ss_base_model_version": version}
    name = f"lora_unet_{ATTENTION}"
    silent = {f"{name}.lokr_w1": (4, 8), f"{name}.lokr_w2_a": (8, 2), f"{name}.lokr_w2_b": (2, 128)}
    assert lora_info(model(tmp_path / "a.safetensors", silent, told)).family == family
    for tensor, shape in (("hada_w1_b", (4, 1024)), ("a2.weight", (4, 1024)), ("diff", (32, 1024))):
        first = {"diff": {}, "a2.weight": {"a1.weight": (1024, 4)}}.get(tensor, {"hada_w1_a": (32, 4)})
        shapes = {f"{name}.{own}": sides for own, sides in {**first, tensor: shape}.items()}
        assert lora_info(model(tmp_path / "a.safetensors", shapes, told)).family == "sd2"


def test_a_checkpoint_is_no_lora_and_is_named(tmp_path: Path) -> None:
    path = model(tmp_path / "a", {"model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight": (4, 4)})
    with pytest.raises(UserError, match="sd3") as caught:
        lora_info(path)
    assert caught.value.code == "lora.not_a_lora"


def test_ten_gigabytes_are_no_matter(tmp_path: Path) -> None:
    shapes = {}
    for number in range(300):
        shapes.update(kohya(f"lora_unet_double_blocks_{number}_img_attn_qkv", 128, 65_536, 65_536))
    path = model(tmp_path / "a.safetensors", shapes)
    assert path.stat().st_size > 10_000_000_000
    process = psutil.Process()
    before = process.io_counters().read_chars
    assert lora_info(path).modules == 300
    assert process.io_counters().read_chars - before < 1_000_000
