"""Captions by models of transformers: loading a folder, choosing a device, running out of its memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.load import open_upright
from lora_tui.errors import UserError
from lora_tui.tagging.cache import Answer
from lora_tui.tagging.clean import caption_text
from lora_tui.tagging.tagger import Device
from lora_tui.text import _, plain

_SIDE = 1536
"""px to which a picture may be brought down while it is decoded; the models see at most 768."""


class Writer:
    """One model, ready to write captions."""

    threads = 2

    def __init__(self, settings: Mapping[str, Any], device: Device, kind: Any, *, text: str, at_once: int) -> None:
        """Load the folder of ``settings`` as the model class ``kind``.

        Args:
            text: what the model is given beside each picture; empty for nothing.
            at_once: pictures at a time on a GPU, where ``device`` does not say.

        Raises:
            UserError: it cannot be loaded, or there is no such GPU.
        """
        from transformers import AutoProcessor

        self._device, self._dtype = chosen_device(device)
        model, self._processor = loaded(Path(settings["folder"]), kind, AutoProcessor, self._dtype)
        self._model, self._text = model.to(self._device), text
        self._asked = {"max_new_tokens": settings["words"], "num_beams": settings["beams"], "do_sample": False}
        self.batch = device.batch or (at_once if self._device.type == "cuda" else 1)
        self.told = str(self._device)

    def prepare(self, path: Path, prompt: str, part: Box | None = None) -> Any:
        """The picture as the model's own preparation takes it."""
        return picture(path, part)

    def answer(self, prepared: Sequence[Any]) -> list[Answer]:
        """A caption of each picture; empty where the model has nothing to say."""
        self.batch, texts = in_parts(self.batch, prepared, self._written)
        return [cleaned(text) for text in texts]

    def _written(self, images: Sequence[Any]) -> list[str]:
        text = {"text": [self._text] * len(images)} if self._text else {}
        given = self._processor(images=list(images), **text, return_tensors="pt", padding=True)
        given = given.to(self._device, self._dtype)  # whole numbers stay whole
        tokens = self._model.generate(**given, **self._asked)
        texts: list[str] = self._processor.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return texts


def chosen_device(device: Device) -> tuple[torch.device, torch.dtype]:
    """Where to compute, and in which precision.

    Raises:
        UserError: there is no such GPU.
    """
    if device.threads:
        torch.set_num_threads(device.threads)
    name = device.name
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return torch.device("cpu"), torch.float32
    number = int(name.partition(":")[2] or 0)
    if not torch.cuda.is_available() or number >= torch.cuda.device_count():
        raise UserError(
            _("There is no such GPU."), place="--device", remedy=_("Choose cpu, or see: lora-tui doctor"),
            code="tagger.device",
        )  # fmt: skip
    found = torch.device("cuda", number)
    has_bf16 = torch.cuda.get_device_capability(found) >= (8, 0)  # older ones do it by way of float32, slowly
    return found, torch.bfloat16 if has_bf16 else torch.float16


def loaded(folder: Path, model_class: Any, processor_class: Any, dtype: torch.dtype) -> tuple[Any, Any]:
    """A model and its processor from a folder; never code that lies in it.

    Raises:
        UserError: ``tagger.layout`` when they cannot be loaded, or weights are missing.
    """
    try:
        processor = processor_class.from_pretrained(folder, local_files_only=True)
        model, report = model_class.from_pretrained(
            folder, local_files_only=True, dtype=dtype, output_loading_info=True
        )
    except Exception as error:  # transformers raises nearly everything on a folder that lacks something
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise _unusable(folder, plain(lines[0], limit=200)) from error
    if missing := sorted(report["missing_keys"]):
        reason = _("weights are missing, such as {name}").format(name=plain(missing[0], limit=100))
        raise _unusable(folder, reason)
    return model.eval(), processor


def picture(path: Path, part: Box | None = None) -> Any:
    """An image, or a part of it, upright and without transparency."""
    image = open_upright(path, at_least=Size(_SIDE, _SIDE), part=part)
    if max(image.size) > 2 * _SIDE:
        image.thumbnail((_SIDE, _SIDE))
    return image


def in_parts(batch: int, images: Sequence[Any], write: Callable[[Sequence[Any]], list[str]]) -> tuple[int, list[str]]:
    """What ``write`` makes of the images, of half as many at a time whenever the GPU's memory is not enough.

    Returns:
        how many at a time were possible, and the texts.
    """
    texts: list[str] = []
    while len(texts) < len(images):
        short = False
        try:
            with torch.inference_mode():
                texts += write(images[len(texts) : len(texts) + batch])
        except torch.cuda.OutOfMemoryError as error:
            if batch == 1:
                raise UserError(
                    _("The GPU's memory is not enough for one image."),
                    remedy=_("Free memory, or compute on the CPU."),
                    code="tagger.failed",
                ) from error
            short = True
        if short:  # only here the error is gone, and with it the memory that its frames hold
            torch.cuda.empty_cache()
            batch = max(batch // 2, 1)
    return batch, texts


def cleaned(text: str) -> str:
    """A caption as it is kept; empty when the model wrote nothing."""
    try:
        return caption_text(text)
    except UserError:
        return ""


def _unusable(folder: Path, reason: str) -> UserError:
    return UserError(
        _("The model cannot be loaded: {reason}.").format(reason=reason.rstrip(".")),
        place=plain(str(folder)),
        remedy=_("Copy its folder again, whole, from where the model comes from."),
        code="tagger.layout",
    )
