"""What a run saves while it trains: copied where the loop stands, written beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lora_tui.text import _, ngettext
from lora_tui.trainer.outputs import AVERAGE, BEST, Checkpoints
from lora_tui.trainer.session import Session
from lora_tui.trainer.state import Snapshot, take_state
from lora_tui.trainer.trainee import Trainee
from lora_tui.trainer.writer import Taken, Writer


class Saving:
    """LoRA files and states of one life of a run; they are on disk once the ``writer`` has settled.

    Attributes:
        state: the step of the newest state; -1 where there is none.
        newest: the newest LoRA file.
        complete: the final file is saved.
    """

    def __init__(self, session: Session, trainee: Trainee, checkpoints: Checkpoints) -> None:
        self._session = session
        self._trainee = trainee
        self.checkpoints = checkpoints
        self.writer = Writer(session.device, self._tell_short)
        self.state = -1
        self.newest: Path | None = None
        self._saved = 0  # the step of that file
        self.complete = False

    def save(self, step: int, epoch: int, *, final: bool = False) -> None:
        """A LoRA file of the weights as they are now (``epoch`` from 1), and of their average where one is kept.

        Raises:
            OSError, UserError: it cannot be written, or what was saved before could not.
            StopRun: a stop was asked for.
        """
        self._session.phase("saving", _("LoRA file"))
        if self._trainee.average:
            self._take(step, epoch, final=final, kind=AVERAGE, average=True)
        self._take(step, epoch, final=final)
        self.newest = self.checkpoints.path(step, final=final)
        self._saved, self.complete = step, final

    def given_up(self, step: int) -> str:
        """What an end at ``step`` gives up and what it leaves, in words; empty where nothing is lost."""
        lost = step - max(self.state, 0)
        if lost <= 0:
            return ""
        if self.state >= 0:
            text = ngettext(
                "{count} step since the state at step {step} is given up.",
                "{count} steps since the state at step {step} are given up.",
                lost,
            )
            return text.format(count=lost, step=self.state)
        if self.newest is None:
            text = ngettext(
                "{count} step is given up: no state had been written.",
                "{count} steps are given up: no state had been written.",
                lost,
            )
            return text.format(count=lost)
        text = ngettext(
            "{count} step is given up: no state had been written; the LoRA file of step {step} is kept.",
            "{count} steps are given up: no state had been written; the LoRA file of step {step} is kept.",
            lost,
        )
        return text.format(count=lost, step=self._saved)

    def save_best(self, step: int, epoch: int) -> None:
        """The file of the best validation; raises what :meth:`save` does."""
        self._session.phase("saving", _("LoRA file"))
        self._take(step, epoch, kind=BEST, average=self._session.config.learning.ema_in_use)

    def save_state(self, snapshot: Snapshot, epoch: int) -> None:
        """Everything that an exact resume needs; raises what :meth:`save` does."""
        self._session.phase("saving", _("state"))
        step, folder = snapshot.position.step, self._session.folder
        self.writer.begin(step)
        keep = self._session.config.saving.keep_states
        taken = take_state(folder.state_dir, snapshot, self.writer.copies, keep=keep)

        def write() -> Path:
            path = taken.write()
            relative = path.relative_to(folder.root).as_posix()
            self._session.events.emit("state", step=step, epoch=epoch, path=relative)
            return path

        self.writer.add(replace(taken, write=write))
        self.state = step

    def _tell_short(self) -> None:
        text, remedy = _("memory ran out while the result was saved."), _("It is written again, before the next step.")
        self._session.warn("saving.memory", text, remedy)

    def _take(self, step: int, epoch: int, *, final: bool = False, kind: str = "", average: bool = False) -> None:
        """Have a file of the weights, or of their average, written as they are now."""

        def take() -> Taken:
            with self._trainee.weights_in_use(average=average):
                return self.checkpoints.take(step, epoch, self.writer.copies, final=final, kind=kind)

        self.writer.begin(step)
        self.writer.add(self._session.ladder.attempt("saving", take, step=step))
