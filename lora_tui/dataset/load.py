"""Pixels for training: one image file to an RGB image of exactly its bucket's size. The one place that does it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.dataset.batches import PlannedImage
from lora_tui.dataset.buckets import Box, Fit, Size
from lora_tui.dataset.facts import ImageFacts, open_with_pillow, read_facts
from lora_tui.dataset.verdicts import damaged
from lora_tui.errors import UserError
from lora_tui.text import _, plain

if TYPE_CHECKING:
    from PIL import Image

WHITE = (255, 255, 255)
#: A JPEG is decoded at a half, a quarter or an eighth when that is still this many times the size wanted: for
#: large photographs that takes a third of the time, and differs from full decoding by about one grey level.
_SPARE = 2

LARGE_PIXELS = 50_000_000
"""Pictures with more pixels are decoded one at a time in a process: one of the largest takes two gigabytes."""
_large = threading.Lock()


def load_image(
    image: PlannedImage | Path, fit: Fit, *, flip: bool = False, background: tuple[int, int, int] = WHITE
) -> Image.Image:
    """The image as it is trained: turned upright, without transparency, scaled, cut, and mirrored if asked.

    Shrinking averages over areas (Hamming window), enlarging uses Lanczos. Of an animated image the
    first frame is used. 16-bit grey is brought to 8 bits, CMYK and palettes to RGB.

    Args:
        image: what a plan holds, or a file.
        fit: how to scale and cut; its sizes are those after EXIF orientation.
        background: RGB colour below transparent pixels.

    Returns:
        An RGB image of ``fit.bucket``'s size.

    Raises:
        UserError: the file cannot be read, is damaged or cut short (``image.damaged``), is far too large, or has
            another size than its plan says (``image.changed``).
    """
    import PIL.Image

    path = image.image.path if isinstance(image, PlannedImage) else image
    planned = image.image.facts if isinstance(image, PlannedImage) else None
    upright = _source(path, fit, background, planned)
    resized = upright
    if upright.size != (fit.resize.width, fit.resize.height):
        shrinks = fit.resize.width <= upright.width and fit.resize.height <= upright.height
        window = PIL.Image.Resampling.HAMMING if shrinks else PIL.Image.Resampling.LANCZOS
        resized = upright.resize((fit.resize.width, fit.resize.height), window)
    left, top, bucket = fit.crop_left, fit.crop_top, fit.bucket
    cut = resized.crop((left, top, left + bucket.width, top + bucket.height))
    return cut.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT) if flip else cut


def _source(path: Path, fit: Fit, background: tuple[int, int, int], planned: ImageFacts | None) -> Image.Image:
    """The part of the image that is fitted, upright and without transparency, large enough for the fit."""
    enough = Size(fit.resize.width * _SPARE, fit.resize.height * _SPARE)
    return _look(path, background, enough, planned, fit.source)[0]


def open_upright(
    path: Path,
    *,
    background: tuple[int, int, int] = WHITE,
    at_least: Size | None = None,
    planned: ImageFacts | None = None,
    part: Box | None = None,
) -> Image.Image:
    """The whole image as RGB, turned upright by its EXIF orientation, transparency laid over ``background``.

    Args:
        at_least: a JPEG may be decoded at a fraction of its size that still covers this (upright) size.
        planned: facts that must still hold; None for a look at whatever is there.
        part: nothing but this of it, px of the upright image; ``at_least`` is the part's size then.

    Raises:
        UserError: as :func:`load_image`.
    """
    return _look(path, background, at_least, planned, part)[0]


def look_at(path: Path, at_least: Size, part: Box | None = None) -> tuple[Image.Image, bool]:
    """The image as :func:`open_upright` gives it, on white, and whether any pixel of it is not fully opaque.

    Args:
        at_least: as :func:`open_upright`.
        part: look at nothing but this of it, px of the upright image; ``at_least`` is the part's size then.

    Raises:
        UserError: as :func:`load_image`.
    """
    return _look(path, WHITE, at_least, None, part)


def _look(
    path: Path,
    background: tuple[int, int, int],
    at_least: Size | None,
    planned: ImageFacts | None,
    part: Box | None = None,
) -> tuple[Image.Image, bool]:
    facts = read_facts(path)
    if planned is not None:
        must_be_as_scanned(path, planned, facts)
    turn = turns().get(facts.orientation)
    if at_least is not None and part is not None:
        width, height = at_least.width * facts.width, at_least.height * facts.height
        at_least = Size(-(-width // part.width), -(-height // part.height))
    with _in_turn(facts), decoding(path) as opened:
        if at_least is not None:
            lies = facts.orientation >= 5
            opened.draft(None, (at_least.height, at_least.width) if lies else (at_least.width, at_least.height))
        opened.load()
        alpha = _alpha(opened) if facts.alpha else None
        flat = _flatten(opened, background)
    clear = alpha is not None and int(_upright(alpha, turn, facts, part).getextrema()[0]) < 255  # type: ignore[arg-type]
    return _upright(flat, turn, facts, part), clear


def _upright(image: Image.Image, turn: Image.Transpose | None, facts: ImageFacts, part: Box | None) -> Image.Image:
    """An image turned upright, or a part of it; it may be a smaller version of what ``facts`` describe."""
    upright = image if turn is None else image.transpose(turn)
    if part is None:
        return upright
    across, down = upright.width / facts.width, upright.height / facts.height
    corners = part.left * across, part.top * down, part.right * across, part.bottom * down
    return upright.crop(tuple(round(corner) for corner in corners))  # type: ignore[arg-type]


def _alpha(image: Image.Image) -> Image.Image | None:
    """How opaque the pixels of a loaded image are; none when nothing says so."""
    if "A" not in image.getbands() and "transparency" not in image.info:
        return None
    return (image if image.mode == "RGBA" else image.convert("RGBA")).getchannel("A")


def _in_turn(facts: ImageFacts) -> AbstractContextManager[object]:
    """What a large picture waits for before it is decoded."""
    return _large if facts.width * facts.height > LARGE_PIXELS else nullcontext()


@contextmanager
def decoding(path: Path) -> Iterator[Image.Image]:
    """An opened image; whatever goes wrong inside becomes an error that names the file."""
    try:
        with open_with_pillow(path) as opened:
            yield opened
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly everything on damaged data
        raise damaged(path, str(error)) from error


def content_hash(path: Path) -> str:
    """BLAKE2b (20 bytes, hexadecimal) of the file's bytes: the name of its content in caches and records.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=20)).hexdigest()
    except OSError as error:
        raise UserError(
            _("The image cannot be read: {reason}.").format(reason=plain(error.strerror or str(error))),
            place=plain(str(path)),
            remedy=_("Check the file and its permissions."),
            code="image.unreadable",
        ) from error


def must_be_as_scanned(path: Path, planned: ImageFacts, facts: ImageFacts) -> None:
    """Refuse an image whose size is no longer that of the plan.

    Raises:
        UserError: ``image.changed``.
    """
    if (planned.width, planned.height) != (facts.width, facts.height):
        raise UserError(
            _("The image has another size than when the dataset was read."),
            place=plain(str(path)),
            remedy=_("Start again; do not change images during a run."),
            code="image.changed",
        )


@contextmanager
def unchanged(path: Path) -> Iterator[None]:
    """For what is kept under a file's digest: what is read of it within is all of one and the same content.

    Raises:
        UserError: the file was changed meanwhile (``image.changed``).
    """
    before = _mark(path)
    yield
    if _mark(path) != before:
        raise UserError(
            _("The image was changed while it was read."),
            place=plain(str(path)),
            remedy=_("Start again; do not change images during a run."),
            code="image.changed",
        )


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def turns() -> dict[int, Image.Transpose]:
    """What brings each EXIF orientation upright."""
    from PIL.Image import Transpose

    return {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }


def _flatten(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    from PIL import Image

    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy()
    if image.mode.startswith("I") or image.mode == "F":
        return grey_levels(image).convert("RGB")
    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        with_alpha = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (*background, 255))
        return Image.alpha_composite(ground, with_alpha).convert("RGB")
    return image.convert("RGB")


def grey_levels(image: Image.Image) -> Image.Image:
    """A grey image of 16 or 32 bits, or of floats, in 8 bits; floats state no white and are stretched to the full."""
    if image.mode != "F":
        return image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    lowest, highest = (float(bound) for bound in image.getextrema())  # type: ignore[arg-type]
    scale = 255.0 / (highest - lowest) if highest > lowest else 0.0
    return image.point(lambda value: value * scale - lowest * scale).convert("L")
