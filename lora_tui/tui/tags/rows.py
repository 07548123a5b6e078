"""What the panes of the tag editor list: files, the tags of one or several images, the vocabulary. No widgets."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lora_tui.captions.view import view
from lora_tui.captions.vocabulary import Row
from lora_tui.text import N_

if TYPE_CHECKING:
    from lora_tui.tui.tags.editor import Editor

ORDERS: tuple[tuple[str, str], ...] = (
    ("count", N_("most frequent first")),
    ("name", N_("by name")),
    ("length", N_("longest first")),
)
"""Orders of the vocabulary and their words."""

CATEGORIES: dict[str, tuple[str, str]] = {
    "general": (N_("general"), ""),
    "artist": (N_("artist"), "error"),
    "copyright": (N_("copyright"), "running"),
    "character": (N_("character"), "success"),
    "meta": (N_("meta"), "warning"),
    "rating": (N_("rating"), "muted"),
}
"""The words of the categories and how their tags are drawn, near to what the image boards do."""


@dataclass(frozen=True)
class TagRow:
    """One tag of the tags pane.

    Attributes:
        have, of: how many of how many images have it.
        zone: ``keep``, ``free`` or ``suffix``; of several images always ``free``.
        place: its place in the caption, -1 for several images.
        weight: as it is written, empty for none.
    """

    tag: str
    have: int = 1
    of: int = 1
    zone: str = "free"
    place: int = -1
    weight: str = ""


def tags_of_image(editor: Editor, number: int) -> list[TagRow]:
    """The tags of one caption in their order."""
    document = editor.entry(number).document
    if document is None:
        return []
    rows = []
    for place, item in enumerate(view(document.text, editor.corpus.profile).items):
        written = document.text[item.start : item.end]
        weight = written.rpartition(":")[2].rstrip(") ") if item.name_end < item.end else ""
        rows.append(TagRow(item.text, zone=item.zone, place=place, weight=weight))
    return rows


def tags_of_several(editor: Editor, numbers: Collection[int]) -> list[TagRow]:
    """The union of the tags of several images, the most common first; may be called in a thread."""
    counts = editor.corpus.index.counts_in(numbers)
    first = min(numbers, default=None)
    order = {} if first is None else {tag: place for place, tag in enumerate(editor.entry(first).tags)}
    last = len(order)
    ranked = sorted(counts.items(), key=lambda one: (-one[1], order.get(one[0], last), one[0]))
    return [TagRow(tag, have, len(numbers)) for tag, have in ranked]


def vocabulary(editor: Editor, words: str, order: str) -> list[Row]:
    """The vocabulary with counts in scope and in all; only what fits ``words``. May be called in a thread."""
    index = editor.corpus.index
    if not words.strip():
        return index.vocabulary.rows(editor.shown, by=order)
    found = [one.tag for one in editor.asking.completer.complete(words, 500) if one.tag in index]
    if editor.shown is None:
        return [Row(tag, index.count(tag), index.count(tag)) for tag in found]
    scope = index.counts_in(editor.shown)
    return [Row(tag, scope.get(tag, 0), index.count(tag)) for tag in found]


def flags(editor: Editor, number: int, tokens: int, *, empty: str, needs: str) -> str:
    """The short signs behind a file: unreadable, empty, over the encoder's tokens, problems."""
    entry = editor.entry(number)
    if entry.problem is not None:
        return "x"
    if not entry.tags:
        return empty
    over = f">{editor.asking.token_limit}" if tokens > editor.asking.token_limit else ""
    others = any(problem.code != "caption.tokens" for problem in editor.problems(number))
    return over or (needs if others else "")


def diff(before: str | None, after: str | None) -> list[tuple[str, str]]:
    """A change of a caption as pieces of text with a sign: ``=`` stays, ``-`` goes, ``+`` comes.

    Tags that stay far from a change are folded into an ellipsis by whoever shows them.
    """
    from difflib import SequenceMatcher

    old = [part.strip() for part in (before or "").split(",")] if before else []
    new = [part.strip() for part in (after or "").split(",")] if after else []
    pieces: list[tuple[str, str]] = []
    for kind, old_start, old_end, new_start, new_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            pieces.append(("=", ", ".join(old[old_start:old_end])))
            continue
        if old_end > old_start:
            pieces.append(("-", ", ".join(old[old_start:old_end])))
        if new_end > new_start:
            pieces.append(("+", ", ".join(new[new_start:new_end])))
    return pieces
