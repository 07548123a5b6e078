"""The curve of what a LoRA file keeps against its size, as rows of characters."""

from __future__ import annotations

from collections.abc import Sequence

from lora_tui.drawing.chart import Curve, Marker, Plot, View, draw
from lora_tui.drawing.dots import DotStyle

MEGABYTE = 1_000_000
ROLE, MARK = "kept", "mark"


def kept_plot(
    points: Sequence[Sequence[float]],
    uniform: Sequence[Sequence[float]],
    width: int,
    height: int,
    *,
    style: DotStyle = "braille",
    cursor: float | None = None,
) -> Plot:
    """Share of the norm (%) over the size (MB).

    Args:
        points: (bytes, share) of files whose bytes are spread best over the layers.
        uniform: (rank, bytes, share) of files with one rank in all layers; drawn as marks.
        cursor: bytes at which a line stands.
    """
    sizes = [size / MEGABYTE for size, _share in points]
    curve = Curve.through(ROLE, sizes, [share * 100 for _size, share in points])
    most = max(sizes, default=1.0)
    marks = [Marker(size / MEGABYTE, share * 100, "+", MARK) for _rank, size, share in uniform]
    at = None if cursor is None else cursor / MEGABYTE
    return draw([curve], View(0.0, most, cursor=at, style=style), width, height, markers=marks)
