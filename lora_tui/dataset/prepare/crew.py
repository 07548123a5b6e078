"""The processes that make images: given items, they answer; one that dies is replaced, and its item is named.

Each has a thread here that waits for it. Very large pictures are decoded one at a time, so that memory stays bounded.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from lora_tui.dataset.prepare.options import Options
from lora_tui.dataset.verdicts import crashed
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
STOP_SECONDS = 10.0
"""How long what is in hand may take once a stop was asked for; what takes longer is made by the next run."""
START_SECONDS = 900.0
"""How long a process may take until it is ready: large models may come from slow disks."""
IMAGE_SECONDS = 300.0
PIECE_SECONDS = 30.0
"""How long an image may take, and how much longer for each file that is made of it."""


class _LateError(Exception):
    """A process has not answered in the time that it had."""


class _DroppedError(Exception):
    """The answer is not waited for any more."""


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
        self._stop_at = float("inf")
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

        Once ``should_stop`` says yes, no other request is taken, and what is in hand has :data:`STOP_SECONDS`. Requests
        that are dropped so have no answer.

        Raises:
            UserError: no process can be started, or they all die.
        """
        under_way, more = 0, True
        while more or under_way:
            if should_stop is not None and self._stop_at == float("inf") and should_stop():
                more, self._stop_at = False, time.monotonic() + STOP_SECONDS
                under_way -= self._drop_waiting()
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
            if "dropped" not in reply:
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

    def _drop_waiting(self) -> int:
        """Take back what no thread has taken yet; how much that was."""
        dropped = 0
        with contextlib.suppress(queue.Empty):
            while True:
                self._waiting.get_nowait()
                dropped += 1
        return dropped

    def _attend(self, number: int) -> None:
        """The thread of one process. What ends it early is an answer, too: nobody waits for one that cannot come."""
        try:
            self._serve(number)
        except Exception as error:
            reason = (error.strerror if isinstance(error, OSError) else "") or f"{type(error).__name__}: {error}"
            self._answers.put((None, {"no_worker": _no_start(reason).as_dict()}))

    def _serve(self, number: int) -> None:
        """A request to the process, its answer back, again."""
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
                    except _DroppedError:
                        self._kill(number)
                        process, reply = None, {"dropped": True}
                    except _LateError:
                        self._kill(number)
                        process, reply = None, _late(request)
                    if reply is None:
                        process, reply = None, self._died(number, request)
                    self._answers.put((mark, reply))
        finally:
            if process is not None:
                _end(process)

    def _ask(self, process: subprocess.Popen[str], request: Request) -> Reply | None:
        """The answer of a process; none when it died over the request.

        Raises:
            _LateError: there is none in the time that an image may take.
            _DroppedError: it was to stop, or all is to end.
        """
        assert process.stdin is not None
        assert process.stdout is not None
        large = int(request["pixels"]) > LARGE_PIXELS
        if large:
            self._acquire_large()
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = self._line(process.stdout, _patience(request))
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

    def _acquire_large(self) -> None:
        """Wait for the turn of a very large picture.

        Raises:
            _DroppedError: as :meth:`_ask`.
        """
        while not self._large.acquire(timeout=POLL_SECONDS):
            self._check()

    def _line(self, stream: IO[str], seconds: float) -> str:
        """The line that a process writes next; empty when it has ended.

        Raises:
            _LateError, _DroppedError: as :meth:`_ask`.
        """
        waited, before = 0.0, time.monotonic()
        ready = select.poll()
        ready.register(stream, select.POLLIN)
        while not ready.poll(1000 * POLL_SECONDS):
            self._check()
            now = time.monotonic()
            waited += min(now - before, 10 * POLL_SECONDS)  # no more when this program was itself held up
            before = now
            if waited > seconds:
                raise _LateError
        return stream.readline()

    def _check(self) -> None:
        if self._ending.is_set() or time.monotonic() > self._stop_at:
            raise _DroppedError

    def _kill(self, number: int) -> None:
        """End a process that may hang."""
        process = self._processes.pop(number, None)
        if process is not None:
            process.kill()
            _end(process)

    def _died(self, number: int, request: Request) -> Reply:
        process = self._processes.pop(number)
        process.kill()
        status = process.wait()
        self._deaths += 1
        if self._deaths > MOST_DEATHS and not self._ending.is_set():
            message = _("The processes that make images die one after another.")
            remedy = _("Free some memory, and give the same command again: it goes on where it was.")
            return {"no_worker": UserError(message, remedy=remedy, code="prepare.died").as_dict()}
        return {"error": crashed(Path(request["item"]["path"]), status).as_dict(), "fatal": False}

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
            reply = json.loads(self._line(process.stdout, START_SECONDS) or "{}")
        except (OSError, ValueError):
            reply = {}
        except _LateError:
            process.kill()
            reply = {}
        if "ready" in reply:
            return process
        _end(process)
        self._processes.pop(number, None)
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


def _patience(request: Request) -> float:
    """Seconds that an image may take."""
    return IMAGE_SECONDS + PIECE_SECONDS * len(request["item"]["pieces"])


def _late(request: Request) -> Reply:
    message = _("The image took longer than {minutes} minutes, and was given up.").format(
        minutes=int(_patience(request) / 60)
    )
    remedy = _("Open and save the image in another program, or remove it.")
    error = UserError(message, place=plain(request["item"]["path"]), remedy=remedy, code="image.late")
    return {"error": error.as_dict(), "fatal": False}


def _no_start(reason: str) -> UserError:
    message = _("A process that makes images cannot be started: {reason}.")
    return UserError(message.format(reason=plain(reason, limit=200)), code="prepare.start")


def _as_error(data: Mapping[str, str]) -> UserError:
    return UserError(data["message"], place=data["place"], remedy=data["remedy"], code=data["code"])
