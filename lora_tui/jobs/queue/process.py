"""The queue's process as others see it: whether it lives, starting it, ending it, and what it says of itself."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.files import open_file, write_atomic
from lora_tui.jobs.events import as_count, as_time
from lora_tui.jobs.explain import last_lines, read_tail
from lora_tui.jobs.launch import listen, spawn
from lora_tui.jobs.lock import UNKNOWN, holder
from lora_tui.jobs.process import host
from lora_tui.jobs.queue.journal import queue_dir, read_queue, turn
from lora_tui.jobs.queue.needs import Box, Gpu, Reason, something_to_do
from lora_tui.python import python_command
from lora_tui.text.plain import plain
from lora_tui.text.translate import _

LOCK = "lock"
LOG = "queue.log"
FILE = "process.json"

STARTING = 30.0
"""Seconds that the process may take to begin."""
ENDING = 20.0
"""Seconds that it may take to end."""


@dataclass(frozen=True)
class Word:
    """What the queue's process says of itself.

    Attributes:
        pid: 0 while none is at work; on the machine ``host``, since ``started`` (unix seconds).
        box: what it can give to jobs, as it saw it last.
        waits: why each job waits.
        trouble: what keeps it from its work, such as a full disk; empty for nothing.
    """

    pid: int = 0
    host: str = ""
    started: float | None = None
    box: Box = field(default_factory=Box)
    waits: Mapping[int, Reason] = field(default_factory=dict)
    trouble: str = ""

    @property
    def alive(self) -> bool:
        """Whether the queue's process is at work."""
        return self.pid != 0


def lock_path() -> Path:
    """The lock that the living process holds."""
    return queue_dir() / LOCK


def process_of() -> int | None:
    """The pid of the queue's process; none when there is none, -1 when one has the queue and does not say which."""
    return holder(lock_path())


def word() -> Word:
    """What the process says; without one what the last one saw, with pid 0."""
    pid = process_of()
    value = _read()
    box, waits = _table(value.get("box")), _table(value.get("waits"))
    read = {as_count(int(key)): _reason(one) for key, one in waits.items() if key.isdecimal() and len(key) < 16}
    mine = pid is not None and value.get("pid") == pid
    return Word(
        pid=0 if pid is None else pid,
        host=str(value.get("host", ""))[:200],
        started=as_time(value.get("started")) if mine else None,
        box=Box(tuple(_gpus(box.get("gpus"))), str(box.get("neighbour", ""))[:500]),
        waits=read if mine else {},
        trouble=str(value.get("trouble", ""))[:2000] if mine else "",
    )


def tell(said: Word) -> None:
    """Write what the process says of itself; a disk that takes nothing is no reason to stop."""
    data = json.dumps({**asdict(said), "waits": {str(key): asdict(one) for key, one in said.waits.items()}})
    with contextlib.suppress(OSError, UserError):
        write_atomic(queue_dir() / FILE, data.encode("ascii") + b"\n", durable=False)


def wake() -> bool:
    """Start the process where it is not at work, there is something to do, and nobody has stopped it; whether it lives.

    Raises:
        UserError: ``queue.start``.
    """
    if process_of() is not None:
        return True
    queue = read_queue()
    if queue.stopped or not something_to_do(queue, Box()):
        return False
    _start()
    return True


def start() -> int:
    """Start the process, though somebody stopped it before. Return its pid.

    Raises:
        UserError: ``queue.running`` when it is at work, saying which has it; ``queue.start`` when it does not begin.
    """
    if process_of() is not None:
        raise running()
    with turn() as change:
        if change.queue.stopped:
            change.say(stopped=False)
    return _start()


def stop() -> bool:
    """End the process; what is at work goes on, and nothing new is started until :func:`start`. Whether there was one.

    It reads in the journal that it is to end, wherever it is; the signal only makes it look at once.

    Raises:
        UserError: ``queue.stop`` when it does not end.
    """
    pid = process_of()  # before it can read that it is to end
    with turn() as change:
        change.say(stopped=True)
    if pid is None and (pid := process_of()) is None:
        return False
    if pid != UNKNOWN and word().host in ("", host()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + ENDING
    while process_of() in (pid, UNKNOWN):  # unknown: just giving the lock back
        if time.monotonic() > end:
            raise UserError(
                _("The queue's process {pid} does not end.").format(pid=pid if pid != UNKNOWN else "?"),
                remedy=_("Look at {log}; it starts nothing new any more.").format(log=plain(str(queue_dir() / LOG))),
                code="queue.stop",
            )
        time.sleep(0.02)
    return True


def running() -> UserError:
    """The error of a second process: who has the queue."""
    said = word()
    if said.pid in (0, UNKNOWN):
        who = _("another process")
    elif said.host in ("", host()):
        who = _("process {pid}").format(pid=said.pid)
    else:
        who = _("process {pid} on {host}").format(pid=said.pid, host=plain(said.host))
    return UserError(
        _("The queue is already running: {who} has it.").format(who=who),
        place=plain(str(queue_dir())),
        remedy=_("See: lora-tui queue status"),
        code="queue.running",
    )


def _start() -> int:
    folder = queue_dir()
    log = folder / LOG
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        offset = log.stat().st_size if log.exists() else 0
    except OSError as error:
        raise _not_started(error.strerror or str(error)) from error
    child, ear = spawn(python_command("-m", "lora_tui.jobs.queue"), log)
    told = listen(ear, STARTING)
    child.wait()
    if told and "pid" in told:
        return as_count(told["pid"])
    if process_of() is not None:  # another was quicker; it does what this one would have done
        return process_of() or 0
    lines = [str(told["failed"])] if told and "failed" in told else last_lines(read_tail(log, offset), 1)
    raise _not_started(lines[0] if lines else _("it does not answer"))


def _not_started(reason: str) -> UserError:
    return UserError(
        _("The queue's process did not start: {reason}.").format(reason=plain(reason, limit=400).rstrip(".")),
        place=plain(str(queue_dir() / LOG)),
        remedy=_("What was added is kept. Try: lora-tui queue start"),
        code="queue.start",
    )


def _read() -> dict[str, Any]:
    try:
        with open_file(queue_dir() / FILE) as file:
            value = json.loads(file.read(1 << 24))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _gpus(value: Any) -> list[Gpu]:
    found = []
    for one in value if isinstance(value, list) else ():
        if isinstance(one, dict) and isinstance(one.get("uuid"), str):
            sizes = {name: as_count(one[name]) for name in ("used", "total") if one.get(name) is not None}
            found.append(Gpu(one["uuid"], as_count(one.get("number")), str(one.get("name", ""))[:200], **sizes))
    return found


def _reason(value: Any) -> Reason:
    if not isinstance(value, dict):
        return Reason("")
    return Reason(
        str(value.get("code", ""))[:40],
        _counts(value.get("jobs")),
        _counts(value.get("numbers")),
        as_count(value.get("needs")),
        as_count(value.get("there")),
        str(value.get("name", ""))[:500],
    )


def _counts(value: Any) -> tuple[int, ...]:
    return tuple(as_count(one) for one in value) if isinstance(value, list) else ()
