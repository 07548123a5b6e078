"""Starting a job so that it outlives the terminal, the app and the connection that started it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.files import NotAFileError, open_append
from lora_tui.jobs.explain import last_lines, read_tail
from lora_tui.jobs.job import Job, environment, from_plain, read_job
from lora_tui.jobs.lock import RunLock, holder
from lora_tui.python import python_command
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

_LOCKS = ("lock", "keeper.lock")


def start(
    run_dir: Path, *, resume: bool = False, wait: float = 30, command: Sequence[str] | None = None, budget: str = ""
) -> Job:
    """Start the keeper of ``run_dir``, which starts the trainer; return when it has said so.

    Requests to an earlier life of the run are forgotten. The keeper is started by ``Popen`` in a new session and
    leaves its starter at once, so neither a closed terminal nor the end of this process reaches it; Ctrl+C waits
    until the job has begun. What the keeper says comes by a pipe, for files cannot be written on a full disk; one
    that says nothing in time is ended, unless it has the run already.

    Args:
        resume: go on from the run's last state.
        wait: seconds to wait until the trainer's process is there.
        command: another program in the trainer's place; the run folder (and ``--resume``) is appended to it.
        budget: a time or an amount of money in place of what the run's configuration says.

    Raises:
        UserError: ``run.locked`` while the run is being trained, ``job.start`` when the keeper cannot be started.
    """
    run_dir = run_dir.absolute()
    _let_the_old_keeper_go(run_dir)
    for name in _LOCKS:
        if holder(run_dir / name) is not None:
            RunLock.acquire(run_dir / name).release()  # says who has it, unless it has just ended
    log = run_dir / "keeper.log"
    offset = log.stat().st_size if log.exists() else 0
    with uninterrupted():
        return _started(run_dir, _options(resume, command, budget), wait, offset)


def _started(run_dir: Path, options: Sequence[str], wait: float, offset: int) -> Job:
    line = python_command("-m", "lora_tui.jobs.keeper", str(run_dir), *options)
    process, ear = spawn(line, run_dir / "keeper.log")
    told = listen(ear, wait)
    slow = told is None and any(holder(run_dir / name) is not None for name in _LOCKS)
    if told is None and not slow:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # it has the session for itself: no trainer is in it
    process.wait()
    if slow:
        return read_job(run_dir) or Job()
    if told and "job" in told:
        return from_plain(told["job"])
    raise _not_started(run_dir, offset, str((told or {}).get("failed", "")))


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let a Ctrl+C wait, so that whoever leaves leaves a job that has begun or one that has not."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        signal.raise_signal(signal.SIGINT)


def _let_the_old_keeper_go(run_dir: Path) -> None:
    """A keeper that has told the end of its job is about to leave; it is no reason to refuse a start."""
    job = read_job(run_dir)
    deadline = time.monotonic() + 5
    while job is not None and job.ended is not None and time.monotonic() < deadline:
        if holder(run_dir / "keeper.lock") is None:
            return
        time.sleep(0.01)


def _options(resume: bool, command: Sequence[str] | None, budget: str) -> list[str]:
    """What the keeper is told on its command line."""
    options = ["--resume"] if resume else []
    if budget:
        options += ["--budget", budget]
    if command is not None:
        options += ["--command-json", json.dumps([str(part) for part in command])]
    return options


def spawn(command: Sequence[str], log: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start a program that takes ``--detach`` and ``--tell``, and leaves us for the background.

    Return what is left here of it, and the descriptor on which it says how it went: :func:`listen` reads and closes it.

    Raises:
        UserError: ``job.start``.
    """
    ear, mouth = os.pipe()
    try:
        with open_append(log) as output:
            process = subprocess.Popen(
                [*command, "--detach", "--tell", str(mouth)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(mouth,),
                env=environment(),
            )
    except NotAFileError:
        os.close(ear)
        raise
    except OSError as error:
        os.close(ear)
        raise UserError(
            _("The job cannot be started: {reason}.").format(reason=error.strerror or error),
            place=str(log.parent),
            remedy=_("Make the run folder writable and leave room on the disk."),
            code="job.start",
        ) from error
    finally:
        os.close(mouth)
    return process, ear


def listen(ear: int, seconds: float) -> dict[str, Any] | None:
    """What a program of :func:`spawn` says; empty when it ends without a word, none when it is silent for so long."""
    deadline = time.monotonic() + seconds
    text = b""
    try:
        while not text.endswith(b"\n"):
            if not select.select([ear], [], [], max(deadline - time.monotonic(), 0))[0]:
                return None
            part = os.read(ear, 1 << 16)
            if not part:
                return {}
            text += part
    finally:
        os.close(ear)
    return dict(json.loads(text))


def _not_started(run_dir: Path, offset: int, told: str) -> UserError:
    lines = [told] if told else last_lines(read_tail(run_dir / "keeper.log", offset), 1)
    reason = plain(lines[0], limit=400) if lines else _("it does not answer")
    return UserError(
        _("The keeper of the run did not start: {reason}.").format(reason=reason.rstrip(".")),
        place=str(run_dir / "keeper.log"),
        remedy=_("Look at that file; lora-tui doctor checks the installation."),
        code="job.start",
    )
