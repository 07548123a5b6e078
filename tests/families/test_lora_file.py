"""LoRA files: alpha is what was set, in every precision, for whoever reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lora_tui.weights.header.loras import lora_info
from lora_tui.weights.lora_file import DTYPES, file_tensors, write_lora

LAYER = ("unet", "mid_block.attentions.0.transformer_blocks.0.attn1.to_q")


def _layers() -> dict[tuple[str, str], dict[str, torch.Tensor]]:
    down, up = torch.randn(4, 64), torch.randn(64, 4)
    return {LAYER: {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(0.3)}}


@pytest.mark.parametrize("precision", DTYPES)
def test_alpha_is_not_rounded(tmp_path: Path, precision: str) -> None:
    path = tmp_path / "a.safetensors"
    write_lora(path, file_tensors("sd15", _layers(), dtype=DTYPES[precision]), {})
    tensors = load_file(path)
    (name,) = (name for name in tensors if name.endswith(".alpha"))
    assert tensors[name].dtype == torch.float32
    assert tensors[name].item() == pytest.approx(0.3, rel=1e-7)
    assert all(tensor.dtype == DTYPES[precision] for other, tensor in tensors.items() if other != name)
    assert lora_info(path).alpha == pytest.approx(0.3, rel=1e-7)


def test_diffusers_reads_the_same_alpha(tmp_path: Path) -> None:
    from diffusers.loaders.lora_conversion_utils import _convert_non_diffusers_lora_to_diffusers

    tensors = file_tensors("sd15", _layers(), dtype=torch.bfloat16)
    _, alphas = _convert_non_diffusers_lora_to_diffusers(dict(tensors))
    assert list(alphas.values()) == [pytest.approx(0.3, rel=1e-7)]
