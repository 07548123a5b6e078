"""Captions by Florence-2 (Xiao et al. 2023), in the layout of transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import Florence2ForConditionalGeneration

from lora_tui.tagging.tagger import Device
from lora_tui.tagging.transformers_model import Writer

TASKS = {"caption": "<CAPTION>", "detailed": "<DETAILED_CAPTION>", "more-detailed": "<MORE_DETAILED_CAPTION>"}


def open_tagger(settings: Mapping[str, Any], device: Device) -> Writer:
    """The model of a folder.

    Raises:
        UserError: it cannot be loaded.
    """
    return Writer(settings, device, Florence2ForConditionalGeneration, text=TASKS[settings["detail"]], at_once=8)
