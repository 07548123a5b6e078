"""Estimates of what a training step keeps, against what torch saves for the backward pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import diffusers
import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from lora_tui.families.chroma.facts import FACTS as CHROMA
from lora_tui.families.flux2.facts import FACTS as FLUX2
from lora_tui.families.qwen.facts import FACTS as QWEN
from lora_tui.families.sd3.facts import FACTS as SD3
from lora_tui.families.sd3.shape import SD35_MEDIUM
from lora_tui.families.separate.facts import SeparateFacts
from lora_tui.families.zimage.facts import FACTS as ZIMAGE


@dataclass(frozen=True)
class Case:
    """A network of a few narrow blocks, and one step of it.

    Attributes:
        pixels: width and height of the image; ``positions`` of its text.
        step: runs the network on them, in a precision.
    """

    facts: SeparateFacts[Any]
    kind: type[Any]
    shape: Any
    pixels: tuple[int, int]
    positions: int
    step: Callable[[nn.Module, torch.dtype], Any]
    dtype: torch.dtype = torch.float32


def chroma(module: nn.Module, _dtype: torch.dtype) -> None:
    module(
        hidden_states=torch.randn(1, 24 * 16, 64), encoder_hidden_states=torch.randn(1, 128, 128),
        timestep=torch.tensor([0.5]), img_ids=torch.zeros(24 * 16, 3), txt_ids=torch.zeros(128, 3), return_dict=False,
    )  # fmt: skip


def flux2(module: nn.Module, _dtype: torch.dtype) -> None:
    module(
        hidden_states=torch.randn(1, 24 * 16, 128), encoder_hidden_states=torch.randn(1, 128, 128),
        timestep=torch.tensor([0.5]), img_ids=torch.rand(24 * 16, 4), txt_ids=torch.rand(128, 4), return_dict=False,
    )  # fmt: skip


def qwen(module: nn.Module, dtype: torch.dtype) -> None:
    module(
        hidden_states=torch.randn(1, 24 * 16, 64, dtype=dtype), timestep=torch.tensor([0.5]),
        encoder_hidden_states=torch.randn(1, 64, 64, dtype=dtype), img_shapes=[[(1, 24, 16)]], return_dict=False,
    )  # fmt: skip


def sd3(module: nn.Module, _dtype: torch.dtype) -> None:
    module(
        hidden_states=torch.randn(1, 16, 48, 32), encoder_hidden_states=torch.randn(1, 77 + 128, 128),
        pooled_projections=torch.randn(1, 64), timestep=torch.tensor([500.0]), return_dict=False,
    )  # fmt: skip


def zimage(module: nn.Module, _dtype: torch.dtype) -> None:
    module([torch.randn(16, 1, 48, 32)], torch.tensor([0.5]), [torch.randn(60, 64)], return_dict=False)


SMALL_QWEN = replace(QWEN.full, blocks=6, heads=4, head_width=64, text_width=64)
CASES = {
    "sd3": Case(
        SD3, diffusers.SD3Transformer2DModel,
        replace(SD35_MEDIUM, blocks=5, heads=4, dual=2, positions=32, text_width=128, pooled_width=64),
        (32 * 8, 48 * 8), 77 + 128, sd3,
    ),
    "chroma": Case(
        CHROMA, diffusers.ChromaTransformer2DModel,
        replace(CHROMA.full, double=2, single=3, heads=2, text_width=128, hidden=64), (16 * 16, 24 * 16), 128, chroma,
    ),
    "flux2": Case(
        FLUX2, diffusers.Flux2Transformer2DModel,
        replace(FLUX2.full, double=2, single=3, heads=4, head_width=64, text_width=128), (16 * 16, 24 * 16), 128, flux2,
    ),
    "zimage": Case(
        ZIMAGE, diffusers.ZImageTransformer2DModel,
        replace(ZIMAGE.full, blocks=4, refiners=1, heads=4, head_width=64, text_width=64), (32 * 8, 48 * 8), 64, zimage,
    ),
    "qwen": Case(QWEN, diffusers.QwenImageTransformer2DModel, SMALL_QWEN, (16 * 16, 24 * 16), 64, qwen),
    "qwen, half": Case(
        QWEN, diffusers.QwenImageTransformer2DModel, SMALL_QWEN, (16 * 16, 24 * 16), 64, qwen, torch.bfloat16
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_estimate_of_what_a_step_keeps_is_near_what_torch_saves(name: str) -> None:
    """Counted with hooks on a model of its own widths, with LoRA on each layer."""
    case = CASES[name]
    module = case.kind.from_config(case.shape.transformer_config()).requires_grad_(False).to(case.dtype)
    paths = [target.path.replace(".", r"\.") for target in case.facts.layers(case.shape)]
    inject_adapter_in_model(LoraConfig(r=2, target_modules=f"({'|'.join(paths)})"), module)
    weights = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        case.step(module, case.dtype)
    counted = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    estimate = case.facts.kept(case.shape, case.pixels, case.positions, case.dtype.itemsize, checkpointing=False)
    assert 0.85 < estimate / counted < 1.15, counted
