"""Noticing when nothing is learned any more."""

from __future__ import annotations

from collections.abc import Sequence

from lora_tui.errors import UserError
from lora_tui.text import _, ngettext, plain
from lora_tui.trainer.session import Session
from lora_tui.trainer.state import newest_step

NAMED = 4  # images that are named; of more than these the others are counted


class LostUpdates:
    """Follows updates that NaN or Inf turned into nothing: the weights stay as they were before."""

    MOST = 25  # in a row before the run gives up

    def __init__(self, session: Session, *, expected: bool) -> None:
        """``expected``: a few are no news, since fp16 finds its scale by losing them."""
        self._session = session
        self._expected = expected
        self._row = 0
        self._shown: dict[int, Sequence[str]] = {}  # images by step, for as long as its numbers are on their way
        self._suspects: set[str] | None = None  # images that were in every update of the row

    def expect(self, step: int, images: Sequence[str]) -> None:
        """The numbers of ``step``, which learned from these ``images``, will come."""
        self._shown[step] = images

    def note(self, step: int, *, skipped: bool) -> None:
        """The update of ``step`` was taken, or ``skipped``.

        Raises:
            UserError: too many were lost in a row (``nan``).
        """
        images = self._shown.pop(step, ())
        if not skipped:
            self._row, self._suspects = 0, None
            return
        self._row += 1
        self._suspects = set(images) if self._suspects is None else self._suspects & set(images)
        if self._row == 1 and not self._expected:
            text = _("the update of step {step} had NaN or Inf in it and was left out. It learned from {images}.")
            self._session.warn(
                "nan",
                text.format(step=step, images=_named(images)),
                _("If it is always the same image, look at it; if it comes often, lower the learning rate."),
            )
        if self._row >= self.MOST:
            text = _("{count} updates in a row were NaN or Inf, up to step {step}, which learned from {images}.")
            raise UserError(
                text.format(count=self._row, step=step, images=_named(images)),
                place="learning",
                remedy=self._remedy(never=self._row >= max(step, 2)),
                code="nan",
            )

    def _remedy(self, *, never: bool) -> str:
        """What may help; ``never``: no update was taken since the first step, so that no state is a good one."""
        if self._suspects and len(self._suspects) == 1 and self._row > 1:
            text = _("{image} was in all of them: look at it and its mask, or leave it out.")
            advice = text.format(image=plain(next(iter(self._suspects))))
            return advice if never else f"{advice} {self._kept()}"
        if never:
            return _(
                "Nothing was learned since the first step: look at the base model, and at the files of "
                "network.start_from and model.loras, or use bf16 or fp32."
            )
        return f"{_('Lower the learning rate, or use bf16 or fp32.')} {self._kept()}"

    def _kept(self) -> str:
        """What a person can go on from."""
        kept = newest_step(self._session.folder.state_dir)
        if kept is None:
            return _("No state had been written yet.")
        return _("The last good state, that of step {step}, is kept.").format(step=kept)


def _named(images: Sequence[str]) -> str:
    """The first of ``images`` and how many more there are."""
    different = [plain(name) for name in dict.fromkeys(images)]
    shown, more = ", ".join(different[:NAMED]), len(different) - NAMED
    if more <= 0:
        return shown or _("images of another process")
    return ngettext("{names} and {count} more", "{names} and {count} more", more).format(names=shown, count=more)
