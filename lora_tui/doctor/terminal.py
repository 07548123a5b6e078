"""The terminal: colours, characters, size, and the settings of tmux that the app notices.

Nothing is asked of the terminal itself: over SSH and in tmux an answer may come late, or to someone else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from lora_tui.doctor.check import NOTE, OK, WARNING, Check
from lora_tui.drawing.terminals import hinted_protocol
from lora_tui.text import _, plain

SLOW_ESCAPE = 100
"""Milliseconds that tmux may hold an Escape back before it is felt."""
COLUMNS, LINES = 80, 24
TMUX_SECONDS = 5.0


def terminal_checks(environment: Mapping[str, str] = os.environ) -> Iterator[Check]:
    """What the environment and tmux say of the terminal."""
    yield _size_check()
    yield _colour_check(environment)
    yield _character_check(environment)
    yield _picture_check(environment)
    if environment.get("TMUX"):
        yield from tmux_checks(ask_tmux())
    elif environment.get("STY"):
        yield Check(
            "terminal",
            "screen",
            NOTE,
            "screen",
            _("colours and notices are limited"),
            _("tmux passes more of them through."),
        )
    elif environment.get("SSH_CONNECTION"):
        remedy = _("A training outlives the connection in any case; in tmux the app stays open, too.")
        yield Check("terminal", "ssh", NOTE, "SSH", _("not in tmux"), remedy)


def _size_check() -> Check:
    if not sys.stdout.isatty():
        return Check("terminal", "size", NOTE, _("terminal"), _("output goes to no terminal"))
    size = shutil.get_terminal_size()
    text = _("{columns} x {lines}, TERM={term}").format(
        columns=size.columns, lines=size.lines, term=plain(os.environ.get("TERM", ""))
    )
    if size.columns < COLUMNS or size.lines < LINES:
        remedy = _("The app is complete from {columns} x {lines} on.").format(columns=COLUMNS, lines=LINES)
        return Check("terminal", "size", WARNING, _("terminal"), text, remedy)
    return Check("terminal", "size", OK, _("terminal"), text)


def _colour_check(environment: Mapping[str, str]) -> Check:
    title = _("colours")
    if environment.get("NO_COLOR"):
        return Check("terminal", "colours", OK, title, _("off, as NO_COLOR asks"))
    if environment.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return Check("terminal", "colours", OK, title, _("16 million"))
    wide = "256color" in environment.get("TERM", "") or environment.get("TERM", "") == "xterm-kitty"
    text = _("256: pictures look coarse") if wide else _("16: pictures and curves are plain")
    remedy = _("If the terminal has more, set COLORTERM=truecolor (SSH drops it unless SendEnv passes it).")
    return Check("terminal", "colours", NOTE, title, text, remedy)


def _character_check(environment: Mapping[str, str]) -> Check:
    named = next((environment[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environment.get(name)), "")
    title = _("characters")
    if "utf8" in named.lower().replace("-", ""):
        return Check("terminal", "characters", OK, title, plain(named) + "  ▀▄ ⣿ ✓ ● 中文")
    text = _("the locale {name} is not UTF-8").format(name=plain(named or "C"))
    return Check(
        "terminal", "characters", WARNING, title, text, _("Set LANG=C.UTF-8; without it the app draws in ASCII.")
    )


def _picture_check(environment: Mapping[str, str]) -> Check:
    """How pictures are drawn, as far as that can be known without asking the terminal."""
    title, protocol = _("drawing of pictures"), hinted_protocol(environment)
    names = {"kitty": _("Kitty graphics"), "sixel": _("Sixel")}
    if environment.get("TMUX") or environment.get("STY"):
        remedy = _('With images = "kitty" in the settings, tmux passes them on where allow-passthrough is on.')
        return Check("terminal", "pictures", OK, title, _("half cells"), remedy if protocol == "kitty" else "")
    if not protocol:
        return Check("terminal", "pictures", OK, title, _("half cells"))
    if find_spec("textual_image") is None:
        text = _("half cells; this terminal can draw pixels ({protocol})").format(protocol=names[protocol])
        return Check("terminal", "pictures", NOTE, title, text, 'pip install "lora-tui[graphics]"')
    return Check("terminal", "pictures", OK, title, names[protocol])


@dataclass(frozen=True)
class TmuxSettings:
    """What tmux is set to; empty where it did not say."""

    version: str = ""
    escape_time: str = ""
    set_clipboard: str = ""
    focus_events: str = ""
    allow_passthrough: str = ""
    features: str = ""


def ask_tmux() -> TmuxSettings:
    """The settings of the tmux server around us."""

    def ask(*arguments: str) -> str:
        try:
            result = subprocess.run(
                ["tmux", *arguments],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TMUX_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return result.stdout.strip() if result.returncode == 0 else ""

    return TmuxSettings(
        version=ask("-V").removeprefix("tmux "),
        escape_time=ask("show-options", "-sv", "escape-time"),
        set_clipboard=ask("show-options", "-sv", "set-clipboard"),
        focus_events=ask("show-options", "-sv", "focus-events"),
        allow_passthrough=ask("show-options", "-gwv", "allow-passthrough"),
        features=ask("display-message", "-p", "#{client_termfeatures}"),
    )


def tmux_checks(found: TmuxSettings) -> Iterator[Check]:
    """The settings of tmux that change how the app feels, each with the line for ``~/.tmux.conf``."""
    yield Check("terminal", "tmux", OK, "tmux", plain(found.version) or _("it did not answer"))
    if found.escape_time.isdecimal() and int(found.escape_time) > SLOW_ESCAPE:
        text = _("Escape comes {milliseconds} ms late").format(milliseconds=found.escape_time)
        yield _tmux("escape-time", WARNING, text, "set -sg escape-time 10")
    if found.set_clipboard in ("external", "off"):
        text = _("copies from the app do not reach the clipboard")
        yield _tmux("set-clipboard", WARNING, text, "set -s set-clipboard on")
    if found.focus_events == "off":
        text = _("the app cannot see that nobody looks, and draws on")
        yield _tmux("focus-events", NOTE, text, "set -g focus-events on")
    if found.allow_passthrough == "off":
        text = _("notices to the desktop do not get through")
        yield _tmux("allow-passthrough", NOTE, text, "set -g allow-passthrough on")
    if found.features and "RGB" not in found.features.split(","):
        text = _("colours are reduced to 256")
        yield _tmux("colours", NOTE, text, "set -as terminal-features ',*:RGB'")


def _tmux(name: str, status: str, text: str, line: str) -> Check:
    remedy = _("In ~/.tmux.conf: {line}").format(line=line)
    return Check("terminal", f"tmux.{name}", status, f"tmux {name}", text, remedy)
