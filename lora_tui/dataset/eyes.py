"""Who looks at pixels: this process, or, in an app that no damaged file may take along, processes apart.

Decoders are C code that reads what strangers wrote. A process that was started for one image has lost little; an app,
or a check of thousands, is to stay. It says so once with :func:`look_apart`; whatever it has done in threads then asks
the same eyes.
"""

from __future__ import annotations

from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image

    from lora_tui.dataset.buckets import Box, Size
    from lora_tui.dataset.facts import Header
    from lora_tui.dataset.prepare.options import Options
    from lora_tui.dataset.prepare.plan import Item
    from lora_tui.dataset.prepare.preview import Preview

RGB = tuple[int, int, int]


class Eyes(Protocol):
    """What is asked of an image. Each raises UserError as :func:`~lora_tui.dataset.load.load_image`, or because the
    process that decoded the image died over it (``image.crashed``)."""

    @property
    def at_once(self) -> int:
        """How many images it is worth asking about at the same time."""

    def warm(self) -> None:
        """Get ready for the first image, without waiting for it."""

    def header(self, path: Path) -> Header:
        """What a header says that only a decoder's library reads: of BMP, TIFF and AVIF."""

    def verify(self, path: Path) -> None:
        """Decode all of it."""

    def cells(self, path: Path, part: Box | None) -> bytes:
        """Its fingerprint, see :mod:`~lora_tui.dataset.similar`."""

    def thumbnail(self, path: Path, background: RGB) -> tuple[Image, bool]:
        """The image, upright and RGB, and whether it was made small: its longer side has the px of a thumbnail then."""

    def picture(self, path: Path, background: RGB, at_least: Size, within: int = 0) -> Image:
        """The image, upright and RGB, with enough pixels to be drawn at ``at_least``, and not many more.

        Args:
            within: its longer side is at most so many px; 0 for any.
        """

    def preview(self, item: Item, options: Options, most: int) -> Preview:
        """What a preparation without neural networks would make of an image."""


BESIDE = 2
"""Processes that check images beside those that are looked at, where nobody wants another number."""

_apart: ContextVar[int] = ContextVar("apart", default=0)
"""Processes that may check images at the same time; 0 where images are decoded in this one."""


def eyes_now() -> Eyes:
    """Who looks at pixels for the work that asks. Threads of a pool know nothing of it: ask before, and hand it on."""
    if beside := _apart.get():
        from lora_tui.dataset.decoder import decoder_for

        return decoder_for(beside)
    from lora_tui.dataset.own_eyes import OWN_EYES

    return OWN_EYES


def look_apart(beside: int = BESIDE) -> None:
    """From now on images are decoded in processes apart, in this context and in those that are made from it.

    Args:
        beside: as many may check images at the same time.
    """
    _apart.set(beside)
