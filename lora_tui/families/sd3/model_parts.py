"""Loading the parts of an SD3 or SD3.5 model, from a diffusers folder or from single files, each by itself."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, SD3Transformer2DModel
from torch import nn
from transformers import CLIPTokenizer, T5EncoderModel, T5Tokenizer

from lora_tui.config.schema import ModelSection
from lora_tui.families.loading import module_of_folder
from lora_tui.families.packed import Original
from lora_tui.families.sd3.checks import LAYOUT, check_clips, check_model
from lora_tui.families.sd3.facts import FACTS
from lora_tui.families.sd3.model_file import transformer_of_file
from lora_tui.families.sd3.shape import VAE_SCALE, VAE_SHIFT, Shape, shape_of_folder, shape_of_tensors
from lora_tui.families.separate.model import (
    clip_tokenizer,
    files_of,
    load_clip,
    load_t5,
    load_vae,
    part_files,
    t5_tokenizer,
)
from lora_tui.families.separate.places import bare_shapes, check_part, find_places
from lora_tui.families.source import resolve

SHIFT = 3.0
"""What multiplies the odds of noise, whatever the size: that of the published schedules."""
SCHEDULE = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": SHIFT}
FOLDERS = ("transformer", *(part.folder for part in LAYOUT.values()))


class Parts:
    """Where the parts come from; each method loads its part anew, on the CPU."""

    def __init__(self, section: ModelSection) -> None:
        """Resolve the sources and look at their headers; nothing large is read yet.

        Raises:
            UserError: a part is missing, pickled, of another family, or damaged.
        """
        named = {"clip_l": section.clip_l, "clip_g": section.clip_g, "t5xxl": section.t5xxl, "vae": section.vae}
        self.source = resolve(section.base, parts=FOLDERS, allow_pickle=section.allow_pickle)
        check_model(self.source, own_vae=not section.vae)
        self.places = find_places(LAYOUT, self.source, named)
        for part, place in self.places.items():
            if part != "transformer" and place.path != self.source.path and not place.is_folder:
                check_part(LAYOUT, part, place.path)
        check_clips(self.places)

    @cached_property
    def shape(self) -> Shape:
        """Of the transformer; its other parts tell their own."""
        if self.source.kind == "folder":
            return shape_of_folder(self.source.path, FACTS.full)
        return shape_of_tensors(bare_shapes(self.source.path), FACTS.full)

    def transformer(self, dtype: torch.dtype) -> SD3Transformer2DModel:
        place = self.places["transformer"]
        if place.is_folder:
            return module_of_folder(SD3Transformer2DModel, place.path, pickles=False, torch_dtype=dtype)
        return transformer_of_file(place.path, self.shape, dtype, prefix=place.prefix)

    def original(self, dtype: torch.dtype) -> Original:
        """The transformer, with all that decides what it is."""
        parts = (str(dtype), self.places["transformer"].prefix)
        return Original(lambda: self.transformer(dtype), SD3Transformer2DModel, self.files_of("transformer"), parts)

    def clip(self, name: str, dtype: torch.dtype) -> nn.Module:
        """``clip_l`` or ``clip_g``."""
        return load_clip(LAYOUT[name], self.places[name], dtype)

    def t5(self, dtype: torch.dtype) -> T5EncoderModel:
        return load_t5(self.places["t5xxl"], dtype)

    def vae(self) -> AutoencoderKL:
        """The VAE in float32."""
        return load_vae(self.places["vae"], scale=VAE_SCALE, shift=VAE_SHIFT)

    def clip_tokenizer(self, name: str) -> CLIPTokenizer:
        return clip_tokenizer(LAYOUT[name], self.places[name])

    def t5_tokenizer(self) -> T5Tokenizer:
        return t5_tokenizer(self.places["t5xxl"], "tokenizer_3", self.shape.t5.vocabulary)

    def scheduler_config(self) -> dict[str, Any]:
        """The noise schedule in diffusers' words."""
        return dict(SCHEDULE)

    def files_of(self, part: str) -> tuple[Path, ...]:
        """The files that decide one part."""
        return part_files(LAYOUT, self.places, part)

    def files(self) -> tuple[Path, ...]:
        """The files with the weights of every part."""
        return files_of(LAYOUT, self.places)
