"""How old what is seen of a living run gets over a slow line: the terminal is read no faster than the line sends."""

from __future__ import annotations

import codecs
import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from lora_tui.bench.common import Measure
from lora_tui.bench.terminal import Terminal
from lora_tui.runs.folder import RunFolder
from lora_tui.text.translate import _

RATE = 30_000
"""Bytes a second that the line sends."""
AT_ONCE = 3_000
"""Bytes that a line at rest sends at once."""
BAR_SECONDS = 3.0
SIZES = ((80, 24), (200, 50))
WATCH = 15.0
"""Seconds that each size is watched for, from the start of the app: the first frame is the largest."""

_PIECE = re.compile(
    r"\x1b\[([0-9;?<>=]*)[ -/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]|\x1b[=>78]|([^\x1b])"
)
_STEP = re.compile(r"step +([0-9,]+) of")


class Shown:
    """What is on a terminal of ``columns`` by ``rows``, as far as the app's own output moves and writes."""

    def __init__(self, columns: int, rows: int) -> None:
        self._cells = [[" "] * columns for _row in range(rows)]
        self._row = self._column = 0
        self._rest = ""

    def take(self, text: str) -> None:
        """Paint ``text``; what is the beginning of a sequence waits for its end."""
        text, place = self._rest + text, 0
        while (piece := _PIECE.match(text, place)) is not None:
            place = piece.end()
            numbers, final, letter = piece.groups()
            if letter is not None:
                self._write(letter)
            elif final == "H":
                row, _semicolon, column = numbers.partition(";")
                self._row, self._column = int(row or 1) - 1, int(column or 1) - 1
            elif final == "J":
                self._cells = [[" "] * len(row) for row in self._cells]
        self._rest = text[place:]

    def _write(self, letter: str) -> None:
        if letter == "\r":
            self._column = 0
        elif letter == "\n":
            self._row += 1
        elif letter >= " ":
            if self._row < len(self._cells) and self._column < len(self._cells[self._row]):
                self._cells[self._row][self._column] = letter
            self._column += 1

    @property
    def step(self) -> int | None:
        """The step of the run that is named, none where none is."""
        found = _STEP.search("\n".join("".join(row) for row in self._cells))
        return int(found[1].replace(",", "")) if found else None


def measure_slow_line(run: RunFolder, home: Path) -> Iterator[Measure]:
    """The oldest that is seen of a run at work, for each of :data:`SIZES`."""
    for columns, rows in SIZES:
        with Terminal(["attach", str(run.root)], home, columns=columns, rows=rows) as app:
            seen = watch(app, Shown(columns, rows), WATCH)
        name = _("living screen of {columns} x {rows} over 30 kB/s: the oldest frame").format(
            columns=columns, rows=rows
        )
        yield Measure(name, oldest(seen, made_at(run)), "s", bar=BAR_SECONDS)


def watch(app: Terminal, shown: Shown, seconds: float) -> list[tuple[float, int | None]]:
    """Each time (s since the epoch) when something of a frame came, with the step that was seen from then on."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    seen: list[tuple[float, int | None]] = []
    end, before, free = time.time() + seconds, time.perf_counter(), 0.0
    while time.time() < end and not app.closed:
        now = time.perf_counter()
        free, before = min(free + (now - before) * RATE, AT_ONCE), now
        if free >= 1 and (data := app.take(int(free))):
            free -= len(data)
            shown.take(decode(data))
            seen.append((time.time(), shown.step))
        time.sleep(0.005)
    return [*seen, (time.time(), shown.step)]


def oldest(seen: Iterable[tuple[float, int | None]], made: Mapping[int, float]) -> float:
    """For how long (s) at most a step was made and not seen, once any was; infinite where none ever was.

    Args:
        seen: times, with the step that was seen from each of them on.
        made: when each step was made.
    """
    ages = [after - made[step + 1] for (_at, step), (after, _next) in pairwise(seen) if step and step + 1 in made]
    return max(ages, default=float("inf"))


def made_at(run: RunFolder) -> dict[int, float]:
    """When each step of a run was made (s since the epoch)."""
    lines = map(json.loads, run.events_path.read_text("utf-8").splitlines())
    return {line["step"]: line["t"] for line in lines if line["kind"] == "step"}
