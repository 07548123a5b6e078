"""Stable Diffusion 1.x in torch."""

from __future__ import annotations

import torch

from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.families.sd15.facts import FACTS
from lora_tui.families.unet.model import UnetModel


def open_model(
    section: ModelSection, captions: CaptionSection, *, device: torch.device, dtype: torch.dtype
) -> UnetModel:
    """The family's door: see :class:`~lora_tui.families.unet.model.UnetModel`."""
    return UnetModel(FACTS, section, captions, device=device, dtype=dtype)
