"""The facts of an image, read from its header alone: no pixel is decoded.

PNG, JPEG, WebP and GIF are read by small parsers here, which need one open and a few reads; every
other format goes through Pillow, which reads headers lazily but costs several times more.
"""

from __future__ import annotations

import errno
import importlib
import os
import stat
import struct
import warnings
import zlib
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.text import _, count, plain

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

#: Pixels beyond which an image is refused: the limit at which Pillow refuses to decode, too.
MAX_PIXELS = 178_956_970

#: All that Pillow may try: a file that is something else by content (PostScript, which would start another
#: program) is no image here, whatever its name says.
_PILLOW_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF")
_PILLOW_PLUGINS = ("Png", "Jpeg", "WebP", "Gif", "Bmp", "Tiff", "Avif")

_PNG_END = 4096
"""Bytes at the end of a PNG in which EXIF data behind its image data is looked for."""
_FIRST_READ = 4096
_LARGE_READ = 65536
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_SIZES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD8)})
_SWAPPED = frozenset({5, 6, 7, 8})


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What the header of an image says.

    Attributes:
        width: px, after EXIF orientation is applied; ``height`` likewise.
        format: ``PNG``, ``JPEG``, ``WEBP``, ``GIF``, or Pillow's name for another format.
        alpha: the image can have transparent pixels.
        animated: it has several frames; the first one is used.
        orientation: EXIF orientation, 1 to 8; 1 where decoding applies it by itself (TIFF).
        size: of the file, bytes.
        mtime_ns: when the file was last changed, ns since 1970.
        complete: the file ends as its format says; false where it may be cut short, which only decoding can tell.
        colours: how pixels are stored where that is unusual: ``CMYK`` or ``16-bit``; else empty.
    """

    width: int
    height: int
    format: str
    alpha: bool
    animated: bool
    orientation: int
    size: int
    mtime_ns: int
    complete: bool = True
    colours: str = ""


class _Unreadable(Exception):
    """The header does not make sense; the message says why, untranslated, for the cause of the error."""


@dataclass(frozen=True)
class Header:
    """The same as the file has it: width and height before EXIF orientation is applied."""

    width: int
    height: int
    format: str
    alpha: bool = False
    animated: bool = False
    orientation: int = 1
    colours: str = ""


def read_facts(path: Path) -> ImageFacts:
    """The facts of an image file, from its header.

    Raises:
        UserError: the file cannot be opened (``image.unreadable``), is empty (``image.empty``), is no
            image (``image.invalid``), or is larger than any training image (``image.too_large``).
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            head = os.read(descriptor, _FIRST_READ)
            header = _read_header(path, descriptor, head)
            complete = _ends_well(descriptor, head, header.format, status.st_size)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unopened(path, error) from error
    except _Unreadable as error:
        raise _refused(plain(str(path)), empty=not head) from error
    if header.width * header.height > MAX_PIXELS:
        message = _("The image says it has {width} x {height} pixels, more than {limit} million.")
        sizes = {"width": count(header.width), "height": count(header.height), "limit": MAX_PIXELS // 1_000_000}
        raise _too_large(path, message.format(**sizes))
    turned = header.orientation in _SWAPPED
    return ImageFacts(
        width=header.height if turned else header.width,
        height=header.width if turned else header.height,
        format=header.format,
        alpha=header.alpha,
        animated=header.animated,
        orientation=header.orientation,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        complete=complete,
        colours=header.colours,
    )


def open_with_pillow(path: Path) -> ImageFile:
    """The image as Pillow opens it, of the formats that are images here only. Raises what Pillow raises."""
    from PIL import Image

    _quiet_pillow()
    return Image.open(path, formats=_formats())


@cache
def _formats() -> tuple[str, ...]:
    """Those of the formats that this build of Pillow reads."""
    from PIL import Image

    for plugin in _PILLOW_PLUGINS:
        with suppress(ImportError):
            importlib.import_module(f"PIL.{plugin}ImagePlugin")
    return tuple(name for name in _PILLOW_FORMATS if name in Image.OPEN)


def _quiet_pillow() -> None:
    """Silence Pillow's warnings, for good: limits and damage are reported as errors of ours.

    Done once and not around each use, because warning filters are shared by all threads.
    """
    from PIL import Image

    if ("ignore", None, Image.DecompressionBombWarning, None, 0) not in warnings.filters:
        warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", module=r"PIL\.")


def _too_large(path: Path, message: str) -> UserError:
    remedy = _("Shrink it, or move it away if it is damaged.")
    return UserError(message, place=plain(str(path)), remedy=remedy, code="image.too_large")


def _unopened(path: Path, error: OSError) -> UserError:
    return UserError(
        _("The image cannot be read: {reason}.").format(reason=plain(error.strerror or str(error))),
        place=plain(str(path)),
        remedy=_("Check the file and its permissions."),
        code="image.unreadable",
    )


def _refused(place: str, *, empty: bool) -> UserError:
    if empty:
        return UserError(
            _("The image file is empty."), place=place, remedy=_("Copy it again or remove it."), code="image.empty"
        )
    return UserError(
        _("This is not an image that can be read, or its header is damaged."),
        place=place,
        remedy=_("Open and save it again in another program, or remove it."),
        code="image.invalid",
    )


def _read_header(path: Path, descriptor: int, head: bytes) -> Header:
    header = _parse(path, descriptor, head)
    if header.width < 1 or header.height < 1:
        raise _Unreadable("no pixels")
    if not 1 <= header.orientation <= 8:
        return replace(header, orientation=1)
    return header


def _parse(path: Path, descriptor: int, head: bytes) -> Header:
    reader = _Reader(descriptor, head)
    try:
        if head.startswith(_PNG):
            return _png(reader)
        if head.startswith(b"\xff\xd8\xff"):
            return _jpeg(reader)
        if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
            return _webp(reader)
        if head[:6] in (b"GIF87a", b"GIF89a"):
            return _gif(reader)
    except (struct.error, IndexError) as error:
        raise _Unreadable("header ends early") from error
    if not head:
        raise _Unreadable("empty")
    from lora_tui.dataset.eyes import eyes_now

    return eyes_now().header(path)  # more code than a parser of a few fields: perhaps in another process


class _Reader:
    """Bytes of a file at any offset, from the first block when they lie there."""

    def __init__(self, descriptor: int, head: bytes) -> None:
        self._descriptor = descriptor
        self._block = head
        self._start = 0

    def at(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``offset``; fewer at the end of the file."""
        begin = offset - self._start
        if begin < 0 or begin + length > len(self._block):
            self._block = os.pread(self._descriptor, max(length, _FIRST_READ), offset)
            self._start, begin = offset, 0
        return self._block[begin : begin + length]

    def end(self, length: int) -> bytes:
        """Up to ``length`` bytes at the end of the file."""
        return self.at(max(os.fstat(self._descriptor).st_size - length, 0), length)

    def exactly(self, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset``; struct.error when the file ends before."""
        found = self.at(offset, length)
        if len(found) < length:
            raise struct.error("file ends")
        return found


def _png(reader: _Reader) -> Header:
    """PNG chunks up to the first image data (PNG specification, third edition)."""
    width, height, depth, color = struct.unpack(">IIBB", reader.exactly(16, 10))
    if reader.at(12, 4) != b"IHDR":
        raise _Unreadable("no IHDR")
    alpha, animated, orientation, offset = color in (4, 6), False, 1, 33
    while True:
        head = reader.at(offset, 8)
        if len(head) < 8:
            raise _Unreadable("no image data")
        length, kind = struct.unpack(">I4s", head)
        if kind in (b"IDAT", b"IEND"):
            if orientation == 1 and kind == b"IDAT":
                orientation = _late_orientation(reader.end(_PNG_END))
            return Header(width, height, "PNG", alpha, animated, orientation, "16-bit" if depth == 16 else "")
        if kind == b"tRNS":
            alpha = True
        elif kind == b"acTL":
            animated = struct.unpack(">I", reader.exactly(offset + 8, 4))[0] > 1
        elif kind == b"eXIf":
            orientation = _orientation(reader.at(offset + 8, min(length, 65536)))
        offset += 12 + length


def _late_orientation(end: bytes) -> int:
    """The orientation in an eXIf chunk behind the image data, where some programs put it, from the end of a PNG."""
    place = end.rfind(b"eXIf")
    if place < 4:
        return 1
    (length,) = struct.unpack_from(">I", end, place - 4)
    data, checksum = end[place : place + 4 + length], end[place + 4 + length : place + 8 + length]
    return _orientation(data[4:]) if checksum == struct.pack(">I", zlib.crc32(data)) else 1


def _jpeg(reader: _Reader) -> Header:
    """JPEG marker segments up to the frame header (ITU T.81 annex B)."""
    offset, orientation = 2, 1
    while True:
        lead, marker = reader.exactly(offset, 2)
        if lead != 0xFF:
            raise _Unreadable("lost between JPEG markers")
        if marker == 0xFF:
            offset += 1
            continue
        if marker in _JPEG_BARE:
            offset += 2
            continue
        if marker in (0xD9, 0xDA):
            raise _Unreadable("no frame header")
        length = struct.unpack(">H", reader.exactly(offset + 2, 2))[0]
        if marker in _JPEG_SIZES:
            height, width, components = struct.unpack(">HHB", reader.exactly(offset + 5, 5))
            return Header(width, height, "JPEG", orientation=orientation, colours="CMYK" if components == 4 else "")
        if marker == 0xE1 and orientation == 1 and reader.at(offset + 4, 6) == b"Exif\0\0":
            orientation = _orientation(reader.at(offset + 10, length - 8))
        offset += 2 + length


def _webp(reader: _Reader) -> Header:
    """The first chunk of a WebP container, and its EXIF chunk when it announces one (RFC 9649)."""
    kind = reader.exactly(12, 4)
    if kind == b"VP8 ":
        data = reader.exactly(20, 10)
        if data[3:6] != b"\x9d\x01\x2a":
            raise _Unreadable("no VP8 frame")
        width, height = struct.unpack("<HH", data[6:10])
        return Header(width & 0x3FFF, height & 0x3FFF, "WEBP")
    if kind == b"VP8L":
        bits = struct.unpack("<I", reader.exactly(21, 4))[0]
        return Header((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, "WEBP", alpha=bool(bits >> 28 & 1))
    if kind != b"VP8X":
        raise _Unreadable("unknown WebP chunk")
    data = reader.exactly(20, 10)
    flags = data[0]
    width = int.from_bytes(data[4:7], "little") + 1
    height = int.from_bytes(data[7:10], "little") + 1
    orientation = _webp_orientation(reader) if flags & 0x08 else 1
    return Header(width, height, "WEBP", bool(flags & 0x10), bool(flags & 0x02), orientation)


def _webp_orientation(reader: _Reader) -> int:
    offset = 30
    while len(head := reader.at(offset, 8)) == 8:
        kind, length = struct.unpack("<4sI", head)
        if kind == b"EXIF":
            data = reader.at(offset + 8, min(length, 65536))
            return _orientation(data)
        offset += 8 + length + (length & 1)
    return 1


def _gif(reader: _Reader) -> Header:
    """GIF blocks until a second image, or the end, is found (GIF89a specification)."""
    width, height, flags = struct.unpack("<HHB", reader.exactly(6, 5))
    offset = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    images, alpha = 0, False
    while images < 2 and (kind := reader.at(offset, 1)) in (b"!", b","):
        if kind == b"!":
            label = reader.exactly(offset + 1, 1)[0]
            if label == 0xF9 and images == 0:
                alpha = bool(reader.exactly(offset + 3, 1)[0] & 1)
            offset = _after_sub_blocks(reader, offset + 2)
        else:
            images += 1
            local = reader.exactly(offset + 9, 1)[0]
            table = 3 << (local & 7) + 1 if local & 0x80 else 0
            offset = _after_sub_blocks(reader, offset + 11 + table)
    if images == 0:
        raise _Unreadable("no image in GIF")
    return Header(width, height, "GIF", alpha, images > 1)


def _after_sub_blocks(reader: _Reader, offset: int) -> int:
    """The offset after a chain of sub-blocks, each with its length in front, that ends with an empty one."""
    while True:
        block = reader.at(offset, _LARGE_READ)
        if not block:
            return offset
        position = 0
        while position < len(block):
            length = block[position]
            position += 1 + length
            if length == 0:
                return offset + position
        offset += position


def _ends_well(descriptor: int, head: bytes, kind: str, size: int) -> bool:
    """Whether a file of ``size`` bytes ends as a whole one of its format does; true for formats not known here."""
    if kind == "WEBP":
        return size >= 8 + int.from_bytes(head[4:8], "little")
    if kind not in ("PNG", "JPEG", "GIF"):
        return True
    tail = head[-12:] if size == len(head) else os.pread(descriptor, 12, max(0, size - 12))
    if kind == "PNG":
        return tail[4:8] == b"IEND"
    return tail.rstrip(b"\0").endswith(b"\xff\xd9" if kind == "JPEG" else b";")


def _orientation(exif: bytes) -> int:
    """The orientation tag (0x0112) of the first directory of EXIF data, 1 when it has none or is damaged."""
    if exif.startswith(b"Exif\0\0"):
        exif = exif[6:]
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        start = struct.unpack_from(order + "I", exif, 4)[0]
        entries = struct.unpack_from(order + "H", exif, start)[0]
        for index in range(entries):
            tag, kind = struct.unpack_from(order + "HH", exif, start + 2 + 12 * index)
            if tag == 0x0112:
                form = {1: "B", 3: "H", 4: "I"}.get(kind, "H")
                value = int(struct.unpack_from(order + form, exif, start + 2 + 12 * index + 8)[0])
                return value if 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1


def _colours(mode: str) -> str:
    """What is unusual about a mode of Pillow."""
    if mode == "CMYK":
        return "CMYK"
    return "16-bit" if mode.startswith(("I", "F")) else ""


def read_header(path: Path) -> Header:
    """What a header says that only Pillow reads.

    Raises:
        UserError: the file is no image (``image.invalid``), is far too large (``image.too_large``), or cannot be
            opened (``image.unreadable``).
    """
    try:
        return header_through_pillow(path)
    except _Unreadable as error:
        raise _refused(plain(str(path)), empty=False) from error
    except OSError as error:
        raise _unopened(path, error) from error


def header_through_pillow(path: Path) -> Header:
    """The same without errors in words; they are for :func:`read_facts`, which asks for it."""
    from PIL import Image

    try:
        with open_with_pillow(path) as image:
            alpha = "A" in image.getbands() or "transparency" in image.info
            animated = bool(getattr(image, "is_animated", False))
            turned_when_loaded = image.format == "TIFF"
            orientation = 1 if turned_when_loaded else int(image.getexif().get(0x0112, 1) or 1)
            kind = image.format or "?"
            return Header(image.width, image.height, kind, alpha, animated, orientation, _colours(image.mode))
    except Image.DecompressionBombError as error:
        message = _("The image says it has more than {limit} million pixels.")
        raise _too_large(path, message.format(limit=MAX_PIXELS // 1_000_000)) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise _Unreadable("Pillow does not read it") from error
    except (ValueError, SyntaxError, TypeError, struct.error, IndexError, EOFError, OverflowError) as error:
        raise _Unreadable("Pillow does not read it") from error
