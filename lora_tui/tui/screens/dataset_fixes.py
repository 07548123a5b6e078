"""Problems with a remedy at hand, mended in captions through their journal: one key, a preview, one way back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.caption_sets import CaptionSets
from lora_tui.tui.mishap import failure_words
from lora_tui.tui.screens.dataset_edits import write_edits
from lora_tui.tui.tags.editor import Editor, Stretch
from lora_tui.tui.threads import in_thread
from lora_tui.tui.widgets.dialog import Choice, Choose, Confirm

if TYPE_CHECKING:
    from lora_tui.captions.transaction import Preview
    from lora_tui.tui.file_rows import FileRow
    from lora_tui.tui.screens.dataset import DatasetScreen
    from lora_tui.tui.screens.dataset_acts import Done

NAMED = {"image.blurred": "blurry", "image.close": "close-up"}
"""Problems of pictures that a tag takes care of: the LoRA learns the word instead of what is odd about the picture."""

SAMPLES = 3
"""Captions that the preview shows before and after."""

Fixes = dict[str, list[tuple[Editor, int]]]


def fixes_of(rows: list[FileRow], sets: CaptionSets) -> Fixes:
    """The operations that mend problems of these images, each with the captions that it is for; in a thread.

    An image without a caption has none: a trigger word alone would only hide that it is to be tagged.
    """
    found: Fixes = {}
    for row in rows:
        place = sets.place_of(row.path)
        if place is None or _lacks_caption(place):
            continue
        editor, number = place
        fixes = [problem.mend for problem in editor.problems(number) if problem.mend]
        named = [NAMED[problem.code] for problem in row.problems if problem.code in NAMED]
        fixes += [f"add {tag}" for tag in named if tag not in editor.entry(number).tags]
        for fix in dict.fromkeys(fixes):
            found.setdefault(fix, []).append(place)
    return found


class Mending:
    """The fixes of a screen."""

    def __init__(self, screen: DatasetScreen) -> None:
        self.screen = screen

    def action_fix(self) -> None:
        self.screen.guide(self._look)

    async def _look(self) -> None:
        try:
            sets = await self.screen.finding.captions(anew=True)
            rows = self.screen.targets()
            fixes = await in_thread(fixes_of, rows, sets)
        except UserError as error:
            self.screen.tell(failure_words(self.screen.shell, error), "error")
            return
        if not fixes:
            self.screen.tell(self._without_remedy(rows, sets), "muted")
        elif len(fixes) == 1:
            await self._prepare(next(iter(fixes)), fixes)
        else:
            choices = [Choice(fix, plain(fix, limit=30), _files(len(places))) for fix, places in fixes.items()]

            def chosen(fix: str | None) -> None:
                if fix is not None:
                    self.screen.guide(partial(self._prepare, fix, fixes))

            self.screen.app.push_screen(Choose(_("Fix"), choices), chosen)

    def _without_remedy(self, rows: list[FileRow], sets: CaptionSets) -> str:
        """Why nothing is mended."""
        if any(place is not None and _lacks_caption(place) for place in map(sets.place_of, (row.path for row in rows))):
            key = self.screen.shell.keymap.shown("dataset.tag")
            return _("There is no caption to fix: {key} has models write one.").format(key=key)
        return _("No problem here has a remedy that a key can apply.")

    async def _prepare(self, fix: str, fixes: Fixes) -> None:
        """Show what would change, and do it once that is wanted."""
        numbers: dict[Editor, list[int]] = {}
        for editor, number in fixes[fix]:
            numbers.setdefault(editor, []).append(number)

        def prepare() -> list[tuple[Editor, Preview]]:
            words = _files(len(fixes[fix]))
            some = ((editor, Stretch(tuple(these), words, f"{len(these)} marked")) for editor, these in numbers.items())
            return [(editor, editor.prepare(fix, stretch)) for editor, stretch in some]

        try:
            previews = await in_thread(prepare)
        except UserError as error:
            self.screen.tell(failure_words(self.screen.shell, error), "error")
            return
        files = sum(len(found.changes) for _editor, found in previews)
        act = partial(self._apply, fix, previews)
        if not files:
            self.screen.tell(_("Nothing would change."), "muted")
            return
        lines = []
        for sample in [sample for _editor, found in previews for sample in found.samples(SAMPLES)][:SAMPLES]:
            lines += [plain(sample.name, limit=60), f"- {plain(sample.before or '', limit=64)}"]
            lines.append(f"+ {plain(sample.after or '', limit=64)}")

        def answered(yes: bool | None) -> None:
            if yes:
                self.screen.acts.do(act)

        question = plain(fix, limit=40) + ": " + _files(files)
        self.screen.app.push_screen(Confirm(question, "\n".join(lines), yes=_("fix")), answered)

    def _apply(self, fix: str, previews: list[tuple[Editor, Preview]]) -> Done:
        work = self.screen.workspace
        written = write_edits(work, previews)
        if not written.files and written.why is not None:
            raise written.why
        words = plain(fix, limit=40) + ": " + _files(written.files) + written.remark
        return words, written.way_back(work, words)


def _lacks_caption(place: tuple[Editor, int]) -> bool:
    editor, number = place
    return not editor.caption(number).strip()


def _files(number: int) -> str:
    return ngettext("{count} file", "{count} files", number).format(count=count(number))
