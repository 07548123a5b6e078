"""A micro FLUX.1 with random weights: the blocks, layers and names of the real model, narrow and few.

It draws nothing that a person would recognise: it is there to measure steps, and for tests of what a model's weights do
not matter to. Imports torch, diffusers and transformers inside its functions.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from lora_tui.families.flux.facts import DEV
from lora_tui.families.flux.shape import Shape
from lora_tui.families.unet.encoders import Encoder
from lora_tui.families.unet.particulars import TOKENIZER, TOKENIZER_FILES
from lora_tui.files import default_mode

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
T5_TOKENIZER = TOKENIZER.parents[1] / "flux" / "tokenizer_2"
INDEX = {
    "_class_name": "FluxPipeline",
    "_diffusers_version": "0.30.0",
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "text_encoder_2": ["transformers", "T5EncoderModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "tokenizer_2": ["transformers", "T5TokenizerFast"],
    "transformer": ["diffusers", "FluxTransformer2DModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def write_flux_model(folder: Path, *, seed: int = 0, shape: Shape = MICRO) -> Path:
    """Write the model to ``folder`` as a diffusers folder in float32 (about 20 MB) and return ``folder``.

    The same seed gives the same bytes on the same version of torch. Parts that are there already are replaced.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, part in _parts(shape).items():
            part.eval().save_pretrained(folder / name)
    (folder / "tokenizer").mkdir(exist_ok=True)
    for name in TOKENIZER_FILES:
        shutil.copyfile(TOKENIZER / name, folder / "tokenizer" / name)
    (folder / "tokenizer_2").mkdir(exist_ok=True)
    shutil.copyfile(T5_TOKENIZER / "tokenizer.json", folder / "tokenizer_2" / "tokenizer.json")
    (folder / "scheduler").mkdir(exist_ok=True)
    schedule = {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0, "use_dynamic_shifting": True}
    _write(folder / "scheduler" / "scheduler_config.json", schedule)
    for path in folder.rglob("*.safetensors"):
        path.chmod(default_mode())  # safetensors writes files that only their owner may read
    _write(folder / "model_index.json", INDEX)  # last: its presence means complete
    return folder


def _parts(shape: Shape) -> dict[str, Any]:
    from diffusers import AutoencoderKL, FluxTransformer2DModel
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    clip, t5 = shape.clip, shape.t5
    t5_config = T5Config(
        vocab_size=t5.vocabulary, d_model=t5.width, d_kv=t5.head_width, d_ff=t5.inner, num_layers=t5.layers,
        num_heads=t5.heads, feed_forward_proj="gated-gelu",
    )  # fmt: skip
    return {
        "transformer": FluxTransformer2DModel.from_config(shape.transformer_config()),
        "vae": AutoencoderKL.from_config(shape.vae_config()),
        "text_encoder": CLIPTextModel(CLIPTextConfig(**clip.config(Encoder(prefix="").activation))),
        "text_encoder_2": T5EncoderModel(t5_config),
    }


def _write(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", "utf-8")
