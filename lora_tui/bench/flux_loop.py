"""The training loop for FLUX.1 that one would write by hand with torch, diffusers and peft; see :mod:`.loops`.

Latents and embeddings lie in memory, timesteps are drawn evenly, the network learns noise minus latents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lora_tui.bench.flux_model import MICRO
from lora_tui.families.flux.facts import DEV
from lora_tui.families.flux.shape import Shape

IMAGES = 16
#: Suffixes of the layers that peft is told to adapt: all that are linear in the blocks.
BLOCK_TARGETS = (
    "norm1.linear", "norm1_context.linear", "norm.linear", "attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0",
    "attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj", "attn.to_add_out", "ff.net.0.proj", "ff.net.2",
    "ff_context.net.0.proj", "ff_context.net.2", "proj_mlp",
)  # fmt: skip
SINGLE_OUT = r"single_transformer_blocks\.\d+\.proj_out"
"""The one layer whose suffix another layer outside the blocks shares."""


def flux_shape(size: str) -> Shape:
    """The transformer's widths and depths; its text encoders and VAE are always small, and so is what they say."""
    if size == "small":
        return replace(MICRO, heads=6, head_width=32, double=3, single=6)
    if size == "full":
        return replace(MICRO, heads=DEV.heads, head_width=DEV.head_width, double=DEV.double, single=DEV.single)
    return MICRO


def t5_tokens(size: str) -> int:
    """Tokens of text: those of the published model at full size, else few."""
    return 512 if size == "full" else 128


def bare_flux(
    transformer: Any, side: int, batch_size: int, tokens: int, device: torch.device, dtype: torch.dtype
) -> Callable[[], tuple[Tensor, Tensor]]:
    """What gives the prediction and its target, both float32, for one batch."""
    cells = side // 16
    latents = torch.randn(IMAGES, cells * cells, transformer.config.in_channels)
    text = torch.randn(IMAGES, tokens, transformer.config.joint_attention_dim).to(dtype)
    pooled = torch.randn(IMAGES, transformer.config.pooled_projection_dim).to(dtype)
    places = torch.zeros(cells, cells, 3, device=device)
    places[..., 1] += torch.arange(cells, device=device)[:, None]
    places[..., 2] += torch.arange(cells, device=device)[None, :]
    guidance = torch.ones(batch_size, device=device) if transformer.config.guidance_embeds else None

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
                pooled_projections=pooled[chosen].to(device),
                timestep=levels,
                guidance=guidance,
                img_ids=places.reshape(-1, 3),
                txt_ids=torch.zeros(tokens, 3, device=device),
                return_dict=False,
            )[0]
        return found.float(), noise - clean

    return predicted
