"""``python -m lora_tui.jobs.slurm.node RUN_DIR``: what a run's job in Slurm does on its first node.

It starts the run's keeper there by ``srun`` (on several nodes a launcher, see :mod:`lora_tui.jobs.slurm.rank`), and
waits. Slurm sends SIGUSR1 some minutes before the time limit; then the run is asked to stop, which saves it, and the
job goes back to wait, if it may. A preempted run is sent SIGTERM by Slurm itself, to the same end. What it prints is in
``slurm.log``. It loads no torch: all of this is done in some 20 MB.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from lora_tui.errors import UserError
from lora_tui.jobs import control
from lora_tui.jobs.events import EventWriter, tail_events
from lora_tui.jobs.job import environment, read_job
from lora_tui.jobs.slurm import calls
from lora_tui.jobs.slurm.options import Options, options_from
from lora_tui.jobs.slurm.submission import Submission, change, update
from lora_tui.python import python_command
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.status import inspect
from lora_tui.text.translate import _, set_language

LOOK = 0.5
"""Seconds between looks."""
AGAIN = 5.0
"""Seconds after which a stop that nobody took is asked for again: the keeper forgets what was asked before it began."""
MOST_IDLE = 3
"""Starts in a row without a step after which a run is not sent back to wait: it would do so for ever."""

UNWRITABLE = os.EX_IOERR
"""Exit status where the run folder cannot be written from the node."""

_PATIENCE = 120.0
"""Seconds that Slurm has to end a job that it has sent back to wait."""


class Node:
    """The job of a run, on the first of its nodes."""

    def __init__(self, run: RunFolder, sent: Submission, command: Sequence[str] | None = None) -> None:
        """``command``: another program in the place of ``srun`` and what it starts."""
        self.run = run
        self.sent = sent
        self.events = EventWriter(run.events_path)
        self.since = self.events.size()
        self.told = 0
        self._options = _options(sent)
        self._command = command
        self._leaving = False
        self._asked = -AGAIN

    def live(self) -> int:
        """One life of the run; the job's exit status. Does not come back where the job goes back to wait."""
        for number in (signal.SIGUSR1, signal.SIGTERM):
            signal.signal(number, self._hear)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self.events.emit("slurm", what="begun", job=self.sent.job, nodes=self.sent.nodes, restarts=self.sent.restarts)
        child = subprocess.Popen(self._command or self._step(), stdin=subprocess.DEVNULL, env=environment())
        while child.poll() is None:
            if self.told:
                self._ask_to_stop()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(LOOK)
        return self._ended(child.returncode)

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        self.told = number

    def _step(self) -> list[str]:
        """``srun`` with what it starts on each node."""
        line = ["srun", "--kill-on-bad-exit=1", f"--nodes={self._options.nodes}", f"--ntasks={self._options.nodes}"]
        if self._options.cpus:  # Slurm 22.05 and newer do not take it from the job
            line.append(f"--cpus-per-task={self._options.cpus}")
        root = str(self.run.root)
        if self._options.nodes > 1:
            line += python_command("-m", "lora_tui.jobs.slurm.rank", root, "--port", str(_free_port()))
            return [*line, "--per-node", str(max(self._options.gpu_count, 1))]
        line += python_command("-m", "lora_tui.jobs.keeper", root)
        if read_job(self.run.root) is not None:
            line.append("--resume")
        return [*line, *(["--budget", self.sent.budget] if self.sent.budget else [])]

    def _ask_to_stop(self) -> None:
        """Have the run save and end, in a way that nothing of Slurm's and no library's use of signals can garble."""
        if not self._leaving:
            self._leaving = True
            name = signal.Signals(self.told).name
            self.events.emit("slurm", what="signal", signal=name, job=self.sent.job)
            self._say(state="leaving" if self._options.requeue else "begun")
        if time.monotonic() - self._asked >= AGAIN and inspect(self.run).alive:
            with contextlib.suppress(UserError):
                if "stop" not in control.waiting(self.run.root):
                    control.request(self.run.root, "stop")
                self._asked = time.monotonic()

    def _ended(self, status: int) -> int:
        """The run's processes are gone: back to wait, or out of Slurm."""
        events = tail_events(self.run.events_path, start=self.since)
        kinds = {str(event.get("kind")) for event in events}
        signalled = self.told != 0 or "signal" in kinds
        idle = 0 if "step" in kinds else self.sent.idle + 1
        how = inspect(self.run)
        if how.state == "finished" or not (signalled and how.can_resume and self._options.requeue):
            self._say(state="over", word="")
            return 0 if how.state in ("finished", "stopped") else max(status, 1)
        if how.state != "stopped":  # it died of the signal, or failed by itself
            self._say(state="over", word="")
            return max(status, 1)
        if idle >= MOST_IDLE:
            self.events.emit(
                "warning", code="slurm.idle",
                message=_("Its last {count} turns in Slurm ended before it made a step.").format(count=idle),
                remedy=_("Ask for more time with --time: lora-tui runs resume RUN --time …"),
            )  # fmt: skip
            self._say(state="over", word="")
            return 1
        return self._back_to_wait(idle)

    def _back_to_wait(self, idle: int) -> int:
        """Send the job back; a cancelled one stays where it is, for it is not to run again."""
        mine = (calls.ask([self.sent.job], self.sent.cluster) or {}).get(self.sent.job)
        if mine is not None and mine.state not in ("RUNNING", "SIGNALING"):  # of a cancelled one it is COMPLETING
            self._say(state="over", word="CANCELLED")
            return 0
        self._say(state="requeued", idle=idle)
        self.events.emit("slurm", what="requeued", job=self.sent.job)
        answer = calls.requeue(self.sent.job)
        if answer.status == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            time.sleep(_PATIENCE)
        self.events.emit(
            "warning", code="slurm.requeue",
            message=_("Slurm does not send the job back to wait: {words}.").format(words=answer.words),
            remedy=_("The run is saved: lora-tui runs resume RUN sends it again."),
        )  # fmt: skip
        self._say(state="over", word="")
        return 0

    def _say(self, **changes: object) -> None:
        try:
            change(self.run.root, self.sent.job, **changes)
        except OSError as error:
            print(_unwritable(self.run, error), file=sys.stderr, flush=True)


def claim(run: RunFolder) -> Submission | None:
    """Take the run for this job; none where it was given to another job, or taken out of Slurm, meanwhile.

    Raises:
        OSError: the run folder cannot be written from here.
    """
    job = calls.environment_job()

    def begun(known: Submission | None) -> Submission | None:
        if known is None or (known.job and known.job != job) or known.state in ("over", "refused"):
            return None
        return replace(
            known,
            job=job,
            state="begun",
            begun=time.time(),
            nodes=os.environ.get("SLURM_JOB_NODELIST", ""),
            restarts=int(os.environ.get("SLURM_RESTART_COUNT") or 0),
        )

    return update(run.root, begun)


def _unwritable(run: RunFolder, error: OSError) -> str:
    reason = f"{run.root}: {error.strerror or error}"
    return _("The run folder cannot be written from this node: {reason}.").format(reason=reason)


def _options(sent: Submission) -> Options:
    try:
        return options_from(sent.options)
    except UserError:  # of another version: the script has the options, and Slurm has given what they say
        return Options(nodes=int(os.environ.get("SLURM_JOB_NUM_NODES") or 1))


def _free_port() -> int:
    with socket.create_server(("", 0)) as listening:
        return int(listening.getsockname()[1])


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; exit status 0 where there is nothing more to do."""
    parser = argparse.ArgumentParser(prog="lora_tui.jobs.slurm.node", allow_abbrev=False)
    parser.add_argument("run_dir", type=Path)
    run = RunFolder(parser.parse_args(argv).run_dir)
    set_language()
    if not calls.environment_job():
        print(_("This is the program of a job in Slurm: lora-tui train CONFIG --on slurm sends one."), file=sys.stderr)
        return 2
    try:
        sent = claim(run)
        if sent is None:
            print(_("The run was given to another job, or taken out of Slurm, meanwhile: nothing to do."), flush=True)
            return 0
        node = Node(run, sent)
    except OSError as error:
        print(_unwritable(run, error), file=sys.stderr)
        return UNWRITABLE
    return node.live()


if __name__ == "__main__":
    sys.exit(main())
