"""What is written shows the frame, whatever was shown before, and says no more than that."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from lora_tui.tui.painting import Pace, Painting, Reduced

WIDTH, HEIGHT = 30, 6
GROUNDS = {30: "3", 90: "3", 40: "4", 100: "4"}
CODES = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])|\x1b\]8;[^\x1b]*\x1b\\|(.|\n)", re.DOTALL)
WORDS = ("hat", "girl  ", "帽子", " ", "    ", "x", "─│", "long hair")
STYLES = (
    {},
    {"color": "red"},
    {"color": "#112233", "bgcolor": "#445566"},
    {"color": "#8899aa", "bgcolor": "#445566", "bold": True},
    {"reverse": True},
    {"dim": True, "color": "green"},
    {"underline": True, "bgcolor": "blue"},
    {"color": "default", "bgcolor": "default", "italic": True},
)


class Screen:
    """A terminal of a few cells: what is on it, and how it is drawn."""

    def __init__(self) -> None:
        self.cells: dict[tuple[int, int], tuple[str, tuple[str, ...]]] = {}
        self.look: list[str] = []
        self.y = self.x = 0

    def write(self, text: str) -> None:
        for found in CODES.finditer(text):
            codes, kind, character = found.groups()
            if kind == "H":
                self.y, self.x = (int(number) - 1 for number in codes.split(";"))
            elif kind == "m":
                self._take(codes)
            elif character == "\n":
                self.y += 1
            elif character:
                for at in range(cell_len(character)):
                    self.cells[self.y, self.x + at] = character if at == 0 else "", tuple(self._seen(character))
                self.x += cell_len(character)

    def _take(self, codes: str) -> None:
        numbers = [number or "0" for number in codes.split(";")]
        while numbers:
            one = numbers.pop(0)
            if one == "0":
                self.look = []
            elif one in ("38", "48"):
                rest = [numbers.pop(0) for _n in range(4 if numbers[0] == "2" else 2)]
                self._set(one[0], one[0] + ";".join((one, *rest)))
            elif one in ("39", "49"):
                self._set(one[0], "")
            elif (place := int(one) // 10 * 10) in GROUNDS:
                self._set(GROUNDS[place], GROUNDS[place] + one)
            else:
                self.look.append(f"w{one}")

    def _set(self, ground: str, value: str) -> None:
        self.look = [old for old in self.look if not old.startswith(ground)] + ([value] if value else [])

    def _seen(self, character: str) -> list[str]:
        """Of a blank no foreground is seen, unless it is turned round or underlined."""
        lined = {"w4", "w7"} & set(self.look)
        kept = self.look if character != " " or lined else [one for one in self.look if one.startswith("4")]
        return sorted(kept)


def rows(chance: random.Random) -> list[list[Strip]]:
    """A frame: each line in two or three pieces of random text."""
    lines = []
    for _y in range(HEIGHT):
        cuts = sorted(chance.sample(range(4, WIDTH - 4, 4), chance.choice((1, 2))))
        line = []
        for width in (end - begin for begin, end in zip([0, *cuts], [*cuts, WIDTH], strict=True)):
            # made anew: a style remembers the codes of the first system of colours that it is drawn in
            segments = [Segment(chance.choice(WORDS), Style(**chance.choice(STYLES))) for _n in range(4)]
            line.append(Strip(segments).adjust_cell_length(width, Style(**STYLES[2])))
        lines.append(line)
    return lines


def frames(chance: random.Random) -> Iterator[LayoutUpdate | ChopsUpdate]:
    """Frames that share much with those before: whole ones, and some lines of one."""
    now = rows(chance)
    for _n in range(40):
        fresh = rows(chance)
        for y in chance.sample(range(HEIGHT), 2):
            now[y] = fresh[y]
        if chance.random() < 0.3:
            yield LayoutUpdate([list(line) for line in now], Region(0, 0, WIDTH, HEIGHT))
            continue
        chops = [{sum(one.cell_length for one in line[:at]): strip for at, strip in enumerate(line)} for line in now]
        ends = [[*list(chop)[1:], WIDTH] for chop in chops]
        spans = [(y, chance.choice((0, 0, 7)), chance.choice((WIDTH, WIDTH, 19))) for y in range(HEIGHT)]
        yield ChopsUpdate(chops, spans, ends)


@pytest.mark.parametrize("system", ["truecolor", "256", "standard"])
@pytest.mark.parametrize("seed", range(5))
def test_what_is_written_shows_the_same_as_the_whole_frames(seed: int, system: str) -> None:
    console = Console(color_system=system, force_terminal=True)  # type: ignore[arg-type]
    painting, reduced, whole = Painting(), Screen(), Screen()
    sizes = [0, 0]
    for update in frames(random.Random(seed)):
        short, long = Reduced(painting, update).render_segments(console), update.render_segments(console)
        reduced.write(short)
        whole.write(long)
        assert reduced.cells == whole.cells
        assert reduced.look == []
        sizes[0] += len(short)
        sizes[1] += len(long)
    assert sizes[0] < 0.6 * sizes[1]


@pytest.mark.parametrize("seed", range(5))
def test_what_is_the_same_between_two_changes_of_a_row_is_not_written_again(seed: int) -> None:
    chance = random.Random(seed)
    console, painting = Console(color_system="truecolor", force_terminal=True), Painting()
    reduced, whole = Screen(), Screen()
    row = [Segment(f"{at:02}", Style(bgcolor=f"#0000{at:02x}")) for at in range(WIDTH // 2)]
    for number in range(40):
        for at in chance.sample(range(len(row)), chance.choice((1, 2, 3))):
            row[at] = Segment(f"{chance.randrange(100):02}", Style(**chance.choice(STYLES)))
        update = LayoutUpdate([[Strip(row)]], Region(0, 0, WIDTH, 1))
        short = Reduced(painting, update).render_segments(console)
        reduced.write(short)
        whole.write(update.render_segments(console))
        assert reduced.cells == whole.cells
        assert number == 0 or len(short) < 200  # the whole row is 400


def test_a_frame_that_shows_nothing_new_writes_nothing_until_all_is_forgotten() -> None:
    console, painting = Console(color_system="truecolor", force_terminal=True), Painting()
    update = LayoutUpdate(rows(random.Random(1)), Region(0, 0, WIDTH, HEIGHT))
    assert painting.sequence(update, console)
    assert painting.sequence(update, console) == ""
    painting.forget()
    assert painting.sequence(update, console)


def test_a_frame_that_was_never_written_does_not_count_as_shown() -> None:
    console, painting = Console(color_system="truecolor", force_terminal=True), Painting()
    update = LayoutUpdate(rows(random.Random(2)), Region(0, 0, WIDTH, HEIGHT))
    Reduced(painting, update)
    assert painting.sequence(update, console)


def test_a_pace_waits_after_much_and_never_without_a_rate() -> None:
    pace = Pace(1000, ahead=0.5)
    pace.written(400, now=10.0)
    assert pace.wait(10.0) == 0
    pace.written(2000, now=10.0)
    assert pace.wait(10.0) == pytest.approx(1.9)
    assert pace.wait(12.0) == 0
    free = Pace(0)
    free.written(10**9, now=10.0)
    assert free.wait(10.0) == 0
