"""Carries notices to webhooks in the background: one process a notice, ended when it takes too long."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

from lora_tui.alarms.alarm import Alarm
from lora_tui.alarms.webhooks import any_webhook
from lora_tui.jobs.job import environment
from lora_tui.jobs.process import host
from lora_tui.python import python_command
from lora_tui.text.plain import plain, sentences
from lora_tui.text.translate import _

Notice = dict[str, Any]

LIMIT = 30.0
"""Seconds that sending one notice may take."""
WAITING = 16
"""Notices that may wait; more are left out, since they stand in the run's files."""


def notice_of(alarm: Alarm, *, run: str, number: int, folder: str) -> Notice:
    """What a webhook is told of an alarm: ``title`` and ``text`` for people, the rest for programs."""
    title = _("{run}: {what}").format(run=plain(run, limit=80), what=alarm.title)
    return {
        "title": title,
        "text": sentences(plain(alarm.message), plain(alarm.advice)),
        "level": alarm.level,
        "code": alarm.code,
        "message": alarm.message,
        "advice": alarm.advice,
        "run": run,
        "number": number,
        "folder": folder,
        "host": host(),
        "step": alarm.step,
        "at": alarm.at,
        "time": alarm.time,
    }


class Courier:
    """Sends in a thread of its own; whoever hands something over never waits."""

    def __init__(self, failed: Callable[[str, str], None], *, limit: float = LIMIT) -> None:
        """``failed`` is called in that thread with a webhook (form and host) that did not take a notice, and why."""
        self._failed = failed
        self._limit = limit
        self._queue: queue.Queue[Notice] = queue.Queue(WAITING)
        self._thread: threading.Thread | None = None
        self._beginning = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def send(self, notice: Notice) -> None:
        """Have a notice sent, if anybody wants one."""
        if self._closed or not any_webhook():
            return
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(notice)
        with self._beginning:  # the budget and the end are told by another thread than alarms
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="courier", daemon=True)
                self._thread.start()

    def close(self, seconds: float) -> None:
        """Wait until all is sent, ``seconds`` at most; what is not sent by then is given up."""
        deadline = time.monotonic() + seconds
        while self._queue.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.02)
        self._closed = True
        if self._process is not None and self._queue.unfinished_tasks:
            _end(self._process)

    def _work(self) -> None:
        while True:
            notice = self._queue.get()
            try:
                if not self._closed:
                    self._send(notice)
            except OSError as error:
                self._failed("", error.strerror or str(error))
            finally:
                self._queue.task_done()

    def _send(self, notice: Notice) -> None:
        self._process = process = subprocess.Popen(
            python_command("-m", "lora_tui.alarms.send"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=environment(),
        )
        try:
            answer, _none = process.communicate(json.dumps(notice).encode(), timeout=self._limit)
        except subprocess.TimeoutExpired:
            _end(process)
            process.communicate()
            self._failed("", _("it took longer than {seconds} s").format(seconds=f"{self._limit:.0f}"))
            return
        for line in answer.splitlines()[:WAITING]:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                failure = json.loads(line)
                self._failed(str(failure["webhook"]), str(failure["reason"]))


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # its session is its own
