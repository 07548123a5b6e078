"""The lower right of the tag editor: the picture with its facts, or the caption, what changed in it, its history."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from rich.cells import cell_len

from lora_tui.captions.as_trained import first_captions
from lora_tui.config.entries import dataset_at
from lora_tui.errors import UserError
from lora_tui.text import N_, _, ngettext, plain
from lora_tui.tui.cells import Cell, flow, wrap
from lora_tui.tui.tags.editor import AS_TRAINED
from lora_tui.tui.tags.foretold import cutting_words
from lora_tui.tui.tags.past import change_lines, history_lines
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.virtual_list import VirtualList
from lora_tui.tui.wording import error_words, sentences

if TYPE_CHECKING:
    from lora_tui.dataset.scan import DatasetImage
    from lora_tui.tui.screens.tags import TagsScreen
    from lora_tui.tui.tags.editor import Editor
    from lora_tui.tui.workspace import Images

REST_SECONDS = 0.08
"""How long the cursor rests before the journal is read for a caption."""

MANY = 3000
"""Images whose facts are ordered by their paths in a thread."""

MOST_TEXT = 4000
"""Characters of one line of a caption that are looked at: more than any pane shows."""

VIEWS: dict[str, tuple[str, str]] = {
    "picture": (N_("PICTURE"), N_("picture")),
    "caption": (N_("CAPTION"), N_("caption")),
    "changes": (N_("CHANGES"), N_("changes")),
    "history": (N_("HISTORY"), N_("history")),
    "scores": (N_("SCORES"), N_("scores")),
}
"""Each view, its title, and its word among the others."""


class Look:
    """What is shown of the image under the cursor."""

    def __init__(self, screen: TagsScreen) -> None:
        self.screen = screen
        self.view = "picture"
        self._text: list[Cell] = []
        self._facts: dict[str, DatasetImage] | None = None

    @property
    def _editor(self) -> Editor | None:
        return self.screen.editor

    @property
    def _rows(self) -> VirtualList:
        return self.screen.query_one("#caption", VirtualList)

    def title(self, width: int) -> tuple[str, str]:
        """The title of the view, and the key with the views that it leads to one after the other, as many as fit."""
        title, key = _(VIEWS[self.view][0]), self.screen.shell.keymap.shown("tags.view")
        own = self.screen.scores.hint() + "  " if self.view == "scores" else ""
        names = list(VIEWS)
        here = names.index(self.view)
        words = [_(VIEWS[name][1]) for name in (*names[here + 1 :], *names[:here])]
        return title, own + flow([f"{key} {words[0]}", *words[1:]], width - cell_len(f"{title}  {own}"))[0]

    def cells(self, index: int) -> list[Cell]:
        """A line of the caption's text."""
        return [self._text[index]] if index < len(self._text) else [Cell("")]

    def forget_facts(self) -> None:
        """The images were read again."""
        self._facts = None

    def image(self, number: int) -> DatasetImage | None:
        images, editor = self.screen.workspace.images, self._editor
        if images is None or editor is None:
            return None
        if self._facts is None:
            if len(images.scan.images) > MANY:
                self._facts = {}
                start_job(self.screen, partial(self._learn_facts, images), "facts")
            else:
                self._facts = _by_path(images)
        return self._facts.get(f"{editor.corpus.root}/{editor.entry(number).name}")

    async def _learn_facts(self, images: Images) -> None:
        found = await in_thread(_by_path, images)
        if images is self.screen.workspace.images:
            self._facts = found
            self.screen.panes.show_picture()
            self.show_facts()

    def turn(self) -> None:
        """Picture, caption, what changed, history, scores."""
        self.view = _after(self.view)
        self.screen.set_class(self.view not in ("picture", "scores"), "-caption")
        self.screen.set_class(self.view == "scores", "-scores")
        self.screen.scores.turned()
        self.show()
        self.screen.panes.show_titles()

    def show(self) -> None:
        """What is below or in the place of the picture."""
        self.screen.variants.look()
        if self.view == "picture":
            self.show_facts()
            return
        if self.view == "scores":
            self.screen.scores.show()
        elif self.view == "caption":
            self._put_text(self._caption_lines())
            if len(self.screen.variants.endings.images) > 1:
                start_job(self.screen, self._tell_others, "history")
        else:
            start_job(self.screen, partial(self._tell_past, self.view), "history")

    async def _tell_past(self, view: str) -> None:
        """Read the journal in a thread once the cursor rests."""
        await asyncio.sleep(REST_SECONDS)
        editor, number = self._editor, self.screen.panes.number
        if editor is not None and number >= 0:
            try:
                lines = await in_thread(history_lines if view == "history" else change_lines, editor, number)
            except UserError as error:
                lines = [(error_words(error), "error")]
            if number == self.screen.panes.number and self.view == view:
                self._put_text(lines)

    async def _tell_others(self) -> None:
        """Read the other captions of the image in a thread once the cursor rests, and show them below."""
        await asyncio.sleep(REST_SECONDS)
        number = self.screen.panes.number
        if self._editor is not None and number >= 0:
            texts = await in_thread(self.screen.variants.others, number)
            if number == self.screen.panes.number and self.view == "caption" and texts:
                lines = self._caption_lines()
                for ending, text in texts:
                    lines += [("", ""), (plain(ending), "muted"), *((plain(line), "") for line in text.splitlines())]
                self._put_text(lines)

    def _put_text(self, lines: list[tuple[str, str]]) -> None:
        width = max(self.screen.query_one("#look").size.width - 3, 20)  # the list itself may just be coming up
        self._text = [
            Cell(part, tone)
            for text, tone in lines
            for part in (wrap(text[:MOST_TEXT], width, lines=40) if text else [""])
        ]
        self._rows.set_count(len(self._text), cursor=0)
        self._rows.reload()

    def show_facts(self) -> None:
        """The lines below the picture."""
        editor, number = self._editor, self.screen.panes.number
        panel = self.screen.query_one("#facts", Lines)
        if editor is None or number < 0 or not panel.size.width:
            panel.show([])
            return
        image, entry = self.image(number), editor.entry(number)
        head = [plain(entry.name.rpartition("/")[2])]
        if image is not None:
            head.append(f"{image.facts.width} x {image.facts.height}")
            if image.repeats > 1:
                head.append(ngettext("{count} repeat", "{count} repeats", image.repeats).format(count=image.repeats))
        lines = [[Cell(f" {self.screen.shell.marks.dot} ".join(head), "muted")]]
        marks = self.screen.shell.marks
        for problem in editor.problems(number):
            tone = "error" if problem.severity == "error" else "warning"
            lines.append([Cell(f"{marks.needs} ", tone), Cell(plain(problem.message))])
        text = plain(editor.caption(number)[:MOST_TEXT])
        room = max(panel.size.height - len(lines), 0)
        if room and text:
            lines += [[Cell(line)] for line in wrap(text, panel.size.width, lines=room, ellipsis=marks.ellipsis)]
        panel.show(lines)

    def _caption_lines(self) -> list[tuple[str, str]]:
        """The text of the caption, what is trained of it, and its problems."""
        editor, number = self._editor, self.screen.panes.number
        if editor is None or number < 0:
            return []
        entry = editor.entry(number)
        if entry.document is None:
            return [(plain(entry.problem.message) if entry.problem else _("No caption file."), "muted")]
        lines: list[tuple[str, str]] = []
        for problem in editor.problems(number):
            remedy = problem.remedy
            if problem.fix and not problem.mend:
                remedy = cutting_words(problem.fix)
            elif problem.fix:
                key = self.screen.shell.keymap.shown("tags.fix")
                remedy = _("{key} fixes it: {operation}").format(key=key, operation=plain(problem.fix, limit=80))
            lines.append(
                (plain(sentences(problem.message, remedy)), "error" if problem.severity == "error" else "warning")
            )
        number_of_tokens = self.screen.panes.tokens(number)
        tokens = ngettext("{count} token", "{count} tokens", number_of_tokens).format(count=number_of_tokens)
        lines.append((_("{file}, {tokens}").format(file=plain(entry.caption_name), tokens=tokens), "muted"))
        meant = editor.caption(number)
        for line in entry.document.text.splitlines():  # those that are not edited are muted
            lines.append((plain(line), "" if line.strip() in meant else "muted"))
        config = self.screen.workspace.config
        if config is not None and editor.variant == AS_TRAINED:
            lines += [("", ""), (_("As it is trained, in the first two epochs:"), "muted")]
            plan = self.screen.workspace.plan
            shown = first_captions(
                entry.document, config, dataset=self._dataset(editor), name=entry.name,
                steps_per_epoch=plan.steps_per_epoch if plan else 0,
            )  # fmt: skip
            lines += [(plain(caption) or _("(left empty)"), "") for caption in shown]
        return lines

    def _dataset(self, editor: Editor) -> int:
        """Which of the datasets is open; its images' random numbers are keyed by that."""
        config = self.screen.workspace.config
        return 0 if config is None else max(dataset_at(config, editor.corpus.root), 0)


def _by_path(images: Images) -> dict[str, DatasetImage]:
    return {str(image.path): image for image in images.scan.images}


def _after(view: str) -> str:
    names = list(VIEWS)
    return names[(names.index(view) + 1) % len(names)]
