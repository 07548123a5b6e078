"""A micro Chroma with random weights: the blocks, layers and names of the real model, narrow and few.

It draws nothing that a person would recognise: it is there to measure steps, and for tests of what a model's weights do
not matter to. Imports torch, diffusers and transformers inside its functions.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lora_tui.bench.folders import INDEX_VERSION, write_folder
from lora_tui.families.chroma.facts import FACTS
from lora_tui.families.chroma.shape import Shape

MICRO = replace(
    FACTS.full,
    double=2,
    single=2,
    heads=2,
    head_width=16,
    text_width=32,
    told=16,
    hidden=24,
    deep=2,
    t5=replace(FACTS.full.t5, width=32, layers=2, inner=64, heads=4, head_width=8),
    vae_channels=(32, 32, 32, 32),
)
"""Its widths and depths."""
INDEX = {
    "_class_name": "ChromaPipeline",
    "_diffusers_version": INDEX_VERSION,
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder": ["transformers", "T5EncoderModel"],
    "tokenizer": ["transformers", "T5TokenizerFast"],
    "transformer": ["diffusers", "ChromaTransformer2DModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def write_chroma_model(folder: Path, *, seed: int = 0, shape: Shape = MICRO, half: bool = False) -> Path:
    """Write the model to ``folder`` as a diffusers folder in float32, or bfloat16 (``half``), and return ``folder``.

    The same seed gives the same bytes on the same version of torch. Parts that are there already are replaced.
    """
    return write_folder(
        folder,
        lambda: _parts(shape),
        seed=seed,
        clips=(),
        t5_tokenizer="tokenizer",
        schedule={"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 1.0, "use_dynamic_shifting": True},
        index=INDEX,
        half=half,
    )


def _parts(shape: Shape) -> dict[str, Any]:
    from diffusers import AutoencoderKL, ChromaTransformer2DModel
    from transformers import T5Config, T5EncoderModel

    return {
        "transformer": ChromaTransformer2DModel.from_config(shape.transformer_config()),
        "vae": AutoencoderKL.from_config(shape.vae_config()),
        "text_encoder": T5EncoderModel(T5Config(**shape.t5.config())),
    }
