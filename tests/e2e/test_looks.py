"""The app without colours: nothing but characters and their weight reaches the terminal, and all can be told apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from terminal import LORA_TUI, Terminal

pytestmark = pytest.mark.e2e

COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3[0-7]|4[0-7]|9[0-7]|10[0-7]|[34]8[;:])")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    folder = tmp_path / "hats" / "4_hat"
    folder.mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (96, 64), (200, 40 * number, 90)).save(folder / f"{number:04d}.png")
        (folder / f"{number:04d}.txt").write_text("hatgirl, hat", encoding="utf-8")
    (tmp_path / "home").mkdir()
    with Terminal(tmp_path / "home", {"TERM": "screen", "COLORTERM": "", "NO_COLOR": "1"}) as opened:
        yield opened.start([*LORA_TUI, str(tmp_path / "hats")])


def test_without_colours_on_a_terminal_of_sixteen_everything_is_seen(terminal: Terminal) -> None:
    terminal.wait_for("3 images, repeats 4")
    styled = terminal.styled()
    assert not COLOUR.search(styled)
    cursor = next(line for line in styled.splitlines() if "F2" in line)
    assert re.search(r"\x1b\[(?:[0-9]+;)*7m", cursor)  # the row under the cursor, the other way round
    terminal.send("F2")
    terminal.wait_for("0002.png")
    assert not COLOUR.search(terminal.styled())
    assert "▀" not in terminal.screen()  # half cells are nothing without colours: pictures are drawn in characters
    terminal.send("C-p")
    terminal.wait_for("Commands")
    field = next(line for line in terminal.styled().splitlines() if "hat do you want to do" in line)
    assert re.search(r"\x1b\[(?:[0-9]+;)*7m", field)  # the cursor of the field
    assert not COLOUR.search(terminal.styled())
