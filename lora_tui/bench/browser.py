"""The images of a large dataset in the app, as a person meets them: from a key to its repaint, and what the app weighs.

The app is the real one in a process and on a terminal of its own. The images are some small pictures under many names,
so that there is a header to read and a picture to decode behind each of them.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import tempfile
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

from lora_tui.bench.common import Measure, answered, tell
from lora_tui.bench.terminal import Terminal
from lora_tui.errors import UserError
from lora_tui.text.translate import _

DATASET, DOWN, RIGHT = b"\x1bOQ", b"\x1b[B", b"\x1b[C"
FIRST, PICTURES, CLEAR, ENTER, ESCAPE = b"g", b"v", b"\x15", b"\r", b"\x1b"
HELD_SECONDS = 0.033
"""Between two keys while one is held down."""
TYPING_SECONDS = 0.1
"""Between two keys of somebody who types fast."""
BAR_MS = 30.0
SHAPES = ((640, 480, ".jpg"), (512, 768, ".jpg"), (600, 600, ".webp"), (900, 500, ".jpg"), (400, 640, ".webp"))
"""Width and height (px) and kind of the pictures, in turns."""
DIFFERENT = 5_000
"""Pictures that differ: as many as the app compares with each other while it is open."""
IN_A_FOLDER = 10_000


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--images", type=int, default=100_000, help=_("how many images to make"))
    parser.add_argument("--keys", type=int, default=300, help=_("how many keys to press in each of the ways"))
    parser.add_argument("--dir", type=Path, help=_("a folder on the disk to measure; else one for temporary files"))


def measure(args: argparse.Namespace) -> Iterator[Measure]:
    """Make the images, go through them in the app, remove them.

    Raises:
        UserError: there are too few of them, or the app did not paint what was waited for.
    """
    if args.images < 50 or args.keys < 1:
        raise UserError(_("At least 50 images and one key are needed."), code="bench.browser")
    with tempfile.TemporaryDirectory(prefix="lora-tui-bench-", dir=args.dir) as name:
        folder = Path(name) / "set"
        tell(_("making images"))
        make_linked(folder, args.images)
        yield from measure_browser(folder, Path(name) / "home", args.images, args.keys)


def make_linked(folder: Path, images: int, seed: int = 5) -> None:
    """Make ``images`` names, with captions, of at most :data:`DIFFERENT` pictures."""
    from PIL import Image

    chance = random.Random(seed)
    tags = [f"tag {number}" for number in range(200)]
    made: list[Path] = []
    for number in range(images):
        width, height, ending = SHAPES[number % len(SHAPES)]
        part = folder / str(number // IN_A_FOLDER)
        path = part / f"{number:06}{ending}"
        if number % IN_A_FOLDER == 0:
            part.mkdir(parents=True)
        if number < DIFFERENT:
            small = Image.frombytes("RGB", (16, 16), chance.randbytes(768))
            small.resize((width, height), Image.Resampling.NEAREST).save(path, method=0)
            made.append(path)
        else:
            os.link(made[number % DIFFERENT], path)
        path.with_suffix(".txt").write_text(", ".join(chance.sample(tags, 8)), "utf-8")


def measure_browser(folder: Path, home: Path, images: int, keys: int) -> Iterator[Measure]:
    """Open the app on ``folder`` and press some hundred keys.

    Args:
        home: where its caches and settings lie.
        images: how many there are.
        keys: how many times each way of going through them is measured.
    """
    with Terminal([str(folder)], home, columns=120, rows=36) as app:
        app.wait_for(r"\^q")
        app.press(DATASET, "file +|images", 30.0)
        first = app.wait_for(r"000000\.jpg", 120.0)
        yield Measure(_("from the start of the program to the first images"), first, "s")
        yield answered(_("key to repaint while all are checked"), _held(app, DOWN, keys), BAR_MS)
        app.wait_until_at_rest(300.0)
        sent, worked = app.received, app.cpu_seconds()
        times = _held(app, DOWN, keys)
        yield answered(_("key to repaint while scrolling"), times, BAR_MS)
        yield Measure(_("sent for each of these keys"), (app.received - sent) / keys, "bytes")
        yield Measure(_("processor time for each of these keys"), (app.cpu_seconds() - worked) / keys * 1e3, "ms")
        yield answered(_("key to repaint while typing a filter"), _type(app, ("0012", "tag 7", "99"), keys), BAR_MS)
        yield Measure(_("put in another order"), _order(app), "ms")
        _settle(app, PICTURES)
        times = _held(app, RIGHT, keys)
        yield answered(_("key to repaint among pictures that are being made"), times, BAR_MS)
        yield Measure(_("peak memory of the app then"), app.peak_memory(), "bytes", bar=600e6)


def _held(app: Terminal, key: bytes, keys: int) -> list[float]:
    """Seconds for each of ``keys`` steps from the first image on, as while the key is held down."""
    _settle(app, FIRST)
    times = []
    for number in range(1, keys + 1):
        times.append(app.press(key, f"{number:06d}"))
        app.read(max(HELD_SECONDS - times[-1], 0.0))
    return times


def _type(app: Terminal, filters: tuple[str, ...], keys: int) -> list[float]:
    """Seconds for each of ``keys`` letters of filters, until it is seen in the line."""
    times: list[float] = []
    for text in cycle(filters):
        app.press(b"/", "filter")
        _settle(app, CLEAR)
        for length in range(1, len(text) + 1):
            letter = text[length - 1]
            # All of the line, or its end, where nothing before that is painted anew; a busy app paints several at once.
            ends = "|".join(re.escape(text[start:length]) for start in range(length))
            wanted = rf"\b(?:{ends})\b" if letter != " " else ""
            times.append(app.press(letter.encode(), wanted))
            app.read(max(TYPING_SECONDS - times[-1], 0.0))
        app.press(ESCAPE, "")  # it has been read: together with the next key it would be another one
        app.read(3 * TYPING_SECONDS)
        if len(times) >= keys:
            return times
    return times


def _order(app: Terminal) -> float:
    """Milliseconds from the choice of an order until the images are shown in it; then that by name is chosen again."""
    times = []
    for letters, shown in ((b"byt", "by bytes"), (b"name", "")):
        app.press(b"s", "megapixels")
        for letter in letters:
            _settle(app, bytes((letter,)))
        times.append(app.press(ENTER, shown, 60.0))
        app.read(3 * TYPING_SECONDS)
    return times[0] * 1e3


def _settle(app: Terminal, key: bytes) -> None:
    """Press a key that may change nothing, and let what it brings come to its end."""
    app.send(key)
    app.read(3 * TYPING_SECONDS)
