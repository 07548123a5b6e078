"""Images decoded in processes apart, so that one that kills its decoder, or eats memory, harms nobody else.

A process is kept for the next image. When it dies over one, another tries that image once more, alone; when that dies,
too, the image is named, and not tried again while its file stays as it is.
"""

from __future__ import annotations

import atexit
import base64
import json
import os
import select
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import astuple
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.eyes import BESIDE
from lora_tui.dataset.facts import Header
from lora_tui.dataset.verdicts import PassingError, crashed
from lora_tui.errors import UserError
from lora_tui.python import python_command
from lora_tui.text import _, language, plain

if TYPE_CHECKING:
    from PIL.Image import Image

    from lora_tui.dataset.eyes import RGB
    from lora_tui.dataset.prepare.options import Options
    from lora_tui.dataset.prepare.plan import Item
    from lora_tui.dataset.prepare.preview import Preview

TRIES = 2
IMAGE_SECONDS = 120.0
"""How long an image may take."""
START_SECONDS = 60.0
POLL_SECONDS = 0.5
READ_AT_ONCE = 1 << 20
MOST_BAD = 1_000
"""Images that are remembered because they killed processes, or took too long."""

Stamp = tuple[str, int, int]


class _DiedError(Exception):
    """A process has ended before its answer; ``begun`` says whether it had been ready for an image."""

    def __init__(self, *, begun: bool) -> None:
        super().__init__()
        self.begun = begun


class _LateError(Exception):
    """There is no answer in the time that an image may take."""


class Decoder:
    """Some processes that decode, as :class:`~lora_tui.dataset.eyes.Eyes`; made when they are needed. Thread-safe."""

    def __init__(self, beside: int = BESIDE) -> None:
        """As many processes as ``beside`` may check images; one more is for those that are looked at meanwhile."""
        self.at_once = beside
        self._slots = threading.Semaphore(beside + 1)
        self._beside = threading.Semaphore(beside)
        self._large = threading.Lock()
        self._guard = threading.Lock()
        self._free: list[_Process] = []
        self._living: set[_Process] = set()
        self._bad: dict[Stamp, UserError] = {}
        self._ended = False

    def warm(self) -> None:
        """Have a process ready for the first image; does not wait for it."""
        with suppress(UserError), self._slots:
            self._give_back(self._take())

    def end(self) -> None:
        """End all processes, whatever they do; nothing can be asked any more."""
        with self._guard:
            self._ended = True
            living, self._living = self._living, set()
        for process in living:
            process.end()

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that live."""
        with self._guard:
            return tuple(sorted(process.pid for process in self._living))

    # -- what is asked of images, see :class:`~lora_tui.dataset.eyes.Eyes`

    def header(self, path: Path) -> Header:
        with self._beside:
            return Header(*self._ask("header", path, large=True)[0])  # no pixel is made of it

    def verify(self, path: Path) -> None:
        with self._beside:
            self._ask("verify", path)

    def cells(self, path: Path, part: Box | None) -> bytes:
        with self._beside:
            value, _pictures = self._ask("cells", path, part=None if part is None else astuple(part))
        return base64.b64decode(value)

    def thumbnail(self, path: Path, background: RGB) -> tuple[Image, bool]:
        small, pictures = self._ask("thumbnail", path, background=background)
        return pictures[0], bool(small)

    def picture(self, path: Path, background: RGB, at_least: Size, within: int = 0) -> Image:
        wanted = {"background": background, "at_least": astuple(at_least), "within": within}
        return self._ask("picture", path, **wanted)[1][0]

    def preview(self, item: Item, options: Options, most: int) -> Preview:
        from lora_tui.dataset.prepare.preview import Preview
        from lora_tui.dataset.prepare.wire import item_as_data

        wanted = {"item": item_as_data(item), "options": options.as_dict(), "most": most}
        boxes, (before, *after) = self._ask("preview", item.image.path, **wanted)
        return Preview(before, tuple(after), tuple((box[0], box[1], box[2], box[3]) for box in boxes))

    # -- how it is asked

    def _ask(self, what: str, path: Path, **wanted: object) -> tuple[Any, list[Image]]:
        """The answer of a process.

        Raises:
            UserError: what the process has raised, or that it died over the image.
        """
        stamp = _stamp(path)
        if stamp is not None and stamp in self._bad:
            raise self._bad[stamp]
        name = base64.b64encode(os.fsencode(path)).decode("ascii")
        request = {"what": what, "path": name, "language": language(), "large": False, **wanted}
        reply, data = self._try(request, path, stamp)
        if "large" in reply:  # one of those at a time: together they would take all memory
            with self._large:
                reply, data = self._try(request | {"large": True}, path, stamp)
        if "error" in reply:
            kind = ValueError if reply["lasts"] else PassingError
            raise UserError(**reply["error"]) from kind(reply["reason"])
        return reply["value"], _pictures(reply["sizes"], data)

    def _try(self, request: dict[str, Any], path: Path, stamp: Stamp | None) -> tuple[dict[str, Any], bytes]:
        status, begun = 0, False
        with self._slots:
            for _attempt in range(TRIES):
                process = self._take()
                try:
                    reply = process.ask(request)
                except _DiedError as error:
                    status, begun = self._lose(process), error.begun
                    continue
                except _LateError:
                    self._lose(process)
                    raise self._name(stamp, _late(path)) from None
                except BaseException:
                    self._lose(process)
                    raise
                self._give_back(process)
                return reply
        if self._ended or not begun:
            raise _no_start(_("exit status {status}").format(status=status))
        raise self._name(stamp, crashed(path, status))

    def _take(self) -> _Process:
        """A process that waits, else another.

        Raises:
            UserError: it cannot be started.
        """
        with self._guard:
            if self._ended:
                raise _no_start(_("the program ends"))
            if self._free:
                return self._free.pop()
        try:
            process = _Process()
        except OSError as error:
            raise _no_start(error.strerror or str(error)) from error
        with self._guard:
            self._living.add(process)
        if self._ended:
            self._lose(process)
        return process

    def _give_back(self, process: _Process) -> None:
        with self._guard:
            self._free.append(process)

    def _lose(self, process: _Process) -> int:
        """End a process; its status."""
        with self._guard:
            self._living.discard(process)
        return process.kill()

    def _name(self, stamp: Stamp | None, error: UserError) -> UserError:
        if stamp is not None:
            with self._guard:
                while len(self._bad) >= MOST_BAD:
                    del self._bad[next(iter(self._bad))]
                self._bad[stamp] = error
        return error


class _Process:
    """A process that decodes one image after another.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            python_command("-m", "lora_tui.dataset.decoder_process"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            process_group=0,  # Ctrl+C is for whoever asked
        )
        self.pid = self._process.pid
        self._ready = False
        self._rest = b""
        assert self._process.stdout is not None
        self._poll = select.poll()
        self._poll.register(self._process.stdout, select.POLLIN)

    def ask(self, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """The answer, with the bytes that follow it.

        Raises:
            _DiedError: it has ended.
            _LateError: there is none in time.
        """
        if not self._ready:
            self._line(START_SECONDS)
            self._ready = True
        assert self._process.stdin is not None
        line = json.dumps(request).encode("ascii") + b"\n"
        try:
            while line:
                line = line[self._process.stdin.write(line) :]
        except OSError:
            raise _DiedError(begun=True) from None
        reply: dict[str, Any] = json.loads(self._line(IMAGE_SECONDS))
        return reply, self._exactly(sum(3 * width * height for width, height in reply.get("sizes", ())))

    def _line(self, seconds: float) -> bytes:
        parts = [self._rest]
        while b"\n" not in parts[-1]:
            parts.append(self._more(seconds))
        line, _end, self._rest = b"".join(parts).partition(b"\n")
        return line

    def _exactly(self, length: int) -> bytes:
        parts, have = [self._rest], len(self._rest)
        while have < length:
            parts.append(self._more(IMAGE_SECONDS))
            have += len(parts[-1])
        data = b"".join(parts)
        self._rest = data[length:]
        return data[:length]

    def _more(self, seconds: float) -> bytes:
        """What the process has written next; waits for it."""
        assert self._process.stdout is not None
        waited, before = 0.0, time.monotonic()
        while not self._poll.poll(1000 * POLL_SECONDS):
            now = time.monotonic()
            waited += min(now - before, 2 * POLL_SECONDS)  # no more when this program was itself held up
            before = now
            if waited > seconds:
                raise _LateError
        try:
            found = os.read(self._process.stdout.fileno(), READ_AT_ONCE)
        except (OSError, ValueError):  # it was ended from here
            found = b""
        if not found:
            raise _DiedError(begun=self._ready)
        return found

    def end(self) -> int:
        """End it, whoever waits for its answer; its status."""
        self._process.kill()  # one that has ended is let be
        return self._process.wait()

    def kill(self) -> int:
        """End it, with nobody waiting; its status."""
        status = self.end()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        return status


@cache
def the_decoder() -> Decoder:
    """The one of this program; its processes end with it."""
    return _made(BESIDE)


def decoder_for(beside: int) -> Decoder:
    """The one of this program that checks so many images at the same time."""
    return the_decoder() if beside == BESIDE else _another(beside)


@cache
def _another(beside: int) -> Decoder:
    return _made(beside)


def _made(beside: int) -> Decoder:
    decoder = Decoder(beside)
    atexit.register(decoder.end)
    return decoder


def _pictures(sizes: list[tuple[int, int]], data: bytes) -> list[Image]:
    from PIL import Image

    found, start = [], 0
    for width, height in sizes:
        end = start + 3 * width * height
        found.append(Image.frombytes("RGB", (width, height), data[start:end]))
        start = end
    return found


def _stamp(path: Path) -> Stamp | None:
    """The file as it is now; none when there is none, which the process will say."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return os.fspath(path), status.st_mtime_ns, status.st_size


def _late(path: Path) -> UserError:
    return UserError(
        _("The image took longer than {seconds} seconds, and was given up.").format(seconds=int(IMAGE_SECONDS)),
        place=plain(str(path)),
        remedy=_("Open and save the image in another program, or remove it."),
        code="image.late",
    )


def _no_start(reason: str) -> UserError:
    message = _("A process that decodes images cannot be started: {reason}.")
    return UserError(message.format(reason=plain(reason, limit=200)), code="decoder.start")
