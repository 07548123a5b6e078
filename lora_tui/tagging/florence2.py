"""Captions by Florence-2 (Xiao et al. 2023), in the layout of transformers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transformers import AutoProcessor, Florence2ForConditionalGeneration

from lora_tui.dataset.buckets import Box
from lora_tui.tagging.cache import Answer
from lora_tui.tagging.tagger import Device
from lora_tui.tagging.transformers_model import chosen_device, cleaned, in_parts, loaded, picture

TASKS = {"caption": "<CAPTION>", "detailed": "<DETAILED_CAPTION>", "more-detailed": "<MORE_DETAILED_CAPTION>"}


def open_tagger(settings: Mapping[str, Any], device: Device) -> Florence2Tagger:
    """The model of a folder.

    Raises:
        UserError: it cannot be loaded.
    """
    return Florence2Tagger(settings, device)


class Florence2Tagger:
    """One model, ready to write."""

    threads = 2

    def __init__(self, settings: Mapping[str, Any], device: Device) -> None:
        self._device, self._dtype = chosen_device(device)
        model, self._processor = loaded(
            Path(settings["folder"]), Florence2ForConditionalGeneration, AutoProcessor, self._dtype
        )
        self._model = model.to(self._device)
        self._task = TASKS[settings["detail"]]
        self._asked = {"max_new_tokens": settings["words"], "num_beams": settings["beams"], "do_sample": False}
        self.batch = device.batch or (8 if self._device.type == "cuda" else 1)
        self.told = str(self._device)

    def prepare(self, path: Path, prompt: str, part: Box | None = None) -> Any:
        """The picture as the model's own preparation takes it."""
        return picture(path, part)

    def answer(self, prepared: Sequence[Any]) -> list[Answer]:
        """A caption of each picture; empty where the model has nothing to say."""
        self.batch, texts = in_parts(self.batch, prepared, self._written)
        return [cleaned(text) for text in texts]

    def _written(self, images: Sequence[Any]) -> list[str]:
        given = self._processor(text=[self._task] * len(images), images=list(images), return_tensors="pt", padding=True)
        given = given.to(self._device, self._dtype)  # whole numbers stay whole
        tokens = self._model.generate(**given, **self._asked)
        texts: list[str] = self._processor.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return texts
