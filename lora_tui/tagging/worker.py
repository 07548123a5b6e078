"""``python -m lora_tui.tagging.worker``: the process in which one model works.

It reads a line of JSON that says which model, then a line for each image, and writes a line for each answer. Torch,
onnxruntime and the model live and die here: whoever asked stays light, and a library that crashes takes nobody along.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import queue
import sys
import threading
from pathlib import Path
from typing import Any

from lora_tui.dataset.buckets import Box
from lora_tui.dataset.facts import read_facts
from lora_tui.dataset.verdicts import remember_damage
from lora_tui.errors import UserError
from lora_tui.orphans import end_with_parent
from lora_tui.tagging.pipeline import Item, answers, look_ahead
from lora_tui.tagging.rows import Row
from lora_tui.tagging.tagger import Device, Tagger, opener
from lora_tui.text.plain import plain
from lora_tui.text.translate import _, set_language


class _Asked:
    """The images that come in by lines on standard input, read in a thread so that the writer never waits."""

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._ended = False
        threading.Thread(target=self._read, name="asked", daemon=True).start()

    def take(self, *, wait: bool) -> Item | None:
        if self._ended:
            return None
        try:
            item = self._lines.get(block=wait)
        except queue.Empty:
            return None
        self._ended = item is None
        return item

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            number, path, prompt, part = json.loads(line)
            file = Path(os.fsdecode(base64.b64decode(path)))
            self._lines.put(Item(number, file, prompt, Box(*part) if part else None))
        self._lines.put(None)


class _Told:
    """The lines that go out; written whole, each at once."""

    def __init__(self) -> None:
        # What libraries print must not get between the lines: they find standard error under the number of output.
        self._descriptor = os.dup(1)
        os.dup2(2, 1)

    def __call__(self, message: dict[str, Any]) -> None:
        data = json.dumps(message).encode("ascii") + b"\n"
        while data:
            data = data[os.write(self._descriptor, data) :]


def main() -> int:
    """Answer until the input ends; exit status 1 after an error that was told."""
    end_with_parent()
    tell = _Told()
    request = json.loads(sys.stdin.buffer.readline())
    set_language(request["language"])
    try:
        tagger = _opened(request)
        tell({"ready": tagger.told, "ahead": look_ahead(tagger)})
        for item, answer in answers(tagger, _Asked(), lambda item, error: tell(_failed(item, error))):
            if isinstance(answer, Row):
                tell({"answer": item.number, "row": base64.b64encode(answer.packed()).decode("ascii")})
            else:
                tell({"answer": item.number, "text": answer})
    except BrokenPipeError:  # nobody listens any more
        return 1
    except UserError as error:
        tell({"error": error.as_dict()})
        return 1
    tell({"end": True})
    return 0


def _opened(request: dict[str, Any]) -> Tagger:
    try:
        return opener(request["kind"])(request["settings"], Device(**request["device"]))
    except ImportError as error:
        from lora_tui.tagging.hub import missing_library

        extra = "train" if request["kind"] in ("florence2", "blip") else "tag"
        if error.name is None or isinstance(error, ModuleNotFoundError):
            raise missing_library(str(error.name or error), extra) from error
        raise UserError(
            _("{library} is installed and does not load: {reason}.").format(
                library=plain(error.name), reason=plain(str(error), limit=200)
            ),
            remedy=_("See: lora-tui doctor"),
            code="missing.library",
        ) from error


def _failed(item: Item, error: UserError) -> dict[str, Any]:
    """The line about an image that failed; what decoding found is kept for everybody."""
    if error.code == "image.damaged":
        with contextlib.suppress(UserError):
            remember_damage(item.path, read_facts(item.path), error)
    return {"failed": item.number, "error": error.as_dict()}


if __name__ == "__main__":
    status = main()
    sys.stderr.flush()
    os._exit(status)  # threads of libraries and requests under way would be waited for
