"""Noticing when nothing is learned any more."""

from __future__ import annotations

from lora_tui.errors import UserError
from lora_tui.text import _
from lora_tui.trainer.session import Session


class LostUpdates:
    """Follows updates that NaN or Inf turned into nothing."""

    MOST = 25  # in a row before the run gives up

    def __init__(self, session: Session, *, expected: bool) -> None:
        """``expected``: a few are no news, since fp16 finds its scale by losing them."""
        self._session = session
        self._expected = expected
        self._row = 0

    def note(self, step: int, *, skipped: bool) -> None:
        """The update of ``step`` was taken, or ``skipped``.

        Raises:
            UserError: too many were lost in a row (``nan``).
        """
        self._row = self._row + 1 if skipped else 0
        if self._row == 1 and not self._expected:
            text = _("the update of step {step} had NaN or Inf in it and was left out.").format(step=step)
            self._session.warn("nan", text)
        if self._row >= self.MOST:
            raise UserError(
                _("{count} updates in a row were NaN or Inf, up to step {step}.").format(count=self._row, step=step),
                place="learning",
                remedy=_("Lower the learning rate, or use bf16 or fp32. The last good state is kept."),
                code="nan",
            )
