"""Event files as TensorBoard reads them, written without TensorFlow, torch or protobuf.

The format: records of TFRecord (length, masked CRC-32C of it, data, masked CRC-32C of that), each an ``Event`` of
``tensorflow/core/util/event.proto`` with a ``Summary``. A resume is told by ``SessionLog.START``, from whose step on
TensorBoard forgets what came before.
"""

from __future__ import annotations

import io
import os
import socket
import struct
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from lora_tui.errors import UserError
from lora_tui.records.kept_events import kept_events
from lora_tui.runs.folder import RunFolder
from lora_tui.text.plain import plain
from lora_tui.text.translate import _
from lora_tui.trackers.feed import Image, Numbers, Rewind, Told, image_bytes, told_by

FOLDER = "tensorboard"
"""Where in a run's folder they lie."""

_POLYNOMIAL = 0x82F63B78
_MASK = 0xA282EAD8
_START = 1


def _table() -> tuple[int, ...]:
    found = []
    for byte in range(256):
        for _bit in range(8):
            byte = (byte >> 1) ^ (_POLYNOMIAL if byte & 1 else 0)
        found.append(byte)
    return tuple(found)


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli) of ``data``, RFC 3720 section B.4."""
    value, table = 0xFFFFFFFF, _TABLE
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def record(data: bytes) -> bytes:
    """``data`` as one record of a TFRecord file."""
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF)


class EventFile:
    """One event file in ``folder``, named as TensorBoard wants it. Takes what a feed tells."""

    def __init__(self, folder: Path, *, config: str = "") -> None:
        """``config``: the configuration, shown among the texts.

        Raises:
            OSError: the folder cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}.{os.getpid()}"
        self.path = folder / name.replace("/", "-")
        self._file: BinaryIO = self.path.open("xb")
        self._put(_double(1, time.time()) + _text(3, "brain.Event:2"))
        if config:
            self._put(_double(1, time.time()) + _message(5, _message(1, _words("config", _fenced(config)))))

    def take(self, told: Told) -> None:
        """Write one thing; raises ``OSError`` when the disk is full."""
        head = _double(1, told.time) + _whole(2, told.step)
        if isinstance(told, Numbers):
            values = b"".join(_message(1, _text(1, name) + _single(2, value)) for name, value in told.values.items())
            self._put(head + _message(5, values))
        elif isinstance(told, Image):
            picture = _picture(told)
            if picture:
                self._put(head + _message(5, _message(1, _text(1, told.name) + _message(4, picture))))
        elif isinstance(told, Rewind):
            self._put(_double(1, told.time) + _whole(2, told.step + 1) + _message(7, _whole(1, _START)))

    def flush(self) -> None:
        """Let readers see what was written."""
        self._file.flush()

    def close(self) -> None:
        """Nothing more comes."""
        self._file.close()

    def _put(self, event: bytes) -> None:
        self._file.write(record(event))


def write_runs(runs: Sequence[RunFolder], folder: Path) -> list[Path]:
    """Event files of whole runs, one folder a run below ``folder``, without what resumes took back.

    Raises:
        UserError: ``export.write`` when the folder cannot be written.
    """
    made = []
    try:
        for run in runs:
            place = folder / run.name
            for old in place.glob("events.out.tfevents.*"):
                old.unlink()
            file = EventFile(place, config=config_text(run))
            for told in _of(run):
                file.take(told)
            file.close()
            made.append(file.path)
    except OSError as error:
        raise UserError(
            _("It cannot be written: {reason}.").format(reason=error.strerror or error),
            place=plain(str(folder)),
            remedy=_("Name a folder that can be written, on a disk with room."),
            code="export.write",
        ) from error
    return made


def config_text(run: RunFolder) -> str:
    """The configuration of a run; empty where it cannot be read."""
    try:
        return run.config_path.read_text("utf-8", "replace")[:200_000]
    except OSError:
        return ""


def _of(run: RunFolder) -> Iterable[Told]:
    for event in kept_events(run):
        told = told_by(run, event)
        if told is not None and not isinstance(told, Rewind):
            yield told


def _picture(image: Image) -> bytes:
    """``Summary.Image``: height, width, colours and the file as it is."""
    data = image_bytes(image)
    if data is None:
        return b""
    from PIL import Image as Pictures

    try:
        with Pictures.open(io.BytesIO(data)) as opened:
            width, height = opened.size
    except Exception:  # what a damaged file raises is the business of many decoders
        return b""
    return _whole(1, height) + _whole(2, width) + _whole(3, 3) + _bytes(4, data)


def _fenced(config: str) -> str:
    return "\n".join(f"    {line}" for line in config.splitlines())


def _words(name: str, text: str) -> bytes:
    """A ``Summary.Value`` of the plugin for texts: a string tensor without dimensions."""
    plugin = _message(9, _message(1, _text(1, "text")))
    tensor = _whole(1, 7) + _bytes(2, b"") + _bytes(8, text.encode("utf-8", "replace"))
    return _text(1, name) + _message(8, tensor) + plugin


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _whole(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _single(field: int, value: float) -> bytes:
    try:
        packed = struct.pack("<f", value)
    except OverflowError:  # beyond single precision
        packed = struct.pack("<f", float("inf") if value > 0 else float("-inf"))
    return _varint(field << 3 | 5) + packed


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


_message = _bytes


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode("utf-8", "replace"))
