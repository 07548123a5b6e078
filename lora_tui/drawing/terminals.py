"""What the environment says of a terminal's own graphics. Asks the terminal nothing.

Kitty's protocol is named only for terminals that show pictures on cells of text ("Unicode placeholders"): others have
the protocol and leave pictures behind when they scroll.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Protocol = Literal["", "kitty", "sixel"]

_KITTY_TERMS = frozenset({"xterm-kitty", "xterm-ghostty"})
_SIXEL_TERMS = frozenset({"foot", "foot-extra", "mlterm", "contour"})


def hinted_protocol(environment: Mapping[str, str]) -> Protocol:
    """The protocol of the terminal that the environment names; empty when it names no such terminal."""
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if environment.get("KITTY_WINDOW_ID") or term in _KITTY_TERMS or program == "ghostty":
        return "kitty"
    known = environment.get("WEZTERM_PANE") or environment.get("KONSOLE_VERSION") or program == "WezTerm"
    return "sixel" if known or term in _SIXEL_TERMS else ""
