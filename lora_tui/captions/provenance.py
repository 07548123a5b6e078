"""What filters may ask of a dataset's past: who changed a caption, when, and what a tagger's last run brought."""

from __future__ import annotations

from collections.abc import Set
from functools import cached_property
from typing import TYPE_CHECKING

from lora_tui.captions.transaction import Session

if TYPE_CHECKING:
    from lora_tui.captions.ledger import Ledger

LAST_RUN = "last-run"


class Provenance:
    """The past of a session's captions for one question; looks at the journal when something is first asked.

    Args:
        since: only captions that differ from what they were after the transaction of this number count as modified.
    """

    def __init__(self, session: Session, *, since: int = 0) -> None:
        self._session = session
        self._since = since

    def authors(self, number: int) -> Set[str]:
        return self._ledger.authors(number)

    def edited(self, number: int) -> float | None:
        return self._ledger.edited(number)

    def modified(self) -> Set[int]:
        """Captions that are not as they were: when the session began, or before anybody edited them here."""
        return self._ledger.modified_since(self._since)

    def added(self, run: str) -> Set[int]:
        """Captions to which the last run of a tagger added tags, or those of an author."""
        profile = self._session.corpus.profile
        return self._ledger.added_by_last(profile) if run == LAST_RUN else self._ledger.added_by(run, profile)

    def reviewed(self) -> Set[int]:
        """Captions that somebody said are right, and that nobody else has changed since."""
        return self._ledger.reviewed

    @cached_property
    def _ledger(self) -> Ledger:
        ledger = self._session.ledger
        ledger.follow()
        return ledger
