"""Pixels in the terminal: which protocol, that its bytes reach a terminal, that none remain, that they are bounded."""

from __future__ import annotations

import base64
import fcntl
import io
import os
import pty
import random
import re
import select
import signal
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from support import until
from textual._compositor import LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset

from lora_tui.settings import Settings
from lora_tui.tui.graphics import Graphics, Pixels, open_graphics
from lora_tui.tui.painting import Painting, picture_style
from lora_tui.tui.widgets.image_view import ImageView

CELL = (10, 20)
KITTY, FOOT = {"KITTY_WINDOW_ID": "1", "TERM": "xterm-kitty"}, {"TERM": "foot"}


def opened(images: str = "auto", environment: dict[str, str] | None = None, **given: object) -> Graphics:
    return open_graphics(images, environment=environment or {}, **{"cell": CELL, **given})  # type: ignore[arg-type]


def photograph(side: int = 400) -> Image.Image:
    image = Image.effect_noise((side, side), 40).convert("RGB")
    ImageDraw.Draw(image).ellipse((40, 60, 300, 350), fill=(200, 40, 90))
    return image


# -- which


@pytest.mark.parametrize(
    ("images", "environment", "protocol"),
    [
        ("auto", KITTY, "kitty"),
        ("auto", {"TERM": "xterm-ghostty"}, "kitty"),
        ("auto", FOOT, "sixel"),
        ("auto", {"TERM_PROGRAM": "WezTerm", "TERM": "xterm-256color"}, "sixel"),
        ("auto", {"TERM": "xterm-256color", "SSH_CONNECTION": "1 2 3 4"}, ""),
        ("auto", {**KITTY, "TMUX": "/tmp/tmux,1,0", "TERM": "tmux-256color"}, ""),
        ("halfcell", KITTY, ""),
        ("off", KITTY, ""),
        ("sixel", {}, "sixel"),
        ("kitty", {}, "kitty"),
    ],
)
def test_the_setting_decides_or_what_the_environment_says(
    images: str, environment: dict[str, str], protocol: str
) -> None:
    found = opened(images, environment)
    assert (found.protocol, found.problem) == (protocol, "")


def test_in_tmux_kitty_pictures_need_its_passthrough_and_are_wrapped_for_it() -> None:
    inside = {**KITTY, "TMUX": "/tmp/tmux,1,0"}
    refused = opened("kitty", inside, tmux_passes=lambda: False)
    assert not refused.protocol
    assert "allow-passthrough on" in refused.problem
    assert "tmux" in opened("sixel", inside).problem
    made = opened("kitty", inside, tmux_passes=lambda: True).encode(photograph(), 8, 4)
    assert made is not None
    assert made.data.startswith("\x1bPtmux;\x1b\x1b_Ga=T")
    assert made.gone.startswith("\x1bPtmux;")


def test_sixels_are_not_guessed_where_the_size_of_a_cell_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.__stdout__", None)
    found = open_graphics("sixel", environment={})
    assert not found.protocol
    assert "how large its cells are" in found.problem


def test_without_the_extra_pictures_are_half_cells_and_it_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    without_textual_image(monkeypatch)
    for images in ("kitty", "sixel"):
        found = opened(images, KITTY)
        assert not found.protocol
        assert "lora-tui[graphics]" in found.problem
    assert opened("auto", KITTY) == Graphics()


def without_textual_image(monkeypatch: pytest.MonkeyPatch) -> None:
    from lora_tui.tui import graphics

    for name in [name for name in sys.modules if name.split(".")[0] == "textual_image"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "textual_image", None)
    graphics._kitty_marks.cache_clear()
    graphics._sixel_encoder.cache_clear()


# -- what is sent


def payload(made: Pixels) -> Image.Image:
    data = "".join(re.findall(r"\x1b_G[^;]*;([^\x1b]*)\x1b\\", made.data))
    return Image.open(io.BytesIO(base64.b64decode(data)))


@pytest.mark.parametrize("images", ["kitty", "sixel"])
@pytest.mark.parametrize("slow", [False, True])
def test_a_picture_never_takes_more_than_is_allowed(images: str, slow: bool) -> None:
    how = opened(images, slow=slow)
    for columns, rows in ((60, 30), (12, 6)):
        made = how.encode(photograph(1000), columns, rows)
        if made is not None:  # too much as Sixels: then it is drawn as half cells
            assert len(made.data) <= how.budget(columns, rows) * 1.05 + 200
        elif images == "kitty":
            raise AssertionError("Kitty pictures can be made small")


def test_a_kitty_picture_is_the_picture_and_its_cells_name_it() -> None:
    made = opened("kitty").encode(photograph(), 20, 10)
    assert made is not None
    found = payload(made).convert("RGB")
    assert found.size == (200, 200)
    red, green, blue = found.getpixel((85, 100))  # type: ignore[misc]
    assert red > 150 > blue > green
    assert f"i={made.number},c=20,r=10," in made.data
    assert made.front == f"38;5;{made.number % 256}"
    assert len({cell for row in made.rows for cell in row}) == 200


# -- that none remain


class Glass:
    """A terminal that draws Sixels over cells, and of which text wipes them away."""

    def __init__(self) -> None:
        self.pixels: dict[tuple[int, int], int] = {}
        self.texts: dict[tuple[int, int], str] = {}
        self.y = self.x = 0

    def write(self, text: str, pictures: dict[str, Pixels]) -> None:
        for found in re.finditer(r"\x1b\[([0-9;]*)([A-Za-z])|\x1bP([^\x1b]*)\x1b\\|(.)", text, re.DOTALL):
            if found[2] == "H":
                self.y, self.x = (int(number) - 1 for number in found[1].split(";"))
            elif found[3] is not None:
                made = pictures[found[0]]
                for row, column in ((r, c) for r in range(len(made.rows)) for c in range(made.columns)):
                    self.pixels[self.y + row, self.x + column] = made.number
            elif found[4]:
                self.pixels.pop((self.y, self.x), None)
                self.texts[self.y, self.x] = found[4]
                self.x += 1


def test_sixels_are_drawn_when_they_are_whole_and_leave_nothing_behind() -> None:
    """Frames of pictures at any place, with words over them: what is seen of pixels is what the frame has."""
    how, dice = Graphics("sixel", CELL), random.Random(3)
    made = [how.encode(Image.new("RGB", (60, 60), (40 * n, 99, 7)), 5, 3) for n in range(4)]
    pictures = {one.data: one for one in made if one is not None}
    shown, glass = Painting(), Glass()
    for _frame in range(300):
        wanted: dict[tuple[int, int], Segment] = {
            (y, x): Segment(dice.choice(("a", " ")), Style()) for y in range(8) for x in range(16)
        }
        whole: dict[int, set[tuple[int, int]]] = {}
        for place in (0, 8):
            one = dice.choice([*made, None])
            top, left = dice.randrange(5), place + dice.randrange(3)
            for row in range(3 if one is not None else 0):
                for column in range(5):
                    wanted[top + row, left + column] = Segment(" ", picture_style(one, row, Style()))  # type: ignore[arg-type]
                    whole.setdefault(place, set()).add((top + row, left + column))
        if dice.random() < 0.4:  # something lies over it
            y, x = dice.randrange(8), dice.randrange(10)
            for column in range(x, x + 6):
                wanted[y, column] = Segment("w", Style())
        lines = [[Strip([wanted[y, x] for x in range(16)], 16)] for y in range(8)]
        update = LayoutUpdate(lines, Region(0, 0, 16, 8))
        glass.write(shown.sequence(update, Console()), pictures)
        for at, segment in wanted.items():
            number = segment.style.meta.get("pixels", (0,))[0] if segment.style else 0
            assert glass.pixels.get(at, number) == number, "of another picture, or of none, nothing is seen"
        for cells in whole.values():
            numbers = {wanted[at].style.meta.get("pixels", (0,))[0] for at in cells}  # type: ignore[union-attr]
            if len(numbers) == 1 and 0 not in numbers:
                assert {glass.pixels.get(at) for at in cells} == numbers, "all of it is seen"


def test_a_kitty_picture_is_sent_once_and_forgotten_at_the_end() -> None:
    made = opened("kitty").encode(photograph(), 4, 2)
    assert made is not None
    shown = Painting()

    def frame(visible: bool) -> str:
        rows = [[Segment(cell, picture_style(made, y, Style())) for cell in made.rows[y]] for y in range(2)]
        blank = [[Segment("word", Style())]] * 2
        strips = [[Strip(row, 4)] for row in (rows if visible else blank)]
        return shown.sequence(LayoutUpdate(strips, Region(0, 0, 4, 2)), Console())

    first = frame(True)
    assert first.index(made.data) < first.index(made.rows[0][0]), "the terminal knows it before its cells come"
    assert made.data not in frame(False)
    again = frame(True)
    assert made.data not in again
    assert made.rows[1][3] in again
    shown.forget()
    assert made.data in frame(True), "a terminal that was cleared may know it no more"
    assert shown.farewell() == made.gone


# -- in the app


@contextmanager
def on_a_terminal(project: Path, home: Path, environment: dict[str, str]) -> Iterator[tuple[int, bytearray]]:
    """The program on a pseudo-terminal that tells the size of its cells: its descriptor, and all that it wrote."""
    (home / "config").mkdir(parents=True, exist_ok=True)
    variables = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "LORA_TUI_HOME": str(home)}
    root = str(Path(__file__).resolve().parents[2])
    read_end, write_end = os.pipe()
    child, descriptor = pty.fork()
    if child == 0:
        os.read(read_end, 1)  # the window has its size
        command = [sys.executable, "-m", "lora_tui", str(project)]
        os.execve(sys.executable, command, {**variables, "PYTHONPATH": root, **environment})
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 800, 480))
    os.write(write_end, b"x")
    written = bytearray()
    try:
        yield descriptor, written
    finally:
        os.kill(child, signal.SIGTERM)
        until(lambda: _take(descriptor, written) is None)
        os.waitpid(child, 0)
        for number in (descriptor, read_end, write_end):
            os.close(number)


def _take(descriptor: int, written: bytearray) -> int | None:
    """Take in what was written; none at its end."""
    if not select.select([descriptor], [], [], 0.05)[0]:
        return 0
    try:
        data = os.read(descriptor, 65536)
    except OSError:
        return None
    written += data
    return len(data)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("environment", "begins", "ends"),
    [(KITTY, b"\x1b_Ga=T,U=1,q=2,f=100", b"\x1b_Ga=d,d=I"), (FOOT, b"\x1bP0;0;0q", b"\x1b[?1049l")],
)
def test_pixels_reach_a_terminal_that_has_them(
    tmp_path: Path, environment: dict[str, str], begins: bytes, ends: bytes
) -> None:
    project = make_dataset(tmp_path / "project", 3)
    with on_a_terminal(project, tmp_path / "home", environment) as (descriptor, written):
        until(lambda: _take(descriptor, written) is None or (b"Dataset" in written and b"Advice" in written))
        os.write(descriptor, b"\x1bOQ")
        until(lambda: _take(descriptor, written) is None or begins in written)
        before = written.count(begins)
        os.write(descriptor, b"j")
        until(lambda: _take(descriptor, written) is None or written.count(begins) > before)
    assert written.rstrip().count(ends) >= 1
    assert "▀".encode() not in written
    assert b"\x1b[c" not in written, "the terminal is asked nothing"


async def test_what_cannot_be_is_told_and_pictures_are_half_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_textual_image(monkeypatch)
    monkeypatch.delenv("TMUX", raising=False)
    make_dataset(tmp_path, 3)
    async with running(tmp_path, size=(100, 30), screen="dataset", settings=Settings()) as (app, pilot):
        view = app.screen.query_one("#picture", ImageView)
        await soon(pilot, lambda: view.shown is not None)
        await pilot.press("ctrl+p")
        await pilot.press(*"choose pictures", "enter")
        await soon(pilot, lambda: "Kitty graphics" in screen_text(app))
        await pilot.press("down", "down", "enter")
        await soon(pilot, lambda: "is not installed" in screen_text(app))
        assert app.settings.images == "kitty"
        await soon(pilot, lambda: any("▀" in view.render_line(y).text for y in range(view.size.height)))


async def test_the_way_pictures_are_drawn_is_chosen_and_holds_at_once(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, size=(100, 30), screen="dataset") as (app, pilot):
        view = app.screen.query_one("#picture", ImageView)
        await soon(pilot, lambda: view.shown is not None)
        app.use_graphics(opened("kitty"))
        await soon(pilot, lambda: "\U0010eeee" in view.render_line(1).text)
        await pilot.press("ctrl+p")
        await pilot.press(*"choose pictures", "enter")
        await soon(pilot, lambda: "Kitty graphics" in screen_text(app))
        await pilot.press("down", "down", "down", "down", "enter")
        await soon(pilot, lambda: app.settings.images == "ascii")
        await soon(pilot, lambda: view.render_line(1).text.isascii())
