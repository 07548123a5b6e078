"""Faces, found by the YuNet detector in a file that the person has, run by onnxruntime.

The model is OpenCV's ``face_detection_yunet_2023mar.onnx`` or one of its shape: BGR, 0 to 255, a square input, and for
the strides 8, 16 and 32 of a grid the outputs ``cls``, ``obj`` (confidences) and ``bbox`` (centre and size in strides,
sizes as logarithms). Imported by the worker and the trainer alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from lora_tui.dataset.prepare.parts import check_detector, no_detector, path_of
from lora_tui.dataset.prepare.subject import Face
from lora_tui.text import _, plain

if TYPE_CHECKING:
    from PIL.Image import Image

STRIDES = (8, 16, 32)
LEAST_SCORE = 0.6
MOST_OVERLAP = 0.3
"""Of two faces that have more than this in common (intersection over union) the less certain one is the same face."""
MOST_FACES = 50


def open_detector(model: str) -> Callable[[Image], Sequence[Face]]:
    """What finds the faces in an RGB picture, the most certain first.

    Raises:
        UserError: as :func:`check_detector`, or the file is no such detector (``prepare.model``).
    """
    check_detector(model)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0") or 0)
    try:
        path = str(path_of(model))
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common base
        raise no_detector(model, plain(str(error), limit=200)) from error
    (entry, *others), outputs = session.get_inputs(), [output.name for output in session.get_outputs()]
    wanted = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox") for stride in STRIDES]
    missing = [name for name in wanted if name not in outputs]
    if others or len(entry.shape) != 4 or missing:
        raise no_detector(model, _("It is no YuNet detector."))
    side = entry.shape[-1] if isinstance(entry.shape[-1], int) else 640

    def faces(picture: Image) -> Sequence[Face]:
        pixels, scale = _input(picture, side)
        found = session.run(wanted, {entry.name: pixels})
        return _decoded(dict(zip(wanted, found, strict=True)), side, scale)

    return faces


def _input(picture: Image, side: int) -> tuple[Any, float]:
    """The picture in the upper left of a square, [1, 3, side, side] float32 BGR, and how much it was scaled."""
    import numpy as np
    from PIL import Image

    scale = side / max(picture.size)
    size = max(round(picture.width * scale), 1), max(round(picture.height * scale), 1)
    square = Image.new("RGB", (side, side))
    square.paste(picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0), (0, 0))
    pixels = np.asarray(square, dtype=np.float32)[:, :, ::-1].transpose(2, 0, 1)
    return np.ascontiguousarray(pixels)[None], scale


def _decoded(outputs: dict[str, Any], side: int, scale: float) -> list[Face]:
    import numpy as np

    found: list[Face] = []
    for stride in STRIDES:
        across = side // stride
        scores = np.sqrt(outputs[f"cls_{stride}"].clip(0, 1) * outputs[f"obj_{stride}"].clip(0, 1)).reshape(-1)
        boxes = outputs[f"bbox_{stride}"].reshape(-1, 4)
        for place in np.flatnonzero(scores >= LEAST_SCORE):
            row, column = divmod(int(place), across)
            x, y, wide, high = (float(value) for value in boxes[place])
            middle, centre = (column + x) * stride, (row + y) * stride
            half, tall = float(np.exp(min(wide, 8.0))) * stride / 2, float(np.exp(min(high, 8.0))) * stride / 2
            corners = (middle - half, centre - tall, middle + half, centre + tall)
            left, top, right, bottom = (corner / scale for corner in corners)
            found.append(Face(left, top, right, bottom, float(scores[place])))
    return _distinct(found)


def _distinct(faces: Sequence[Face]) -> list[Face]:
    kept: list[Face] = []
    for face in sorted(faces, key=lambda one: -one.score):
        if len(kept) < MOST_FACES and all(_overlap(face, other) <= MOST_OVERLAP for other in kept):
            kept.append(face)
    return kept


def _overlap(one: Face, other: Face) -> float:
    """Intersection over union of two faces."""
    wide = min(one.right, other.right) - max(one.left, other.left)
    high = min(one.bottom, other.bottom) - max(one.top, other.top)
    if wide <= 0 or high <= 0:
        return 0.0
    areas = ((face.right - face.left) * (face.bottom - face.top) for face in (one, other))
    return wide * high / (sum(areas) - wide * high)
