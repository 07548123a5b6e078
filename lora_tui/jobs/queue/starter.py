"""``python -m lora_tui.jobs.queue.starter ID LIFE``: start one job of the queue, once and never twice.

It holds the lock of the job's folder, together with the command that it calls, until the job has begun. Under that
lock it looks whether the job is still to be started in this life and nobody did it before: a queue that was killed may
have begun to. Before the job's process begins, its folder is handed in as a ticket (:mod:`lora_tui.jobs.ticket`), so
that whoever finds the lock free and no ticket knows that nothing runs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.files import open_file, write_atomic
from lora_tui.jobs.job import environment
from lora_tui.jobs.lock import RunLock
from lora_tui.jobs.queue.journal import job_dir, read_queue
from lora_tui.jobs.queue.kinds import kind_named
from lora_tui.jobs.queue.record import QueueJob
from lora_tui.jobs.ticket import VARIABLE
from lora_tui.python import python_command
from lora_tui.text.translate import _, set_language

PATIENCE = 120.0
"""Seconds to wait for another starter of the same job to end."""


LOG = "start.log"
"""What was printed when the job was started, in its folder."""


def log_path(job: QueueJob) -> Path:
    """What the starters of a job and the commands that they call printed."""
    return job_dir(job.id) / LOG


def lock_path(job: QueueJob) -> Path:
    """What a living starter of the job holds."""
    return job_dir(job.id) / "lock"


def ticket_path(job: QueueJob) -> Path:
    """Where the folder is said in which this life of the job works."""
    return job_dir(job.id) / f"place-{job.life}.json"


def answer_path(job: QueueJob) -> Path:
    """Where it is said how the start of this life went."""
    return job_dir(job.id) / f"answer-{job.life}.json"


def read_answer(job: QueueJob) -> dict[str, Any]:
    """How the start went: ``status`` (an exit status), ``message``, ``advice``; empty while nobody has said."""
    try:
        with open_file(answer_path(job)) as file:
            value = json.loads(file.read(1 << 20))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def starter_command(job: QueueJob) -> list[str]:
    """The command line of a starter."""
    return python_command("-m", "lora_tui.jobs.queue.starter", str(job.id), str(job.life))


def starter_environment(job: QueueJob, *, any_gpus: bool) -> dict[str, str]:
    """The environment of a starter and of all that it starts: the job's own variables, and the GPUs it was given.

    Where there are GPUs (``any_gpus``) and it was given none, it sees none: they are others'. What goes to a cluster,
    which may be sent this environment, is told nothing of this machine's.
    """
    env = {**environment(), **job.variables}
    env.pop(VARIABLE, None)
    if not job.elsewhere and (any_gpus or job.given):
        env["CUDA_VISIBLE_DEVICES"] = ",".join(job.given)
    return env


def main(argv: Sequence[str] | None = None) -> int:
    """Start the job that the command line names."""
    number, life = (int(word) for word in (sys.argv[1:] if argv is None else argv))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    set_language()
    with _lock(job_dir(number) / "lock") as lock:
        job = read_queue().jobs.get(number)
        if job is None or job.life != life or job.state != "starting":
            return 0
        if ticket_path(job).exists() or answer_path(job).exists():
            return 0  # another starter did it
        try:
            answer = _start(job, lock)
        except UserError as error:
            answer = _words(2, error.as_dict())
        except Exception as error:  # a defect of ours: the job has failed, the queue goes on
            traceback.print_exc()
            answer = {"status": 1, "message": f"{type(error).__name__}: {error}"[:500], "advice": ""}
        write_atomic(answer_path(job), json.dumps(answer).encode("ascii") + b"\n")
    return 0


def _lock(path: Path) -> RunLock:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return RunLock.acquire(path)
        except UserError as error:
            if error.code != "run.locked" or time.monotonic() > end:
                raise
            time.sleep(0.05)


def _start(job: QueueJob, lock: RunLock) -> dict[str, Any]:
    kind = kind_named(job.kind)
    if not Path(job.folder).is_dir():
        raise UserError(
            _("The folder in which it is to run is gone: {folder}.").format(folder=job.folder),
            remedy=_("Put it back and try again: lora-tui queue retry {number}").format(number=job.id),
            code="queue.folder",
        )
    if job.place and Path(job.place).is_dir():
        return _called((*kind.again, job.place), job, lock)
    if kind.background:
        head = len(kind.words)
        return _called((*job.command[:head], *kind.background, *job.command[head:]), job, lock)
    from lora_tui.tasks.start import start_task

    os.environ[VARIABLE] = str(ticket_path(job))
    options = {"command": list(job.command), "folder": job.folder}
    start_task(job_dir(job.id), "command", job.title, options, about=[Path(job.folder)])
    return {"status": 0}


def _called(command: Sequence[str], job: QueueJob, lock: RunLock) -> dict[str, Any]:
    """Call a command that puts its work into the background and answers with one JSON document."""
    done = subprocess.run(
        python_command("-m", "lora_tui", *command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        cwd=job.folder,
        env={**os.environ, VARIABLE: str(ticket_path(job))},
        pass_fds=(lock.descriptor,),
        check=False,
    )
    if done.returncode == 0:
        return {"status": 0}
    try:
        error = json.loads(done.stdout).get("error", {})
    except (ValueError, AttributeError, RecursionError):
        error = {}
    status = done.returncode if done.returncode > 0 else 128 - done.returncode
    return _words(status, error if isinstance(error, dict) else {})


def _words(status: int, error: dict[str, Any]) -> dict[str, Any]:
    """An answer of what went wrong, from an error as commands tell it."""
    place, message = str(error.get("place", "")), str(error.get("message", ""))
    told = f"{place}: {message}" if place and message else message
    if not told:
        told = _("The command ended with status {status}.").format(status=status)
    return {"status": status, "message": told[:2000], "advice": str(error.get("remedy", ""))[:2000]}


if __name__ == "__main__":
    sys.exit(main())
