"""Taggers in ONNX: the WD family, and any other that a description tells how to feed.

One input with pictures, one output with a confidence for each tag. What a file really is shows when it is opened: an
input of another rank, or another number of tags than its list has, is said before the first picture.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort
from PIL import Image

from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.load import open_upright
from lora_tui.errors import UserError
from lora_tui.tagging.cache import Answer
from lora_tui.tagging.description import LARGEST_SIDE, Description, of_plain
from lora_tui.tagging.rows import FLOOR, Row, no_confidences
from lora_tui.tagging.tagger import Device
from lora_tui.text import _, plain

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
_SPARE = 2
"""A JPEG is decoded at a fraction of its size that still has this many times the pixels wanted."""
_GAP = 3.0
"""How much larger than wanted a picture stays in the first, coarse step of shrinking; more changes nothing visible."""
_USUAL_SIDE = 448
_MEMORY = ("out of memory", "failed to allocate", "bfcarena", "cudnn_status_alloc", "cublas_status_alloc")


def open_tagger(settings: Mapping[str, Any], device: Device) -> OnnxTagger:
    """The tagger of a description, see :class:`~lora_tui.tagging.models.Model`.

    Raises:
        UserError: the file is no such tagger, or the device is not there.
    """
    return OnnxTagger(of_plain(settings["description"]), int(settings["tags"]), device)


class OnnxTagger:
    """One model, ready to answer."""

    def __init__(self, description: Description, tags: int, device: Device) -> None:
        self._description = description
        self._tags = tags
        self._session, self.told = _session(description.model, device)
        on_gpu = self._session.get_providers()[0] != "CPUExecutionProvider"
        source = _the_input(self._session, description.model)
        self._input, self._type = source.name, _TYPES[source.type]
        self._nchw, self._size = _layout(source.shape, description)
        self._fixed = source.shape[0] if isinstance(source.shape[0], int) and source.shape[0] > 0 else 0
        self.batch = self._fixed or device.batch or (32 if on_gpu else 4)
        self.threads = min(8, os.cpu_count() or 2) if on_gpu else 2
        self._output = _the_output(self._session, description, tags)

    def prepare(self, path: Path, prompt: str, part: Box | None = None) -> NDArray[Any]:
        """The picture as bytes, (height, width, 3) in the model's order of colours.

        Raises:
            UserError: the image cannot be read.
        """
        return _pixels(path, self._description, self._size, part)

    def answer(self, prepared: Sequence[NDArray[Any]]) -> list[Answer]:
        """The scores of some pictures; when the memory is not enough, of half as many at a time from now on.

        Raises:
            UserError: the model fails, or what it gives is no confidence.
        """
        found: list[Answer] = []
        while len(found) < len(prepared):
            some = prepared[len(found) : len(found) + self.batch]
            try:
                found += [_row(scores) for scores in self._scores(some)]
            except UserError:
                raise
            except Exception as error:  # as in _session
                text = str(error)
                if len(some) == 1 or self._fixed or not any(word in text.lower() for word in _MEMORY):
                    raise _failed(self._description.model, text) from error
                self.batch = max(len(some) // 2, 1)
        return found

    def _scores(self, some: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        described = self._description
        images = np.stack(some).astype(np.float32)
        if described.scale != 1.0:
            images *= np.float32(described.scale)
        if described.mean != (0.0, 0.0, 0.0):
            images -= np.asarray(described.mean, np.float32)
        if described.std != (1.0, 1.0, 1.0):
            images /= np.asarray(described.std, np.float32)
        if self._nchw:
            images = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        if len(images) < self._fixed:
            images = np.concatenate([images, np.zeros((self._fixed - len(images), *images.shape[1:]), np.float32)])
        given = self._session.run([self._output], {self._input: images.astype(self._type, copy=False)})[0]
        scores = np.asarray(given, np.float32)[: len(some)].reshape(len(some), -1)
        if scores.shape[1] != self._tags:
            raise mismatch(described, scores.shape[1], self._tags)
        return np.asarray(1 / (1 + np.exp(-scores)), np.float32) if described.sigmoid else scores


def mismatch(description: Description, outputs: int, tags: int) -> UserError:
    """The error of a model and a list of tags that do not belong together."""
    return UserError(
        _("The model gives {outputs} values, and the list has {tags} tags: they do not belong together.").format(
            outputs=outputs, tags=tags
        ),
        place=plain(f"{description.model}, {description.tags.name}"),
        remedy=_("Copy both from the same place."),
        code="tagger.mismatch",
    )


def _row(scores: NDArray[np.float32]) -> Row:
    if not (scores.min() >= -0.01 and scores.max() <= 1.01):  # NaN, too
        raise no_confidences()
    places = np.flatnonzero(scores >= FLOOR)
    places = places[np.argsort(-scores[places], kind="stable")]
    kept = np.minimum(scores[places], np.float32(1))
    return Row(array("I", places.astype(np.uint32).tobytes()), array("f", kept.astype(np.float32).tobytes()))


def _pixels(path: Path, description: Description, size: tuple[int, int], part: Box | None) -> NDArray[Any]:
    width, height = size
    wanted = Size(width * _SPARE, height * _SPARE)
    image = open_upright(path, background=description.background, at_least=wanted, part=part)
    fit = description.fit
    if fit == "pad" and image.width * height != image.height * width:
        image = _padded(image, width / height, description.background)
    elif fit == "crop":
        image = _cropped(image, width / height)
    if image.size != size:
        image = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=_GAP)
    pixels = np.asarray(image)
    return pixels[:, :, ::-1] if description.colours == "BGR" else pixels


def _padded(image: Image.Image, ratio: float, colour: tuple[int, int, int]) -> Image.Image:
    """The picture in the middle of a larger one of another ratio (width to height)."""
    width = max(image.width, round(image.height * ratio))
    height = max(image.height, round(image.width / ratio))
    whole = Image.new("RGB", (width, height), colour)
    whole.paste(image, ((width - image.width) // 2, (height - image.height) // 2))
    return whole


def _cropped(image: Image.Image, ratio: float) -> Image.Image:
    width = min(image.width, max(round(image.height * ratio), 1))
    height = min(image.height, max(round(image.width / ratio), 1))
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _session(path: Path, device: Device) -> tuple[ort.InferenceSession, str]:
    """The model loaded where it shall compute, and where that is."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if device.threads:
        options.intra_op_num_threads = device.threads
    kind, _colon, number = device.name.partition(":")
    has_cuda = "CUDAExecutionProvider" in ort.get_available_providers()
    if kind == "cuda" and not has_cuda:
        raise _no_cuda(_("the installed onnxruntime has no code for CUDA"))
    providers: list[Any] = ["CPUExecutionProvider"]
    if has_cuda and kind in ("auto", "cuda"):
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": number or "0"}))
        with suppress(Exception):  # finds CUDA and cuDNN that came with torch or by pip; says itself what it misses
            ort.preload_dlls()
    try:
        session = ort.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime has a class for each of its codes, and none of its own above them
        raise _unusable(path, str(error)) from error
    first = session.get_providers()[0]
    if kind == "cuda" and first != "CUDAExecutionProvider":
        raise _no_cuda(_("CUDA or cuDNN of the version that onnxruntime needs is missing"))
    if first == "CUDAExecutionProvider":
        return session, "CUDA"
    return session, _("CPU, as CUDA cannot be loaded") if len(providers) > 1 else "CPU"


def _the_input(session: ort.InferenceSession, path: Path) -> Any:
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise _no_tagger(path, _("it has {count} inputs, and a tagger has one").format(count=len(inputs)))
    found = inputs[0]
    if len(found.shape) != 4:
        raise _no_tagger(
            path, _("its input has {count} dimensions, and pictures have four").format(count=len(found.shape))
        )
    if found.type not in _TYPES:
        raise _no_tagger(path, _("its input is {type}").format(type=plain(found.type)))
    return found


def _layout(shape: Sequence[Any], description: Description) -> tuple[bool, tuple[int, int]]:
    """Whether colours come before rows, and the width and height (px) that the model takes."""
    layout = description.layout or ("NCHW" if shape[1] == 3 and shape[3] != 3 else "NHWC")
    nchw = layout == "NCHW"
    colours = shape[1] if nchw else shape[3]
    if isinstance(colours, int) and colours not in (3, -1):
        reason = _("its input has {count} colours, and pictures have three").format(count=colours)
        raise _no_tagger(description.model, reason)
    rows, columns = (shape[2], shape[3]) if nchw else (shape[1], shape[2])
    height, width = (side if isinstance(side, int) and side > 0 else 0 for side in (rows, columns))
    if description.size is not None:
        wanted = description.size
        if (width and width != wanted[0]) or (height and height != wanted[1]):
            reason = _("it takes pictures of {width} x {height}, not of the size described").format(
                width=width, height=height
            )
            raise _no_tagger(description.model, reason)
        return nchw, wanted
    found = width or height or _USUAL_SIDE, height or width or _USUAL_SIDE
    if max(found) > LARGEST_SIDE:
        raise _no_tagger(description.model, _("its pictures are larger than {side} px").format(side=LARGEST_SIDE))
    return nchw, found


def _the_output(session: ort.InferenceSession, description: Description, tags: int) -> str:
    """The name of the output with a value for each tag, as far as the file says so."""
    outputs = session.get_outputs()
    if description.output:
        outputs = [one for one in outputs if one.name == description.output]
        if not outputs:
            reason = _("it has no output {name}").format(name=plain(description.output))
            raise _no_tagger(description.model, reason)
    sizes = [one.shape[-1] if len(one.shape) > 1 else None for one in outputs]
    for one, size in zip(outputs, sizes, strict=True):
        if size == tags:
            return str(one.name)
    known = [size for size in sizes if isinstance(size, int)]
    if known and len(known) == len(sizes):
        raise mismatch(description, known[0], tags)
    return str(outputs[[isinstance(size, int) for size in sizes].index(False)].name)


def _unusable(path: Path, reason: str) -> UserError:
    return UserError(
        _("This is no ONNX model that can be read: {reason}.").format(reason=_short(reason)),
        place=plain(str(path)),
        remedy=_("Copy it again; a file beside it that holds its weights belongs to it."),
        code="tagger.onnx",
    )


def _no_tagger(path: Path, reason: str) -> UserError:
    return UserError(
        _("This ONNX model is no tagger of pictures: {reason}.").format(reason=reason),
        place=plain(str(path)),
        remedy=_("Name another model, or describe this one in a TOML file (docs/tagging.md)."),
        code="tagger.onnx",
    )


def _failed(path: Path, reason: str) -> UserError:
    lacks_memory = any(word in reason.lower() for word in _MEMORY)
    return UserError(
        _("The model failed: {reason}.").format(reason=_short(reason)),
        place=plain(str(path)),
        remedy=_("Free memory, or compute on the CPU.") if lacks_memory else _("Try another file of this model."),
        code="tagger.failed",
    )


def _no_cuda(reason: str) -> UserError:
    return UserError(
        _("The tagger cannot compute on the GPU: {reason}.").format(reason=reason),
        place="--device",
        remedy=_("Install onnxruntime-gpu in place of onnxruntime, or choose --device cpu."),
        code="tagger.device",
    )


def _short(reason: str) -> str:
    """The words of onnxruntime without its codes."""
    line = reason.strip().splitlines()[0] if reason.strip() else "?"
    line = line.rpartition(" : ")[2].partition(" failed:")[2] or line.rpartition(" : ")[2]
    return plain(line, limit=200).rstrip(".")
