"""Questions over a screen: confirm, choose from a list, type a text, name a path. Escape changes nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static
from textual.widgets.input import Selection

from lora_tui.places import expand
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.acting import Acting, keymap_of
from lora_tui.tui.actions import DIALOG
from lora_tui.tui.cells import Cell, wrap
from lora_tui.tui.keymap import key_text
from lora_tui.tui.marks import marks_of
from lora_tui.tui.threads import in_thread, start_job
from lora_tui.tui.typeahead import TypeAhead
from lora_tui.tui.widgets.footer import KeyHint, Keys
from lora_tui.tui.widgets.lines import Lines
from lora_tui.tui.widgets.text_field import TextField
from lora_tui.tui.widgets.virtual_list import Column, VirtualList

T = TypeVar("T")

REMARK_LINES = 2
MARGINS = 6
"""Cells of a row of a choice that are neither its label nor its remark: mark, gap, scroll bar."""

FILTER_FROM = 10
"""A choice of at least so many options gets a field to search in."""

LOW = 20
"""Lines of the terminal from which on a dialog has air around it and between its parts."""

LISTED = 2000
"""Entries of a folder that the path dialog lists at most."""


class Answer(TextField):
    """The line of a dialog. From Enter on keys are for what comes of it, and wait."""

    deciding = False

    async def action_submit(self) -> None:
        self.deciding = True
        await super().action_submit()


class Dialog(Acting, ModalScreen[T | None], Generic[T], inherit_bindings=False):
    """A box in the middle: title, body, keys. Dismissed with a value, or None when it was left."""

    ACTS = DIALOG
    DEFAULT_CSS = """
    Dialog { align: center middle; background: $background 60%; }
    Dialog > #box {
        width: 72; max-width: 96%; height: auto; max-height: 90%;
        border: round $foreground; background: $surface; padding: 0 1;
    }
    Dialog #title { text-style: bold; height: auto; }
    Dialog #detail, Dialog #problem { height: auto; }
    Dialog VirtualList { height: auto; min-height: 1; max-height: 55vh; }
    Dialog Keys { margin-top: 1; }
    Dialog.-low > #box { max-height: 100%; }
    Dialog.-low Keys { margin-top: 0; }
    """
    VERTICAL_BREAKPOINTS = [(0, "-low"), (LOW, "-usual")]

    accept_words = ""
    """The word for Enter in the line of keys; the action's own when empty."""

    def __init__(self, title: str, detail: str = "") -> None:
        """``title`` and ``detail`` are shown as they are: outside text in them has gone through ``plain``."""
        super().__init__()
        self._title = title
        self._detail = detail

    @property
    def asks(self) -> str:
        """Its title: what it asks, or what is read in it."""
        return self._title

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Static(self._title, id="title", markup=False)
            if self._detail:
                yield Static(self._detail, id="detail", markup=False)
            yield from self.compose_body()
            yield Keys()

    def compose_body(self) -> ComposeResult:
        """The widgets between text and keys."""
        return ()

    def on_mount(self) -> None:
        self.take_keys()
        self.query_one(Keys).show(self.hints())

    def hints(self) -> list[KeyHint]:
        """The line of keys."""
        keymap = keymap_of(self.app)
        ascii_only = bool(getattr(self.app, "ascii_only", False))
        found = []
        for action in keymap.actions.of(self.ACTS):
            words = self.accept_words if action.id == "dialog.accept" and self.accept_words else _(action.title)
            keys = keymap.keys(action.id)
            if keys:
                kept = action.id == "dialog.cancel"
                found.append(KeyHint(action.id, key_text(keys[0], ascii_only=ascii_only), words, kept=kept))
        return found

    @on(Keys.Pressed)
    async def _hint_pressed(self, event: Keys.Pressed) -> None:
        event.stop()
        if event.action in keymap_of(self.app).actions:
            await self.action_act(event.action)

    @property
    def takes_keys(self) -> bool:
        """Whether what is typed is for the dialog: not once Enter was pressed and nobody has said what comes of it."""
        return self.is_mounted and not any(line.deciding for line in self.query(Answer))

    @on(TextField.Submitted)
    def _submitted(self, event: TextField.Submitted) -> None:
        """Enter in the line; what was typed behind a line that will not do is dropped."""
        event.stop()
        self.action_accept()
        if self.is_current:
            for line in self.query(Answer):
                line.deciding = False
            if isinstance(self.app, TypeAhead):
                self.app.forget_keys()

    def action_accept(self) -> None:
        """Enter."""

    def action_cancel(self) -> None:
        """Escape: nothing changes."""
        self.dismiss(None)


class Confirm(Dialog[bool]):
    """Yes or no, for what cannot be undone. The question names the object; ``yes`` is the verb.

    Dismissed with True, or None.
    """

    BINDINGS = [("y", "accept"), ("n", "cancel")]

    def __init__(self, question: str, detail: str = "", *, yes: str = "") -> None:
        super().__init__(question, detail)
        self.accept_words = yes

    def say(self, question: str, detail: str) -> None:
        """Ask something else; only a dialog that began with a detail has room for one."""
        self.query_one("#title", Static).update(question)
        if self.query("#detail"):
            self.query_one("#detail", Static).update(detail)

    def action_accept(self) -> None:
        self.dismiss(True)


@dataclass(frozen=True)
class Choice(Generic[T]):
    """One option: its value, its words, and a remark; outside text has gone through ``plain``."""

    value: T
    label: str
    remark: str = ""


class Choose(Dialog[T]):
    """One of several. ``on_move`` sees each option as the cursor comes to it, for a live preview."""

    accept_words = ""
    DEFAULT_CSS = f"""
    Choose VirtualList {{ max-height: 45vh; }}
    Choose #about {{ height: {REMARK_LINES}; margin-top: 1; padding: 0 2; }}
    """

    def __init__(
        self,
        title: str,
        choices: Sequence[Choice[T]],
        *,
        detail: str = "",
        current: T | None = None,
        on_move: Callable[[T], None] | None = None,
        accept: str = "",
        label_width: int = 32,
        search: bool = False,
        typed: Callable[[str], Choice[T] | None] | None = None,
    ) -> None:
        """``label_width``: cells of the labels at most, where there are remarks beside them; longer ones lose their
        middle. ``search``: typing searches among few options, too. ``typed``: the option that a text is by itself,
        which is offered last."""
        super().__init__(title, detail)
        self._typed = typed
        self._label_width = label_width
        self._search = search
        self._all = tuple(choices)
        self._shown = list(choices)
        self._current = current
        self._on_move = on_move
        self.accept_words = accept

    def compose_body(self) -> ComposeResult:
        remarks = any(choice.remark for choice in self._all)
        widest = max((cell_len(choice.label) for choice in self._all), default=10)
        label = Column(min(widest, self._label_width), share=0 if remarks else 1, cut="middle")
        columns = [label, Column(10, share=1)] if remarks else [label]
        rows = VirtualList(columns, self._row, count=len(self._shown), empty=_("Nothing fits."))
        if self._search or self._typed is not None or len(self._all) >= FILTER_FROM:
            yield Answer(placeholder=_("type to search"), list=rows)
        yield rows
        yield Lines(id="about")

    @on(Lines.Resized, "#about")
    @on(events.Resize)
    def _say(self) -> None:
        """The whole remark of the option under the cursor, below the list; only where a remark is cut in it."""
        about, rows = self.query_one("#about", Lines), self.query_one(VirtualList)
        label = rows.columns[0].width + MARGINS
        longest = max((cell_len(choice.remark) for choice in self._all), default=0)
        about.display = longest > rows.size.width - label and self.app.size.height >= LOW
        if about.display and 0 <= rows.cursor < len(self._shown):
            ellipsis = marks_of(self.app).ellipsis
            lines = wrap(self._shown[rows.cursor].remark, about.size.width or 1, REMARK_LINES, ellipsis=ellipsis)
            about.show([(Cell(line, "muted"),) for line in lines])
        else:
            about.show([])

    def on_mount(self) -> None:
        super().on_mount()
        self.call_after_refresh(self._say)
        here = next((i for i, choice in enumerate(self._shown) if choice.value == self._current), 0)
        self.query_one(VirtualList).cursor = here
        fields = self.query(TextField)
        self.set_focus(fields.first() if fields else self.query_one(VirtualList))  # now: keys may be waiting for it

    def _row(self, index: int) -> tuple[Cell, Cell]:
        choice = self._shown[index]
        chosen = choice.value == self._current
        return Cell(choice.label, "strong" if chosen else ""), Cell(choice.remark, "muted")

    @on(TextField.Changed)
    def _searched(self, event: TextField.Changed) -> None:
        words = event.value.casefold().split()
        found = [one for one in self._all if all(word in f"{one.label} {one.remark}".casefold() for word in words)]
        # what is called so comes before what only mentions it
        self._shown = sorted(found, key=lambda one: not all(word in one.label.casefold() for word in words))
        itself = self._typed(event.value.strip()) if self._typed is not None and words else None
        self._shown += [] if itself is None else [itself]
        self.query_one(VirtualList).set_count(len(self._shown), cursor=0)
        self._say()  # the cursor stays where it was, on another option

    @on(VirtualList.Moved)
    def _moved(self, event: VirtualList.Moved) -> None:
        event.stop()
        self._say()
        if self._on_move is not None and 0 <= event.index < len(self._shown):
            self._on_move(self._shown[event.index].value)

    @on(VirtualList.Chosen)
    def _chosen(self, event: VirtualList.Chosen) -> None:
        event.stop()
        self.action_accept()

    def action_accept(self) -> None:
        index = self.query_one(VirtualList).cursor
        if 0 <= index < len(self._shown):
            self.dismiss(self._shown[index].value)


class AskText(Dialog[str]):
    """One line of text. ``check`` gives the reason why a text will not do, or nothing."""

    def __init__(
        self,
        title: str,
        value: str = "",
        *,
        detail: str = "",
        placeholder: str = "",
        check: Callable[[str], str] | None = None,
        accept: str = "",
    ) -> None:
        super().__init__(title, detail)
        self._value = value
        self._placeholder = placeholder
        self._check = check
        self.accept_words = accept

    def compose_body(self) -> ComposeResult:
        yield Answer(self._value, placeholder=self._placeholder)
        yield Static("", id="problem", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        field = self.query_one(TextField)
        field.selection = Selection(0, len(self._value))  # what is typed takes its place; End or an arrow keeps it
        self.set_focus(field)  # now: keys may be waiting for it
        self.query_one("#problem").display = False

    @on(TextField.Changed)
    def _changed(self, event: TextField.Changed) -> None:
        self._say("")

    def _say(self, problem: str) -> None:
        line = self.query_one("#problem", Static)
        line.update(problem)
        line.display = bool(problem)

    def action_accept(self) -> None:
        value = self.query_one(TextField).value
        problem = self._check(value) if self._check else ""
        if problem:
            self._say(problem)
        else:
            self.dismiss(value)


class AskPath(Dialog[Path]):
    """A file or a folder: typed, or found by walking the list below. Tab completes to the row under the cursor.

    A whole path that is typed or pasted after what stands there takes its place: ``/here//there`` is ``/there``.
    """

    BINDINGS = [("tab", "complete")]

    def __init__(
        self,
        title: str,
        start: Path,
        *,
        detail: str = "",
        folders_only: bool = False,
        suffixes: Sequence[str] = (),
        must_exist: bool = True,
        accept: str = "",
        value: Path | None = None,
        check: Callable[[Path], str] = lambda path: "",
    ) -> None:
        """``value``, else ``start``, is shown first; relative paths count from ``start``. ``suffixes`` (lower case)
        limit the files listed; ``check`` says what is wrong with a path."""
        super().__init__(title, detail)
        self._start = Path(os.path.abspath(start))  # noqa: PTH100 - a link keeps its own name
        self._folders_only = folders_only
        self._suffixes = tuple(suffixes)
        self._must_exist = must_exist
        self._value, self._check = value, check
        self._entries: list[tuple[str, bool]] = []
        self._base = self._start
        self.accept_words = accept

    def compose_body(self) -> ComposeResult:
        rows = VirtualList([Column(10, share=1, cut="middle")], self._row, empty=_("Nothing here."))
        rows.driven = True
        yield Answer(str(self._value) if self._value is not None else _with_separator(self._start), list=rows)
        yield rows
        yield Static("", id="problem", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        self.set_focus(self.query_one(TextField))  # now: keys may be waiting for it
        self.query_one("#problem").display = False

    def hints(self) -> list[KeyHint]:
        found = super().hints()
        found.insert(1, KeyHint("dialog.complete", "Tab", _("complete")))
        return found

    def _row(self, index: int) -> tuple[Cell]:
        name, folder = self._entries[index]
        return (Cell(plain(name) + ("/" if folder else ""), "" if folder else "muted"),)

    @on(TextField.Changed)
    def _typed(self, event: TextField.Changed) -> None:
        self.query_one("#problem").display = False
        anew = _ANEW.sub("", event.value)
        if anew != event.value:
            field = self.query_one(TextField)
            field.value = anew
            field.cursor_position = len(anew)
            return  # the change is told, too
        start_job(self, partial(self._list, event.value), "list")

    async def _list(self, text: str) -> None:
        typed = self._path(text)
        base, prefix = (typed, "") if text.endswith(("/", "..")) or not text else (typed.parent, typed.name)
        entries = await in_thread(_entries, base, prefix, self._folders_only, self._suffixes)
        images = 0 if entries or prefix or not self._folders_only else await in_thread(_images, base)
        self._base, self._entries = base, entries
        made = self._folders_only and not self._must_exist and not entries and not await in_thread(typed.exists)
        empty = _("This folder is not there yet; it will be made.") if made else _("Nothing here.")
        if images:
            here = ngettext("{count} image here", "{count} images here", images).format(count=count(images))
            empty = _("{images}, no folders. {key} takes this folder.").format(images=here, key=key_text("enter"))
        self.query_one(VirtualList).set_count(len(entries), cursor=0, empty=empty)

    def _path(self, text: str) -> Path:
        return Path(os.path.abspath(self._start / expand(text)))  # noqa: PTH100

    def action_complete(self) -> None:
        """Tab: take the row under the cursor."""
        index = self.query_one(VirtualList).cursor
        if 0 <= index < len(self._entries):
            name, folder = self._entries[index]
            field = self.query_one(TextField)
            path = self._base / name
            field.value = _with_separator(path) if folder else str(path)
            field.cursor_position = len(field.value)

    @on(VirtualList.Chosen)
    def _clicked(self, event: VirtualList.Chosen) -> None:
        event.stop()
        self.action_complete()

    def action_accept(self) -> None:
        path = self._path(self.query_one(TextField).value)
        problem = ""
        if self._must_exist and not path.exists():
            problem = _("There is no {path}.").format(path=plain(str(path)))
        elif self._folders_only and path.exists() and not path.is_dir():
            problem = _("{path} is not a folder.").format(path=plain(str(path)))
        if problem := problem or self._check(path):
            line = self.query_one("#problem", Static)
            line.update(problem)
            line.display = True
        else:
            self.dismiss(path)


_ANEW = re.compile(r".*/(?=/)|.*/(?=~(?:/|\Z))", re.DOTALL)
"""What stands before a path that begins anew."""


def _images(folder: Path) -> int:
    """Images that lie in a folder itself."""
    from lora_tui.captions.files import IMAGE_SUFFIXES

    try:
        with os.scandir(folder) as found:
            return sum(os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES for entry in found)  # noqa: PTH122
    except OSError:
        return 0


def _with_separator(path: Path) -> str:
    text = str(path)
    return text if text.endswith("/") else text + "/"


def _entries(base: Path, prefix: str, folders_only: bool, suffixes: tuple[str, ...]) -> list[tuple[str, bool]]:
    """Folders first, then files, by name; hidden ones only when the prefix asks for them."""
    folders: list[str] = []
    files: list[str] = []
    try:
        with os.scandir(base) as found:
            for entry in found:
                name = entry.name
                if not name.casefold().startswith(prefix.casefold()) or (name[0] == "." and prefix[:1] != "."):
                    continue
                if entry.is_dir():
                    folders.append(name)
                elif not folders_only and (not suffixes or name.lower().endswith(suffixes)):
                    files.append(name)
                if len(folders) + len(files) >= LISTED:
                    break
    except OSError:
        return []
    return [(name, True) for name in sorted(folders)] + [(name, False) for name in sorted(files)]
