"""A micro Z-Image with random weights: the blocks, layers and names of the real model, narrow and few.

It draws nothing that a person would recognise: it is there to measure steps, and for tests of what a model's weights do
not matter to. Imports torch, diffusers and transformers inside its functions.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lora_tui.bench.folders import INDEX_VERSION, write_folder
from lora_tui.bench.language import VOCABULARY
from lora_tui.families.separate.language import LanguageShape
from lora_tui.families.zimage.shape import ZIMAGE, Shape

MICRO = replace(
    ZIMAGE,
    blocks=3,
    refiners=1,
    heads=3,
    head_width=16,
    text_width=32,
    language=LanguageShape(width=32, layers=3, inner=48, heads=4, keys=2, head_width=16, vocabulary=VOCABULARY),
    vae_channels=(32, 32, 32, 32),
)
INDEX = {
    "_class_name": "ZImagePipeline",
    "_diffusers_version": INDEX_VERSION,
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder": ["transformers", "Qwen3Model"],
    "tokenizer": ["transformers", "Qwen2Tokenizer"],
    "transformer": ["diffusers", "ZImageTransformer2DModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def write_zimage_model(folder: Path, *, seed: int = 0, shape: Shape = MICRO, half: bool = False) -> Path:
    """Write the model to ``folder`` as a diffusers folder in float32, or bfloat16 (``half``), and return ``folder``.

    The same seed gives the same bytes on the same version of torch. Parts that are there already are replaced.
    """
    return write_folder(
        folder,
        lambda: _parts(shape),
        seed=seed,
        language_tokenizer="tokenizer",
        schedule={
            "_class_name": "FlowMatchEulerDiscreteScheduler",
            "num_train_timesteps": 1000,
            "shift": shape.shift,
            "use_dynamic_shifting": False,
        },
        index=INDEX,
        half=half,
    )


def _parts(shape: Shape) -> dict[str, Any]:
    from diffusers import AutoencoderKL, ZImageTransformer2DModel
    from transformers import Qwen3Config, Qwen3Model

    return {
        "transformer": ZImageTransformer2DModel.from_config(shape.transformer_config()),
        "vae": AutoencoderKL.from_config(shape.vae_config()),
        "text_encoder": Qwen3Model(Qwen3Config(**shape.language.config())),
    }
