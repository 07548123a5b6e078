"""LoRA files of Qwen-Image by whatever names: told from others, read to the same updates; alpha is never the rank."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lora_tui.weights.header.loras import lora_info
from lora_tui.weights.lora_file import file_tensors
from lora_tui.weights.reading import layers_by_name, read_lora

WIDTH, FEED, RANK, ALPHA = 12, 48, 3, 1.5
SIZES = {
    **{f"attn.{name}": (WIDTH, WIDTH) for name in ("to_q", "to_out.0", "add_k_proj", "to_add_out")},
    "img_mlp.net.0.proj": (WIDTH, FEED),
    "txt_mlp.net.2": (FEED, WIDTH),
    "img_mod.1": (WIDTH, 6 * WIDTH),
}
PATHS = {f"transformer_blocks.{number}.{path}": size for number in (0, 11) for path, size in SIZES.items()}
#: program -> how it calls the layer at a path, and the two matrices; whether it has an alpha.
PROGRAMS = {
    "ai-toolkit": ("diffusion_model.{path}", "lora_A", "lora_B", True),
    "diffusers": ("transformer.{path}", "lora_A", "lora_B", False),
    "peft": ("base_model.model.{path}", "lora_A", "lora_B", False),
    "musubi-tuner": ("lora_unet_{flat}", "lora_down", "lora_up", True),
    "LyCORIS": ("lycoris_{flat}", "lora_down", "lora_up", True),
}


def matrices() -> dict[str, tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return {
        path: (torch.randn(RANK, inputs, generator=generator), torch.randn(outputs, RANK, generator=generator))
        for path, (inputs, outputs) in PATHS.items()
    }


def updates(file: Path) -> dict[str, Tensor]:
    known = layers_by_name("qwen", [("transformer", path) for path in PATHS])
    return {known[name][1]: layer.update() for name, layer in read_lora(file).layers.items() if name in known}


@pytest.mark.parametrize("program", PROGRAMS)
def test_files_of_other_programs_are_read(program: str, tmp_path: Path) -> None:
    called, down_name, up_name, has_alpha = PROGRAMS[program]
    tensors = {}
    for path, (down, up) in matrices().items():
        name = called.format(path=path, flat=path.replace(".", "_"))
        tensors |= {f"{name}.{down_name}.weight": down, f"{name}.{up_name}.weight": up.contiguous()}
        tensors |= {f"{name}.alpha": torch.tensor(ALPHA)} if has_alpha else {}
    save_file(tensors, tmp_path / "lora.safetensors")
    assert lora_info(tmp_path / "lora.safetensors").family == "qwen"
    found = updates(tmp_path / "lora.safetensors")
    for path, (down, up) in matrices().items():
        assert torch.allclose(found[path], up @ down * (ALPHA / RANK if has_alpha else 1), atol=1e-6)


@pytest.mark.parametrize("layout", ["auto", "kohya", "diffusers"])
def test_what_is_written_is_read_back(layout: str, tmp_path: Path) -> None:
    layers = {
        ("transformer", path): {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(ALPHA)}
        for path, (down, up) in matrices().items()
    }
    tensors = file_tensors("qwen", layers, dtype=torch.float32, layout=layout)  # type: ignore[arg-type]
    save_file(tensors, tmp_path / "lora.safetensors")
    assert lora_info(tmp_path / "lora.safetensors").family == "qwen"
    assert ("lora_unet_transformer_blocks_0_attn_to_add_out.alpha" in tensors) == (layout == "kohya")
    assert any(name.endswith(".alpha") for name in tensors) == (layout != "diffusers")
    found = updates(tmp_path / "lora.safetensors")
    assert found.keys() == PATHS.keys()
    for path, (down, up) in matrices().items():
        assert torch.allclose(found[path], up @ down * (ALPHA / RANK), atol=1e-6)
