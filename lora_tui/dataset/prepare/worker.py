"""``python -m lora_tui.dataset.prepare.worker``: a process that makes images, one line of JSON for each.

The first line says what is asked of all of them, and is answered when the process is ready; every other is an item
with the names that it may replace, and is answered by what was written. The process ends when its input does. It stands
apart because decoders of foreign files may crash, and because the neural networks that may help here are heavy.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from lora_tui.dataset.prepare.make import NO_TOOLS, Tools, encode, encode_mask, make
from lora_tui.dataset.prepare.options import Options, options_from
from lora_tui.dataset.prepare.plan import Item
from lora_tui.dataset.prepare.trouble import WRITER, cannot_write, taken
from lora_tui.dataset.prepare.wire import item_of
from lora_tui.dataset.verdicts import remember_damage
from lora_tui.errors import UserError
from lora_tui.files import write_atomic, write_new
from lora_tui.text import _, plain
from lora_tui.text.translate import set_language


class _Unwritten(Exception):
    """A file could not be written to the destination."""

    def __init__(self, path: Path, cause: OSError) -> None:
        super().__init__(str(path))
        self.path, self.cause = path, cause


class Maker:
    """Makes and writes items below ``destination``."""

    def __init__(self, destination: Path, options: Options, tools: Tools = NO_TOOLS) -> None:
        self._destination, self._options, self._tools = destination, options, tools
        self._folders: set[Path] = set()

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What came of one item: ``files`` and ``copies`` that are there now, or an ``error``.

        ``fatal`` means that no other item would fare better.
        """
        item = item_of(request["item"])
        try:
            return self._write(item, frozenset(request["replace"]), frozenset(request["keep"]))
        except UserError as error:
            remember_damage(item.image.path, item.image.facts, error)
            return {"error": error.as_dict(), "fatal": False}
        except _Unwritten as error:
            return {"error": _no_write(error).as_dict(), "fatal": not isinstance(error.cause, FileExistsError)}
        except MemoryError:
            return _failed(item, _("There is not enough memory to decode it."), "image.memory")
        except Exception as error:
            reason = plain(f"{type(error).__name__}: {error}", limit=200)
            return _failed(item, _("It failed by a fault of the program: {error}.").format(error=reason), "internal")

    def _write(self, item: Item, replace: frozenset[str], keep: frozenset[str]) -> dict[str, Any]:
        new: list[Path] = []
        copies, files = [], []
        try:
            for source, name in item.copies:
                copies.append({"name": name, **self._put(name, _bytes_of(Path(source)), replace, keep, new)})
            for made in make(item, self._options, self._tools):
                piece = made.piece
                if made.mask is not None and piece.mask_name:
                    mask = self._put(piece.mask_name, encode_mask(made.mask), replace, keep, new)
                    copies.append({"name": piece.mask_name, **mask})
                written = self._put(piece.name, encode(made.picture, self._options), replace, keep, new)
                shown = {"box": [round(corner, 3) for corner in made.box]}
                ground = {"ground": list(made.ground)} if item.image.facts.alpha or self._tools.subject else {}
                files.append({"name": piece.name, **written, **shown, **ground})
        except BaseException:
            for path in new:
                with suppress(OSError):
                    path.unlink()
            raise
        return {"files": files, "copies": copies}

    def _put(
        self, name: str, data: bytes, replace: frozenset[str], keep: frozenset[str], new: list[Path]
    ) -> dict[str, Any]:
        """Write a file and say what it is now; one to ``keep`` is left as it is."""
        path = self._destination / name
        try:
            if path.parent not in self._folders:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._folders.add(path.parent)
            if name in keep:
                return _kept(path)
            if name in replace:
                write_atomic(path, data, durable=False, by=WRITER)
            else:
                self._add(path, data, new)
            status = path.stat()
        except OSError as error:
            raise _Unwritten(path, error) from error
        digest = hashlib.blake2b(data, digest_size=20).hexdigest()
        return {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns, "digest": digest}

    def _add(self, path: Path, data: bytes, new: list[Path]) -> None:
        """Write a new file. One that is there with the same bytes, or none, is of a run that was cut off.

        Raises:
            FileExistsError: another file is there.
            OSError: it cannot be written.
        """
        try:
            write_new(path, data, by=WRITER)
            new.append(path)
        except FileExistsError:
            status = path.lstat()
            if not stat.S_ISREG(status.st_mode) or status.st_size not in (0, len(data)):
                raise
            if status.st_size and path.read_bytes() != data:
                raise
            write_atomic(path, data, durable=False, by=WRITER)


def _kept(path: Path) -> dict[str, Any]:
    """What is noted of a file that somebody changed, or put away."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return {"bytes": 0, "mtime_ns": 0, "digest": "", "kept": True, "away": True}
    return {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns, "digest": "", "kept": True}


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            _("A file that belongs to the image cannot be read: {reason}.").format(
                reason=plain(error.strerror or str(error))
            ),
            place=plain(str(path)),
            remedy=_("Check the file and its permissions."),
            code="prepare.companion",
        ) from error


def _no_write(error: _Unwritten) -> UserError:
    if isinstance(error.cause, FileExistsError):
        return taken(error.path)
    return cannot_write(error.path, error.cause)


def _failed(item: Item, message: str, code: str) -> dict[str, Any]:
    error = UserError(message, place=plain(str(item.image.path)), code=code)
    return {"error": error.as_dict(), "fatal": False}


def open_tools(options: Options) -> Tools:
    """The neural networks that the options ask for. Loads what they need.

    Raises:
        UserError: a part is missing, or a model cannot be read.
    """
    if not options.heavy:
        return NO_TOOLS
    from lora_tui.dataset.prepare.background import open_remover
    from lora_tui.dataset.prepare.faces import open_detector

    return Tools(
        open_remover(options.remove_background) if options.remove_background else None,
        open_detector(options.faces) if options.faces else None,
    )


def serve(requests: IO[str], answers: IO[str]) -> None:
    """Answer lines until there are no more."""
    head = json.loads(requests.readline())
    set_language(head["language"])
    options = options_from(head["options"])
    try:
        maker = Maker(Path(head["destination"]), options, open_tools(options))
    except UserError as error:
        _say(answers, {"error": error.as_dict()})
        return
    _say(answers, {"ready": True})
    for line in requests:
        _say(answers, maker.answer(json.loads(line)))


def _say(answers: IO[str], value: object) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


def main() -> int:
    """Serve on standard input and output; whatever libraries print goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this decides when it ends
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    with suppress(BrokenPipeError):
        serve(sys.stdin, answers)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
