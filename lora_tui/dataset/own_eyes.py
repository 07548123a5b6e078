"""Looks at pixels in this process, see :mod:`~lora_tui.dataset.eyes`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.dataset.blur import SIDE
from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.facts import Header, header_through_pillow
from lora_tui.dataset.load import look_at, open_upright

if TYPE_CHECKING:
    from PIL.Image import Image

    from lora_tui.dataset.eyes import RGB
    from lora_tui.dataset.prepare.options import Options
    from lora_tui.dataset.prepare.plan import Item
    from lora_tui.dataset.prepare.preview import Preview

THUMBNAIL_SIDE = 160
"""Longer side of a thumbnail in px: enough for a picture of 160 columns or 80 lines of half cells."""

_WORTH = 2
"""How many times smaller the thumbnail must be than its image to be worth making."""

_SPARE = 2
"""How many times as many pixels as are drawn are kept of a picture in each direction."""


class OwnEyes:
    """Decodes where it is asked; what its methods give is written there."""

    @property
    def at_once(self) -> int:
        return min(8, os.cpu_count() or 1)

    def warm(self) -> None:
        import PIL.Image  # noqa: F401

    def header(self, path: Path) -> Header:
        return header_through_pillow(path)

    def verify(self, path: Path) -> None:
        open_upright(path)

    def cells(self, path: Path, part: Box | None) -> bytes:
        from lora_tui.dataset.similar import cells_of

        return cells_of(*look_at(path, Size(SIDE, SIDE), part))

    def thumbnail(self, path: Path, background: RGB) -> tuple[Image, bool]:
        from PIL.Image import Resampling

        image = open_upright(path, background=background, at_least=Size(THUMBNAIL_SIDE, THUMBNAIL_SIDE))
        large = max(image.size)
        if large <= THUMBNAIL_SIDE * _WORTH:
            return image, False
        scale = THUMBNAIL_SIDE / large
        size = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
        return image.resize(size, Resampling.BOX, reducing_gap=2.0), True

    def picture(self, path: Path, background: RGB, at_least: Size, within: int = 0) -> Image:
        image = open_upright(path, background=background, at_least=at_least)
        if within and max(image.size) > within:
            image.thumbnail((within, within), reducing_gap=2.0)
        times = int(max(image.width / at_least.width, image.height / at_least.height) / _SPARE)
        return image.reduce(times) if times > 1 and not within else image

    def preview(self, item: Item, options: Options, most: int) -> Preview:
        from lora_tui.dataset.prepare.preview import preview_here

        return preview_here(item, options, most)


OWN_EYES = OwnEyes()
