"""The orders of the rows of the dataset screen. No widget."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lora_tui.text import N_, count

if TYPE_CHECKING:
    from lora_tui.dataset.buckets import Size
    from lora_tui.tui.file_rows import FileRow

Key = Callable[["FileRow", "Measures"], "float | tuple[float, ...] | None"]


@dataclass
class Measures:
    """What is known of images beside their headers, by the text of their path; what is missing was not measured.

    Attributes:
        tags, tokens: of the caption.
        sharpness: 0 to 255, see :mod:`lora_tui.dataset.blur`.
        bucket: width and height (px) that an image is trained at.
    """

    tags: Mapping[str, int] = field(default_factory=dict)
    tokens: Mapping[str, int] = field(default_factory=dict)
    sharpness: Mapping[str, int] = field(default_factory=dict)
    bucket: Callable[[FileRow], Size | None] = lambda _row: None


@dataclass(frozen=True)
class Order:
    """One fact to sort by.

    Attributes:
        name: for the program.
        title: for a person.
        key: its value for a row; rows without one come last, either way round.
        asks: what has to be measured first: ``captions``, ``pixels`` or nothing.
        shown: the value as a person reads it; none where a column of the list has it anyhow.
    """

    name: str
    title: str
    key: Key
    asks: str = ""
    shown: Callable[[float], str] | None = None

    def words(self, row: FileRow, measures: Measures) -> str:
        """The value of a row for the list; empty where it has none."""
        value = self.key(row, measures) if self.shown is not None else None
        return self.shown(value) if self.shown is not None and isinstance(value, float | int) else ""


def _facts(value: Callable[[FileRow], float]) -> Key:
    return lambda row, _measures: value(row) if row.image is not None else None


def _width(row: FileRow) -> float:
    return row.image.facts.width if row.image else 0


def _height(row: FileRow) -> float:
    return row.image.facts.height if row.image else 0


def _bucket(row: FileRow, measures: Measures) -> tuple[float, ...] | None:
    size = measures.bucket(row)
    return None if size is None else (size.width * size.height, size.width)


def _gravity(row: FileRow, _measures: Measures) -> tuple[float, ...]:
    kind = {"failed": 0, "needs": 1, "empty": 1}.get(row.mark, 2)
    return kind, -sum(problem.severity != "note" for problem in row.problems)


def _megapixels(pixels: float) -> str:
    return f"{pixels / 1e6:.1f} MP"


def _percent(measured: float) -> str:
    """Sharpness as it is said elsewhere, 0 to 100."""
    return str(round(measured / 2.55))


def _day(mtime_ns: float) -> str:
    return time.strftime("%m-%d %H:%M", time.localtime(mtime_ns / 1e9))


ORDERS: tuple[Order, ...] = (
    Order("name", N_("name"), lambda _row, _measures: None),
    Order("megapixels", N_("megapixels"), _facts(lambda row: _width(row) * _height(row)), shown=_megapixels),
    Order("problems", N_("problems"), _gravity),
    Order("width", N_("width"), _facts(_width)),
    Order("height", N_("height"), _facts(_height)),
    Order(
        "ratio", N_("width by height"), _facts(lambda row: _width(row) / max(_height(row), 1)), shown="{:.2f}".format
    ),
    Order("bytes", N_("bytes"), _facts(lambda row: row.image.facts.size if row.image else 0)),
    Order("bucket", N_("bucket"), _bucket),
    Order("tags", N_("number of tags"), lambda row, known: known.tags.get(str(row.path)), "captions", count),
    Order("tokens", N_("number of tokens"), lambda row, known: known.tokens.get(str(row.path)), "captions", count),
    Order("sharpness", N_("sharpness"), lambda row, known: known.sharpness.get(str(row.path)), "pixels", _percent),
    Order("time", N_("time of change"), _facts(lambda row: row.image.facts.mtime_ns if row.image else 0), shown=_day),
)


def order_of(name: str) -> Order:
    """The order of a name."""
    return next(order for order in ORDERS if order.name == name)


def next_of(visible: Sequence[int], cursor: int, wanted: Callable[[int], bool]) -> int:
    """The next place after ``cursor``, round again, whose row is wanted; -1 when none is."""
    places = range(len(visible))
    start = cursor + 1
    return next((place for place in (*places[start:], *places[:start]) if wanted(visible[place])), -1)
