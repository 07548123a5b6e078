"""How a showing of an image differs from it: another part, other colours, mirrored. Pure but for pixels."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lora_tui.dataset.buckets import Fit

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
        variants: 0 for a new look each time; n for one of n that are fixed for each image, so that they can be cached.
    """

    random_crop: bool = False
    brightness: float = 0.0
    hue: float = 0.0
    gamma: float = 0.0
    variants: int = 0

    @property
    def colours(self) -> bool:
        return self.brightness > 0 or self.hue > 0 or self.gamma > 0

    @property
    def varies(self) -> bool:
        """Whether two showings can differ."""
        return self.random_crop or self.colours

    def look(self, fit: Fit, draws: random.Random, *, flipped: bool, number: int = 0) -> Look:
        """One look, drawn from ``draws``."""
        across, down = fit.resize.width - fit.bucket.width, fit.resize.height - fit.bucket.height
        left, top = draws.randint(0, across), draws.randint(0, down)
        colour = Colour(
            round(1 + self.brightness * draws.uniform(-1, 1), 4),
            round(self.hue * draws.uniform(-1, 1), 2),
            round((1 + self.gamma) ** draws.uniform(-1, 1), 4),
        )
        own = replace(fit, crop_left=left, crop_top=top) if self.random_crop else fit
        return Look(own, flipped, colour if self.colours else None, number)


NO_AUGMENTATION = Augmentation()


def augmentation_of(config: Config) -> Augmentation:
    """What a configuration asks for; the number of looks is limited only where latents are cached."""
    data = config.data
    variants = data.looks if config.memory.cache_latents else 0
    return Augmentation(data.random_crop, data.brightness, data.hue, data.gamma, variants)


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
