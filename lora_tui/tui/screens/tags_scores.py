"""The view of scores in the tag editor: what taggers thought of the image under the cursor, and taking it over."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lora_tui.captions.quoting import quoted
from lora_tui.captions.vocabulary import folded
from lora_tui.tagging.filter_scores import FilterScores
from lora_tui.tagging.known import remembered
from lora_tui.tagging.request import Request
from lora_tui.tagging.rows import Row
from lora_tui.tagging.rules import Found, compose
from lora_tui.tagging.tuning import LEAST
from lora_tui.tagging.vocabulary import RATING, Vocabulary
from lora_tui.text import _, ngettext, plain
from lora_tui.tui.cells import Cell
from lora_tui.tui.tags.editor import Stretch
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.virtual_list import Column, VirtualList

if TYPE_CHECKING:
    from lora_tui.tui.screens.tags import TagsScreen
    from lora_tui.tui.tags.editor import Editor

SCORE_COLUMNS = (Column(1), Column(14, share=1), Column(4, align="right"), Column(9, since=36))

REST_SECONDS = 0.08
"""How long the cursor rests before the store is asked."""

MOST = 200
"""Tags of one model that are listed."""


@dataclass(frozen=True)
class Line:
    """One row: a tag with its score, or a heading or rule without one.

    Attributes:
        text: safe to show, of a heading; of a tag as the model spells it.
        written: the tags that it would be in a caption.
        above: it reaches its threshold.
    """

    text: str
    score: float = -1.0
    category: str = ""
    written: tuple[str, ...] = ()
    above: bool = False


def lines_of(vocabulary: Vocabulary, row: Row, request: Request) -> list[Line]:
    """The tags of one model: those that reach their thresholds, a rule, and those below."""
    limits = request.rules.thresholds
    above: list[Line] = []
    below: list[Line] = []
    for place, score in zip(row.places, row.scores, strict=True):
        category = vocabulary.categories[place]
        if score < LEAST or len(above) + len(below) >= MOST:
            break
        if category == RATING:
            continue
        name = vocabulary.names[place]
        reaches = score >= limits.of(category)
        written = compose((Found(name, score, category, place),), request.rules)
        line = Line(name, score, category, written, reaches and bool(written))
        (above if line.above else below).append(line)
    rule = [Line(_("threshold {value}").format(value=f"{limits.general:g}"))] if below else []
    return [*above, *rule, *below]


class Scores:
    """What taggers thought of the image under the cursor."""

    def __init__(self, screen: TagsScreen) -> None:
        self.screen = screen
        self._lines: list[Line] = []
        self._tags: frozenset[str] = frozenset()
        self._shown_of = -1
        self._source: tuple[Editor, FilterScores] | None = None

    @property
    def _list(self) -> VirtualList:
        return self.screen.query_one("#scores", VirtualList)

    @property
    def on(self) -> bool:
        """Whether the view is seen."""
        return self.screen.look.view == "scores"

    @property
    def tag(self) -> str:
        """The tag under the cursor as a caption has it; empty when there is none."""
        index = self._list.cursor
        line = self._lines[index] if 0 <= index < len(self._lines) else Line("")
        return next(iter(line.written), line.text) if line.score >= 0 else ""

    def hint(self) -> str:
        """The keys that take tags over, for the title."""
        shown = self.screen.shell.keymap.shown
        keys = shown("tags.accept-score"), shown("tags.accept-scores")
        return _("{one} accepts, {all} all").format(one=keys[0], all=keys[1])

    def turned(self) -> None:
        """The view was turned: the list of scores has the focus no more where it is not seen."""
        if not self.on and self._list.has_focus:
            self.screen.set_focus(self.screen.query_one("#files", VirtualList))

    def show(self) -> None:
        """Read the scores of the image in a thread once the cursor rests."""
        start_job(self.screen, self._read, "history")

    async def _read(self) -> None:
        number = self.screen.panes.number
        if number != self._shown_of:
            await asyncio.sleep(REST_SECONDS)
        editor, number = self.screen.editor, self.screen.panes.number
        if editor is None or number < 0:
            self._put(number, [])
            return
        lines = await in_thread(self._look, editor, number)
        if number == self.screen.panes.number and self.on:
            self._put(number, lines)

    def _look(self, editor: Editor, number: int) -> list[Line]:
        if self._source is None or self._source[0] is not editor:
            self.close()
            self._source = editor, FilterScores(editor.corpus)
        request = remembered()
        found: list[Line] = []
        for model, row in self._source[1].rows(number):
            if model.vocabulary is not None:
                found += [Line(plain(model.name, limit=40)), *lines_of(model.vocabulary, row, request)]
        return found

    def _put(self, number: int, lines: list[Line]) -> None:
        editor, rows = self.screen.editor, self._list
        same = number == self._shown_of and [line.text for line in lines] == [line.text for line in self._lines]
        self._shown_of, self._lines = number, lines
        known = editor is not None and number >= 0
        self._tags = frozenset(map(folded, editor.entry(number).tags)) if known and editor is not None else frozenset()
        key = self.screen.shell.keymap.shown("tags.tag")
        empty = _("No tagger has seen this image yet; {key} asks one.").format(key=key)
        rows.set_count(len(lines), cursor=rows.cursor if same else self._next(0), empty=empty)
        rows.reload()

    def _next(self, start: int) -> int:
        """The next tag that reaches its threshold and is missing; the first tag where none is."""
        order = [*range(start, len(self._lines)), *range(min(start, len(self._lines)))]
        missing = (place for place in order if self._lines[place].above and not self._has(self._lines[place]))
        return next(missing, next((place for place, line in enumerate(self._lines) if line.score >= 0), 0))

    def _has(self, line: Line) -> bool:
        return folded(line.text) in self._tags or (
            bool(line.written) and all(folded(tag) in self._tags for tag in line.written)
        )

    def cells(self, index: int) -> list[Cell]:
        """A row of the view."""
        line = self._lines[index] if index < len(self._lines) else Line("")
        if line.score < 0:
            is_rule = index > 0 and self._lines[index - 1].score >= 0 and index + 1 < len(self._lines)
            is_rule = is_rule and not self._lines[index + 1].above and self._lines[index + 1].score >= 0
            rule = self.screen.shell.marks.rule
            text = f"{rule * 3} {line.text} {rule * 3}" if is_rule else line.text
            return [Cell(text, "muted" if is_rule else "strong")]
        has = self._has(line)
        tone = "muted" if not line.above else ""
        kind = plain(line.category) if line.category != "general" else ""
        name = plain(", ".join(line.written) or line.text)
        return [
            Cell(self.screen.shell.marks.done if has else " ", "success"),
            Cell(name, tone),
            Cell(f"{line.score:.2f}".lstrip("0") if line.score < 0.995 else "1.0", tone or "strong"),
            Cell(kind, "muted"),
        ]

    # -- taking over

    def refusal(self, name: str) -> str:
        """Why nothing can be accepted now."""
        if name not in ("accept-score", "accept-scores"):
            return ""
        if not self.on:
            key = self.screen.shell.keymap.shown("tags.view")
            return _("{key} turns to the scores of the taggers first.").format(key=key)
        if not any(line.score >= 0 for line in self._lines):
            return _("No tagger has seen this image yet.")
        return ""

    def action_accept_score(self) -> None:
        cursor = self._list.cursor
        line = self._lines[cursor] if 0 <= cursor < len(self._lines) else Line("")
        if line.score < 0:
            self.screen.tell(_("There is no tag under the cursor."), "warning")
        elif self._has(line):
            self.screen.tell(_("The caption has it already."), "muted")
            self._list.cursor = self._next(cursor + 1)
        else:
            self._add(line.written or (line.text,))
            self._list.cursor = self._next(cursor + 1)

    def action_accept_scores(self) -> None:
        tags = [tag for line in self._lines if line.above and not self._has(line) for tag in line.written]
        if tags:
            self._add(tuple(dict.fromkeys(tags)))
        else:
            self.screen.tell(_("The caption has every tag above the threshold."), "muted")

    def _add(self, tags: tuple[str, ...]) -> None:
        """Add tags to the caption of this image alone, whatever is marked."""
        editor, number = self.screen.editor, self._shown_of
        if editor is None or number != self.screen.panes.number:
            return
        name = editor.entry(number).name
        stretch = Stretch((number,), plain(name.rpartition("/")[2], limit=30), f"image {name}")
        operation = "add " + ", ".join(map(quoted, tags))
        self._tags |= set(map(folded, tags))
        self.screen.edits.consider(partial(editor.prepare, operation, stretch), stretch, ask=False)
        said = ngettext("{count} tag accepted", "{count} tags accepted", len(tags)).format(count=len(tags))
        key = self.screen.shell.keymap.shown("tags.undo")
        self.screen.tell(_("{done}   {key} undo").format(done=said, key=key), "success")

    def close(self) -> None:
        """Leave the store."""
        if self._source is not None:
            self._source[1].close()
            self._source = None
