"""What a person says of a run: a note, tags, a rating, which of its files is the best; in ``notes.json`` of its folder.

A file of its own, so that neither the trainer nor the keeper ever writes over it.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.files import alone_in
from lora_tui.jobs.events import as_number, as_time
from lora_tui.runs.folder import RunFolder, read_json, write_json
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

FILE = "notes.json"
MOST_STARS = 5
LONGEST_NOTE = 10_000
LONGEST_TAG = 60
MOST_TAGS = 100

_SEPARATORS = re.compile(r"[\s,]+")
_OBEYED = re.compile(r"[\x00-\x1f\x7f-\x9f\"()<>=:|]")


@dataclass(frozen=True)
class Notes:
    """A person's words about a run.

    Attributes:
        note: any text, lines allowed.
        tags: single words, in the order in which they were given.
        rating: 1 to :data:`MOST_STARS`; 0 for none.
        best: the file that was chosen as the best one, relative to the run's folder; empty where nobody chose.
        best_strength: the strength at which it was found best; none where nobody said one.
        best_reason: in what it was found best, such as the cell of a grid.
        best_time: when it was chosen, unix seconds; 0 where that was not noted.
    """

    note: str = ""
    tags: tuple[str, ...] = ()
    rating: int = 0
    best: str = ""
    best_strength: float | None = None
    best_reason: str = ""
    best_time: float = 0.0

    @property
    def stars(self) -> str:
        """The rating as so many stars, in ASCII."""
        return "*" * self.rating


def notes_path(run: RunFolder) -> Path:
    """Where they are kept."""
    return run.root / FILE


def read_notes(run: RunFolder) -> Notes:
    """What is noted of ``run``; what is damaged or no such thing counts as not noted."""
    return notes_of(read_json(notes_path(run)))


def notes_of(data: dict[str, Any]) -> Notes:
    """Notes from plain data, as far as it holds any."""
    note, tags, rating, best = (data.get(name) for name in ("note", "tags", "rating", "best"))
    words = [tag for tag in tags if isinstance(tag, str) and tag] if isinstance(tags, list) else []
    rated = isinstance(rating, int) and not isinstance(rating, bool) and 0 <= rating <= MOST_STARS
    return Notes(
        note[:LONGEST_NOTE] if isinstance(note, str) else "",
        tuple(dict.fromkeys(tag[:LONGEST_TAG] for tag in words[:MOST_TAGS])),
        rating if rated and isinstance(rating, int) else 0,
        best if isinstance(best, str) and len(best) < 4096 else "",
        **_why_best(data),
    )


def _why_best(data: dict[str, Any]) -> dict[str, Any]:
    strength, when, reason = (data.get(f"best_{name}") for name in ("strength", "time", "reason"))
    known = as_number(strength)
    return {
        "best_strength": known if known is not None and math.isfinite(known) else None,
        "best_reason": reason[:LONGEST_NOTE] if isinstance(reason, str) else "",
        "best_time": as_time(when) or 0.0,
    }


def change_notes(run: RunFolder, **changes: Any) -> Notes:
    """Change fields of the notes, as one of several programs that may do so; return what they are now.

    Raises:
        UserError: ``notes.write`` where nothing can be written, ``run.newer`` for a newer version's run, ``run.gone``.
    """
    return _changed(run, lambda notes: replace(notes, **changes))


def choose_best(run: RunFolder, place: str, *, strength: float | None = None, reason: str = "") -> Notes:
    """Note which LoRA file (relative to the run's folder; empty for none) is the best one, and at which strength.

    Raises as :func:`change_notes`.
    """
    when = round(time.time(), 3) if place else 0.0
    return change_notes(run, best=place, best_strength=strength, best_reason=reason, best_time=when)


def change_tags(run: RunFolder, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Notes:
    """Add tags and take others away; raises as :func:`change_notes`."""
    gone = {tag.casefold() for tag in remove}

    def changed(notes: Notes) -> Notes:
        kept = [tag for tag in notes.tags if tag.casefold() not in gone]
        known = {tag.casefold() for tag in kept}
        return replace(notes, tags=tuple([*kept, *(tag for tag in add if tag.casefold() not in known)][:MOST_TAGS]))

    return _changed(run, changed)


def tags_in(text: str) -> tuple[str, ...]:
    """The tags that a person typed, separated by blanks or commas.

    Raises:
        UserError: ``notes.tag`` for one that a filter could not name.
    """
    found = [word for word in _SEPARATORS.split(text.strip()) if word]
    for word in found:
        if _OBEYED.search(word) or word.startswith("-") or len(word) > LONGEST_TAG:
            raise UserError(
                _("{tag} cannot be a tag.").format(tag=plain(word, limit=LONGEST_TAG)),
                remedy=_(
                    'A tag is one word of at most {most} letters, without " ( ) < > = : | and no minus in front.'
                ).format(most=LONGEST_TAG),
                code="notes.tag",
            )
    return tuple(dict.fromkeys(found))


def rating_in(text: str) -> int:
    """A rating as a person types it: ``0`` to ``5``, or so many stars.

    Raises:
        UserError: ``notes.rating``.
    """
    typed = text.strip()
    if typed and not typed.strip("*★") and len(typed) <= MOST_STARS:
        return len(typed)
    if typed.isdecimal() and int(typed[:3]) <= MOST_STARS:
        return int(typed)
    raise UserError(
        _("{text} is no rating.").format(text=plain(typed, limit=40) or '""'),
        remedy=_("Rate it from 1 to {most}; 0 takes the rating away.").format(most=MOST_STARS),
        code="notes.rating",
    )


def _changed(run: RunFolder, change: Any) -> Notes:
    if not run.root.is_dir():
        raise UserError(_("The run folder is gone."), place=plain(str(run.root)), code="run.gone")
    run.require_known_format()
    try:
        with alone_in(run.root):
            path = notes_path(run)
            kept = read_json(path)  # fields of a later version stay as they are
            notes: Notes = change(notes_of(kept))
            write_json(path, {**kept, **asdict(notes), "tags": list(notes.tags)})
    except OSError as error:
        raise UserError(
            _("It cannot be noted: {reason}.").format(reason=error.strerror or error),
            place=plain(str(run.root)),
            remedy=_("Make the run folder writable and leave room on the disk."),
            code="notes.write",
        ) from error
    return notes
