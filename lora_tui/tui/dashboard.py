"""How the training screen shares its rows out: the curve of the loss and the numbers first, small charts last."""

from __future__ import annotations

from dataclasses import dataclass

LEAST_CURVE = 10
"""Rows of the main curve, with its axis, before anything below it gets more than the least; fewer where the terminal
has fewer than 25 rows."""

LOW_CURVE = 8
"""Rows of the main curve that smaller terminals keep before samples have theirs."""

LEAST_BESIDE_SAMPLES = 6
"""Rows below which the curve takes those of the samples; one key still shows them."""

ROOMY_CURVE = 14
"""Rows that the main curve keeps before small charts are shown at all."""

SAMPLES_FROM = 20
"""Rows of the terminal below which samples give their room to the curve in any case."""

WIDE = 110
"""Cells of width from which three small charts stand side by side."""

_FRAME = 4
"""Rows of the terminal that are the app's: the line on top with its rule, the status, the keys."""
_HEADS = 4
"""Rows above the curve: the run, its bar, a rule, what the curve shows."""
_STRIP_HEAD = 2
"""A rule and the line about the samples."""
_STRIP, _STRIP_LEAST, _STRIP_TALL, _STRIP_MOST = 4, 3, 8, 12
_MORE_HEAD = 2
"""A rule and the title of a small chart."""
_MORE, _MORE_MOST = 7, 10
_MOMENTS = 3


@dataclass(frozen=True)
class Rows:
    """Rows of each part of the dashboard; 0 for a part that is not shown.

    Attributes:
        curve: the main chart with its axis.
        more: the small charts with rule and title.
        strip: the pictures of the samples, without the two rows above them.
        moments: what happened last.
    """

    curve: int
    more: int
    strip: int
    moments: int


def share_rows(width: int, height: int, *, ending: int, samples: bool) -> Rows:
    """Share out a terminal of ``width`` x ``height`` cells.

    Args:
        ending: rows that say how the run ended.
        samples: whether the run draws any.
    """
    left = height - _FRAME - _HEADS - ending
    strip = _STRIP if samples and height >= SAMPLES_FROM else 0
    moments = 1 if left > LOW_CURVE // 2 else 0

    def curve(strip: int, moments: int, more: int = 0) -> int:
        return left - more - moments - (strip + _STRIP_HEAD if strip else 0)

    if strip and curve(strip, moments) < LOW_CURVE:
        strip = _STRIP_LEAST
    if strip and curve(strip, moments) < LOW_CURVE:
        moments = 0  # how the run ended says the same
    if strip and curve(strip, moments) < LEAST_BESIDE_SAMPLES:
        strip = 0
    more = _MORE + _MORE_HEAD
    if width < WIDE or curve(strip, moments, more) < ROOMY_CURVE:
        more = 0
    for tall in (_STRIP_TALL, _STRIP_MOST):
        least = LEAST_CURVE + 2 if tall == _STRIP_TALL else 2 * ROOMY_CURVE
        while 0 < strip < tall and curve(strip + 1, moments, more) >= least:
            strip += 1
    while 0 < moments < _MOMENTS and curve(strip, moments + 1, more) >= LEAST_CURVE + 2:
        moments += 1
    while 0 < more < _MORE_MOST + _MORE_HEAD and curve(strip, moments, more + 1) >= 2 * ROOMY_CURVE:
        more += 1
    return Rows(max(curve(strip, moments, more), 1), more, strip, moments)
