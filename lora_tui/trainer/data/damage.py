"""Images that turn out to be damaged in the middle of a run, where nothing has decoded them before."""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import Protocol

from lora_tui.dataset.batches import PlannedImage
from lora_tui.errors import UserError
from lora_tui.text import _, plain


class Voice(Protocol):
    """Who tells of it; :class:`lora_tui.trainer.session.Session` does."""

    def warn(self, code: str, message: str, remedy: str = "") -> None:
        """Tell what a person should know; the run goes on."""
        ...


class Damage:
    """Tells of each damaged image once; any thread may report one.

    A damaged file is as damaged in a resumed run, so leaving it out changes nothing about that. What may have passed
    by then, such as a disk that is gone, ends the run instead, with its last state whole.
    """

    def __init__(self, voice: Voice, trained: Collection[str]) -> None:
        """``trained``: uids of the images to learn from; without the last of them there is nothing to learn."""
        self._voice = voice
        self._trained = frozenset(trained)
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def leave_out(self, planned: PlannedImage, error: UserError) -> None:
        """Note that ``planned`` failed with ``error``.

        Raises:
            UserError: ``error`` itself where the image is not damaged but gone or changed; ``dataset.empty`` when every
                image is damaged.
        """
        if error.code != "image.damaged":
            raise error
        with self._lock:
            new = planned.image.uid not in self._known
            self._known.add(planned.image.uid)
            all_gone = self._trained <= self._known
        if new:
            self._voice.warn(
                error.code,
                _("{name} is damaged and is left out.").format(name=plain(planned.image.relative)),
                error.remedy,
            )
        if all_gone:
            raise UserError(
                _("every image is damaged."), remedy=_("lora-tui dataset check names them all."), code="dataset.empty"
            ) from error
