"""The keys that change tags in the tag editor: add, remove, toggle, rename, move, copy and paste."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from lora_tui.captions.quoting import quoted
from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.tags.editor import Scope, Stretch
from lora_tui.tui.tags.offers import list_offers, tag_offers
from lora_tui.tui.tags.typed_tags import TypedTags

if TYPE_CHECKING:
    from lora_tui.tui.screens.tags import TagsScreen
    from lora_tui.tui.tags.editor import Editor

NEEDS_TAG = frozenset({"rename", "rename-shown", "move-up", "move-down", "to-front", "to-back", "undo-tag"})


class Verbs:
    """What is done to tags, in the words of the language of operations."""

    def __init__(self, screen: TagsScreen) -> None:
        self.screen = screen
        self._copied: tuple[str, ...] = ()

    @property
    def _editor(self) -> Editor:
        assert self.screen.editor is not None
        return self.screen.editor

    def refusal(self, name: str) -> str:
        """Why an edit has nothing to work on."""
        panes = self.screen.panes
        if name in NEEDS_TAG and not panes.tag:
            return _("There is no tag under the cursor.")
        if name in ("move-up", "move-down") and (self._editor.marks or panes.focus == "vocab"):
            return _("A tag is moved by one place in one image; take the marks away first.")
        if name in ("paste", "paste-over") and not self._copied:
            return _("Nothing was copied yet.")
        return ""

    @property
    def listed_scope(self) -> Scope | None:
        """What removing and renaming are about where it is not the scope: in the vocabulary, which lists the tags of
        all images shown, these images, unless some are marked or a scope was chosen."""
        editor = self._editor
        whole = self.screen.finding.pane == "vocab" and editor.scope == "here" and not editor.marks
        return "shown" if whole else None

    def spoken_scope(self) -> str:
        """The words of the scope; in the vocabulary with what removing and renaming are about."""
        number = self.screen.panes.number
        spoken, scope = self._editor.spoken(number), self.listed_scope
        if scope is None:
            return spoken
        keymap, ascii_only = self.screen.shell.keymap, self.screen.shell.ascii_only
        keys = " ".join(keymap.shown(f"tags.{name}", ascii_only=ascii_only) for name in ("remove", "rename"))
        listed = self._editor.spoken(number, scope)
        return _("{scope} ({keys}: {listed})").format(scope=spoken, keys=keys.strip(), listed=listed)

    def _ask(
        self,
        label: str,
        make: Callable[[str], str],
        scope: Scope | None,
        *,
        value: str = "",
        known: bool = False,
        comes: bool = True,
    ) -> None:
        """Ask for tags and do what ``make`` says of them.

        Args:
            known: whether they are among those of the pane; else all that there are are offered.
            comes: whether they come into captions: new ones are named then.
        """
        completer = self._editor.asking.completer
        typed = TypedTags(completer)
        offers = list_offers(self.screen.panes.tags) if known else tag_offers(completer)
        spoken = self._editor.stretch(self.screen.panes.number, scope).spoken

        def done(text: str) -> None:
            operation = make(text if known else typed.meant(text, taking=False))
            if operation:
                self.screen.edits.run(operation, scope=scope)

        def would(text: str) -> tuple[str, Stretch]:
            line = text if known else typed.meant(text)
            return make(line), self._editor.stretch(self.screen.panes.number, scope)

        label = f"{label} ({spoken})"
        about = typed.remark if comes else None
        self.screen.finding.ask(
            label, done, offers=offers, value=value, kind="tags", final=True, would=would, about=about
        )

    def action_add(self) -> None:
        self._ask(_("add"), partial(_listed, "add"), None)

    def action_add_front(self) -> None:
        self._ask(_("add in front"), partial(_listed, "add", end=" front"), None)

    def action_add_shown(self) -> None:
        self._ask(_("add"), partial(_listed, "add"), "shown")

    def action_remove(self) -> None:
        self._on_tag(_("remove"), "remove", self.listed_scope)

    def action_remove_shown(self) -> None:
        self._on_tag(_("remove"), "remove", "shown")

    def action_toggle_tag(self) -> None:
        panes = self.screen.panes
        if panes.focus == "files" or not panes.tag:
            self._ask(_("toggle"), self.toggled, None)
            return
        self.screen.edits.run(self.toggled(panes.tag), ask=False if self._editor.scope == "here" else None)

    def toggled(self, tag: str) -> str:
        """Away where every caption of the scope has it, else to those that lack it."""
        tag = tag.strip().strip(",")
        if not tag:
            return ""
        editor = self._editor
        numbers = editor.stretch(self.screen.panes.number).numbers
        holders = editor.corpus.index.postings(tag)
        return ("remove " if all(number in holders for number in numbers) else "add ") + quoted(tag)

    def _on_tag(self, label: str, verb: str, scope: Scope | None) -> None:
        panes = self.screen.panes
        if self.screen.prose.phrase:
            self.screen.prose.remove(scope)
        elif panes.focus == "files" or not panes.tag:
            self._ask(label, partial(_listed, verb), scope, known=scope is None, comes=False)
        else:
            self.screen.edits.run(f"{verb} {quoted(panes.tag)}", scope=scope)

    def action_rename(self) -> None:
        self._rename(self.listed_scope)

    def action_rename_shown(self) -> None:
        self._rename("shown")

    def _rename(self, scope: Scope | None) -> None:
        if self.screen.prose.phrase:
            self.screen.prose.rename(scope)
            return
        tag = self.screen.panes.tag
        label = _("rename {tag} to").format(tag=plain(tag, limit=24))

        def make(text: str) -> str:
            new = text.strip()
            return f"rename {quoted(tag)} to {quoted(new)}" if new and new != tag else ""

        self._ask(label, make, scope, value=tag)

    def action_move_up(self) -> None:
        self._move(-1)

    def action_move_down(self) -> None:
        self._move(1)

    def _move(self, step: int) -> None:
        panes = self.screen.panes
        row, tags = panes.tag_row, panes.tags
        if row is None or row.place < 0 or not 0 <= row.place + step < len(tags):
            return
        to = row.place + step
        stretch = self._editor.stretch(panes.number, "here")
        prepare = partial(self._editor.prepare, f"shift {row.place + 1} to {to + 1}", stretch)
        self.screen.edits.consider(prepare, stretch, ask=False, repeatable=False)
        panes.put_cursor(row.tag, to)

    def action_to_front(self) -> None:
        self.screen.edits.run(f"move {quoted(self.screen.panes.tag)} front")

    def action_to_back(self) -> None:
        self.screen.edits.run(f"move {quoted(self.screen.panes.tag)} back")

    def action_copy(self) -> None:
        panes = self.screen.panes
        if panes.focus == "files" and panes.number >= 0:
            self._copied = tuple(self._editor.entry(panes.number).tags)
        else:
            self._copied = (panes.tag,) if panes.tag else ()
        text = ngettext("{count} tag copied", "{count} tags copied", len(self._copied))
        self.screen.tell(text.format(count=count(len(self._copied))))

    def action_paste(self) -> None:
        self.screen.edits.run("add " + ", ".join(map(quoted, self._copied)))

    def action_paste_over(self) -> None:
        self.screen.edits.run("set " + quoted(", ".join(self._copied)))


def _listed(verb: str, text: str, end: str = "") -> str:
    """An operation on the tags of a typed line."""
    tags = [part.strip() for part in text.split(",") if part.strip()]
    return f"{verb} {', '.join(map(quoted, tags))}{end}" if tags else ""
