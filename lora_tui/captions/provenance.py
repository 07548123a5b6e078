"""What filters may ask of a dataset's past: who changed a caption, when, and what a tagger's last run brought."""

from __future__ import annotations

from collections.abc import Set
from functools import cached_property

from lora_tui.captions.document import CaptionDocument
from lora_tui.captions.journal import REVIEWS, Record
from lora_tui.captions.query.predicates import author_names
from lora_tui.captions.transaction import Session
from lora_tui.captions.view import tags_of
from lora_tui.errors import UserError

LAST_RUN = "last-run"


class Provenance:
    """The journal of a session by the numbers of its entries. Reads it once, when something is first asked.

    Args:
        since: only captions that were changed after this moment (unix seconds) count as modified.
    """

    def __init__(self, session: Session, *, since: float = 0.0) -> None:
        self._session = session
        self._since = since

    def authors(self, number: int) -> Set[str]:
        return {record.author for record, _added in self._of(number) if record.kind not in REVIEWS}

    def edited(self, number: int) -> float | None:
        times = (record.time for record, _added in self._of(number) if record.kind not in REVIEWS)
        return max(times, default=None)

    def modified(self) -> Set[int]:
        """Captions that transactions of this session changed, or of all sessions when it counts from the start."""
        return {
            number
            for number in range(len(self._session.corpus.entries))
            if any(record.time >= self._since and record.kind not in REVIEWS for record, _added in self._of(number))
        }

    def added(self, run: str) -> Set[int]:
        """Captions to which the last transaction that was no undo added tags, or those of an author."""
        wanted = self._last if run == LAST_RUN else None
        return {
            number
            for number in range(len(self._session.corpus.entries))
            if any(
                added and (record.number == wanted if run == LAST_RUN else run in author_names(record.author))
                for record, added in self._of(number)
            )
        }

    def reviewed(self) -> Set[int]:
        """Captions that somebody said are right, and that nobody else has changed since."""
        return {number for number in range(len(self._session.corpus.entries)) if self._is_reviewed(number)}

    def _is_reviewed(self, number: int) -> bool:
        reviewer = None
        for record, _added in self._of(number):
            if record.kind == "review":
                reviewer = record.author
            elif record.kind == "unreview" or record.author != reviewer:
                reviewer = None
        return reviewer is not None

    def _of(self, number: int) -> list[tuple[Record, bool]]:
        name = self._session.journal_name(self._session.corpus.entries[number].caption_name)
        return self._changes.get(name, [])

    @cached_property
    def _last(self) -> int:
        return max((record.number for record in self._session.journal.records() if record.kind == "edit"), default=0)

    @cached_property
    def _changes(self) -> dict[str, list[tuple[Record, bool]]]:
        """For each file its transactions, and whether each added a tag."""
        found: dict[str, list[tuple[Record, bool]]] = {}
        profile = self._session.corpus.profile
        for record in self._session.journal.records():
            try:
                changes = self._session.journal.load(record)
            except UserError:
                continue
            for change in changes:
                tags = [
                    set() if raw is None else set(tags_of(CaptionDocument.parse(raw).text, profile))
                    for raw in (change.before, change.after)
                ]
                found.setdefault(change.name, []).append((record, bool(tags[1] - tags[0])))
        return found
