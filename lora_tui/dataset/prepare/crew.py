"""The processes that make images: given items, they answer; one that dies is replaced, and its item is named.

Each has a thread here that waits for it. Very large pictures are decoded one at a time, so that memory stays bounded.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from lora_tui.dataset.prepare.options import Options
from lora_tui.errors import UserError
from lora_tui.python import python_command
from lora_tui.text import _, language, plain

Request = Mapping[str, Any]
Reply = dict[str, Any]

LARGE_PIXELS = 50_000_000
"""Pictures with more pixels are decoded one at a time: one of the largest takes two gigabytes while it is scaled."""
MOST_DEATHS = 8
"""Processes that may die one after another without any item in between that succeeds."""
POLL_SECONDS = 0.1
END_SECONDS = 10.0


class Crew:
    """``workers`` processes for one preparation, as a context; leaving it ends them."""

    def __init__(self, workers: int, destination: Path, options: Options, *, inherit: Iterable[int] = ()) -> None:
        """``inherit`` are descriptors that the processes hold, too, as long as they live."""
        self._head = {"destination": str(destination), "options": options.as_dict(), "language": language()}
        self._inherit = tuple(inherit)
        self._environment = {**os.environ, "OMP_NUM_THREADS": str(max((os.cpu_count() or 1) // workers, 1))}
        self._waiting: queue.Queue[tuple[Any, Request] | None] = queue.Queue(maxsize=2 * workers)
        self._answers: queue.Queue[tuple[Any, Reply]] = queue.Queue()
        self._large = threading.Lock()
        self._ending = threading.Event()
        self._deaths = 0
        self._processes: dict[int, subprocess.Popen[str]] = {}
        self._threads = [threading.Thread(target=self._attend, args=(n,), daemon=True) for n in range(workers)]

    def __enter__(self) -> Crew:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        for _thread in self._threads:
            self._hand_over(None)
        if kind is not None:
            for process in list(self._processes.values()):
                process.kill()
        for thread in self._threads:
            thread.join(END_SECONDS)
        for process in list(self._processes.values()):
            process.kill()

    def run(
        self, requests: Iterator[tuple[Any, Request]], should_stop: Callable[[], bool] | None = None
    ) -> Iterator[tuple[Any, Reply]]:
        """Give every request (with a mark of one's own) to a process; yield the marks with the answers as they come.

        Once ``should_stop`` says yes, no other request is taken, and the rest of the answers is waited for.

        Raises:
            UserError: no process can be started, or they all die.
        """
        under_way, more = 0, True
        while more or under_way:
            more = more and not (should_stop is not None and should_stop())
            while more and not self._waiting.full():
                request = next(requests, None)
                if request is None:
                    more = False
                else:
                    self._waiting.put(request)
                    under_way += 1
            if not under_way:
                continue
            try:
                mark, reply = self._answers.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            under_way -= 1
            if reply.get("fatal"):
                more = False
            if "no_worker" in reply:
                raise _as_error(reply["no_worker"])
            yield mark, reply

    def _hand_over(self, nothing: None) -> None:
        """Tell one thread that there is nothing more; what still waits is dropped."""
        while True:
            try:
                self._waiting.put_nowait(nothing)
                return
            except queue.Full:
                try:
                    self._waiting.get_nowait()
                except queue.Empty:
                    continue

    def _attend(self, number: int) -> None:
        """The thread of one process: a request to it, its answer back, again."""
        process: subprocess.Popen[str] | None = None
        try:
            with tempfile.TemporaryFile("w+", errors="replace") as log:
                while (taken := self._waiting.get()) is not None:
                    mark, request = taken
                    try:
                        if process is None:
                            process = self._start(number, log)
                        reply = self._ask(process, request)
                    except UserError as error:
                        reply = {"no_worker": error.as_dict()}
                    if reply is None:
                        process, reply = None, self._died(number, request)
                    self._answers.put((mark, reply))
        finally:
            if process is not None:
                _end(process)

    def _ask(self, process: subprocess.Popen[str], request: Request) -> Reply | None:
        """The answer of a process; none when it died over the request."""
        assert process.stdin is not None
        assert process.stdout is not None
        large = int(request["pixels"]) > LARGE_PIXELS
        if large:
            self._large.acquire()
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""
        finally:
            if large:
                self._large.release()
        if not line.endswith("\n"):
            return None
        self._deaths = 0
        reply: Reply = json.loads(line)
        return reply

    def _died(self, number: int, request: Request) -> Reply:
        process = self._processes.pop(number)
        process.kill()
        status = process.wait()
        self._deaths += 1
        if self._deaths > MOST_DEATHS and not self._ending.is_set():
            message = _("The processes that make images die one after another.")
            remedy = _("Free some memory, and give the same command again: it goes on where it was.")
            return {"no_worker": UserError(message, remedy=remedy, code="prepare.died").as_dict()}
        message = _("The process that decoded the image died (status {status}).").format(status=status)
        remedy = _("Open and save the image in another program, or remove it; or free some memory.")
        error = UserError(message, place=plain(request["item"]["path"]), remedy=remedy, code="image.crashed")
        return {"error": error.as_dict(), "fatal": False}

    def _start(self, number: int, log: IO[str]) -> subprocess.Popen[str]:
        """A process that is ready.

        Raises:
            UserError: it cannot be started, or a part that it needs is missing.
        """
        try:
            process = subprocess.Popen(
                python_command("-m", "lora_tui.dataset.prepare.worker"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="ascii",
                env=self._environment,
                pass_fds=self._inherit,
                start_new_session=True,  # Ctrl+C is for whoever waits for them
            )
        except OSError as error:
            raise _no_start(error.strerror or str(error)) from error
        self._processes[number] = process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(self._head) + "\n")
            process.stdin.flush()
            reply = json.loads(process.stdout.readline() or "{}")
        except (OSError, ValueError):
            reply = {}
        if "ready" in reply:
            return process
        _end(process)
        del self._processes[number]
        if "error" in reply:
            raise _as_error(reply["error"])
        log.seek(0)
        raise _no_start(log.read().strip().rpartition("\n")[2])


def _end(process: subprocess.Popen[str]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            try:
                stream.close()
            except OSError:
                continue
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _no_start(reason: str) -> UserError:
    message = _("A process that makes images cannot be started: {reason}.")
    return UserError(message.format(reason=plain(reason, limit=200)), code="prepare.start")


def _as_error(data: Mapping[str, str]) -> UserError:
    return UserError(data["message"], place=data["place"], remedy=data["remedy"], code=data["code"])
