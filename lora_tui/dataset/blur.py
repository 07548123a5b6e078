"""Whether a picture is blurred, from how steep its steepest edges are.

The greatest difference between neighbouring pixels is compared with the greatest over eight pixels. A sharp edge makes
its whole step at once (0.4 and more on photographs and drawings), a perfectly smooth ramp an eighth of it (0.125).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 384
"""Pictures are measured at this many px on their longer side; smaller ones as they are."""
REACH = 8
RARE = 0.002
"""The share of pixel pairs that count as the greatest, so that single dots do not."""
LEAST_STEP = 24
"""Grey levels; a picture whose greatest differences are smaller has no edge to judge by."""
BLURRED_BELOW = 0.17
"""On photographs: a blur of 3 px and more at :data:`SIDE`, or 4 px at the 512 px that SD1.5 is trained at."""
SHARP = 255


def sharpness(picture: Image) -> int:
    """How steep the steepest edges are, 0 to 255 for 0 to 1; :data:`SHARP` when there is nothing to judge by."""
    from PIL.Image import Resampling

    grey = picture.convert("L")
    scale = SIDE / max(grey.size)
    if scale < 1:
        size = (max(round(grey.width * scale), 1), max(round(grey.height * scale), 1))
        grey = grey.resize(size, Resampling.BOX)
    best = 0.0
    for right, down in ((1, 0), (0, 1)):
        far = _greatest(grey, right * REACH, down * REACH)
        if far >= LEAST_STEP:
            best = max(best, _greatest(grey, right, down) / far)
    return min(round(best * 255), SHARP) if best else SHARP


def is_blurred(measured: int) -> bool:
    """Whether a picture of this :func:`sharpness` is blurred."""
    return measured < BLURRED_BELOW * 255


def _greatest(grey: Image, right: int, down: int) -> int:
    """The grey levels that only :data:`RARE` of all pairs of pixels, this far apart, differ by more."""
    from PIL.ImageChops import difference

    width, height = grey.size
    if width <= right or height <= down:
        return 0
    one, other = grey.crop((right, down, width, height)), grey.crop((0, 0, width - right, height - down))
    counts = difference(one, other).histogram()
    left = RARE * (width - right) * (height - down)
    for level in range(255, 0, -1):
        left -= counts[level]
        if left < 0:
            return level
    return 0
