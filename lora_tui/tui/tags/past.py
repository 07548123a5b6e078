"""What the journal tells of one caption, as lines to read. Reads the whole journal: called in a thread. No widgets."""

from __future__ import annotations

from time import localtime, strftime
from typing import TYPE_CHECKING

from lora_tui.captions.document import CaptionDocument
from lora_tui.captions.history import blame, last_deed, revert_tag, story
from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.tui.tags.rows import diff

if TYPE_CHECKING:
    from lora_tui.captions.journal.writer import Transaction
    from lora_tui.tui.tags.editor import Editor


def history_lines(editor: Editor, number: int) -> list[tuple[str, str]]:
    """Which transaction brought each tag of the caption."""
    entry = editor.entry(number)
    if entry.document is None:
        return [(_("No caption file."), "muted")]
    name = editor.session.journal_name(entry.caption_name)
    lines: list[tuple[str, str]] = []
    for origin in blame(editor.session.journal, name, entry.document.text, editor.corpus.profile):
        record = origin.record
        lines.append((plain(origin.tag), ""))
        if record is None:
            lines.append(("  " + _("there before the first edit"), "muted"))
        else:
            when = strftime("%Y-%m-%d %H:%M", localtime(record.time))
            words = plain(story(editor.session.journal, record), limit=80)
            lines.append((f"  {when} {plain(record.author)}: {words}", "muted"))
    return lines


def undo_tag(editor: Editor, tag: str) -> Transaction:
    """Take back what was done with a tag since the folder was opened; when that is nothing, what was done last.

    Raises:
        UserError: ``captions.nothing_to_undo``.
    """
    session = editor.session
    try:
        return revert_tag(session, tag, editor.author, editor.opened)
    except UserError:
        last = last_deed(session.journal, tag, editor.corpus.profile)
        if last is None:
            raise
        return revert_tag(session, tag, editor.author, last.time)


def change_lines(editor: Editor, number: int) -> list[tuple[str, str]]:
    """What became of the caption since the folder was opened, tag by tag, and by which transactions."""
    name = editor.session.journal_name(editor.entry(number).caption_name)
    found = [one for one in editor.session.journal.changes_of(name) if one[0].number > editor.opened_at]
    if not found:
        return [(_("Nothing has changed here since the folder was opened."), "muted")]
    lines = difference(found[0][1].before, editor.entry(number).raw)
    if not lines:
        lines = [(_("It is again as it was when the folder was opened."), "muted")]
    lines += [("", ""), (_("By:"), "muted")]
    for record, _change in found:
        when = strftime("%H:%M", localtime(record.time))
        words = plain(story(editor.session.journal, record), limit=80)
        lines.append((f"{record.number} {when} {plain(record.author, limit=12)}: {words}", "muted"))
    return lines


def difference(before: bytes | None, after: bytes | None) -> list[tuple[str, str]]:
    """What goes and what comes from one content of a caption file to another; empty when they are the same."""
    if before == after:
        return []
    old, new = _readable(before), _readable(after)
    lines = []
    for sign, text in diff(old, new):
        if sign != "=":
            lines.append((f"{sign} {plain(text)}", "error" if sign == "-" else "success"))
    if not lines:  # blanks, line ends, marks: the same tags in other bytes
        lines = [(f"- {plain(repr(before))}", "error"), (f"+ {plain(repr(after))}", "success")]
    return lines


def _readable(raw: bytes | None) -> str | None:
    return None if raw is None else CaptionDocument.parse(raw).text


def differing(editor: Editor) -> dict[int, bytes | None]:
    """The images whose caption files differ from what is shown, with the content on disk; none where no file is."""
    editor.settle()
    found: dict[int, bytes | None] = {}
    for number in editor.foreign(range(len(editor.corpus.entries))):
        entry = editor.entry(number)
        try:
            raw = entry.caption.read_bytes()
        except OSError:
            raw = None
        if raw != entry.raw:
            found[number] = raw
    return found


def in_words(before: bytes | None, after: bytes | None) -> str:
    """A difference in one line."""
    return "  ".join(text for text, _tone in difference(before, after))
