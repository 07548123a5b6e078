"""What an edit would change, in one line: how many images and tags, and the first of them; and what is left to the
person. No widgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_tui.text import _, count, ngettext, plain
from lora_tui.tui.tags.rows import diff

if TYPE_CHECKING:
    from lora_tui.captions.transaction import Preview


def foretold(found: Preview) -> str:
    """Images, tags, and what goes and comes in the first of them."""
    if not found.changes:
        return _("Nothing would change.")
    images = ngettext("{count} image", "{count} images", found.images).format(count=count(found.images))
    tags = ngettext("{count} tag", "{count} tags", found.occurrences).format(count=count(found.occurrences))
    first = found.samples(1)[0]
    pieces = [f"{sign} {plain(text, limit=30)}" for sign, text in diff(first.before, first.after) if sign != "="]
    return "  ".join([f"{images}, {tags}", plain(first.name.rpartition("/")[2], limit=20) + ":", *pieces[:4]])


def cutting_words(operation: str) -> str:
    """What to do about a caption that is too long, where the operation would cut tags away unseen."""
    return _("Only you can shorten it: remove tags, or “:{operation}” cuts its end.").format(
        operation=plain(operation, limit=40)
    )
