"""A micro Qwen-Image with random weights: the blocks, layers and names of the real model, narrow and few.

It draws nothing that a person would recognise: it is there to measure steps, and for tests of what a model's weights do
not matter to. Imports torch, diffusers and transformers inside its functions.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lora_tui.bench.folders import INDEX_VERSION, write_folder
from lora_tui.bench.language import VOCABULARY
from lora_tui.families.qwen.language import HEAD_WIDTH, MODEL
from lora_tui.families.qwen.shape import QWEN, Shape
from lora_tui.families.separate.language import LanguageShape

WORDS = (
    "Describe", " the", " image", " by", " detailing", " color,", " shape,", " size,", " texture,", " quantity,",
    " text,", " spatial", " relationships", " of", " objects", " and background:",
)  # fmt: skip
"""Words of the request that is put before a caption, so that it has as many tokens as for the real tokenizer."""
MICRO = replace(
    QWEN,
    blocks=2,
    heads=2,
    head_width=32,
    text_width=2 * HEAD_WIDTH,
    language=LanguageShape(
        width=2 * HEAD_WIDTH, layers=2, inner=48, heads=2, keys=1, head_width=HEAD_WIDTH,
        vocabulary=VOCABULARY + len(WORDS),
    ),
    vae_width=8,
)  # fmt: skip
INDEX = {
    "_class_name": "QwenImagePipeline",
    "_diffusers_version": INDEX_VERSION,
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder": ["transformers", "Qwen2_5_VLForConditionalGeneration"],
    "tokenizer": ["transformers", "Qwen2Tokenizer"],
    "transformer": ["diffusers", "QwenImageTransformer2DModel"],
    "vae": ["diffusers", "AutoencoderKLQwenImage"],
}
SCHEDULE = {
    "_class_name": "FlowMatchEulerDiscreteScheduler",
    "num_train_timesteps": 1000,
    "base_image_seq_len": 256,
    "max_image_seq_len": 8192,
    "base_shift": 0.5,
    "max_shift": 0.9,
    "shift": 1.0,
    "shift_terminal": 0.02,
    "time_shift_type": "exponential",
    "use_dynamic_shifting": True,
}
EYES = {
    "depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 2 * HEAD_WIDTH,
    "fullatt_block_indexes": [0],
}  # fmt: skip
"""Of the part that reads pictures, which is never loaded."""


def write_qwen_model(folder: Path, *, seed: int = 0, shape: Shape = MICRO, half: bool = False) -> Path:
    """Write the model to ``folder`` as a diffusers folder in float32, or bfloat16 (``half``), and return ``folder``.

    The same seed gives the same bytes on the same version of torch. Parts that are there already are replaced.
    """
    return write_folder(
        folder,
        lambda: _parts(shape),
        seed=seed,
        language_tokenizer="tokenizer",
        language_words=WORDS,
        schedule=SCHEDULE,
        index=INDEX,
        half=half,
    )


def _parts(shape: Shape) -> dict[str, Any]:
    from diffusers import AutoencoderKLQwenImage, QwenImageTransformer2DModel
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    from lora_tui.families.qwen.model_text import text_arguments

    config = Qwen2_5_VLConfig(text_config=text_arguments(shape.language), vision_config=EYES)
    assert config.model_type == MODEL
    return {
        "transformer": QwenImageTransformer2DModel.from_config(shape.transformer_config()),
        "vae": AutoencoderKLQwenImage.from_config(shape.vae_config()),
        "text_encoder": Qwen2_5_VLForConditionalGeneration(config),
    }
