"""The tag editor on a large dataset, as a person meets it: from a key to its repaint, and what the app weighs.

The app is the real one in a process and on a terminal of its own. A key counts as answered when the terminal has
received what the key must bring: the name of the image that the cursor went to, or the line as far as it was typed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

from lora_tui.bench.common import Measure, answered
from lora_tui.bench.terminal import Terminal
from lora_tui.text.translate import _

DOWN, PAGE_DOWN, TAGS, FIRST, CLEAR, ESCAPE = b"\x1b[B", b"\x1b[6~", b"\x1bOR", b"g", b"\x15", b"\x1b"
REPEAT_SECONDS = 0.033
"""Between two keys while one is held down."""
TYPING_SECONDS = 0.1
"""Between two keys of somebody who types fast."""


def measure_editor(folder: Path, home: Path, tags: list[str], keys: int) -> Iterator[Measure]:
    """Open the app on ``folder`` and press some hundred keys.

    Args:
        home: where its caches and settings lie.
        tags: of the dataset, the most frequent first.
        keys: how many times each way of going through it is measured.
    """
    with Terminal([str(folder)], home, columns=120, rows=36) as app:
        app.wait_for(r"\^q")
        begun = time.perf_counter()
        app.press(TAGS, "FILES")
        app.wait_for(r"\d{6}\.png", 120.0)
        yield Measure(_("tag editor opened, while images are read"), time.perf_counter() - begun, "s")
        app.wait_until_at_rest(180.0)
        yield answered(_("key to repaint while scrolling"), _scroll(app, keys), 30.0)
        yield answered(_("key to repaint while typing a filter"), _type(app, _filters(tags), keys), 30.0)
        yield answered(_("key to repaint while marking"), _mark(app, max(keys // 4, 1)))
        yield Measure(_("peak memory of the app then"), app.peak_memory(), "bytes", bar=600e6)


def _scroll(app: Terminal, keys: int) -> list[float]:
    """Seconds for each of ``keys`` steps down the list."""
    _settle(app, FIRST)
    times = []
    for number in range(1, keys + 1):
        times.append(app.press(DOWN, f"{number:06d}"))
        app.read(max(REPEAT_SECONDS - times[-1], 0.0))
    return times


def _filters(tags: list[str]) -> list[str]:
    """Filters as people write them, of frequent and of rarer tags."""
    one, two, three = (re.split(r"\W", tags[place])[0] for place in (0, 1, 40))
    return [f"{one} -{two}", f"tags>20 {three}", f"*{one[:3]}* -is:empty", f"one({two}, {three})"]


def _type(app: Terminal, filters: list[str], keys: int) -> list[float]:
    """Seconds for each letter of filters, none of which is taken."""
    times: list[float] = []
    while len(times) < keys:
        for text in filters:
            app.press(b"/", "filter")
            _settle(app, CLEAR)
            for length in range(1, len(text) + 1):
                # a blank at the end is no text that could be waited for
                wanted = re.escape(text[:length].rstrip())[-40:] if text[length - 1] != " " else ""
                times.append(app.press(text[length - 1].encode(), wanted))
                app.read(max(TYPING_SECONDS - times[-1], 0.0))
            app.press(ESCAPE, r"\? keys")  # the line of keys is that of the list again: what comes next is no text
    return times


def _mark(app: Terminal, keys: int) -> list[float]:
    """Seconds for each image that is marked, which takes the cursor to the next one."""
    _settle(app, FIRST)
    times = []
    for number in range(1, keys + 1):
        times.append(app.press(b"m", f"{number:06d}|\\b{number:,}\\b"))
        app.read(max(TYPING_SECONDS - times[-1], 0.0))
    return times


def _settle(app: Terminal, key: bytes) -> None:
    """Press a key that may change nothing, and let what it brings come to its end."""
    app.send(key)
    app.read(3 * TYPING_SECONDS)
