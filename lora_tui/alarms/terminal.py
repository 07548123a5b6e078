"""A notice on the desktop by way of the terminal: the bell, and the escapes that terminals make a notification of.

OSC 9 (iTerm2, kitty, WezTerm, Ghostty, Windows Terminal, ConEmu) has one text; OSC 777 (foot, rxvt-unicode, terminals
on VTE) has title and text. Which one is understood follows from the environment, for asking the terminal is no use over
SSH. tmux passes a wrapped escape on where ``allow-passthrough`` is on and swallows it elsewhere; the bell rings there.
"""

from __future__ import annotations

from collections.abc import Mapping

from lora_tui.settings import Settings
from lora_tui.text.plain import plain

BELL = "\a"
LONGEST = 200
"""Characters of a notification; desktops show no more."""

_OSC777_TERMS = ("foot", "rxvt", "vte")
_SILENT_TERMS = ("", "dumb", "linux", "unknown")


def announcement(title: str, text: str, settings: Settings, environment: Mapping[str, str]) -> str:
    """What to write to the terminal for a notice; empty where the settings want nothing."""
    bell = BELL if settings.bell else ""
    return notification(title, text, settings.desktop, environment) + bell


def notification(title: str, text: str, style: str, environment: Mapping[str, str]) -> str:
    """The escape for a desktop notification in ``style``: ``auto``, ``osc9``, ``osc777`` or ``off``."""
    term = environment.get("TERM", "")
    if style == "off" or (style == "auto" and term in _SILENT_TERMS):
        return ""
    if style == "auto":
        vte = bool(environment.get("VTE_VERSION")) or term.startswith(_OSC777_TERMS)
        style = "osc777" if vte else "osc9"
    title, text = plain(title, limit=LONGEST), plain(text, limit=LONGEST)
    if style == "osc777":
        title = title.replace(";", ",")  # it ends the title
        escape = f"\x1b]777;notify;{title};{text}\a"
    else:
        # a text that began with a digit and a semicolon would be a command of ConEmu's
        escape = f"\x1b]9;lora-tui: {title}: {text}\a"
    return through_tmux(escape) if environment.get("TMUX") else escape


def through_tmux(escape: str) -> str:
    """An escape for the terminal around tmux: every ESC in it doubled."""
    doubled = escape.replace("\x1b", "\x1b\x1b")
    return f"\x1bPtmux;{doubled}\x1b\\"
