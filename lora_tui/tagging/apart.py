"""The other side of :mod:`~lora_tui.tagging.worker`: starts it, gives it images, takes its answers, ends it.

When the process dies over images, another one is asked about each of them alone: the one at which it dies again is
named and left out, and the others go on.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import queue
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, astuple
from pathlib import Path
from types import TracebackType
from typing import Any

from lora_tui.dataset.buckets import Box
from lora_tui.dataset.verdicts import crashed
from lora_tui.errors import UserError
from lora_tui.python import python_command
from lora_tui.tagging.cache import Answer
from lora_tui.tagging.models import Model
from lora_tui.tagging.rows import Row
from lora_tui.tagging.tagger import Device
from lora_tui.text import _, language, plain

AT_FIRST = 64
"""Images that are given to a process which has not yet said how many it takes."""
MOST_DEATHS = 5
"""Processes that may die one after another at one image each, without an answer in between."""
MOST_RIDDLES = 2
"""Processes that may die over several images of which none was at fault alone, as with too little memory."""


class Apart:
    """A model at work in a process of its own, as a context; leaving it ends the process at once.

    Attributes:
        told: where the model computes; empty until it is loaded.
    """

    def __init__(self, model: Model, device: Device) -> None:
        self.told = ""
        self._model, self._device = model, device
        self._ahead = AT_FIRST
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._asked: dict[int, tuple[Path, str, Box | None]] = {}
        self._suspects: deque[tuple[int, Path, str, Box | None]] = deque()
        self._alone: int | None = None
        self._deaths = self._riddles = 0
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._gone = False

    def __enter__(self) -> Apart:
        self._start()
        return self

    def _start(self) -> None:
        """Start a process.

        Raises:
            UserError: it cannot be started.
        """
        self._lines = queue.SimpleQueue()
        self._ended = self._ready = self._gone = False
        command = python_command("-m", "lora_tui.tagging.worker")
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error"}
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=environment,
                process_group=0,  # Ctrl+C is for whoever asked, who ends this process
            )
        except OSError as error:
            raise self._died(plain(error.strerror or str(error))) from error
        threading.Thread(target=_listen, args=(self._process, self._lines), name="tagger", daemon=True).start()
        request = {"kind": self._model.kind, "settings": self._model.settings, "language": language()}
        self._write(request | {"device": asdict(self._device)})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        self._errors.close()

    def _end(self) -> int:
        """End the process; its status."""
        self._process.kill()  # one that has ended is let be
        status = self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        return status

    @property
    def under_way(self) -> int:
        """Images that were given and not yet answered."""
        return len(self._asked) + len(self._suspects)

    @property
    def is_full(self) -> bool:
        """Whether to wait for an answer before another image is given."""
        return bool(self._suspects) or self._alone in self._asked or self.under_way >= self._ahead

    def give(self, number: int, path: Path, prompt: str, part: Box | None = None) -> None:
        """Ask about one image, or about a part of it.

        Raises:
            UserError: the last process died, and no other can be started.
        """
        if self._gone:
            self._start()
        self._asked[number] = path, prompt, part
        self._write([number, base64.b64encode(os.fsencode(path)).decode("ascii"), prompt, part and astuple(part)])

    def no_more(self) -> None:
        """Say that no image follows."""
        if self._process.stdin is not None and not self._suspects:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def taken(self, seconds: float) -> Iterator[tuple[int, Answer | UserError]]:
        """The answers, or errors of single images, that are there now; waits at most so long for the first.

        Raises:
            UserError: the model cannot work at all, or its process died.
        """
        with contextlib.suppress(queue.Empty):
            line = self._lines.get(timeout=seconds)
            while True:
                found = self._read(line)
                if found is not None:
                    yield found
                    self._ask_next()
                line = self._lines.get_nowait()

    def _read(self, line: bytes | None) -> tuple[int, Answer | UserError] | None:
        if line is None:
            return None if self._ended and not self.under_way else self._after_death()
        message = json.loads(line)
        if "answer" in message or "failed" in message:
            number = message["answer"] if "answer" in message else message["failed"]
            self._asked.pop(number, None)
            self._deaths = 0
            if "failed" in message:
                return number, UserError(**message["error"])
            return number, Row.unpacked(base64.b64decode(message["row"])) if "row" in message else str(message["text"])
        if "error" in message:
            raise UserError(**message["error"])
        self._ended = self._ended or "end" in message
        if "ready" in message:
            self._ready = True
            self.told, self._ahead = str(message["ready"]), max(int(message["ahead"]), 1)
        return None

    def _write(self, value: Any) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # its last words say why it is gone
            self._process.stdin.write(json.dumps(value).encode("ascii") + b"\n")
            self._process.stdin.flush()

    def _after_death(self) -> tuple[int, UserError] | None:
        """Start another process after one has died; the image is named at which alone it did.

        Raises:
            UserError: another would fare no better.
        """
        reason = self._last_words()
        alone = len(self._asked) == 1
        self._deaths += alone
        self._riddles = max(self._riddles - 1, 0) if alone else self._riddles + 1
        if not self._ready or self._deaths > MOST_DEATHS or self._riddles > MOST_RIDDLES:
            raise self._died(reason)
        status = self._end()
        found = None
        if alone:
            number, (path, _prompt, _part) = self._asked.popitem()
            found = number, crashed(path, status)
        self._suspects.extendleft((number, *asked) for number, asked in reversed(self._asked.items()))
        self._asked.clear()
        self._errors.seek(0)
        self._errors.truncate()
        self._gone = True  # another one is started for the next image, if there is any
        self._ask_next()
        return found

    def _ask_next(self) -> None:
        """Ask about one of the images at which a process died, when nothing else is asked."""
        if self._suspects and not self._asked:
            suspect = self._suspects.popleft()
            self._alone = suspect[0]
            self.give(*suspect)

    def _last_words(self) -> str:
        status = self._process.wait()
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(self._errors.tell() - 4_000, 0))
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        if status < 0:
            from signal import Signals

            return _("signal {name}").format(name=Signals(-status).name)
        return plain(lines[-1], limit=300) if lines else _("exit status {status}").format(status=status)

    def _died(self, reason: str) -> UserError:
        return UserError(
            _("The process of the tagger ended: {reason}.").format(reason=reason.rstrip(".")),
            place=self._model.name,
            remedy=_("Run the same again to go on; with too little memory choose a smaller --batch or another model."),
            code="tagger.died",
        )


def _listen(process: subprocess.Popen[bytes], lines: queue.SimpleQueue[bytes | None]) -> None:
    assert process.stdout is not None
    with contextlib.suppress(OSError, ValueError):
        for line in process.stdout:
            lines.put(line)
    lines.put(None)
