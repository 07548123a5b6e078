"""A dataset in numbers and what it shows, as bars; one that is chosen shows its images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult

from lora_tui.text import _, count, plain
from lora_tui.tui.caption_sets import CaptionSets
from lora_tui.tui.cells import Cell
from lora_tui.tui.marks import marks_of
from lora_tui.tui.widgets.dialog import Dialog
from lora_tui.tui.widgets.virtual_list import Column, VirtualList

if TYPE_CHECKING:
    from lora_tui.config.schema import Config
    from lora_tui.dataset.scan import DatasetImage

BAR = 24
"""Cells of the longest bar."""


@dataclass(frozen=True)
class Row:
    """A heading (without images), or a bar.

    Attributes:
        label: safe to show.
        number: what the bar stands for; images, or showings in an epoch.
        share: of all, 0 to 1.
        longest: the longest bar of its table, as a share.
        images: paths as texts.
        about: the heading that it stands below.
    """

    label: str
    number: int = 0
    share: float = 0.0
    longest: float = 1.0
    images: frozenset[str] | None = None
    about: str = ""


def numbers_of(
    images: Sequence[DatasetImage], config: Config, sets: CaptionSets, purpose: str, should_stop: Callable[[], bool]
) -> list[Row]:
    """All rows; called in a thread.

    Args:
        should_stop: asked now and then; once it says yes, what is found is of no use.
    """
    counts = sets.tag_counts(should_stop)
    known = {image.uid: counts[str(image.path)] for image in images if str(image.path) in counts}
    tags = {image.uid: known[image.uid] for image in images if image.caption_path is not None and image.uid in known}
    return [*_tables(images, config, tags), *_aspects(images, sets, purpose, should_stop)]


def _tables(images: Sequence[DatasetImage], config: Config, tags: dict[str, int]) -> list[Row]:
    from lora_tui.dataset.statistics import tables

    paths = [str(image.path) for image in images]
    rows: list[Row] = []
    for table in tables(images, config, tags):
        title = table.title + (_(", median {value}").format(value=table.median) if table.median else "")
        rows.append(Row(title))
        longest = max((bar.share for bar in table.bars), default=1.0)
        members: dict[str, list[str]] = {}
        for path, label in zip(paths, table.labels, strict=True):
            members.setdefault(label, []).append(path)
        for bar in table.bars:
            some = frozenset(members.get(bar.label, ()))
            rows.append(Row(plain(bar.label), bar.number, bar.share, longest, some, table.title))
    return rows


def _aspects(
    images: Sequence[DatasetImage], sets: CaptionSets, purpose: str, should_stop: Callable[[], bool]
) -> list[Row]:
    from lora_tui.dataset.coverage import SURE, coverage
    from lora_tui.tagging.seen import sure_tags

    paths = [str(image.path) for image in images]
    texts = sets.texts(should_stop)
    seen = sure_tags(images, SURE, should_stop)
    captions = (texts.get(path, "") for path in paths)
    found = coverage(takewhile(lambda _text: not should_stop(), captions), purpose=purpose, scores=seen)
    rows: list[Row] = []
    for aspect in found.aspects:
        words = "" if aspect.is_known else "   " + _("not known: too few captions tell it, and no tagger ran")
        rows.append(Row(aspect.title + words))
        longest = max(kind.images for kind in aspect.kinds) / max(found.images, 1) or 1.0
        for kind in aspect.kinds:
            some = frozenset(paths[place] for place in kind.members)
            share = kind.images / max(found.images, 1)
            rows.append(Row(kind.title, kind.images, share, longest, some, aspect.title))
    return rows


class Numbers(Dialog[tuple[str, frozenset[str]]]):
    """Dismissed with the words for a bar and its images."""

    DEFAULT_CSS = """
    Numbers > #box { width: 96%; height: 92%; }
    Numbers VirtualList { height: 1fr; max-height: 100%; }
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        super().__init__(_("The dataset in numbers"))
        self._rows = rows
        self.accept_words = _("show these images")

    def compose_body(self) -> ComposeResult:
        columns = [Column(12, share=1, most=34), Column(7, align="right"), Column(5, align="right"), Column(BAR)]
        yield VirtualList(columns, self._row, count=len(self._rows))

    def on_mount(self) -> None:
        super().on_mount()
        self.set_focus(self.query_one(VirtualList))

    def _row(self, index: int) -> list[Cell]:
        row = self._rows[index]
        if row.images is None:
            return [Cell(row.label, "strong")]
        mark = "#" if marks_of(self.app).bar == "|" else "█"
        bar = mark * round(BAR * row.share / row.longest) if row.number else ""
        share = f"{row.share:.0%}" if row.share else ""
        tone = "" if row.number else "muted"
        return [Cell("  " + row.label, tone), Cell(count(row.number), tone), Cell(share, "muted"), Cell(bar, "accent")]

    @on(VirtualList.Chosen)
    def _clicked(self, event: VirtualList.Chosen) -> None:
        event.stop()
        self.action_accept()

    def action_accept(self) -> None:
        row = self._rows[self.query_one(VirtualList).cursor]
        if row.images:
            self.dismiss((f"{row.about}: {row.label}", row.images))
