"""The other processes of a run, as the first one has them: started, handed the material, watched, ended.

Each is ``python -m lora_tui.trainer.follower``: a child of the first, or a guest that a launcher started. It is told
what to train through a line that stays open for as long as the first one lives: at its end the other one ends, too,
whatever it is doing.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import threading

import torch

from lora_tui.dataset.batches import DataPlan
from lora_tui.errors import UserError
from lora_tui.jobs.explain import Explanation
from lora_tui.text import _
from lora_tui.trainer.failures import LostProcess
from lora_tui.trainer.failures import explain as told_of
from lora_tui.trainer.handover import Handover, Provisions
from lora_tui.trainer.material import Material
from lora_tui.trainer.members import Child, Member
from lora_tui.trainer.ranks import HOST, Alone, Ranks, free_port, join, part
from lora_tui.trainer.record import record_result
from lora_tui.trainer.session import Session

STUCK = 8.0  # seconds that a run has to end by itself when a process is gone; a GPU may keep it for ever
LEAVING = 5.0  # seconds that the others have to end when they are not needed any more


class Crew:
    """The processes beside the first one; none where a run has but one.

    They are this one's children, or the launcher's, which come to the session's reception.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._count = session.config.memory.processes
        self._members: list[Member] = []
        self._handovers: dict[int, bytes] = {}
        self._ready = threading.Event()  # there is something to hand over
        self._lost: LostProcess | None = None
        self._known = threading.Event()
        self._told = self._closed = False
        self._guard = threading.Lock()
        if session.reception is not None:
            for number in range(1, self._count):
                threading.Thread(target=self._admit, args=(number,), name=f"process {number}", daemon=True).start()

    def start(self, material: Material) -> None:
        """Start the others, which load what they need meanwhile; :meth:`join` comes next.

        Raises:
            UserError: there is not enough to share, or no such device.
        """
        if self._count == 1:
            return
        require_shares(material.data.plan, self._count)
        session, provisions = self._session, Provisions.of(material)
        host = session.launched.host if session.launched else HOST
        self._place = free_port(host)
        for number, device in enumerate(session.devices[1:], start=1):
            handover = Handover(
                session.folder.root, session.config, number, self._count, (host, self._place.getsockname()[1]), device,
                session.dtype, torch.get_num_threads(), session.ladder.policy, provisions,
            )  # fmt: skip
            self._handovers[number] = pickle.dumps(handover)
        self._ready.set()
        if session.reception is None:
            for number in self._handovers:
                member = Child(number, session.folder.log_of(number))
                self._members.append(member)
                threading.Thread(target=self._watch, args=(member,), name=f"process {number}", daemon=True).start()

    def _admit(self, number: int) -> None:
        """Wait for one that a launcher started; its end counts from when it has come."""
        assert self._session.reception is not None
        guest = self._session.reception.guest(number)
        with self._guard:
            if guest is None or self._closed:
                return
            self._members.append(guest)
        threading.Thread(target=self._provide, args=(guest,), name=f"handover {number}", daemon=True).start()
        self._watch(guest)

    def _provide(self, member: Member) -> None:
        self._ready.wait()
        member.hand_over(self._handovers[member.number])

    def join(self) -> Ranks:
        """Wait for the others and come together with them.

        Raises:
            LostProcess: one of them has ended.
            StopRun: a stop was asked for.
        """
        if self._count == 1:
            return Alone()
        return join(
            0, self._count, self._session.device, self._place, self.verdict, waiting=self._wait, leave=self.close
        )  # fmt: skip

    def _wait(self) -> None:
        self.require_whole()
        self._session.controls.safe_point()

    def verdict(self, error: RuntimeError) -> Exception:
        """What ``error``, raised where processes met, means: one of them is gone. ``error`` itself if none is."""
        self._known.wait(STUCK)
        with self._guard:
            self._told = self._lost is not None
            return self._lost or error

    def close(self) -> None:
        """End the others; they hold nothing that is not saved here."""
        with self._guard:
            self._closed = True
        for member in self._members:
            member.release()
        for member in self._members:
            member.end(LEAVING)
        if self._members and self._lost is None:
            part()
        self._members.clear()

    def require_whole(self) -> None:
        """Whether none was lost; a stop that came together with a loss hides none.

        Raises:
            LostProcess: one of them has ended.
        """
        with self._guard:
            self._told = self._lost is not None
            if self._lost is not None:
                raise self._lost

    def _watch(self, member: Member) -> None:
        """Hand over to a child, then wait for its end; any end before :meth:`close` is the end of the run."""
        if self._session.reception is None:
            self._provide(member)
        word = member.last_word()
        with self._guard:
            if self._closed or self._lost is not None:
                return
            self._lost = self._reason(member, word)
            self._known.set()
        self._end_if_stuck()

    def _reason(self, member: Member, word: bytes) -> LostProcess:
        try:
            told = Explanation(**json.loads(word))
        except (ValueError, TypeError):
            told = member.silent_end()
        message = _("process {number} of {count} ended: {reason}").format(
            number=member.number + 1, count=self._count, reason=told.message
        )
        return LostProcess(message, remedy=told.advice, code=told.code)

    def _end_if_stuck(self) -> None:
        """End this process if it does not do so itself: it may wait for a GPU that waits for the one that is gone."""
        threading.Event().wait(STUCK)
        with self._guard:
            if self._closed and self._session.device.type == "cpu":
                return
            told, lost = self._told, self._lost
        assert lost is not None
        if not told:
            failure = told_of(lost)
            print(_("failed:"), failure.message, failure.advice, file=sys.stderr, flush=True)
            self._session.events.emit("failed", code=failure.code, message=failure.message, advice=failure.advice)
            record_result(self._session, reason="failed", code=failure.code)
        for member in self._members:
            member.release()
            member.end(0)
        os._exit(1)


def require_shares(plan: DataPlan, processes: int) -> None:
    """Whether each process has something to do in an epoch.

    Raises:
        UserError: one has not.
    """
    shared = min(plan.accumulation, plan.batches_per_epoch)
    if shared < processes:
        raise UserError(
            _("{processes} processes cannot share {count} batches.").format(processes=processes, count=shared),
            place="memory.processes",
            remedy=_("Set memory.processes to at most {count}.").format(count=shared),
            code="processes.too_many",
        )
