"""Measures a picture of one subject on a plain background: no learning, only pixels. Needs numpy and Pillow."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from lora_tui.demo.world.draw import Pen, draw_shape, locate
from lora_tui.demo.world.scene import COLOURS, SHAPES, SIZES, Scene
from lora_tui.demo.world.shapes import extent

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 64
"""Pictures are judged at this many pixels a side."""
EDGE = 45.0
"""Pixels that are farther from the background in RGB belong to a subject."""
LEAST_PIXELS = 20
MASK = 24
"""Side of the masks that are compared, in px."""
PLACE_TOLERANCE = 0.11
"""How far from its place a subject may lie, a share of the picture's side."""
ATTRIBUTES = ("background", "colour", "place", "size", "shape")


@dataclass(frozen=True)
class Seen:
    """What a picture shows; all but the background is None when no subject stands out.

    Attributes:
        background: the named colour nearest to the border's median.
        colour: the named colour that most pixels of the subject are nearest to.
        middle: the middle of the subject's bounding box (x, y), shares of the side.
        half: half of the box's longer side, a share of the picture's side.
        shape: the shape whose mask is most alike.
    """

    background: str
    colour: str | None = None
    middle: tuple[float, float] | None = None
    half: float | None = None
    shape: str | None = None


def look(picture: Image) -> Seen:
    """Measure ``picture``."""
    import numpy as np
    from PIL import Image

    small = picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)
    pixels = np.asarray(small).astype(np.float32)
    border = np.concatenate(
        [
            pixels[:3].reshape(-1, 3),
            pixels[-3:].reshape(-1, 3),
            pixels[:, :3].reshape(-1, 3),
            pixels[:, -3:].reshape(-1, 3),
        ]
    )
    behind = np.median(border, axis=0)
    background = nearest_colours(behind[None])[0]
    mask = largest_part(np.sqrt(((pixels - behind) ** 2).sum(-1)) > EDGE)
    if mask.sum() < LEAST_PIXELS:
        return Seen(background)
    colour = Counter(nearest_colours(pixels[mask])).most_common(1)[0][0]
    rows, columns = np.nonzero(mask)
    left, right, top, bottom = columns.min(), columns.max() + 1, rows.min(), rows.max() + 1
    middle = (float(left + right) / 2 / SIDE, float(top + bottom) / 2 / SIDE)
    half = float(max(right - left, bottom - top)) / 2 / SIDE
    own = _normal(mask)
    shape = min(_templates(), key=lambda template: float(np.abs(template[1] - own).mean()))[0]
    return Seen(background, colour, middle, half, shape)


def right(scene: Scene, seen: Seen) -> dict[str, bool]:
    """Which attributes of a scene of :func:`~lora_tui.demo.world.scene.examination` a picture shows as told."""
    subject = scene.subjects[0]
    aside, below, reach = extent(subject.shape)
    x, y, radius = locate(subject.size, subject.place)
    place = seen.middle is not None and (
        math.hypot(seen.middle[0] - x - aside * radius, seen.middle[1] - y - below * radius) < PLACE_TOLERANCE
    )
    return {
        "background": seen.background == scene.first,
        "colour": seen.colour == subject.colour,
        "place": place,
        "size": seen.half is not None and _size(seen.half / reach) == subject.size,
        "shape": seen.shape == subject.shape,
    }


def share_right(scenes: Sequence[Scene], pictures: Iterable[Image]) -> dict[str, float]:
    """The share of pictures that are right, attribute by attribute."""
    verdicts = [right(scene, look(picture)) for scene, picture in zip(scenes, pictures, strict=True)]
    return {name: sum(verdict[name] for verdict in verdicts) / len(verdicts) for name in ATTRIBUTES}


def nearest_colours(pixels: Any) -> list[str]:
    """The named colour nearest to each of ``pixels`` (n, 3)."""
    import numpy as np

    names = list(COLOURS)
    table = np.array([COLOURS[name] for name in names], dtype=np.float32)
    found = ((pixels[:, None] - table[None]) ** 2).sum(-1).argmin(1)
    return [names[index] for index in found]


def largest_part(mask: Any) -> Any:
    """The largest connected part (by edges) of a boolean array, as an array of the same shape."""
    import numpy as np

    open_cells = {(int(row), int(column)) for row, column in zip(*np.nonzero(mask), strict=True)}
    best: list[tuple[int, int]] = []
    while open_cells:
        part = [open_cells.pop()]
        for row, column in part:  # the list grows while it is walked
            for cell in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
                if cell in open_cells:
                    open_cells.remove(cell)
                    part.append(cell)
        best = max(best, part, key=len)
    result = np.zeros_like(mask)
    for cell in best:
        result[cell] = True
    return result


def _size(radius: float) -> str:
    """The size whose range lies nearest to ``radius``."""
    small, medium, large = (SIZES[name] for name in ("small", "medium", "large"))
    if radius < (small[1] + medium[0]) / 2:
        return "small"
    return "medium" if radius < (medium[1] + large[0]) / 2 else "large"


def _normal(mask: Any) -> Any:
    """A mask moved and scaled so that its bounding box fills a square of :data:`MASK` px; values 0 to 1."""
    import numpy as np
    from PIL import Image

    rows, columns = np.nonzero(mask)
    cut = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    side = max(cut.shape)
    square = np.zeros((side, side), np.uint8)
    top, left = (side - cut.shape[0]) // 2, (side - cut.shape[1]) // 2
    square[top : top + cut.shape[0], left : left + cut.shape[1]] = cut * np.uint8(255)
    return np.asarray(Image.fromarray(square).resize((MASK, MASK), Image.Resampling.BILINEAR)) / 255


@cache
def _templates() -> list[tuple[str, Any]]:
    import numpy as np

    found = []
    for shape in SHAPES:
        for turn in (-0.1, 0.0, 0.1):
            for radius in (0.14, 0.22, 0.33):
                pen = Pen(SIDE, (0, 0, 0))
                draw_shape(pen, shape, 0.5, 0.5, radius, turn, (255, 255, 255))
                found.append((shape, _normal(np.asarray(pen.picture())[..., 0] > 127)))
    return found
