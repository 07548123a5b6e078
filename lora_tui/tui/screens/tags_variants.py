"""The several captions of an image in the tag editor: which exist, which is edited, and copying between them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lora_tui.captions.quoting import quoted
from lora_tui.captions.variants import (
    EVERY_LINE,
    MOST_LINES,
    Endings,
    Variant,
    checked_ending,
    endings_in,
    existing,
    lines_of,
    most_lines,
)
from lora_tui.captions.words import OperationError
from lora_tui.errors import UserError
from lora_tui.text import N_, _, count, plain
from lora_tui.tui.cells import Cell
from lora_tui.tui.tags.editor import AS_TRAINED, variant_words
from lora_tui.tui.tags.kept import save_ending
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.widgets.dialog import AskText, Choice, Choose
from lora_tui.tui.wording import error_words

if TYPE_CHECKING:
    from lora_tui.tui.screens.tags import TagsScreen
    from lora_tui.tui.tags.editor import Editor

REST_SECONDS = 0.05
"""How long the cursor rests on an image before the disk is asked which captions it has."""

WAYS: tuple[tuple[str, str], ...] = (
    ("ifempty", N_("only where there is no caption")),
    ("replace", N_("in the place of the caption")),
    ("prepend", N_("in front of the caption")),
    ("append", N_("behind the caption")),
)
"""How another caption is taken: the word of the language and what it means."""


class Variants:
    """The captions that an image has beside the one that is edited."""

    def __init__(self, screen: TagsScreen) -> None:
        self.screen = screen
        self.endings = Endings({})
        self.lines = 1
        self._there: tuple[int, frozenset[str]] = (-1, frozenset())

    @property
    def _editor(self) -> Editor:
        assert self.screen.editor is not None
        return self.screen.editor

    @property
    def now(self) -> Variant:
        """The one that is edited."""
        return self.screen.editor.variant if self.screen.editor is not None else AS_TRAINED

    # -- what there is

    def learn(self) -> None:
        """Look which endings the folder has."""
        start_job(self.screen, self._learn, "endings")

    async def _learn(self) -> None:
        editor = self.screen.editor
        if editor is None:
            return
        usual = self.screen.opening.extensions
        found, lines = await in_thread(lambda: (endings_in(editor.corpus, usual), most_lines(editor.corpus)))
        if editor is self.screen.editor:
            self.endings, self.lines, self._there = found, lines, (-1, frozenset())
            self.look()
            self.screen.panes.show_titles()

    def look(self) -> None:
        """The cursor is on another image: see which captions that one has."""
        if len(self._tabs()) > 1 and self._there[0] != self.screen.panes.number:
            start_job(self.screen, self._look, "there")

    async def _look(self) -> None:
        await asyncio.sleep(REST_SECONDS)
        editor, number = self.screen.editor, self.screen.panes.number
        if editor is None or number < 0:
            return
        found = await in_thread(existing, editor.corpus, number, tuple(self.endings.images))
        if editor is self.screen.editor and number == self.screen.panes.number:
            self._there = number, frozenset(found)
            self.screen.panes.show_titles()

    def others(self, number: int) -> list[tuple[str, str]]:
        """The other captions of an image, each with its ending; for a thread."""
        editor, found = self._editor, []
        stem, _dot, _suffix = editor.entry(number).name.rpartition(".")
        own = editor.entry(number).caption_name
        for ending in existing(editor.corpus, number, self.endings.images):
            if stem + ending != own:
                text = editor.corpus.text_from(ending, editor.entry(number).name)
                found.append((ending, text or ""))
        return found

    def _tabs(self) -> list[Variant]:
        found = self.endings.variants()
        here = Variant(self.now.ending)
        return found if here in found else [*found, here]

    def tabs(self) -> list[Cell]:
        """The endings that the dataset has, for the title: the one that is edited, and those that are missing here."""
        editor = self.screen.editor
        number = self.screen.panes.number
        if editor is None or number < 0:
            return []
        tabs = self._tabs()
        raw = editor.entry(number).raw is not None
        lines = self._line_words(editor, number)
        if len(tabs) < 2:
            return [Cell(f"[{self.endings.name(self.now)}{lines}]", "accent")] if lines else []
        cells = []
        for one in tabs:
            name = plain(self.endings.name(one) or "?", limit=24)
            if one.ending == self.now.ending:
                cells.append(Cell(f"[{name}{lines}] " if raw else f"[({name})] ", "accent"))
            elif one.ending and self._there[0] == number and one.ending not in self._there[1]:
                cells.append(Cell(f"({name}) ", "muted"))
            else:
                cells.append(Cell(f"{name} "))
        return cells

    def _line_words(self, editor: Editor, number: int) -> str:
        """Which of how many lines, where a caption has several."""
        if self.lines < 2 and not self.now.line:
            return ""
        total, line = lines_of(editor.entry(number).document), self.now.line
        if total < 2 and not line:
            return ""
        return f" 1-{total}" if line == EVERY_LINE else f" {max(line, 1)}/{total}"

    # -- choosing

    def open(self, variant: Variant) -> None:
        """Edit other captions of the same images, here and when the folder is opened the next time."""
        train = "" if self.endings.mixed else self.screen.opening.extensions[0]
        variant = Variant("" if variant.ending == train else variant.ending, 0 if variant.line == 1 else variant.line)
        if variant == self.now:
            return
        try:
            save_ending(self._editor.asking.folder, variant.ending)
        except UserError as error:
            self.screen.shell.notify_plain(error_words(error), "warning")
        self.screen.opening.open_folder(self.screen.opening.root, variant)

    def action_variant(self) -> None:
        """The next ending."""
        tabs = self._tabs()
        if len(tabs) < 2:
            key = self.screen.shell.keymap.shown("tags.variants")
            name = self.endings.name(self.now)
            self.screen.tell(
                _("Every caption here is in a {ending} file; {key} begins others.").format(ending=plain(name), key=key),
                "muted",
            )
            return
        place = tabs.index(Variant(self.now.ending))
        self.open(tabs[(place + 1) % len(tabs)])

    def action_line(self) -> None:
        """The next line of the captions, then every line, then the first again."""
        line = self.now.line
        if self.lines < 2 and not line:
            words = _("No caption here has a second line; the command “{command}” begins one.")
            ending = self.endings.name(self.now).partition(",")[0]
            self.screen.tell(words.format(command=f"ending {plain(ending)} line 2"), "muted")
            return
        following = 2 if line == 0 else line + 1 if 0 < line < self.lines else 0 if line == EVERY_LINE else EVERY_LINE
        self.open(Variant(self.now.ending, following))

    def action_variants(self) -> None:
        self.screen.guide(self._choose)

    async def _choose(self) -> None:
        title = _("Which captions of the images are edited?")
        picked = await self.screen.app.push_screen_wait(
            Choose(title, self._choices(), current=(self.now,), accept=_("edit"))
        )
        if picked is None:
            return
        variant = picked[0]
        if variant is None:
            detail = _("Such as .caption or .wd14.txt: the files are made as captions are written.")
            text = await self.screen.app.push_screen_wait(
                AskText(_("Another ending"), ".caption", detail=detail, check=_flaw, accept=_("edit"))
            )
            if text is None:
                return
            variant = Variant(checked_ending(text))
        self.open(variant)

    def _choices(self) -> list[Choice[tuple[Variant | None]]]:
        """Each ending, the lines of the one that is edited, and an ending that is not there yet."""
        total = len(self._editor.corpus.entries)
        choices: list[Choice[tuple[Variant | None]]] = []
        for one in self._tabs():
            name = self.endings.name(one)
            images = sum(self.endings.images.get(ending.strip(), 0) for ending in name.split(","))
            remark = _("{count} of {total} images").format(count=count(min(images, total)), total=count(total))
            trains = "  " + _("this trains") if not one.ending else ""
            choices.append(Choice((one,), plain(name), remark + trains))
            if one.ending == self.now.ending and self.lines > 1:
                for line in (*range(2, self.lines + 1), EVERY_LINE):
                    choices.append(Choice((Variant(one.ending, line),), "  " + variant_words(Variant("", line))))
        choices.append(Choice((None,), _("another ending"), _("begins other captions of the same images")))
        return choices

    def command(self, rest: str) -> None:
        """``ending .caption line 2``, or a list where nothing is said."""
        if rest:
            self.open(parsed(rest))
        else:
            self.action_variants()

    # -- copying

    def action_take(self) -> None:
        self.screen.guide(self._take)

    async def _take(self) -> None:
        """Copy from another ending into the captions of the scope."""
        now, names = self.now, self.endings.images
        sources = [Choice(name, plain(name), count(names[name])) for name in names if name != now.ending or now.line]
        if not now.ending and not self.endings.mixed:
            sources = [one for one in sources if one.value != self.endings.usual[0] or now.line]
        if not sources:
            self.screen.tell(_("There are no other captions here that could be copied."), "muted")
            return
        spoken = self._editor.stretch(self.screen.panes.number).spoken
        source = sources[0].value
        if len(sources) > 1:
            chosen = await self.screen.app.push_screen_wait(Choose(_("Copy from which captions?"), sources))
            if chosen is None:
                return
            source = chosen
        title = _("Copy from {ending} into {scope}").format(ending=plain(source), scope=spoken)
        ways = [Choice(word, word, _(words)) for word, words in WAYS]
        way = await self.screen.app.push_screen_wait(Choose(title, ways, accept=_("show what changes")))
        if way is not None:
            self.screen.edits.run(f"take {quoted(source)} {way}", ask=True)


def parsed(text: str) -> Variant:
    """``.caption``, ``.caption line 2``, ``.txt lines``.

    Raises:
        OperationError: it is none of these.
    """
    words = text.split()
    try:
        ending = checked_ending(words[0])
    except UserError as error:
        raise OperationError(error.message, 0, remedy=error.remedy) from None
    if len(words) == 1:
        return Variant(ending)
    if words[1:] == ["lines"]:
        return Variant(ending, EVERY_LINE)
    number = words[2] if len(words) == 3 and words[1] == "line" else ""
    if number.isascii() and number.isdecimal() and 1 <= int(number[:9]) <= MOST_LINES:
        return Variant(ending, int(number))
    raise OperationError(_("“line” with a number, or “lines” is expected here."), len(words[0]) + 1)


def _flaw(text: str) -> str:
    try:
        checked_ending(text)
    except UserError as error:
        return f"{error.message} {error.remedy}"
    return ""
