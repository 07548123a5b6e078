"""What single files keep their weights as: half precisions, 8 bits with and without factors; the rest is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lora_tui.bench.model import write_model
from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.errors import UserError
from lora_tui.families import check_model, open_model
from lora_tui.families.unet.model_file import write_single_file

LARGEST = 448  # of the numbers of float8_e4m3fn


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tensor]:
    """The tensors of an SDXL checkpoint."""
    home = tmp_path_factory.mktemp("model")
    return load_file(write_single_file(write_model(home / "base", seed=1, family="sdxl"), home / "one.safetensors"))


def _eight_bits(tensors: dict[str, Tensor], *, rows: bool) -> dict[str, Tensor]:
    """Every matrix and kernel as 8-bit numbers with a factor for the layer, or one for each of its rows."""
    found: dict[str, Tensor] = {"scaled_fp8": torch.zeros(0, dtype=torch.float8_e4m3fn)}
    for name, tensor in tensors.items():
        if name.endswith(".weight") and tensor.dim() > 1:
            largest = tensor.flatten(1).abs().amax(dim=1, keepdim=True) if rows else tensor.abs().max()
            factor = (largest.float() / LARGEST).clamp_min(1e-12)
            shaped = factor.reshape(-1, *[1] * (tensor.dim() - 1)) if rows else factor
            found[name] = (tensor.float() / shaped).to(torch.float8_e4m3fn)
            found[name.removesuffix("weight") + ("weight_scale" if rows else "scale_weight")] = factor
        else:
            found[name] = tensor
    return found


def _cast(tensors: dict[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    return {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def _weights(path: Path) -> dict[str, Tensor]:
    section = ModelSection(base=str(path), family="sdxl")
    model: Any = open_model(section, CaptionSection(), device=torch.device("cpu"), dtype=torch.float32)
    parts = {**model.adapted_modules(text_encoder=True), "vae": model.vae}
    return {f"{part}.{name}": t for part, module in parts.items() for name, t in module.state_dict().items()}


def test_weights_mean_the_same_whatever_they_are_stored_as(whole: dict[str, Tensor], tmp_path: Path) -> None:
    """Numbers of 8 bits are right to one part in sixteen, bfloat16 to one in 256, whether with factors or without."""
    stored = {
        "fp16": (whole, 0.0),
        "bf16": (_cast(whole, torch.bfloat16), 2**-8),
        "fp8": (_cast(whole, torch.float8_e4m3fn), 2**-4),
        "scaled": (_eight_bits(whole, rows=False), 2**-4),
        "scaled by rows": (_eight_bits(whole, rows=True), 2**-4),
    }
    wanted: dict[str, Tensor] = {}
    for name, (tensors, least) in stored.items():
        path = tmp_path / f"{name}.safetensors"
        save_file(tensors, path)
        check_model("sdxl", path)
        found = _weights(path)
        wanted = wanted or found
        assert found.keys() == wanted.keys()
        for key, tensor in wanted.items():
            wrong = (found[key].float() - tensor.float()).abs().max()
            assert wrong <= least * tensor.float().abs().max() + 2**-10, (name, key)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"weight.absmax": torch.zeros(2, dtype=torch.uint8)}, "bitsandbytes"),
        ({"weight": torch.zeros(8, 8, dtype=torch.uint8)}, "packed in a way"),  # two numbers in each byte
        ({"weight_scale": torch.ones(8, 2)}, "packed in a way"),  # a factor for each block
    ],
    ids=["bitsandbytes", "two in a byte", "factors of blocks"],
)
def test_other_ways_of_packing_are_refused_before_anything_loads(
    extra: dict[str, Tensor], said: str, whole: dict[str, Tensor], tmp_path: Path
) -> None:
    layer = "model.diffusion_model.middle_block.1.transformer_blocks.0.attn1.to_q."
    assert layer + "weight" in whole
    path = tmp_path / "packed.safetensors"
    save_file({**whole, **{layer + name: tensor for name, tensor in extra.items()}}, path)
    with pytest.raises(UserError, match=said) as caught:
        check_model("sdxl", path)
    assert caught.value.code == "model.packed" and "memory.base_weights" in caught.value.remedy
