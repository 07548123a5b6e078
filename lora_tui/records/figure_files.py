"""A figure as a file: SVG written by hand, PNG drawn by Pillow."""

from __future__ import annotations

import io
from xml.sax.saxutils import escape

from lora_tui.records.figure import Figure, Stroke
from lora_tui.records.fonts import font_for

SCALE = 2
"""The PNG is drawn so many times larger, so that it is sharp on dense screens."""

_PALE = 0.35
"""How strong a faint line is."""


def svg(figure: Figure) -> bytes:
    """The figure as an SVG document, UTF-8, of lines and words alone: nothing in it is run or fetched."""
    size = f'width="{figure.width}" height="{figure.height}" viewBox="0 0 {figure.width} {figure.height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    for stroke in figure.strokes:
        points = " ".join(f"{x:g},{y:g}" for x, y in stroke.points)
        pale = f' stroke-opacity="{_PALE}"' if stroke.faint else ""
        style = f'stroke="{stroke.colour}" stroke-width="{stroke.width:g}"{pale}'
        parts.append(f'<polyline fill="none" stroke-linejoin="round" {style} points="{points}"/>')
    for word in figure.words:
        place = f'x="{word.x:g}" y="{word.y:g}" font-size="{word.size}" text-anchor="{word.anchor}"'
        parts.append(f'<text {place} fill="{word.colour}">{escape(word.text)}</text>')
    return ("\n".join([*parts, "</svg>"]) + "\n").encode("utf-8", "replace")


def png(figure: Figure) -> bytes:
    """The figure as a PNG of twice its size, with a font for each text that has its signs."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (figure.width * SCALE, figure.height * SCALE), "#ffffff")
    pen = ImageDraw.Draw(image)
    for stroke in figure.strokes:
        points = [(x * SCALE, y * SCALE) for x, y in stroke.points]
        pen.line(points, fill=_ink(stroke), width=max(round(stroke.width * SCALE), 1), joint="curve")
    for word in figure.words:
        anchor = {"start": "ls", "middle": "ms", "end": "rs"}[word.anchor]
        font, _whole = font_for(word.text, word.size * SCALE)
        pen.text((word.x * SCALE, word.y * SCALE), word.text, fill=word.colour, font=font, anchor=anchor)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _ink(stroke: Stroke) -> tuple[int, int, int]:
    red, green, blue = (int(stroke.colour[at : at + 2], 16) for at in (1, 3, 5))
    share = _PALE if stroke.faint else 1.0
    mixed = [round(255 + (part - 255) * share) for part in (red, green, blue)]
    return mixed[0], mixed[1], mixed[2]
