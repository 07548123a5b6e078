"""A micro FLUX.1 with random weights: the blocks, layers and names of the real model, narrow and few.

It draws nothing that a person would recognise: it is there to measure steps, and for tests of what a model's weights do
not matter to. Imports torch, diffusers and transformers inside its functions.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lora_tui.bench.folders import INDEX_VERSION, write_folder
from lora_tui.families.flux.checks import ENCODER_L
from lora_tui.families.flux.facts import DEV
from lora_tui.families.flux.shape import Shape

MICRO = replace(
    DEV,
    double=2,
    single=2,
    heads=2,
    head_width=16,
    text_width=32,
    pooled_width=64,
    clip=replace(DEV.clip, width=64, layers=2, inner=256),
    t5=replace(DEV.t5, width=32, layers=2, inner=64, heads=4, head_width=8),
    vae_channels=(32, 32, 32, 32),
)
"""Its widths and depths."""
INDEX = {
    "_class_name": "FluxPipeline",
    "_diffusers_version": INDEX_VERSION,
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "text_encoder_2": ["transformers", "T5EncoderModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "tokenizer_2": ["transformers", "T5TokenizerFast"],
    "transformer": ["diffusers", "FluxTransformer2DModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def write_flux_model(folder: Path, *, seed: int = 0, shape: Shape = MICRO, half: bool = False) -> Path:
    """Write the model to ``folder`` as a diffusers folder in float32 (about 20 MB) and return ``folder``.

    With ``half`` it is drawn and written in bfloat16, as one of full size has to be for want of memory.
    The same seed gives the same bytes on the same version of torch. Parts that are there already are replaced.
    """
    return write_folder(
        folder,
        lambda: _parts(shape),
        seed=seed,
        clips=(ENCODER_L,),
        t5_tokenizer="tokenizer_2",
        schedule={"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0, "use_dynamic_shifting": True},
        index=INDEX,
        half=half,
    )


def _parts(shape: Shape) -> dict[str, Any]:
    from diffusers import AutoencoderKL, FluxTransformer2DModel
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    return {
        "transformer": FluxTransformer2DModel.from_config(shape.transformer_config()),
        "vae": AutoencoderKL.from_config(shape.vae_config()),
        "text_encoder": CLIPTextModel(CLIPTextConfig(**shape.clip.config(ENCODER_L.activation))),
        "text_encoder_2": T5EncoderModel(T5Config(**shape.t5.config())),
    }
