"""The keeper: a small process in its own session that starts a job, waits for it and tells how it ended.

``python -m lora_tui.jobs.keeper RUN_DIR [--resume]``. It imports no torch, no pydantic and no textual, so it
costs some 20 MB for as long as the run lasts. The job is in a session of its own with its output straight to
``trainer.log``: it goes on if the keeper is killed. SIGTERM is passed on to the job; SIGHUP is ignored. A job whose
run folder is deleted or moved away is ended: nobody could see or ask it any more, and it could save nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from lora_tui.alarms.webhooks import SECRETS
from lora_tui.errors import UserError
from lora_tui.files import open_append
from lora_tui.jobs import control, registry
from lora_tui.jobs.backwards import newest_first
from lora_tui.jobs.care import Care
from lora_tui.jobs.events import EventWriter, tail_events
from lora_tui.jobs.explain import Death, explain, read_tail
from lora_tui.jobs.ground import Ground
from lora_tui.jobs.job import Job, as_plain, environment, read_job, write_job
from lora_tui.jobs.lock import RunLock, holder
from lora_tui.jobs.process import host, identity, own_identity, place_of
from lora_tui.jobs.resources import Sampler, disk_free, oom_kills
from lora_tui.jobs.telling import Teller
from lora_tui.python import python_command
from lora_tui.text.translate import _, set_language

BEAT = 2.0
"""Seconds between heartbeats and between samples of the machine."""


GRACE = 5.0
"""Seconds that a job without a folder has to end by itself."""


def trainer_command() -> list[str]:
    """The command of a training, without the run folder: this Python, undisturbed by files of the current folder."""
    return python_command("-m", "lora_tui.trainer")


class Keeper:
    """Keeps one job. :meth:`run` returns the job's exit status (128 + n for signal n)."""

    def __init__(self, run_dir: Path, command: Sequence[str], *, resume: bool, budget: str = "") -> None:
        self.run_dir = run_dir
        self.command = (*command, str(run_dir), *(["--resume"] if resume else []))
        self.child: subprocess.Popen[bytes] | None = None
        self.ground = Ground(run_dir)
        self.events = EventWriter(run_dir / "events.jsonl")
        earlier = read_job(run_dir)
        log = run_dir / "trainer.log"
        now = time.time()
        self.job = Job(
            pid=os.getpid(),
            identity=own_identity(),
            command=self.command,
            started=now,
            heartbeat=now,
            host=host(),
            attempt=1 + (earlier.attempt if earlier else 0),
            worked=earlier.lived if earlier else 0.0,
            log_offset=log.stat().st_size if log.exists() else 0,
            folder=str(run_dir),
            place=place_of(run_dir),
        )
        self._passed = 0
        self._abandoned = False
        self._life = self.events.size()
        self._watch = _Watch(run_dir, self.events, lambda: self.child.pid if self.child is not None else 0)
        self._care = Care(run_dir, self.events, self.ground.place, self._kill, budget=budget)

    def run(self, started: Callable[[Job], None] = lambda _job: None) -> int:
        """Start the job, keep it, and say how it ended; ``started`` is called once it has begun, or has failed to."""
        self.events.emit("attempt", number=self.job.attempt, pid=self.job.pid, command=list(self.command))
        self._write()
        registry.register(self.run_dir)
        self._care.begin()
        try:
            self._start()
        except OSError as error:
            status = self._not_started(error)
            started(self.job)
            return status
        started(self.job)
        self._watch.start()
        self._care.start()
        missed = 0
        while not self._wait(BEAT):
            self._watch.look()
            self._care.look()
            missed = missed + 1 if self.ground.lost() else 0
            if missed > 1 or (missed and self.ground.deleted()):
                self._abandon()
                break
            self._write(heartbeat=time.time())
        self._watch.stop()
        return self._ended()

    def farewell(self) -> None:
        """Tell everyone of the end, and run the command after it; the run is not ours any more."""
        self._care.farewell()

    def pass_on(self, number: int) -> None:
        """Send a signal to the job; it saves and ends by itself."""
        self._passed = number
        if self.child is not None:
            self.child.send_signal(number)

    def _start(self) -> None:
        with open_append(self.run_dir / "trainer.log") as log:
            self.child = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                close_fds=True,
                cwd=self.run_dir,
                env={name: value for name, value in environment().items() if name not in SECRETS},
            )
        self._write(child_pid=self.child.pid, child_started=identity(self.child.pid))
        if self._passed:  # it came while there was no job yet
            self.child.send_signal(self._passed)

    def _wait(self, seconds: float) -> bool:
        """Whether the job ended within ``seconds``; waits without polling where the kernel can tell."""
        child = self.child
        assert child is not None
        try:
            descriptor = os.pidfd_open(child.pid)
        except (AttributeError, OSError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(seconds)
            return child.returncode is not None
        try:
            select.select([descriptor], [], [], seconds)
        finally:
            os.close(descriptor)
        return child.poll() is not None

    def _abandon(self) -> None:
        """End the job, which has no folder to work in: first so that it can let go of its device in order."""
        self._abandoned = True
        registry.unregister(self.run_dir)
        child = self.child
        assert child is not None
        child.send_signal(signal.SIGTERM)
        if not self._wait(GRACE):
            self._kill()
            child.wait()
        message = _("The run folder was deleted or moved away while it was running.")
        advice = _("If it was moved, resume it where it lies now.")
        self.events.emit("failed", code="folder.lost", message=message, advice=advice, by="keeper")

    def _kill(self) -> None:
        """End the job and all that it started at once."""
        if self.child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.child.pid, signal.SIGKILL)  # its session is its own: nobody else is in the group

    def _ended(self) -> int:
        child = self.child
        assert child is not None
        code = child.returncode
        number = -code if code < 0 else None
        if self._passed:
            self.events.emit("signal", number=self._passed)
        if not self._abandoned and not self._said_its_end():
            self._explain(code if number is None else None, number)
        if not self._abandoned:
            self._refuse_the_rest()
        self._write(ended=time.time(), exit_status=code if number is None else None, signal=number)
        registry.unregister(self.run_dir)
        self._care.ended(self.job.attempt)
        return 128 + number if number is not None else code

    def _said_its_end(self) -> bool:
        events = tail_events(self.run_dir / "events.jsonl", start=self._life)
        return any(event.get("kind") in ("failed", "finished") for event in events)

    def _trained(self) -> bool:
        """Whether this life made a step."""
        for event in newest_first(self.run_dir / "events.jsonl", ["resources", "phase"]):
            if event.get("kind") in ("step", "attempt"):
                return bool(event["kind"] == "step")
        return False

    def _refuse_the_rest(self) -> None:
        """Answer what was asked for too late for the job to see."""
        for request in control.ControlInbox(self.run_dir).poll():
            detail = _("the run has ended")
            self.events.emit("control", request=request.kind, status="rejected", detail=detail)

    def _explain(self, exit_status: int | None, number: int | None) -> None:
        death = Death(
            exit_status=exit_status,
            signal=number,
            log=read_tail(self.run_dir / "trainer.log", self.job.log_offset),
            oom_kills=self._watch.recent_kills(),
            ram_free=self._watch.ram_free,
            disk_free=disk_free(self.run_dir),
            trained=self._trained(),
        )
        told = explain(death)
        self.events.close()
        self.events = EventWriter(self.events.path)  # sees whether the job was killed within a line
        self.events.emit(
            "failed",
            code=told.code,
            message=told.message,
            advice=told.advice,
            by="keeper",
            exit_status=exit_status,
            signal=number,
        )

    def _not_started(self, error: OSError) -> int:
        reason = str(error.strerror or error).rstrip(".")
        message = _("The job could not be started: {reason}.").format(reason=reason)
        self.events.emit("failed", code="start", message=message, advice=_("Look at keeper.log."), by="keeper")
        self._write(ended=time.time(), exit_status=127)
        registry.unregister(self.run_dir)
        self._care.ended(self.job.attempt)
        return 127

    def _write(self, **changes: object) -> None:
        """Tell the folder, wherever it lies; that it is full is no reason to leave the job alone."""
        self.job = replace(self.job, **changes)  # type: ignore[arg-type]
        with contextlib.suppress(OSError):
            write_job(self.ground.place(), self.job)


class _Watch:
    """Samples the machine in a thread of its own, because a driver in trouble may never answer."""

    def __init__(self, run_dir: Path, events: EventWriter, pid: Callable[[], int]) -> None:
        self.ram_free: float | None = None
        self._run_dir = run_dir
        self._pid = pid
        self._events = events
        self._kills: deque[int] = deque([oom_kills()], maxlen=3)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="resources", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join(timeout=1.0)

    def look(self) -> None:
        """Remember how many processes the kernel has killed, to tell ours from older ones."""
        self._kills.append(oom_kills())

    def recent_kills(self) -> int:
        """Kills for want of memory within the last few heartbeats."""
        return oom_kills() - self._kills[0]

    def _sample(self) -> None:
        sampler = Sampler(self._run_dir, self._pid)
        while True:
            sample = sampler.sample()
            if sample["ram_total"]:
                self.ram_free = 1 - sample["ram_used"] / sample["ram_total"]
            self._events.emit("resources", **sample)
            if self._over.wait(BEAT):
                return


def keep(
    run_dir: Path,
    command: Sequence[str],
    *,
    resume: bool = False,
    budget: str = "",
    started: Callable[[Job], None] = lambda _job: None,
) -> int:
    """Keep a job in ``run_dir`` from start to end; return its exit status. ``started`` is called when it has begun.

    ``budget`` stands in place of that of the run's configuration. What is done after the end does not hold the run.

    Raises:
        UserError: ``run.locked`` when another keeper or a living trainer has the run.
    """
    with RunLock.acquire(run_dir / "keeper.lock"):
        if holder(run_dir / "lock") is not None:
            RunLock.acquire(run_dir / "lock").release()  # says who has it, unless it has just ended
        control.clear(run_dir)
        keeper = Keeper(run_dir, command, resume=resume, budget=budget)
        signal.signal(signal.SIGTERM, lambda number, _frame: keeper.pass_on(number))
        status = keeper.run(started)
    keeper.farewell()
    return status


def main(argv: Sequence[str] | None = None) -> int:
    """The command line of the keeper; its own errors go to stderr, which the launcher points at ``keeper.log``."""
    parser = argparse.ArgumentParser(prog="lora_tui.jobs.keeper", allow_abbrev=False)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--budget", default="", help="a time or an amount of money instead of the configuration's")
    parser.add_argument("--detach", action="store_true", help="go on in the background, as nobody's child")
    parser.add_argument("--tell", type=int, default=-1, help="a descriptor to say on, as JSON, that the job has begun")
    parser.add_argument("--command-json", default="", help="another job: its command line as a JSON list")
    args = parser.parse_args(argv)
    if args.detach and os.fork():
        os._exit(0)
    teller = Teller(args.tell)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, lambda _number, _frame: None)  # not SIG_IGN: the job would inherit that
    set_language()
    command = [str(part) for part in json.loads(args.command_json)] if args.command_json else trainer_command()

    def started(job: Job) -> None:
        teller.tell({"job": as_plain(job)})

    try:
        return keep(args.run_dir.absolute(), command, resume=args.resume, budget=args.budget, started=started)
    except UserError as error:
        teller.failed(str(error))
        return 2
    except OSError as error:
        teller.failed(_("The run folder cannot be written: {reason}.").format(reason=error))
        return 2


if __name__ == "__main__":
    sys.exit(main())
