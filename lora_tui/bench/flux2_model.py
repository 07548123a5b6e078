"""A micro FLUX.2 klein with random weights: the blocks, layers and names of the real model, narrow and few.

It draws nothing that a person would recognise: it is there to measure steps, and for tests of what a model's weights do
not matter to. Imports torch, diffusers and transformers inside its functions.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lora_tui.bench.folders import INDEX_VERSION, write_folder
from lora_tui.bench.language import VOCABULARY
from lora_tui.families.flux2.shape import KLEIN_4B, READ_LAYERS, Shape
from lora_tui.families.separate.language import LanguageShape

TEXT = LanguageShape(
    width=16, layers=max(READ_LAYERS) + 1, inner=16, heads=2, keys=1, head_width=8, vocabulary=VOCABULARY
)
MICRO = replace(
    KLEIN_4B,
    double=2,
    single=2,
    heads=4,
    head_width=32,
    text_width=len(READ_LAYERS) * TEXT.width,
    text=TEXT,
    vae_channels=(32, 32, 32, 32),
)
"""Its widths and depths; the text encoder is as deep as its deepest layer that is read demands."""
INDEX = {
    "_class_name": "Flux2KleinPipeline",
    "_diffusers_version": INDEX_VERSION,
    "is_distilled": False,
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder": ["transformers", "Qwen3ForCausalLM"],
    "tokenizer": ["transformers", "Qwen2TokenizerFast"],
    "transformer": ["diffusers", "Flux2Transformer2DModel"],
    "vae": ["diffusers", "AutoencoderKLFlux2"],
}


def write_flux2_model(folder: Path, *, seed: int = 0, shape: Shape = MICRO, half: bool = False) -> Path:
    """Write the model to ``folder`` as a diffusers folder in float32, or bfloat16 (``half``), and return ``folder``.

    The same seed gives the same bytes on the same version of torch. Parts that are there already are replaced.
    """
    return write_folder(
        folder,
        lambda: _parts(shape),
        seed=seed,
        language_tokenizer="tokenizer",
        schedule={"_class_name": "FlowMatchEulerDiscreteScheduler", "use_dynamic_shifting": True, "shift": 3.0},
        index=INDEX,
        half=half,
    )


def _parts(shape: Shape) -> dict[str, Any]:
    import torch
    from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel
    from transformers import Qwen3Config, Qwen3ForCausalLM

    vae = AutoencoderKLFlux2.from_config(shape.vae_config())
    vae.bn.running_mean.copy_(0.1 * torch.randn(shape.channels))
    vae.bn.running_var.copy_(0.5 + torch.rand(shape.channels))
    return {
        "transformer": Flux2Transformer2DModel.from_config(shape.transformer_config()),
        "vae": vae,
        "text_encoder": Qwen3ForCausalLM(Qwen3Config(**shape.text.config())),
    }
