"""How a showing of an image differs from it: another part, other colours, mirrored. Pure but for pixels."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lora_tui.dataset.buckets import Box, Fit

if TYPE_CHECKING:
    from PIL import Image

    from lora_tui.config.schema import Config


@dataclass(frozen=True, slots=True)
class Colour:
    """A change of colours: ``brightness`` and ``gamma`` of 1 and ``hue`` of 0 degrees change nothing."""

    brightness: float = 1.0
    hue: float = 0.0
    gamma: float = 1.0


@dataclass(frozen=True, slots=True)
class Look:
    """One way to show an image.

    Attributes:
        fit: how it is scaled and cut.
        flipped: mirrored left to right.
        colour: what becomes of its colours; none where they stay.
        number: which of several kept ways it is.
    """

    fit: Fit
    flipped: bool = False
    colour: Colour | None = None
    number: int = 0


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What may vary from showing to showing besides mirroring.

    Attributes:
        random_crop: the part that is cut out lies anywhere instead of in the middle.
        brightness: share by which images get brighter or darker at most.
        hue: degrees by which colours turn at most.
        gamma: share by which middle tones get lighter or darker at most.
        closeups: share of the looks, 0 to 1, that show a face close, where there is one.
        nearest, farthest: sides of such a part in sides of the face.
        variants: 0 for a new look each time; n for one of n that are fixed for each image, so that they can be cached.
    """

    random_crop: bool = False
    brightness: float = 0.0
    hue: float = 0.0
    gamma: float = 0.0
    variants: int = 0
    closeups: float = 0.0
    nearest: float = 2.0
    farthest: float = 4.0

    @property
    def colours(self) -> bool:
        return self.brightness > 0 or self.hue > 0 or self.gamma > 0

    @property
    def varies(self) -> bool:
        """Whether two showings can differ."""
        return self.random_crop or self.colours or self.closeups > 0

    def look(
        self,
        fit: Fit,
        draws: random.Random,
        *,
        flipped: bool,
        number: int = 0,
        face: Box | None = None,
        area: Box | None = None,
    ) -> Look:
        """One look, drawn from ``draws``.

        ``face`` is one in the image, and ``area`` all that may be shown of it, px of the image as it is shown.
        """
        across, down = fit.resize.width - fit.bucket.width, fit.resize.height - fit.bucket.height
        left, top = draws.randint(0, across), draws.randint(0, down)
        colour = Colour(
            round(1 + self.brightness * draws.uniform(-1, 1), 4),
            round(self.hue * draws.uniform(-1, 1), 2),
            round((1 + self.gamma) ** draws.uniform(-1, 1), 4),
        )
        own = replace(fit, crop_left=left, crop_top=top) if self.random_crop else fit
        if self.closeups > 0 and face is not None and area is not None and draws.random() < self.closeups:
            own = close_up(fit, face, area, draws.uniform(self.nearest, self.farthest))
        return Look(own, flipped, colour if self.colours else None, number)


NO_AUGMENTATION = Augmentation()


def augmentation_of(config: Config) -> Augmentation:
    """What a configuration asks for; the number of looks is limited only where latents are cached."""
    data = config.data
    variants = data.looks if config.memory.cache_latents else 0
    return Augmentation(
        data.random_crop, data.brightness, data.hue, data.gamma, variants, data.closeups, data.closeup_from,
        max(data.closeup_from, data.closeup_to),
    )  # fmt: skip


def close_up(fit: Fit, face: Box, area: Box, times: float) -> Fit:
    """The part around ``face`` whose shorter side is ``times`` that of the face, in the shape of the bucket.

    It stays within ``area``, and is no smaller than the bucket, so that nothing is enlarged, where ``area`` has the
    room; as sd-scripts' ``face_crop_aug_range``.
    """
    bucket = fit.bucket
    scale = max(max(face.width, face.height) * times / min(bucket.width, bucket.height), 1.0)
    scale = min(scale, area.width / bucket.width, area.height / bucket.height)
    wide, high = max(round(bucket.width * scale), 1), max(round(bucket.height * scale), 1)
    left = min(max(round((face.left + face.right - wide) / 2), area.left), area.right - wide)
    top = min(max(round((face.top + face.bottom - high) / 2), area.top), area.bottom - high)
    return Fit(bucket, bucket, 0, 0, Box(left, top, left + wide, top + high))


def coloured(image: Image.Image, colour: Colour | None) -> Image.Image:
    """An RGB image in other colours: the hue turned in HSV, then each value times brightness, to the power of gamma."""
    if colour is None:
        return image
    if colour.hue:
        import PIL.Image

        hue, saturation, value = image.convert("HSV").split()
        turn = round(colour.hue / 360 * 256)
        hue = hue.point([(level + turn) % 256 for level in range(256)])
        image = PIL.Image.merge("HSV", (hue, saturation, value)).convert("RGB")
    levels = [round(255 * min(level / 255 * colour.brightness, 1.0) ** colour.gamma) for level in range(256)]
    return image.point(levels * 3)
