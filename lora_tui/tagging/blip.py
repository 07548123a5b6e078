"""Captions by BLIP (Li et al. 2022), in the layout of transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import BlipForConditionalGeneration

from lora_tui.tagging.tagger import Device
from lora_tui.tagging.transformers_model import Writer


def open_tagger(settings: Mapping[str, Any], device: Device) -> Writer:
    """The model of a folder, whose captions begin as the settings say.

    Raises:
        UserError: it cannot be loaded.
    """
    return Writer(settings, device, BlipForConditionalGeneration, text=settings["begin"], at_once=16)
