"""The training loop for Qwen-Image that one would write by hand with torch, diffusers and peft; see :mod:`.loops`.

Latents and embeddings lie in memory, timesteps are drawn evenly, the network learns noise minus latents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lora_tui.bench.flux_loop import IMAGES
from lora_tui.bench.qwen_model import MICRO
from lora_tui.families.qwen.shape import QWEN, Shape
from lora_tui.families.qwen.targets import BLOCKS, block_layers

TOKENS = 24
"""Of the caption and what stands behind it, about; captions have their own lengths."""


def qwen_shape(size: str) -> Shape:
    """The transformer's widths and depths; its text encoder and VAE are always small, and so is what they say."""
    if size == "small":
        return replace(MICRO, heads=6, blocks=6)
    if size == "full":
        return replace(MICRO, heads=QWEN.heads, head_width=QWEN.head_width, blocks=QWEN.blocks)
    return MICRO


def targets(shape: Shape) -> str:
    """What peft is told to adapt, as an expression: the layers that learn, block by block."""
    last = shape.blocks - 1
    names = {number: "|".join(block_layers(shape, number)).replace(".", r"\.") for number in {0, last}}
    before = "|".join(map(str, range(last)))
    return rf"{BLOCKS}\.(({before})\.({names[0]})|{last}\.({names[last]}))"


def bare_qwen(
    transformer: Any, side: int, batch_size: int, device: torch.device, dtype: torch.dtype
) -> Callable[[], tuple[Tensor, Tensor]]:
    """What gives the prediction and its target, both float32, for one batch."""
    cells = side // 16
    latents = torch.randn(IMAGES, cells * cells, transformer.config.in_channels)
    text = torch.randn(IMAGES, TOKENS, transformer.config.joint_attention_dim).to(dtype)

    def predicted() -> tuple[Tensor, Tensor]:
        chosen = torch.randint(0, IMAGES, (batch_size,))
        clean = latents[chosen].to(device)
        noise = torch.randn_like(clean)
        levels = torch.rand(batch_size, device=device)
        noisy = ((1 - levels[:, None, None]) * clean + levels[:, None, None] * noise).to(dtype)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            found = transformer(
                hidden_states=noisy,
                encoder_hidden_states=text[chosen].to(device),
                timestep=levels,
                img_shapes=[[(1, cells, cells)]] * batch_size,
                return_dict=False,
            )[0]
        return found.float(), noise - clean

    return predicted
