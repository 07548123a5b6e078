"""Micro base models with the topology of Stable Diffusion 1.5, 2 and XL and random weights.

Their blocks, layers and key names are those of the real models; only the widths (and XL's depths) are small, so that a
training step takes tens of milliseconds on a CPU. They draw nothing that a person would recognise: they are there to
measure steps, and for tests of what a model's weights do not matter to. The one that draws is the demo's.

Imports torch, diffusers and transformers inside its functions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lora_tui.bench.folders import quick_draws, write_clip_tokenizer
from lora_tui.families import facts_for
from lora_tui.families.unet.encoders import Encoder
from lora_tui.families.unet.facts import UnetFacts
from lora_tui.families.unet.shape import Shape, TextShape
from lora_tui.files import default_mode

#: Channels of the UNet's levels; multiples of the 32 normalisation groups of the real models.
WIDTHS: Mapping[str, tuple[int, ...]] = {"sd15": (32, 32, 64, 64), "sd2": (32, 32, 64, 64), "sdxl": (32, 64, 64)}
VAE_WIDTHS = (32, 32, 32, 32)
#: Widths of the text encoders: heads of 64, as in the real models.
TEXT_WIDTHS: Mapping[str, tuple[int, ...]] = {"sd15": (64,), "sd2": (64,), "sdxl": (64, 128)}
NARROW_POSTERIOR = -12.0
"""Log-variance of the VAE's posterior: next to none, as in a trained VAE."""
SIZE_WIDTH = 8  # of the embedding of each number that XL is told of sizes


def write_model(
    folder: Path,
    *,
    seed: int = 0,
    family: str = "sd15",
    shape: Shape | None = None,
    schedule: Mapping[str, Any] | None = None,
) -> Path:
    """Write the model to ``folder`` as a diffusers folder in fp16 (about 12 MB) and return ``folder``.

    The same seed gives the same bytes on the same version of torch. Parts that are there already are
    replaced. ``shape`` is another one than :func:`micro_shape`; ``schedule`` are settings of the scheduler besides the
    family's own, such as ``prediction_type``.
    """
    import torch

    facts = facts_for(family)
    assert isinstance(facts, UnetFacts)
    shape = shape or micro_shape(family)
    with torch.random.fork_rng(devices=[]), torch.no_grad(), quick_draws():
        torch.manual_seed(seed)
        parts = {"unet": _unet(shape), "vae": _vae(shape)}
        for encoder, text in zip(facts.encoders, shape.text, strict=True):
            parts[encoder.part] = _text_encoder(encoder, text)
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in parts.items():
        part.half().save_pretrained(folder / name)
    for encoder in facts.encoders:
        write_clip_tokenizer(folder / encoder.tokenizer, encoder)
    (folder / "scheduler").mkdir(exist_ok=True)
    _write(folder / "scheduler" / "scheduler_config.json", {**facts.scheduler, **(schedule or {})})
    for path in folder.rglob("*.safetensors"):
        path.chmod(default_mode())  # safetensors writes files that only their owner may read
    _write(folder / "model_index.json", _index(facts))  # last: its presence means complete
    return folder


def write_lora(path: Path, base: Path, seed: int, *, text: bool = True, rank: int = 2) -> Path:
    """Write a LoRA of random numbers for every layer of the SD1.5 folder ``base``; with ``text`` of its text encoder.

    They are large enough that every strength draws another picture.
    """
    import torch
    from safetensors.torch import save_file

    from lora_tui.weights.lora_file import file_tensors

    generator = torch.Generator().manual_seed(seed)
    layers = {}
    for target in facts_for("sd15").targets(base, text_encoder=text):
        tail = (1, 1) if target.convolution else ()
        down = torch.randn(rank, target.inputs, *tail, generator=generator) * 0.2
        up = torch.randn(target.outputs, rank, *tail, generator=generator) * 0.2
        matrices = {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(float(rank))}
        layers[target.part, target.path] = matrices
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(file_tensors("sd15", layers, dtype=torch.float32), path)
    return path


def micro_shape(family: str) -> Shape:
    """The family's topology with small widths."""
    full = facts_for(family).full  # type: ignore[attr-defined]
    text = tuple(
        replace(published, width=width, layers=2, inner=4 * width, projection=width if published.projection else 0)
        for published, width in zip(full.text, TEXT_WIDTHS[family], strict=True)
    )
    return replace(
        full,
        unet_channels=WIDTHS[family],
        depths=tuple(min(depth, level) if family == "sdxl" else depth for level, depth in enumerate(full.depths)),
        middle=2 if family == "sdxl" else full.middle,
        cross_width=sum(TEXT_WIDTHS[family]),
        told_width=text[-1].projection + 6 * SIZE_WIDTH if full.told_width else 0,
        text=text,
        vae_channels=VAE_WIDTHS,
        side=8,
    )


def _unet(shape: Shape) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel.from_config(shape.unet_config())


def _text_encoder(encoder: Encoder, shape: TextShape) -> Any:
    from transformers import CLIPTextConfig

    from lora_tui.families.unet.model_text import encoder_class

    return encoder_class(encoder)(CLIPTextConfig(**shape.config(encoder.activation))).eval()


def _vae(shape: Shape) -> Any:
    """A random VAE whose latents have unit variance after the real model's scaling factor, as trained ones have."""
    import torch
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_config(shape.vae_config()).eval()
    channels = vae.config.latent_channels
    blobs = torch.nn.functional.interpolate(torch.randn(8, 3, 8, 8), size=64, mode="bilinear").clamp(-1, 1)
    mean = vae.encode(blobs).latent_dist.mean
    wanted = 1 / vae.config.scaling_factor / mean.std(dim=(0, 2, 3))
    to_latent, from_latent = vae.quant_conv, vae.post_quant_conv
    to_latent.weight[:channels] *= wanted[:, None, None, None]
    to_latent.bias[:channels] = (to_latent.bias[:channels] - mean.mean(dim=(0, 2, 3))) * wanted
    to_latent.weight[channels:] = 0
    to_latent.bias[channels:] = NARROW_POSTERIOR
    from_latent.weight /= wanted[None, :, None, None]
    return vae


def _index(facts: UnetFacts) -> dict[str, Any]:
    """The content of ``model_index.json``."""
    index: dict[str, Any] = {"_class_name": facts.pipeline, "_diffusers_version": "0.19.0"}
    for encoder in facts.encoders:
        kind = "CLIPTextModelWithProjection" if encoder.pooled else "CLIPTextModel"
        index |= {encoder.part: ["transformers", kind], encoder.tokenizer: ["transformers", "CLIPTokenizer"]}
    if facts.pipeline == "StableDiffusionPipeline":
        index |= {"safety_checker": [None, None], "feature_extractor": [None, None], "requires_safety_checker": False}
    return {
        **index,
        "scheduler": ["diffusers", facts.scheduler["_class_name"]],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
