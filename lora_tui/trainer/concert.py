"""What the processes of a run do together besides adding up gradients: begin, wait, leave the device, need less memory.

The first process leads. The others hear it where all :meth:`~Concert.meet`, before every update; what it does between
two updates, such as drawing samples, they wait out there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import torch

from lora_tui.errors import UserError
from lora_tui.runs.memory_policy import Policy
from lora_tui.text import _
from lora_tui.trainer.course import Course
from lora_tui.trainer.ranks import BEGIN, COURSE, PARK, POLICY, UNPARK, Alone, Ranks
from lora_tui.trainer.session import Session
from lora_tui.trainer.trainee import Trainee


class Concert:
    """The part of one process in it; a process that is alone is always at one with itself."""

    def __init__(self, session: Session, trainee: Trainee, course: Course) -> None:
        self._session = session
        self._trainee = trainee
        self.course = course
        self._held = course.now  # what all processes hold to
        self._ranks: Ranks = session.ranks
        self._told = session.ladder.policy  # what all processes go by
        if not self._ranks.is_first:
            self._ranks.obey = {
                PARK: trainee.park, UNPARK: self._unpark_as_told, POLICY: self._policy_as_told,
                COURSE: lambda: course.take(self._ranks.agree(None)),
            }  # fmt: skip

    def begin(self, state: int, take_up: Callable[[int], None], place: Callable[[], list[int]]) -> None:
        """Begin with the same weights at the same place.

        Args:
            state: the step of the state that the first process took up; -1 where it took up none.
            take_up: has another process take up the state of that step, or whatever a run begins with.
            place: where this process is then.

        Raises:
            UserError: they do not hold the same.
        """
        ranks = self._ranks
        if ranks.count == 1:
            return
        ranks.meet(BEGIN)
        step = ranks.agree(state)
        if not ranks.is_first:
            take_up(step)
        if step < 0:  # other GPUs may have rounded otherwise; what is read from a state is the same everywhere
            for tensor in self._trainee.adapter.tensors().values():
                whole = tensor.detach().contiguous()
                ranks.share(whole)
                tensor.detach().copy_(whole)
        here = [*place(), self._trainee.fingerprint()]
        if ranks.agree(here) != here:
            raise UserError(
                _("the processes of the run do not begin with the same weights."),
                place="memory.processes",
                remedy=_("Resume the run, or set memory.processes to 1."),
                code="processes.differ",
            )

    def meet(self) -> None:
        """Come together before an update, which is the safe point of several processes.

        Raises:
            StopRun: a stop was asked for.
        """
        ranks, ladder = self._ranks, self._session.ladder
        if ranks.count == 1:
            return
        self._session.controls.safe_point()
        if ranks.is_first and ladder.policy != self._told:
            ranks.tell(POLICY)
            ranks.agree(ladder.policy.as_dict())
        if ranks.is_first and self.course.now != self._held:
            ranks.tell(COURSE)
            ranks.agree(self.course.as_told())
        self._told, self._held = ladder.policy, self.course.now
        ranks.meet()

    def end(self) -> None:
        """Go on alone, as the first process: no further update is shared."""
        self._ranks.leave()
        self._ranks = self._session.ranks = Alone()

    def park(self) -> None:
        """Leave the device, all of them."""
        self._ranks.tell(PARK)
        self._trainee.park()

    def unpark(self) -> None:
        """Take the device again.

        Raises:
            torch.OutOfMemoryError: one of them has no room; :meth:`park` takes all away again.
        """
        self._ranks.tell(UNPARK)
        self._unpark()

    def _unpark(self) -> None:
        failed: torch.OutOfMemoryError | None = None
        try:
            self._trainee.unpark()
        except torch.OutOfMemoryError as error:
            failed = error
        if self._ranks.any(failed is not None):
            raise failed or torch.OutOfMemoryError

    def _unpark_as_told(self) -> None:
        with contextlib.suppress(torch.OutOfMemoryError):  # the first process knows, and has all leave again
            self._unpark()

    def _policy_as_told(self) -> None:
        policy, ladder = Policy.read(self._ranks.agree(None)), self._session.ladder
        if policy is not None and policy != ladder.policy:
            ladder.policy = policy
            for change in ladder.changed:
                change(policy)
