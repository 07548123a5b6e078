"""Over a slow line: only what changed is sent, never faster than the setting allows, and what is sent is right."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from support import until
from terminal import LORA_TUI, Terminal

from lora_tui.bench.terminal import Terminal as Counted

pytestmark = pytest.mark.e2e


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "hats" / "4_hat"
    folder.mkdir(parents=True)
    for number in range(40):
        image = Image.new("RGB", (96, 64), (5 * number, 200 - 4 * number, 90))
        ImageDraw.Draw(image).ellipse((number, 5, number + 40, 50), fill=(255 - 5 * number, 80, 6 * number))
        image.save(folder / f"{number:04d}.png")
        (folder / f"{number:04d}.txt").write_text(f"hatgirl, hat, number {number}, one of {number % 7}, long hair")
    (tmp_path / "home" / "config").mkdir(parents=True)
    return tmp_path / "hats"


@pytest.fixture
def terminal(project: Path) -> Iterator[Terminal]:
    with Terminal(project.parent / "home") as opened:
        yield opened.start([*LORA_TUI, str(project)])


def at_rest(terminal: Terminal) -> str:
    """The screen with its colours once it does not change any more."""
    shown = ["", ""]

    def still() -> bool:
        shown[:] = [shown[1], terminal.styled()]
        return shown[0] == shown[1]

    until(still, every=0.3)
    return shown[1]


def test_what_is_on_screen_is_what_a_whole_repaint_shows(terminal: Terminal) -> None:
    terminal.wait_for("40 images, repeats 4")
    walk = (
        ("one of 1", "F3"),
        ("TAGS  5  4_hat/0003.png", "j", "j", "j"),
        ("Commands", "C-p"),
        ("FILTER none", "Down", "Escape"),
        ("clip skip", "F4", "Down"),
        ("Advice", "F9"),
    )
    for words, *keys in walk:
        terminal.send(*keys)
        terminal.wait_for(words)
        at_rest(terminal)
        before = settled(terminal.screen())
        terminal.resize(81, 24)
        at_rest(terminal)
        terminal.resize(80, 24)  # everything is painted anew
        at_rest(terminal)
        assert settled(terminal.screen()) == before, keys


def settled(screen: str) -> str:
    """Without how much room there is on the disk, which others change."""
    return re.sub(r"of [\d.]+ GB", "of some GB", screen)


def opened(project: Path, settings: str, **size: int) -> Counted:
    home = project.parent / "home"
    (home / "config" / "settings.toml").write_text(settings)
    return Counted([str(project)], home, **size)


def press(app: Counted, keys: str, gap: float) -> None:
    for key in keys:
        os.write(app._descriptor, key.encode())
        app.read(gap)


def in_tags(app: Counted) -> None:
    app.wait_for("40 images")
    press(app, "\x1bOR", 0.01)
    app.wait_for("one of 1")
    app.wait_until_at_rest()
    app.read(0.5)


def test_a_key_in_the_tag_editor_sends_little(project: Path) -> None:
    with opened(project, 'images = "off"\n', columns=80, rows=24) as app:
        in_tags(app)
        before = app.received
        press(app, "j" * 8, 0.15)
        assert 0 < (app.received - before) / 8 < 1500
        press(app, "/", 0.5)
        before = app.received
        press(app, "one of 3", 0.2)
        assert 0 < (app.received - before) / 8 < 3000


def test_the_setting_for_a_slow_link_is_a_bound_on_what_is_sent(project: Path) -> None:
    with opened(project, "slow = true\n", columns=160, rows=45) as app:
        in_tags(app)
        before, begun = app.received, time.monotonic()
        press(app, "j" * 30 + "\t" + "j" * 20 + "\t", 0.05)
        press(app, "\x1bOS\x1bOR" * 5, 0.05)
        rate = (app.received - before) / (time.monotonic() - begun)
        assert rate < 30_000


def test_a_terminal_that_takes_nothing_for_a_while_then_gets_what_is_so_now(project: Path) -> None:
    with opened(project, "", columns=160, rows=45) as app:
        in_tags(app)
        for _n in range(240):  # nobody reads: the terminal's buffer is full after the first few
            os.write(app._descriptor, b"j" if _n % 80 < 39 else b"k")
        os.write(app._descriptor, b"G")
        before, begun = app.received, time.monotonic()
        app.wait_for("number 39")
        app.read(1.0)
        assert app.received - before < 300_000
        assert time.monotonic() - begun < 20
