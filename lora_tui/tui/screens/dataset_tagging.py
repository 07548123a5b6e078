"""Tagging from the dataset screen: which of its images, and one edit of captions that its undo takes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.caption_sets import CaptionSets
from lora_tui.tui.screens.dataset_edits import write_edits
from lora_tui.tui.screens.tagging_flow import Parts, TaggingFlow
from lora_tui.tui.threads import in_thread

if TYPE_CHECKING:
    from lora_tui.tagging.kept import Kept
    from lora_tui.tui.file_rows import FileRow
    from lora_tui.tui.screens.dataset import DatasetScreen
    from lora_tui.tui.screens.dataset_acts import Done
    from lora_tui.tui.screens.tagging_tune import Decision
    from lora_tui.tui.tags.editor import Editor


class Tagging:
    """Tagging on a dataset screen."""

    key = "dataset.tag"

    def __init__(self, screen: DatasetScreen) -> None:
        self.screen = screen
        self._flow = TaggingFlow(screen, self)
        self._sets: CaptionSets | None = None

    def action_tag(self) -> None:
        self._flow.begin()

    def refusal(self, name: str) -> str:
        """Why images cannot be tagged now."""
        if name == "tag" and not any(row.image is not None for row in self.screen.rows):
            return _("There is no picture here.")
        return ""

    # -- what the flow asks

    def _rows(self, which: str) -> list[FileRow]:
        screen = self.screen
        if which == "marked":
            return [row for row in screen.rows if row.path in screen.finding.marks and row.image is not None]
        if which == "shown":
            return [row for row in map(screen.rows.__getitem__, screen.shown) if row.image is not None]
        return [
            row
            for row in screen.rows
            if row.counted and row.image is not None and (which == "all" or row.image.caption_path is None)
        ]

    def numbers(self) -> Mapping[str, int]:
        filtered = len(self.screen.shown) < len(self.screen.rows)
        return {name: len(self._rows(name)) if name != "shown" or filtered else 0 for name in
                ("marked", "shown", "bare", "all")}  # fmt: skip

    def homes(self) -> Sequence[Path]:
        from lora_tui.captions.journal.log import home_of

        return [home_of(root) for root in self.screen.acts.roots()]

    async def open(self) -> Sequence[Editor]:
        work = self.screen.workspace
        if work.config is None:
            return ()
        self.close()
        self._sets = await in_thread(CaptionSets.open, work.config.model_copy(deep=True), work.project)
        return self._sets.editors

    def chosen(self, which: str, editors: Sequence[Editor]) -> Parts:
        sets = CaptionSets(tuple(editors))
        found: dict[int, list[int]] = {}
        for row in self._rows(which):
            place = sets.place_of(row.path)
            if place is not None:
                found.setdefault(id(place[0]), []).append(place[1])
        return [(editor, found.get(id(editor), [])) for editor in editors]

    def scope(self, which: str) -> str:
        if which == "shown":
            return f"where {self.screen.finding.text}" if self.screen.finding.text else "shown"
        return {"marked": f"{len(self.screen.finding.marks)} marked", "bare": "is:untagged"}.get(which, "all")

    async def write(self, kept: Kept, decision: Decision, author: str, scope: str) -> None:
        sets, self._sets = self._sets, None
        if sets is not None:
            await self.screen.acts.do_now(partial(self._write, sets, kept, decision, author, scope))

    def _write(self, sets: CaptionSets, kept: Kept, decision: Decision, author: str, scope: str) -> Done:
        """Write the captions of every dataset, each in one edit; in a thread."""
        work = self.screen.workspace
        try:
            by_corpus = {id(editor.corpus): editor for editor in sets.editors}
            for part, corpus in enumerate(kept.corpora):
                by_corpus[id(corpus)].session.follow()
                corpus.refresh([image.number for image in kept.images if image.part == part])
            previews = kept.previews(decision.request, without=decision.without, scope=scope)
            written = write_edits(work, [(by_corpus[id(one.corpus)], one) for one in previews], author)
        finally:
            sets.close()
        text = ngettext("{models}: {count} caption written", "{models}: {count} captions written", written.images)
        words = text.format(models=plain(author.partition(":")[2], limit=40), count=count(written.images))
        words += written.remark
        return words, written.way_back(work, words)

    def close(self) -> None:
        if self._sets is not None:
            self._sets.close()
            self._sets = None
