"""What the journal tells of one caption, as lines to read. Reads the whole journal: called in a thread. No widgets."""

from __future__ import annotations

from time import localtime, strftime
from typing import TYPE_CHECKING

from lora_tui.captions.history import blame
from lora_tui.text import _, plain

if TYPE_CHECKING:
    from lora_tui.tui.tags.editor import Editor


def history_lines(editor: Editor, number: int) -> list[tuple[str, str]]:
    """Which transaction brought each tag of the caption."""
    entry = editor.entry(number)
    if entry.document is None:
        return []
    name = editor.session.journal_name(entry.caption_name)
    lines: list[tuple[str, str]] = []
    for origin in blame(editor.session.journal, name, entry.document.text, editor.corpus.profile):
        record = origin.record
        lines.append((plain(origin.tag), ""))
        if record is None:
            lines.append(("  " + _("there before the first edit"), "muted"))
        else:
            when = strftime("%Y-%m-%d %H:%M", localtime(record.time))
            lines.append((f"  {when} {plain(record.author)}: {plain(record.operation, limit=80)}", "muted"))
    return lines
