"""Step events in bulk: the columns of thousands of lines at once, several times faster than parsing each.

Our writer gives all steps of a run the same fields in the same order. The shape is learnt from one line and becomes
a regular expression that cuts a block of lines into columns; a block that does not fit it in any way is parsed as
JSON, line by line. What comes out is the same.
"""

from __future__ import annotations

import operator
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from pydantic_core import from_json

from lora_tui.jobs.events import Event, parse_line, parse_lines

PRIMARY = ("loss", "grad_norm", "step_seconds")
"""Fields that are read of every step, so that no spike is lost."""

_STEP = b'"kind":"step"'
_RESOURCES = b'"kind":"resources"'
_SPELLED = {text: float(text) for text in ("nan", "inf", "-inf")}
_SLACK = 1 << 12
"""Bytes by which the place of a line in its block may be guessed too high."""


@dataclass(frozen=True)
class StepBatch:
    """Steps that stand together in the file.

    Attributes:
        steps: their numbers, as they stand there.
        columns: the fields of :data:`PRIMARY` that all of them have, as numbers.
        rising: each number is known to be above the one before it.
    """

    steps: Sequence[int]
    columns: dict[str, Sequence[float]]
    rising: bool = False
    _events: Sequence[Event] = ()
    _block: bytes = field(default=b"", repr=False)
    _span: tuple[float, float] = (0.0, 0.0)

    def events(self, indices: Sequence[int]) -> list[Event]:
        """Some of the steps, in their order, with all their fields.

        One whose line is no good after all has its number alone.
        """
        if not self._block:
            return [self._events[index] for index in indices]
        found = []
        place = 0
        begin, each = self._span[0], (self._span[1] - self._span[0]) / len(self.steps)
        for index in indices:
            guess = int(begin + index * each) - _SLACK
            event, place = self._find(self.steps[index], max(guess, place), place)
            found.append(event)
        return found

    def _find(self, step: int, guess: int, least: int) -> tuple[Event, int]:
        """The line of a step, and where it begins; it is looked for from ``guess`` on, then from ``least`` on."""
        sign = b'"step":%d' % step
        for start in (guess, least):
            place = self._block.find(sign, start)
            while place >= 0:
                after = place + len(sign)
                if self._block[after : after + 1] in (b",", b"}"):
                    begin = self._block.rfind(b"\n", 0, place) + 1
                    event = _parsed(self._block[begin : self._block.find(b"\n", after)])
                    if event.get("kind") == "step" and event.get("step") == step:
                        return event, begin
                place = self._block.find(sign, after)
        return {"step": step}, least

    def only(self, indices: Sequence[int]) -> StepBatch:
        """Some of the steps, in rising order."""
        columns: dict[str, Sequence[float]] = {name: [v[i] for i in indices] for name, v in self.columns.items()}
        events = [] if self._block else [self._events[i] for i in indices]
        return replace(self, steps=[self.steps[i] for i in indices], columns=columns, _events=events)


@dataclass(frozen=True)
class _Shape:
    """How a step line is cut: the expression, whose groups are the fields ``names`` in their order."""

    pattern: re.Pattern[bytes]
    names: tuple[str, ...]


class StepSplitter:
    """Cuts blocks of lines into batches of steps and single other events, in the order of the file.

    ``bad_lines`` counts what was neither.
    """

    def __init__(self) -> None:
        self.bad_lines = 0
        self._shape: _Shape | None = None

    def pieces(self, block: bytes) -> Iterator[StepBatch | Event]:
        """The events of a block of whole lines; of samples of the machine perhaps only the last."""
        cut = self._cut(block)
        if cut is None:
            yield from self._from_events(self._parsed(block))
            self._learn(block)
            return
        rests, steps, columns = cut
        count = len(steps)
        begin = 0
        for place, rest in [(place, rest) for place, rest in enumerate(rests) if rest]:
            if rest.count(b"\n") == 1 and _RESOURCES in rest:
                continue  # only the last sample of the machine is told; it does not separate steps
            yield from _slice(block, count, steps, columns, begin, place)
            begin = place
            yield from self._from_events(self._parsed(rest))
        yield from _slice(block, count, steps, columns, begin, count)
        machine = block.rfind(_RESOURCES)
        if machine >= 0:
            yield from self._parsed(block[block.rfind(b"\n", 0, machine) + 1 : block.find(b"\n", machine) + 1])

    def _cut(self, block: bytes) -> tuple[list[bytes], list[int], dict[str, list[float]]] | None:
        """What stands before, between and after the steps of a block; their numbers; their columns.

        None when the block has to be parsed line by line: it has no steps of the known shape, or anything about
        them is odd.
        """
        shape = self._shape
        if shape is None or not block:
            return None
        parts = shape.pattern.split(block)
        width = len(shape.names) + 1
        rests = parts[::width]
        if len(rests) == 1:
            self._shape = None  # another shape, or no steps: learn anew
            return None
        told = [rest for rest in rests if rest]
        if not all(rest.endswith(b"\n") for rest in told):
            return None  # a step was found within a line
        between = b"".join(told)
        if block.count(b"\n") != between.count(b"\n") + len(rests) - 1:
            return None  # a value reached over the end of its line
        if _STEP in between:
            return None  # perhaps a step of another shape, perhaps of the same number
        texts = {name: parts[1 + index :: width] for index, name in enumerate(shape.names)}
        try:
            steps: list[int] = from_json(b"[" + b",".join(texts.pop("step")) + b"]")
            columns = {name: _numbers(values) for name, values in texts.items()}
        except (ValueError, TypeError, KeyError, OverflowError):
            return None
        if steps[-1] >= 1 << 53 or not all(map(operator.lt, steps, steps[1:])):
            return None
        return rests, steps, columns

    def _parsed(self, lines: bytes) -> list[Event]:
        events, bad = parse_lines(lines)
        self.bad_lines += bad
        return events

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
        place = block.rfind(_STEP)
        if place < 0:
            return
        line = block[block.rfind(b"\n", 0, place) + 1 : block.find(b"\n", place)]
        event = parse_line(line)
        if event is None or event.get("kind") != "step":
            return
        found = _shape(event)
        if found is not None and found.pattern.fullmatch(line + b"\n"):
            self._shape = found


def _shape(event: Event) -> _Shape | None:
    """How lines with the fields of ``event`` are cut; none when they cannot be.

    A value is taken up to the next comma, whatever it is: a test for one byte is several times faster than one for
    several. That it stayed within its line is seen by counting line ends.
    """
    wanted = [name for name in event if name == "step" or name in PRIMARY]
    if "step" not in wanted or not all(re.fullmatch(r"\w+", name, re.ASCII) for name in event):
        return None
    fields = []
    for name in event:
        if name == "kind":
            fields.append('"kind":"step"')
        elif name in wanted:
            value = r"\d" if name == "step" else ("[^}]" if name == list(event)[-1] else "[^,]")
            fields.append(f'"{name}":({value}++)')
        else:
            value = r"\{[^}]*+\}" if isinstance(event[name], dict) else "[^,]++"
            fields.append(f'"{name}":{value}')
        if name == wanted[-1]:
            break
    end = r"\}\n" if len(event) == list(event).index(wanted[-1]) + 1 else r",.*+(?<=\})\n"
    return _Shape(re.compile((r"\{" + ",".join(fields) + end).encode()), tuple(wanted))


def _parsed(line: bytes) -> Event:
    """An event, empty when the line is none."""
    try:
        event = from_json(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _numbers(texts: list[bytes]) -> list[float]:
    """Numbers from their texts; NaN and infinities stand there in quotes.

    The parser is the one that the configurations are read with: it reads numbers four times faster than ``float``.

    Raises:
        ValueError, TypeError, OverflowError: a text is no number.
    """
    values: list[float] = from_json(b"[" + b",".join(texts) + b"]")
    if len(values) != len(texts):
        raise ValueError("a comma within a value")
    try:
        sum(values)  # the quickest way to see that all of them are numbers
    except TypeError:
        return [_SPELLED[value] if isinstance(value, str) else value + 0.0 for value in values]
    return values


def _slice(
    block: bytes, count: int, steps: list[int], columns: dict[str, list[float]], begin: int, end: int
) -> Iterator[StepBatch]:
    """Steps ``begin`` to ``end`` of the ``count`` of a block."""
    if begin == end:
        return
    span = (len(block) * begin / count, len(block) * end / count)
    if end - begin == count:
        part: dict[str, Sequence[float]] = {**columns}
    else:
        steps, part = steps[begin:end], {name: values[begin:end] for name, values in columns.items()}
    yield StepBatch(steps, part, rising=True, _block=block, _span=span)


def _batch(events: list[Event]) -> StepBatch:
    columns: dict[str, Sequence[float]] = {}
    for name in PRIMARY:
        try:
            columns[name] = array("d", [event[name] for event in events])
        except (KeyError, TypeError, OverflowError):
            continue
    return StepBatch([event["step"] for event in events], columns, _events=events)
