"""The other processes of a run, as the first one has them: started, handed the material, watched, ended.

Each is a child of the first, ``python -m lora_tui.trainer.follower``. It is told what to train through its standard
input, which stays open for as long as the first one lives: at its end the other one ends, too, whatever it is doing.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import torch

from lora_tui.dataset.batches import DataPlan
from lora_tui.errors import UserError
from lora_tui.jobs.explain import Death, Explanation, explain, read_tail
from lora_tui.jobs.job import environment
from lora_tui.jobs.resources import oom_kills
from lora_tui.python import python_command
from lora_tui.text import _
from lora_tui.trainer.failures import LostProcess
from lora_tui.trainer.failures import explain as told_of
from lora_tui.trainer.handover import Handover, Provisions
from lora_tui.trainer.material import Material
from lora_tui.trainer.ranks import Alone, Ranks, free_port, join, part
from lora_tui.trainer.record import record_result
from lora_tui.trainer.session import Session

STUCK = 8.0  # seconds that a run has to end by itself when a process is gone; a GPU may keep it for ever
LEAVING = 5.0  # seconds that the others have to end when they are not needed any more


@dataclass
class _Member:
    """A process, the log that it writes to, and the bytes of it that were there before."""

    number: int
    process: subprocess.Popen[bytes]
    log: Path
    offset: int
    kills: int = field(default_factory=oom_kills)


class Crew:
    """The processes beside the first one; none where a run has but one."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._count = session.config.memory.processes
        self._members: list[_Member] = []
        self._lost: LostProcess | None = None
        self._known = threading.Event()
        self._told = self._closed = False
        self._guard = threading.Lock()

    def start(self, material: Material) -> None:
        """Start the others, which load what they need meanwhile; :meth:`join` comes next.

        Raises:
            UserError: there is not enough to share, or no such device.
        """
        if self._count == 1:
            return
        require_shares(material.data.plan, self._count)
        session, provisions = self._session, Provisions.of(material)
        self._place = free_port()
        for number, device in enumerate(session.devices[1:], start=1):
            handover = Handover(
                session.folder.root, session.config, number, self._count, self._place.getsockname()[1], device,
                session.dtype, torch.get_num_threads(), session.ladder.policy, provisions,
            )  # fmt: skip
            self._begin(handover)

    def _begin(self, handover: Handover) -> None:
        path = self._session.folder.log_of(handover.number)
        with path.open("ab") as log:
            process = subprocess.Popen(
                python_command("-m", "lora_tui.trainer.follower"),
                bufsize=0,  # nothing waits for the other process when its end of the pipe is closed
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(),
            )
            member = _Member(handover.number, process, path, log.tell())
        self._members.append(member)
        data = pickle.dumps(handover)
        threading.Thread(target=self._watch, args=(member, data), name=f"process {member.number}", daemon=True).start()

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
        with self._guard:
            self._told = self._lost is not None
            if self._lost is not None:
                raise self._lost
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
            with contextlib.suppress(OSError):
                if member.process.stdin:
                    member.process.stdin.close()
        for member in self._members:
            try:
                member.process.wait(LEAVING)
            except subprocess.TimeoutExpired:
                member.process.kill()
                member.process.wait()
        if self._members and self._lost is None:
            part()
        self._members.clear()

    def _watch(self, member: _Member, data: bytes) -> None:
        """Hand over, then wait for its end; any end before :meth:`close` is the end of the run."""
        process = member.process
        assert process.stdin and process.stdout
        with contextlib.suppress(OSError, ValueError):  # it is gone, or not needed any more
            rest = memoryview(data)
            while rest:
                rest = rest[process.stdin.write(rest) :]
        word = process.stdout.read()
        status = process.wait()
        with self._guard:
            if self._closed or self._lost is not None:
                return
            self._lost = self._reason(member, status, word)
            self._known.set()
        self._end_if_stuck()

    def _reason(self, member: _Member, status: int, word: bytes) -> LostProcess:
        try:
            told = Explanation(**json.loads(word))
        except (ValueError, TypeError):
            death = Death(
                exit_status=status if status >= 0 else None,
                signal=-status if status < 0 else None,
                log=read_tail(member.log, member.offset),
                oom_kills=oom_kills() - member.kills,
            )
            told = explain(death)
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
            member.process.kill()
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
