"""Step events in bulk: the columns of thousands of lines at once, several times faster than parsing each.

Our writer gives all steps of a run the same fields in the same order. The shape is learnt from one line and becomes
a regular expression that cuts a block of lines into columns; whatever does not fit it is parsed as JSON.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lora_tui.jobs.events import Event, parse_line, parse_lines

PRIMARY = ("loss", "grad_norm", "step_seconds")
"""Fields that are read of every step, so that no spike is lost."""

_VALUE = r"[^,}\n]+"
_SKIPPED = r"[^,{}\n]+"
_SKIPPED_OBJECT = r"\{[^{}\n]*\}"
_RESOURCES = '"kind":"resources"'


@dataclass(frozen=True)
class StepBatch:
    """Steps that stand together in the file.

    Attributes:
        steps: their numbers, as they stand there.
        columns: the fields of :data:`PRIMARY` that all of them have, as numbers.
        lines: their text, or the events themselves where they were parsed already.
    """

    steps: array[int]
    columns: dict[str, array[float]]
    lines: Sequence[str | Event]

    def event(self, index: int) -> Event:
        """One of the steps with all its fields; with its number alone when its line is no good after all."""
        line = self.lines[index]
        event = parse_line(line.encode("ascii")) if isinstance(line, str) else line
        return {**(event or {}), "step": self.steps[index]}

    def only(self, indices: list[int]) -> StepBatch:
        """Some of the steps."""
        columns = {name: array("d", [values[i] for i in indices]) for name, values in self.columns.items()}
        return StepBatch(array("q", [self.steps[i] for i in indices]), columns, [self.lines[i] for i in indices])


class StepSplitter:
    """Cuts blocks of lines into batches of steps and single other events, in the order of the file.

    ``bad_lines`` counts what was neither.
    """

    def __init__(self) -> None:
        self.bad_lines = 0
        self._pattern: re.Pattern[str] | None = None
        self._names: list[str] = []

    def pieces(self, block: bytes) -> Iterator[StepBatch | Event]:
        """The events of a block of whole lines; of samples of the machine perhaps only the last."""
        parts = self._parts(block)
        if parts is None:
            events, bad = parse_lines(block)
            self.bad_lines += bad
            yield from self._from_events(events)
            self._learn(block)
            return
        width = len(self._names) + 2
        begin = 0
        machine = ""
        for place, rest in enumerate(parts[::width]):
            if not rest:
                continue
            if _RESOURCES in rest and rest.count("\n") == 1:
                machine = rest  # only the last sample of the machine is told; it does not separate steps
                continue
            events, bad = parse_lines(rest.encode("ascii"))
            self.bad_lines += bad
            yield from self._from_parts(parts, begin, place)
            begin = place
            yield from self._from_events(events)
        yield from self._from_parts(parts, begin, len(parts) // width)
        yield from parse_lines(machine.encode("ascii"))[0]

    def _parts(self, block: bytes) -> list[str] | None:
        """The block split at step lines of the known shape; none when it must be parsed line by line."""
        if self._pattern is None or not block:
            return None
        try:
            parts = self._pattern.split(block.decode("ascii"))
        except UnicodeDecodeError:
            return None
        rests = parts[:: len(self._names) + 2]
        if not all(rest.endswith("\n") for rest in rests if rest):
            return None  # a step was found within a line
        if len(rests) == 1:
            self._pattern = None  # another shape, or no steps: learn anew
        return parts

    def _from_parts(self, parts: list[str], begin: int, end: int) -> Iterator[StepBatch | Event]:
        """Steps ``begin`` to ``end`` of a split block."""
        if begin == end:
            return
        width = len(self._names) + 2
        first, last = begin * width, end * width
        lines = parts[first + 1 : last : width]
        texts = {name: parts[first + 2 + i : last : width] for i, name in enumerate(self._names)}
        try:
            steps = array("q", map(int, texts.pop("step")))
            columns = {name: _numbers(values) for name, values in texts.items()}
        except (ValueError, OverflowError):
            events = [event for line in lines if (event := parse_line(line.encode("ascii"))) is not None]
            self.bad_lines += len(lines) - len(events)
            yield from self._from_events(events)
        else:
            yield StepBatch(steps, columns, lines)

    def _from_events(self, events: list[Event]) -> Iterator[StepBatch | Event]:
        """Events parsed one by one: steps that stand together become a batch."""
        together: list[Event] = []
        for event in events:
            kind = event.get("kind")
            if kind == "step":
                step = event.get("step")
                if isinstance(step, int) and not isinstance(step, bool) and 0 <= step < 1 << 53:
                    together.append(event)
                else:
                    self.bad_lines += 1
                continue
            if together and kind != "resources":
                yield _batch(together)
                together = []
            yield event
        if together:
            yield _batch(together)

    def _learn(self, block: bytes) -> None:
        """Learn the shape of the last step line in a block."""
        place = block.rfind(b'"kind":"step"')
        if place < 0:
            return
        line = block[block.rfind(b"\n", 0, place) + 1 : block.find(b"\n", place)]
        event = parse_line(line)
        if event is None or event.get("kind") != "step":
            return
        found = _shape(event)
        if found is not None and found[0].fullmatch(line.decode("ascii", "replace") + "\n"):
            self._pattern, self._names = found


def _shape(event: Event) -> tuple[re.Pattern[str], list[str]] | None:
    """The expression of a step line and the names of its groups after the first, which is the line itself."""
    wanted = [name for name in event if name == "step" or name in PRIMARY]
    if "step" not in wanted:
        return None
    pattern, names = "", []
    for name in event:
        if not re.fullmatch(r"\w+", name, re.ASCII):
            return None
        pattern += f'{"," if pattern else ""}"{name}":'
        if name == "kind":
            pattern += '"step"'
        elif name in wanted:
            names.append(name)
            pattern += r"(\d+)" if name == "step" else f"({_VALUE})"
        else:
            pattern += _SKIPPED_OBJECT if isinstance(event[name], dict) else _SKIPPED
        if names == wanted:
            break
    return re.compile(r"(\{" + pattern + r".*\})\n", re.ASCII), names


def _numbers(texts: list[str]) -> array[float]:
    """Numbers from their texts; NaN and infinities stand there in quotes.

    Raises:
        ValueError: a text is no number.
    """
    try:
        return array("d", map(float, texts))
    except ValueError:
        return array("d", [float(text.strip('"')) for text in texts])


def _batch(events: list[Event]) -> StepBatch:
    columns = {}
    for name in PRIMARY:
        try:
            columns[name] = array("d", [event[name] for event in events])
        except (KeyError, TypeError, OverflowError):
            continue
    return StepBatch(array("q", [event["step"] for event in events]), columns, events)
