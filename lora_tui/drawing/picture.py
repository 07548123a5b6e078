"""Pictures as characters: two pixels a cell by half blocks, or one by ASCII characters.

Takes pixels, gives rows of coloured text. Knows no screen; Pillow is loaded where pixels are touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL import Image

RGB = tuple[int, int, int]
Depth = Literal["truecolor", "256", "16"]
Style = Literal["half", "ascii"]

UPPER_HALF = "▀"
RAMP = " .,:;i1tfLCG08@"
"""ASCII characters from no ink to most ink, even in steps of how dark they print."""

CELL_RATIO = 2.0
"""Height of a terminal cell over its width; fonts lie between 1.8 and 2.2."""

BAYER = (0, 8, 2, 10, 12, 4, 14, 6, 3, 11, 1, 9, 15, 7, 13, 5)
"""The order in which the cells of a 4 x 4 pattern fill (Bayer 1973)."""

PATTERN_STRENGTH = 64
"""Height of that pattern: about the distance of two of the sixteen colours."""

SIXTEEN: tuple[RGB, ...] = (
    (0, 0, 0),
    (170, 0, 0),
    (0, 170, 0),
    (170, 85, 0),
    (0, 0, 170),
    (170, 0, 170),
    (0, 170, 170),
    (170, 170, 170),
    (85, 85, 85),
    (255, 85, 85),
    (85, 255, 85),
    (255, 255, 85),
    (85, 85, 255),
    (255, 85, 255),
    (85, 255, 255),
    (255, 255, 255),
)
"""The colours of the sixteen as most terminals show them (the VGA palette)."""


@dataclass(frozen=True)
class Run:
    """Equal neighbouring cells: their text, its colour, and the colour behind it (none: the terminal's own)."""

    text: str
    front: RGB
    back: RGB | None


@dataclass(frozen=True)
class Picture:
    """A drawn picture: ``columns`` cells wide in every row."""

    columns: int
    rows: tuple[tuple[Run, ...], ...]


def fit_cells(
    width: int, height: int, columns: int, rows: int, *, enlarge: bool = True, ratio: float = CELL_RATIO
) -> tuple[int, int]:
    """The largest size in cells, within ``columns`` x ``rows``, that keeps the shape of an image in pixels.

    ``ratio`` is a cell's height over its width. Each side is at least one cell. Without ``enlarge`` an image never
    takes more half cells than it has pixels.
    """
    if width < 1 or height < 1 or columns < 1 or rows < 1:
        return 0, 0
    scale = min(columns / width, rows * ratio / height)
    if not enlarge:
        scale = min(scale, 1.0)
    return max(min(round(width * scale), columns), 1), max(min(round(height * scale / ratio), rows), 1)


def draw(
    image: Image.Image,
    columns: int,
    rows: int,
    *,
    depth: Depth = "truecolor",
    style: Style = "half",
    dark: bool = True,
) -> Picture:
    """An RGB image in exactly ``columns`` x ``rows`` cells; :func:`fit_cells` keeps its shape.

    Args:
        depth: colours of the terminal.
        style: half blocks, or ASCII characters in the image's colours.
        dark: whether the ground is dark, which turns the ASCII ramp around.
    """
    import PIL.Image

    tall = rows * 2 if style == "half" else rows
    small = image.resize((columns, tall), PIL.Image.Resampling.BOX, reducing_gap=2.0)
    if style == "ascii":
        inks = small.convert("L").tobytes()
        return Picture(columns, tuple(_ascii_rows(_limited(small, depth), inks, columns, dark)))
    return Picture(columns, tuple(_half_rows(_limited(small, depth), columns)))


def _limited(image: Image.Image, depth: Depth) -> list[RGB]:
    """The pixels in row order, in colours that the terminal has."""
    if depth != "truecolor":
        import PIL.Image

        if depth == "16":
            image = _with_pattern(image)
        palette = PIL.Image.new("P", (1, 1))
        palette.putpalette([channel for colour in _palette(depth) for channel in colour])
        image = image.quantize(palette=palette, dither=PIL.Image.Dither.NONE).convert("RGB")
    data = image.tobytes()
    return list(zip(data[0::3], data[1::3], data[2::3], strict=True))


def _with_pattern(image: Image.Image) -> Image.Image:
    """The image with a fine regular pattern added, so that shades between two of few colours become a mixture.

    Error diffusion would turn a picture of this size into noise.
    """
    import PIL.Image
    import PIL.ImageChops

    tile = PIL.Image.new("L", (4, 4))
    tile.putdata([step * PATTERN_STRENGTH // 15 for step in BAYER])
    pattern = PIL.Image.new("L", image.size)
    for x in range(0, image.width, 4):
        for y in range(0, image.height, 4):
            pattern.paste(tile, (x, y))
    return PIL.ImageChops.add(image, pattern.convert("RGB"), 1.0, -PATTERN_STRENGTH // 2)


@cache
def _palette(depth: Depth) -> tuple[RGB, ...]:
    """The terminal's colours: the sixteen, or xterm's cube of 216 and ramp of 24 greys."""
    if depth == "16":
        return SIXTEEN
    levels = (0, 95, 135, 175, 215, 255)
    cube = [(red, green, blue) for red, green, blue in product(levels, repeat=3)]
    return (*cube, *((grey, grey, grey) for grey in range(8, 248, 10)))


def _half_rows(pixels: list[RGB], columns: int) -> Iterator[tuple[Run, ...]]:
    for start in range(0, len(pixels), columns * 2):
        upper = pixels[start : start + columns]
        lower = pixels[start + columns : start + columns * 2]
        yield _merged(UPPER_HALF, zip(upper, lower, strict=True))


def _merged(character: str, cells: Iterator[tuple[RGB, RGB]]) -> tuple[Run, ...]:
    runs: list[Run] = []
    count = 0
    last: tuple[RGB, RGB] | None = None
    for cell in cells:
        if cell == last:
            count += 1
            continue
        if last is not None:
            runs.append(_run(character, count, last))
        last, count = cell, 1
    if last is not None:
        runs.append(_run(character, count, last))
    return tuple(runs)


def _run(character: str, count: int, colours: tuple[RGB, RGB]) -> Run:
    """A cell of one colour is a space: one byte instead of three, and whole in every font."""
    front, back = colours
    return Run((" " if front == back else character) * count, front, back)


def _ascii_rows(pixels: list[RGB], inks: bytes, columns: int, dark: bool) -> Iterator[tuple[Run, ...]]:
    last = len(RAMP) - 1
    for start in range(0, len(pixels), columns):
        runs: list[Run] = []
        for colour, ink in zip(pixels[start : start + columns], inks[start : start + columns], strict=True):
            character = RAMP[(ink if dark else 255 - ink) * last // 255]
            if runs and (runs[-1].front == colour or character == " " == runs[-1].text[-1]):
                runs[-1] = Run(runs[-1].text + character, runs[-1].front, None)
            else:
                runs.append(Run(character, colour, None))
        yield tuple(runs)
