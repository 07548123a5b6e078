"""``python -m lora_tui.dataset.decoder_process``: decodes images for :mod:`~lora_tui.dataset.decoder`.

A line of JSON on standard input asks for one thing of one image; the answer is a line of JSON and the pixels of the
pictures that it names, RGB, one after the other. Memory is bounded: a picture that needs more is an error like any
other. The process ends when its input does, and is the first that the system ends when memory runs out.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import signal
import sys
from contextlib import suppress
from dataclasses import astuple
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.facts import read_facts, read_header
from lora_tui.dataset.load import LARGE_PIXELS
from lora_tui.dataset.own_eyes import OWN_EYES
from lora_tui.dataset.verdicts import lasting
from lora_tui.errors import UserError
from lora_tui.text import _, language, plain, set_language

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_BYTES = 4 << 30
"""Address space: the largest picture that is not refused takes three and a half gigabytes where it is transparent."""

_FIRST_TO_GO = "1000"

Answer = tuple[Any, list["Image"]]


def answer(request: dict[str, Any]) -> tuple[dict[str, Any], list[Image]]:
    """What is said of an image, with the pictures that follow."""
    path = Path(os.fsdecode(base64.b64decode(request["path"])))
    if request["language"] != language():
        set_language(request["language"])
    try:
        if not request["large"]:
            facts = read_facts(path)
            if facts.width * facts.height > LARGE_PIXELS:
                return {"large": True}, []
        value, pictures = _look(request, path)
    except UserError as error:
        return _failed(error, str(error.__cause__ or error.message), lasts=lasting(error)), []
    except MemoryError:
        message = _("There is not enough memory to decode it.")
        remedy = _("Save it at a smaller size, or remove it.")
        return _failed(UserError(message, place=plain(str(path)), remedy=remedy, code="image.memory")), []
    except Exception as error:
        reason = plain(f"{type(error).__name__}: {error}", limit=200)
        message = _("It failed by a fault of the program: {error}.").format(error=reason)
        return _failed(UserError(message, place=plain(str(path)), code="internal")), []
    return {"value": value, "sizes": [picture.size for picture in pictures]}, pictures


def _failed(error: UserError, reason: str = "", *, lasts: bool = False) -> dict[str, Any]:
    return {"error": error.as_dict(), "reason": reason or error.message, "lasts": lasts}


def _look(request: dict[str, Any], path: Path) -> Answer:
    what = request["what"]
    if what == "header":
        return astuple(read_header(path)), []
    if what == "verify":
        OWN_EYES.verify(path)
        return None, []
    if what == "cells":
        part = None if request["part"] is None else Box(*request["part"])
        return base64.b64encode(OWN_EYES.cells(path, part)).decode("ascii"), []
    if what == "thumbnail":
        picture, small = OWN_EYES.thumbnail(path, _rgb(request))
        return small, [picture]
    if what == "picture":
        return None, [OWN_EYES.picture(path, _rgb(request), Size(*request["at_least"]), request["within"])]
    from lora_tui.dataset.prepare.options import options_from
    from lora_tui.dataset.prepare.wire import item_of

    found = OWN_EYES.preview(item_of(request["item"]), options_from(request["options"]), request["most"])
    return found.boxes, [found.before.convert("RGB"), *(picture.convert("RGB") for picture in found.after)]


def _rgb(request: dict[str, Any]) -> tuple[int, int, int]:
    red, green, blue = request["background"]
    return red, green, blue


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer lines until there are no more."""
    answers.write(b'{"ready": true}\n')
    answers.flush()
    for line in requests:
        head, pictures = answer(json.loads(line))
        answers.write(json.dumps(head).encode("ascii") + b"\n")
        for picture in pictures:
            answers.write(picture.tobytes())
        answers.flush()


def main() -> int:
    """Serve on standard input and output; whatever libraries print goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this decides when it ends
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO, "ascii")
    from PIL import Image  # noqa: F401 - the first image does not wait for it

    with suppress(BrokenPipeError):
        serve(sys.stdin.buffer, answers)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
