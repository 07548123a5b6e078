"""The other side of :mod:`~lora_tui.tagging.worker`: starts it, gives it images, takes its answers, ends it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import queue
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from lora_tui.errors import UserError
from lora_tui.python import python_command
from lora_tui.tagging.cache import Answer
from lora_tui.tagging.models import Model
from lora_tui.tagging.rows import Row
from lora_tui.tagging.tagger import Device
from lora_tui.text import _, language, plain

AT_FIRST = 64
"""Images that are given to a process which has not yet said how many it takes."""


class Apart:
    """A model at work in a process of its own, as a context; leaving it ends the process at once.

    Attributes:
        told: where the model computes; empty until it is loaded.
        under_way: images that were given and not yet answered.
    """

    def __init__(self, model: Model, device: Device) -> None:
        self.told = ""
        self.under_way = 0
        self._model, self._device = model, device
        self._ahead = AT_FIRST
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._ended = False

    def __enter__(self) -> Apart:
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
        threading.Thread(target=self._listen, name="tagger", daemon=True).start()
        request = {"kind": self._model.kind, "settings": self._model.settings, "language": language()}
        self._write(request | {"device": asdict(self._device)})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()  # one that has ended is let be
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        self._errors.close()

    @property
    def is_full(self) -> bool:
        """Whether to wait for an answer before another image is given."""
        return self.under_way >= self._ahead

    def give(self, number: int, path: Path, prompt: str) -> None:
        """Ask about one image."""
        self.under_way += 1
        self._write([number, base64.b64encode(os.fsencode(path)).decode("ascii"), prompt])

    def no_more(self) -> None:
        """Say that no image follows."""
        if self._process.stdin is not None:
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
                    self.under_way -= 1
                    yield found
                line = self._lines.get_nowait()

    def _read(self, line: bytes | None) -> tuple[int, Answer | UserError] | None:
        if line is None:
            if self._ended and not self.under_way:
                return None
            raise self._died(self._last_words())
        message = json.loads(line)
        if "row" in message:
            return message["answer"], Row.unpacked(base64.b64decode(message["row"]))
        if "text" in message:
            return message["answer"], str(message["text"])
        if "failed" in message:
            return message["failed"], UserError(**message["error"])
        if "error" in message:
            raise UserError(**message["error"])
        self._ended = self._ended or "end" in message
        if "ready" in message:
            self.told, self._ahead = str(message["ready"]), max(int(message["ahead"]), 1)
        return None

    def _write(self, value: Any) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # its last words say why it is gone
            self._process.stdin.write(json.dumps(value).encode("ascii") + b"\n")
            self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            for line in self._process.stdout:
                self._lines.put(line)
        self._lines.put(None)

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
