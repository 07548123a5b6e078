"""The course of a run: at what rate it learns and where it ends, and how a person changes both while it goes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lora_tui.errors import UserError
from lora_tui.jobs.control import Request
from lora_tui.runs.changes import ENTRY, Change, in_force, main_rate, read_changes, read_rate, read_total
from lora_tui.runs.record import read_record, update_record
from lora_tui.text import _, count
from lora_tui.trainer.session import Session


@dataclass(frozen=True)
class Held:
    """What holds now: the share of the configured rates, and the last step of the run."""

    share: float
    total: int


class Course:
    """One life's way through the changes that were asked for in any life of the run.

    Attributes:
        now: what holds for the next update.
    """

    def __init__(self, session: Session, total: int) -> None:
        """``total``: the last step as the configuration has it."""
        self._session = session
        self._total = total
        self._rate = main_rate(session.config.learning)
        self._changes = read_changes(read_record(session.folder))
        self.now = Held(1.0, total)

    def reach(self, step: int) -> bool:
        """Go by the changes up to ``step``; whether that changes anything."""
        rate, total = in_force(self._changes, step)
        share = rate / self._rate if rate is not None and self._rate > 0 else 1.0
        before, self.now = self.now, Held(share, max(total or self._total, step))
        return self.now != before

    def ask(self, request: Request, step: int) -> None:
        """Note what a request wants from ``step`` on.

        Raises:
            UserError: it asks for nothing that can be.
            OSError: the record cannot be written; nothing is changed.
        """
        fields = request.fields
        if step >= self.now.total:
            raise UserError(_("the run has come to its end"), code="control.set")
        unknown = set(fields) - {"learning_rate", "total_steps"}
        rate, total = read_rate(fields.get("learning_rate")), read_total(fields.get("total_steps"))
        if unknown or not fields:
            raise UserError(_("learning_rate and total_steps can be set"), code="control.set")
        if "learning_rate" in fields and rate is None:
            raise UserError(_("a learning rate is a number above 0"), code="control.set")
        if "total_steps" in fields and (total is None or total <= step):
            raise UserError(_("the run is at step {step} already").format(step=count(step)), code="control.set")
        if rate is not None and not self._rate > 0:
            raise UserError(_("no part of this run has a learning rate"), code="control.set")
        changes = [*self._changes, Change(step, rate, total, round(time.time(), 3))]
        update_record(self._session.folder, **{ENTRY: [change.as_record() for change in changes]})
        self._changes = changes

    def upto(self, step: int) -> list[dict[str, Any]]:
        """The changes up to ``step``, to be kept with a state."""
        return [change.as_record() for change in self._changes if change.step <= step]

    def remember(self, noted: object) -> None:
        """Take up what a state says, where the record has been lost since."""
        known = {(change.step, change.time) for change in self._changes}
        found = read_changes({ENTRY: noted})
        self._changes += [change for change in found if (change.step, change.time) not in known]
        self._changes.sort(key=lambda change: (change.step, change.time))

    @property
    def rate(self) -> float:
        """The learning rate of the part that :func:`main_rate` names, before its schedule."""
        return self._rate * self.now.share

    def as_told(self) -> dict[str, float]:
        """What holds now, for another process."""
        return {"share": self.now.share, "total": self.now.total}

    def take(self, told: Mapping[str, float]) -> None:
        """Hold to what the first process says."""
        self.now = Held(told["share"], int(told["total"]))
