"""A micro SD3.5 with random weights: the blocks, layers and names of the real model, narrow and few.

It draws nothing that a person would recognise: it is there to measure steps, and for tests of what a model's weights do
not matter to. Imports torch, diffusers and transformers inside its functions.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lora_tui.bench.folders import INDEX_VERSION, write_folder
from lora_tui.families.sd3.checks import ENCODER_G, ENCODER_L
from lora_tui.families.sd3.shape import SD35_MEDIUM, Shape

MICRO = replace(
    SD35_MEDIUM,
    blocks=3,
    heads=2,
    head_width=16,
    dual=1,
    positions=48,
    text_width=160,
    pooled_width=160,
    clip_l=replace(SD35_MEDIUM.clip_l, width=64, layers=2, inner=256, projection=64),
    clip_g=replace(SD35_MEDIUM.clip_g, width=96, layers=2, inner=384, projection=96),
    t5=replace(SD35_MEDIUM.t5, width=160, layers=2, inner=64, heads=4, head_width=8),
    vae_channels=(32, 32, 32, 32),
)
"""Its widths and depths; as in the published ones, T5 is as wide as both CLIPs together at least."""
INDEX = {
    "_class_name": "StableDiffusion3Pipeline",
    "_diffusers_version": INDEX_VERSION,
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModelWithProjection"],
    "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
    "text_encoder_3": ["transformers", "T5EncoderModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "tokenizer_2": ["transformers", "CLIPTokenizer"],
    "tokenizer_3": ["transformers", "T5TokenizerFast"],
    "transformer": ["diffusers", "SD3Transformer2DModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def write_sd3_model(folder: Path, *, seed: int = 0, shape: Shape = MICRO, half: bool = False) -> Path:
    """Write the model to ``folder`` as a diffusers folder in float32, or bfloat16 (``half``), and return ``folder``.

    The same seed gives the same bytes on the same version of torch. Parts that are there already are replaced.
    """
    return write_folder(
        folder,
        lambda: _parts(shape),
        seed=seed,
        clips=(ENCODER_L, ENCODER_G),
        t5_tokenizer="tokenizer_3",
        schedule={"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0},
        index=INDEX,
        half=half,
    )


def _parts(shape: Shape) -> dict[str, Any]:
    from diffusers import AutoencoderKL, SD3Transformer2DModel
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection, T5Config, T5EncoderModel

    clip_l, clip_g = (
        CLIPTextModelWithProjection(CLIPTextConfig(**clip.config(encoder.activation)))
        for clip, encoder in ((shape.clip_l, ENCODER_L), (shape.clip_g, ENCODER_G))
    )
    return {
        "transformer": SD3Transformer2DModel.from_config(shape.transformer_config()),
        "vae": AutoencoderKL.from_config(shape.vae_config()),
        "text_encoder": clip_l,
        "text_encoder_2": clip_g,
        "text_encoder_3": T5EncoderModel(T5Config(**shape.t5.config())),
    }
