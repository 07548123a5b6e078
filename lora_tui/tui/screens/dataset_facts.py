"""What the dataset screen tells of the file under the cursor: picture, facts, problems, caption."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.text import _, bytes_text, count, ngettext, plain
from lora_tui.tui.cells import Cell, wrap
from lora_tui.tui.file_rows import FileRow
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.text_view import TextView
from lora_tui.tui.wording import sentences

if TYPE_CHECKING:
    from collections.abc import Callable

    from lora_tui.dataset.buckets import Fit, Size
    from lora_tui.dataset.scan import DatasetImage
    from lora_tui.tui.screens.dataset import DatasetScreen

CAPTION_REST_SECONDS = 0.03
"""How long the cursor rests before the caption is read: a held key reads few."""

CAPTION_SHOWN = 4000
"""Characters of a caption that are shown; files that are no captions can be long."""

CAPTION_LEAST = 2
"""Lines of the panel that problems leave to the caption."""


class FactsPane:
    """The right side of the screen."""

    def __init__(self, screen: DatasetScreen) -> None:
        self.screen = screen
        self._fits: Callable[[DatasetImage], Fit] | None = None
        self._caption: tuple[Path, str, tuple[str, ...]] | None = None

    def forget(self, *, captions: bool = False) -> None:
        """The configuration is another, or captions may be."""
        self._fits = None
        if captions:
            self._caption = None

    def moved(self) -> None:
        """The cursor is on another file, or the file is another."""
        row = self.screen.here
        picture = self.screen.query_one("#picture", ImageView)
        if row is None or row.image is None:
            picture.show(None)
        else:
            picture.show(row.path, row.stamp, row.part)
        if self._caption is None or row is None or self._caption[0] != row.path:
            self._caption = None
            start_job(self.screen, partial(self._read_caption, row), "caption")
        self.show()

    async def _read_caption(self, row: FileRow | None) -> None:
        if row is None or row.image is None or row.image.caption_path is None:
            return
        await asyncio.sleep(CAPTION_REST_SECONDS)
        text, tags = await in_thread(caption_of, row.image.caption_path)
        if self.screen.here is not None and row.path == self.screen.here.path:
            self._caption = (row.path, text, tags)
            self.show()

    def show(self) -> None:
        """Say it again: in other room, or with more that is known."""
        panel = self.screen.query_one("#facts", Lines)
        row = self.screen.here
        width, height = panel.size.width, panel.size.height
        if row is None or not width:
            panel.show([])
            return
        lines: list[list[Cell]] = [[Cell(row.name, "strong")]]
        lines += [[Cell(text, "muted")] for text in self._fact_lines(row)]
        told = self._problem_lines(row, width)
        kept = max(height - len(lines) - min(len(self._caption_lines(row, width, height)), CAPTION_LEAST), 1)
        if len(told) > kept:
            key = self.screen.shell.keymap.shown("dataset.read")
            told = [*told[: kept - 1], [Cell("  "), Cell(_("{key} reads on").format(key=key), "muted")]]
        lines += told
        lines += [[Cell(text)] for text in self._caption_lines(row, width, max(height - len(lines), 1))]
        panel.show(lines)

    def fit(self, row: FileRow) -> Fit | None:
        """How an image is brought to its bucket."""
        config = self.screen.workspace.config
        if row.image is None or config is None:
            return None
        from lora_tui.dataset.batches import fitter

        known = self._fits  # once: threads ask, too, and it may be forgotten meanwhile
        if known is None:
            known = self._fits = fitter(config)
        return known(row.image)

    def bucket(self, row: FileRow) -> Size | None:
        """Width and height (px) that an image is trained at."""
        found = self.fit(row)
        return found.bucket if found is not None else None

    def _problem_lines(self, row: FileRow, width: int) -> list[list[Cell]]:
        lines: list[list[Cell]] = []
        for problem in row.problems:
            tone = {"error": "error", "note": "muted"}.get(problem.severity, "warning")
            sign = self.screen.shell.marks.of_severity(problem.severity)
            words = plain(sentences(problem.message, problem.remedy))
            for number, line in enumerate(wrap(words, width - 2, lines=3, ellipsis=self.screen.shell.marks.ellipsis)):
                lead = Cell(f"{sign} ", tone) if number == 0 else Cell("  ")
                lines.append([lead, Cell(line, tone if number == 0 else "")])
        return lines

    def _fact_lines(self, row: FileRow) -> list[str]:
        fit = self.fit(row)
        if row.image is None or fit is None:
            return []
        facts = row.image.facts
        dot = f" {self.screen.shell.marks.dot} "
        first = [f"{facts.width} x {facts.height} px", facts.format, bytes_text(facts.size)]
        if facts.alpha:
            first.append(_("transparency"))
        if facts.animated:
            first.append(_("animated"))
        kept = fit.bucket.width * fit.bucket.height / max(fit.resize.width * fit.resize.height, 1)
        second = [_("bucket {width}x{height}").format(width=fit.bucket.width, height=fit.bucket.height)]
        if kept < 0.995:
            second.append(_("{share}% cut").format(share=max(round(100 * (1 - kept)), 1)))
        repeats = row.image.repeats
        second.append(ngettext("{count} repeat", "{count} repeats", repeats).format(count=count(repeats)))
        if row.reviewed:
            second.append(_("reviewed"))
        if row.excluded:
            second = [_("left out: neither trained nor exported")]
        lines = [dot.join(first), dot.join(second)]
        if row.image.crop is not None:
            words = _("cropped to {width} x {height} px, from {left}, {top}")
            crop = row.image.crop
            lines.insert(1, words.format(width=crop.width, height=crop.height, left=crop.left, top=crop.top))
        return lines

    def _caption_lines(self, row: FileRow, width: int, room: int) -> list[str]:
        if row.image is None:
            return []
        if row.image.caption_path is None:
            return [_("No caption file.")]
        if self._caption is None or self._caption[0] != row.path:
            return []
        _path, text, tags = self._caption
        head = ngettext("caption, {count} tag", "caption, {count} tags", len(tags)).format(count=len(tags))
        lines = wrap(text, width, lines=max(room - 1, 1), ellipsis=self.screen.shell.marks.ellipsis) if text else []
        return [_("{head}:").format(head=head) if lines else head, *lines]

    # -- actions

    def action_read(self) -> None:
        row = self.screen.here
        if row is None:
            return
        lines = [plain(str(row.path)), *self._fact_lines(row)]
        for problem in row.problems:
            lines += ["", plain(problem.message), *([plain(problem.remedy)] if problem.remedy else [])]
            lines += [f"  {plain(str(other))}" for other in problem.others]
        if self._caption is not None and self._caption[0] == row.path:
            lines += ["", *self._caption[1].split("\n")]
        self.screen.app.push_screen(TextView(row.name, lines))

    def action_zoom(self) -> None:
        self.screen.toggle_class("-zoom")
        self.screen.call_after_refresh(self.show)


def caption_of(path: Path) -> tuple[str, tuple[str, ...]]:
    """A caption's text as it is trained, and its tags, both safe to show."""
    from lora_tui.captions.as_trained import caption_text
    from lora_tui.captions.files import read_caption

    try:
        document = read_caption(path)
    except UserError as error:
        return plain(error.message), ()
    text = readable(caption_text(document))
    return plain(text, limit=CAPTION_SHOWN), document.tags


def readable(text: str) -> str:
    """``text`` with the replacement character where bytes of its file are no UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
