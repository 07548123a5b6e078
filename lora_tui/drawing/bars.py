"""Shares as bars of characters, to the eighth of a cell. Knows no screen."""

from __future__ import annotations

_EIGHTHS = " ▏▎▍▌▋▊▉"
FULL, PLAIN = "█", "#"


def bar(share: float, width: int, *, plain: bool = False) -> str:
    """A bar of ``share`` (0 to 1) of ``width`` cells; never empty for a share above 0.

    Args:
        plain: of ASCII alone.
    """
    eighths = round(min(max(share, 0.0), 1.0) * width * 8) if share == share else 0
    if share > 0:
        eighths = max(eighths, 1)
    if plain:
        return PLAIN * max(1 if share > 0 else 0, round(eighths / 8))
    full, rest = divmod(eighths, 8)
    return FULL * full + (_EIGHTHS[rest] if rest else "")
