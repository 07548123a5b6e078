"""The training loops for transformers that one would write by hand with torch, diffusers and peft; see :mod:`.loops`.

Latents and embeddings lie on the device, timesteps are drawn evenly, the network learns noise minus latents (Z-Image's
the other way round). What a network is given, and what peft is told to adapt, is written down here a second time:
nothing is taken from the trainer but the widths of the models.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lora_tui.bench import chroma_model, flux2_model, flux_model, qwen_model, sd3_model, zimage_model
from lora_tui.families.chroma.facts import FACTS as CHROMA
from lora_tui.families.flux.facts import DEV
from lora_tui.families.flux2.shape import KLEIN_4B
from lora_tui.families.qwen.shape import QWEN
from lora_tui.families.sd3.shape import SD35_MEDIUM
from lora_tui.families.zimage.shape import ZIMAGE

IMAGES = 16
CLIP_TOKENS = 77
Predict = Callable[[Tensor, Tensor, Tensor], Tensor]
"""What the network says of noisy latents at noise levels (0 to 1), for chosen captions."""
ATTENTION = ("attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0", "attn.add_q_proj", "attn.add_k_proj",
             "attn.add_v_proj", "attn.to_add_out")  # fmt: skip
FEED = ("ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2")


@dataclass(frozen=True)
class Bare:
    """A family's network by hand.

    Attributes:
        network: its class in diffusers.
        write: makes a random model in a folder.
        shapes: the models' widths by size; text encoders and VAE are always small, and so is what they say.
        tokens: of a caption, at small sizes and at full size.
        layers: what peft is told to adapt, as an expression over the names.
        begin: takes the network, its side in latent cells, batch and tokens, device and precision.
        packed: latent cells on each side of a token, where the latents lie in memory as tokens; 0: they do not.
        sign: 1 where the network says noise minus latents, -1 where it says the opposite.
    """

    network: str
    write: Callable[..., Path]
    shapes: dict[str, Any]
    tokens: tuple[int, int]
    layers: Callable[[Any], str]
    begin: Callable[[Any, int, int, int, torch.device, torch.dtype], Predict]
    packed: int = 2
    sign: float = 1.0

    def shape(self, size: str) -> Any:
        """The widths of a size."""
        return self.shapes[size]

    def count(self, size: str) -> int:
        """Tokens of a caption."""
        return self.tokens[size == "full"]


def written(family: str, folder: Path, size: str, *, half: bool) -> Path:
    """A random model of the family, in bfloat16 where ``half``."""
    bare = FAMILIES[family]
    return bare.write(folder, seed=0, shape=bare.shape(size), half=half)


def loss(
    family: str, network: Any, size: str, side: int, batch_size: int, device: torch.device, dtype: torch.dtype
) -> Callable[[], Tensor]:
    """The loss of one batch after the other; ``side`` of the images in px."""
    bare = FAMILIES[family]
    cells = side // (16 if family == "flux2" else 8)
    channels = network.config.in_channels
    across = cells // bare.packed if bare.packed else cells
    shape = (across * across, channels) if bare.packed else (channels, cells, cells)
    latents = torch.randn(IMAGES, *shape).to(device)
    predict = bare.begin(network, across, batch_size, bare.count(size), device, dtype)

    def found() -> Tensor:
        chosen = torch.randint(0, IMAGES, (batch_size,), device=device)
        clean = latents[chosen]
        noise = torch.randn_like(clean)
        levels = torch.rand(batch_size, device=device)
        part = levels.reshape(-1, *(1 for _side in shape))
        noisy = ((1 - part) * clean + part * noise).to(dtype)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            said = predict(noisy, levels, chosen)
        return torch.nn.functional.mse_loss(bare.sign * said.float(), noise - clean)

    return found


def _places(rows: int, columns: int, device: torch.device) -> Tensor:
    places = torch.zeros(rows, columns, 3, device=device)
    places[..., 1] += torch.arange(rows, device=device)[:, None]
    places[..., 2] += torch.arange(columns, device=device)[None, :]
    return places.reshape(-1, 3)


def _reading(
    network: Any,
    text: Tensor,
    *,
    steps: float = 1.0,
    own: dict[str, Tensor] | None = None,
    **more: Any,
) -> Predict:
    """What all of diffusers take alike: ``own`` lies there for each caption, ``more`` is always the same."""
    own = own or {}

    def predict(noisy: Tensor, levels: Tensor, chosen: Tensor) -> Tensor:
        found: Tensor = network(
            hidden_states=noisy,
            encoder_hidden_states=text[chosen],
            timestep=levels * steps,
            return_dict=False,
            **{name: rows[chosen] for name, rows in own.items()},
            **more,
        )[0]
        return found

    return predict


def _embeddings(device: torch.device, dtype: torch.dtype, *shape: int) -> Tensor:
    return torch.randn(IMAGES, *shape).to(device, dtype)


def _flux(network: Any, across: int, batch: int, tokens: int, device: torch.device, dtype: torch.dtype) -> Predict:
    config = network.config
    return _reading(
        network,
        _embeddings(device, dtype, tokens, config.joint_attention_dim),
        own={"pooled_projections": _embeddings(device, dtype, config.pooled_projection_dim)},
        guidance=torch.ones(batch, device=device) if config.guidance_embeds else None,
        img_ids=_places(across, across, device),
        txt_ids=torch.zeros(tokens, 3, device=device),
    )


def _chroma(network: Any, across: int, _batch: int, tokens: int, device: torch.device, dtype: torch.dtype) -> Predict:
    text = _embeddings(device, dtype, tokens, network.config.joint_attention_dim)
    places, words = _places(across, across, device), torch.zeros(tokens, 3, device=device)
    return _reading(network, text, img_ids=places, txt_ids=words)


def _flux2(network: Any, across: int, _batch: int, tokens: int, device: torch.device, dtype: torch.dtype) -> Predict:
    text = _embeddings(device, dtype, tokens, network.config.joint_attention_dim)
    words = torch.zeros(tokens, 4, device=device)
    words[:, 3] = torch.arange(tokens, device=device)
    places = torch.nn.functional.pad(_places(across, across, device), (0, 1))
    return _reading(network, text, img_ids=places, txt_ids=words)


def _sd3(network: Any, _across: int, _batch: int, tokens: int, device: torch.device, dtype: torch.dtype) -> Predict:
    text = _embeddings(device, dtype, CLIP_TOKENS + tokens, network.config.joint_attention_dim)
    pooled = _embeddings(device, dtype, network.config.pooled_projection_dim)
    return _reading(network, text, steps=1000.0, own={"pooled_projections": pooled})


def _qwen(network: Any, across: int, batch: int, tokens: int, device: torch.device, dtype: torch.dtype) -> Predict:
    text = _embeddings(device, dtype, tokens, network.config.joint_attention_dim)
    return _reading(network, text, img_shapes=[[(1, across, across)]] * batch)


def _zimage(network: Any, _across: int, _batch: int, tokens: int, device: torch.device, dtype: torch.dtype) -> Predict:
    text = _embeddings(device, dtype, tokens, network.config.cap_feat_dim)

    def predict(noisy: Tensor, levels: Tensor, chosen: Tensor) -> Tensor:
        found = network(list(noisy.unsqueeze(2)), 1 - levels, list(text[chosen]), return_dict=False)[0]
        return torch.stack(found).squeeze(2)

    return predict


# -- what peft is told to adapt ----------------------------------------------------------------------------------------


def _ending(names: Sequence[str]) -> str:
    return "|".join(re.escape(name) for name in names)


def _flux_layers(_shape: Any) -> str:
    ends = (*ATTENTION, *FEED, "norm1.linear", "norm1_context.linear", "norm.linear", "proj_mlp")
    return rf".*\.({_ending(ends)})|single_transformer_blocks\.\d+\.proj_out"


def _chroma_layers(_shape: Any) -> str:
    return rf".*_blocks\.\d+\.({_ending((*ATTENTION, *FEED, 'proj_mlp', 'proj_out'))})"


def _flux2_layers(_shape: Any) -> str:
    ends = ("ff.linear_in", "ff.linear_out", "ff_context.linear_in", "ff_context.linear_out")
    single = r"single_transformer_blocks\.\d+\.attn\.(to_qkv_mlp_proj|to_out)"
    return rf"transformer_blocks\.\d+\.({_ending((*ATTENTION, *ends))})|{single}"


def _but_the_last(blocks: int, ends: Sequence[str], of_the_last: Sequence[str]) -> str:
    """A last block gives no text any more: less of it decides anything."""
    before = "|".join(map(str, range(blocks - 1)))
    return rf"transformer_blocks\.(({before})\.({_ending(ends)})|{blocks - 1}\.({_ending(of_the_last)}))"


def _sd3_layers(shape: Any) -> str:
    image = ("attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0", "ff.net.0.proj", "ff.net.2", "norm1.linear")
    second = ("attn2.to_q", "attn2.to_k", "attn2.to_v", "attn2.to_out.0")
    ends = (*ATTENTION, *FEED, *second, "norm1.linear", "norm1_context.linear")
    last = (*image, "attn.add_k_proj", "attn.add_v_proj", *(second if shape.dual else ()))
    return _but_the_last(shape.blocks, ends, last)


def _qwen_layers(shape: Any) -> str:
    feed = ("img_mlp.net.0.proj", "img_mlp.net.2")
    ends = (*ATTENTION, *feed, "txt_mlp.net.0.proj", "txt_mlp.net.2")
    last = tuple(name for name in ATTENTION if name not in ("attn.add_q_proj", "attn.to_add_out"))
    return _but_the_last(shape.blocks, ends, (*last, *feed))


def _zimage_layers(_shape: Any) -> str:
    ends = ("attention.to_q", "attention.to_k", "attention.to_v", "attention.to_out.0", "feed_forward.w1",
            "feed_forward.w2", "feed_forward.w3")  # fmt: skip
    return rf"layers\.\d+\.({_ending(ends)})"


def _sizes(micro: Any, small: dict[str, int], full: dict[str, int]) -> dict[str, Any]:
    return {"micro": micro, "small": replace(micro, **small), "full": replace(micro, **full)}


def _widths(shape: Any, *names: str) -> dict[str, int]:
    return {name: getattr(shape, name) for name in names}


FAMILIES: dict[str, Bare] = {
    "flux": Bare(
        "FluxTransformer2DModel",
        flux_model.write_flux_model,
        _sizes(
            flux_model.MICRO,
            {"heads": 6, "head_width": 32, "double": 3, "single": 6},
            _widths(DEV, "heads", "head_width", "double", "single"),
        ),
        (128, 512),
        _flux_layers,
        _flux,
    ),
    "chroma": Bare(
        "ChromaTransformer2DModel",
        chroma_model.write_chroma_model,
        _sizes(
            chroma_model.MICRO,
            {"heads": 6, "head_width": 32, "double": 3, "single": 6},
            _widths(CHROMA.full, "heads", "head_width", "double", "single", "told", "hidden", "deep"),
        ),
        (5, 5),
        _chroma_layers,
        _chroma,
    ),
    "flux2": Bare(
        "Flux2Transformer2DModel",
        flux2_model.write_flux2_model,
        _sizes(
            flux2_model.MICRO,
            {"heads": 6, "double": 2, "single": 6},
            _widths(KLEIN_4B, "heads", "head_width", "double", "single"),
        ),
        (512, 512),
        _flux2_layers,
        _flux2,
        packed=1,
    ),
    "sd3": Bare(
        "SD3Transformer2DModel",
        sd3_model.write_sd3_model,
        _sizes(
            sd3_model.MICRO,
            {"blocks": 6, "heads": 6, "head_width": 32, "dual": 2},
            _widths(SD35_MEDIUM, "blocks", "heads", "head_width", "dual", "positions"),
        ),
        (128, 512),
        _sd3_layers,
        _sd3,
        packed=0,
    ),
    "qwen": Bare(
        "QwenImageTransformer2DModel",
        qwen_model.write_qwen_model,
        _sizes(qwen_model.MICRO, {"heads": 6, "blocks": 6}, _widths(QWEN, "heads", "head_width", "blocks")),
        (24, 24),
        _qwen_layers,
        _qwen,
    ),
    "zimage": Bare(
        "ZImageTransformer2DModel",
        zimage_model.write_zimage_model,
        _sizes(
            zimage_model.MICRO,
            {"heads": 6, "head_width": 32, "blocks": 6},
            _widths(ZIMAGE, "heads", "head_width", "blocks", "refiners"),
        ),
        (30, 30),
        _zimage_layers,
        _zimage,
        packed=0,
        sign=-1.0,
    ),
}
"""Captions are as long here as the one that our loop trains with: some families read a fixed number of tokens, others
only those that a caption has."""
