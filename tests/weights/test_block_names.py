"""LoRA files of Z-Image and Qwen-Image by whatever names: told from others, and read to the same updates.

Alpha is never the rank.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lora_tui.weights.header.loras import lora_info
from lora_tui.weights.lora_file import file_tensors
from lora_tui.weights.reading import layers_by_name, read_lora

WIDTH, RANK, ALPHA = 12, 3, 1.5
BLOCKS = {"zimage": "layers", "qwen": "transformer_blocks"}
#: family -> the layers of a block, with the widths of what goes in and out
SIZES = {
    "zimage": {
        **{f"attention.{name}": (WIDTH, WIDTH) for name in ("to_q", "to_k", "to_v", "to_out.0")},
        "feed_forward.w1": (WIDTH, 32),
        "feed_forward.w2": (32, WIDTH),
        "adaLN_modulation.0": (WIDTH, 4 * WIDTH),
    },
    "qwen": {
        **{f"attn.{name}": (WIDTH, WIDTH) for name in ("to_q", "to_out.0", "add_k_proj", "to_add_out")},
        "img_mlp.net.0.proj": (WIDTH, 48),
        "txt_mlp.net.2": (48, WIDTH),
        "img_mod.1": (WIDTH, 6 * WIDTH),
    },
}
#: An alpha that is in kohya's files alone: Z-Image's hold query, key and value in one.
KOHYAS = {
    "zimage": "lora_unet_layers_0_attention_qkv.alpha",
    "qwen": "lora_unet_transformer_blocks_0_attn_to_add_out.alpha",
}
#: program -> how it calls the layer at a path, and the two matrices; whether it has an alpha.
PROGRAMS = {
    "ai-toolkit": ("diffusion_model.{path}", "lora_A", "lora_B", True),
    "diffusers": ("transformer.{path}", "lora_A", "lora_B", False),
    "peft": ("base_model.model.{path}", "lora_A", "lora_B", False),
    "musubi-tuner": ("lora_unet_{flat}", "lora_down", "lora_up", True),
    "LyCORIS": ("lycoris_{flat}", "lora_down", "lora_up", True),
}
each_family = pytest.mark.parametrize("family", SIZES)


def matrices(family: str) -> dict[str, tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return {
        f"{BLOCKS[family]}.{number}.{path}": (
            torch.randn(RANK, inputs, generator=generator),
            torch.randn(outputs, RANK, generator=generator),
        )
        for number in (0, 11)
        for path, (inputs, outputs) in SIZES[family].items()
    }


def updates(family: str, file: Path) -> dict[str, Tensor]:
    known = layers_by_name(family, [("transformer", path) for path in matrices(family)])
    return {known[name][1]: layer.update() for name, layer in read_lora(file).layers.items() if name in known}


@each_family
@pytest.mark.parametrize("program", PROGRAMS)
def test_files_of_other_programs_are_read(family: str, program: str, tmp_path: Path) -> None:
    called, down_name, up_name, has_alpha = PROGRAMS[program]
    tensors = {}
    for path, (down, up) in matrices(family).items():
        name = called.format(path=path, flat=path.replace(".", "_"))
        tensors |= {f"{name}.{down_name}.weight": down, f"{name}.{up_name}.weight": up.contiguous()}
        tensors |= {f"{name}.alpha": torch.tensor(ALPHA)} if has_alpha else {}
    save_file(tensors, tmp_path / "lora.safetensors")
    assert lora_info(tmp_path / "lora.safetensors").family == family
    found = updates(family, tmp_path / "lora.safetensors")
    for path, (down, up) in matrices(family).items():
        assert torch.allclose(found[path], up @ down * (ALPHA / RANK if has_alpha else 1), atol=1e-6)


@each_family
@pytest.mark.parametrize("layout", ["auto", "kohya", "diffusers"])
def test_what_is_written_is_read_back(family: str, layout: Any, tmp_path: Path) -> None:
    layers = {
        ("transformer", path): {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(ALPHA)}
        for path, (down, up) in matrices(family).items()
    }
    tensors = file_tensors(family, layers, dtype=torch.float32, layout=layout)
    save_file(tensors, tmp_path / "lora.safetensors")
    assert lora_info(tmp_path / "lora.safetensors").family == family
    assert (KOHYAS[family] in tensors) == (layout == "kohya")
    assert any(name.endswith(".alpha") for name in tensors) == (layout != "diffusers")
    found = updates(family, tmp_path / "lora.safetensors")
    assert found.keys() == matrices(family).keys()
    for path, (down, up) in matrices(family).items():
        assert torch.allclose(found[path], up @ down * (ALPHA / RANK), atol=1e-6)
