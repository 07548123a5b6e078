"""A caption file as bytes and as text, without losing one of either. Knows no file and no image.

Trainers differ in how they read encodings, byte order marks and line ends; this program keeps the
bytes as they are, reads what a person meant, and names what a trainer might stumble over.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from lora_tui.text.translate import N_, _

UNDECODABLE = "undecodable"

#: Byte order marks and what they announce; the longer ones first, because UTF-32's begins like UTF-16's.
_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

#: Codes in :attr:`CaptionDocument.problems` and the sentence for each.
PROBLEM_TEXTS: dict[str, str] = {
    "undecodable": N_("Not valid UTF-8: some characters will not be read as they were meant."),
    "bom": N_("Begins with a byte order mark, which other trainers read as part of the first tag."),
    "wide": N_("Written in UTF-16 or UTF-32, which other trainers cannot read."),
    "nul": N_("Contains NUL characters; it may be UTF-16 without its mark."),
    "empty": N_("The caption is empty."),
    "more_lines": N_("Only the first line that is not empty is read; the other lines are not used."),
    "mixed_newlines": N_("Line ends of several kinds are mixed."),
}


@dataclass(frozen=True, slots=True)
class CaptionDocument:
    """One caption file.

    Attributes:
        raw: the file's bytes.
        encoding: ``utf-8``, ``utf-8-sig``, ``utf-16-le``, ``utf-16-be``, ``utf-32-le``, ``utf-32-be``, or
            ``undecodable``: read as UTF-8 with the bytes that are none kept as lone surrogates.
        bom: the byte order mark, or nothing.
        text: the decoded content without the mark, line ends as they are.
        newline: the kind of line end that occurs most, or empty when there is none.
        problems: codes of :data:`PROBLEM_TEXTS`, in a fixed order.
    """

    raw: bytes
    encoding: str
    bom: bytes
    text: str
    newline: str
    problems: tuple[str, ...]

    @classmethod
    def parse(cls, raw: bytes) -> CaptionDocument:
        """Read any bytes; never raises. What cannot be decoded is kept and reported."""
        if raw.isascii() and raw and not (b"\n" in raw or b"\r" in raw or b"\0" in raw or raw.isspace()):
            return cls(raw, "utf-8", b"", raw.decode("ascii"), "", ())  # what most are, and there may be 100,000
        encoding, bom, text = _decode(raw)
        newlines = _count_newlines(text)
        newline = max(newlines, key=lambda kind: newlines[kind]) if any(newlines.values()) else ""
        problems = _problems(encoding, bom, text, newlines)
        return cls(raw=raw, encoding=encoding, bom=bom, text=text, newline=newline, problems=problems)

    def to_bytes(self) -> bytes:
        """The bytes of the file: of a document that was read, exactly those that were read."""
        return self.raw

    def with_text(self, text: str) -> CaptionDocument:
        """This file with another text, in the same encoding and with the same byte order mark.

        Raises:
            UnicodeEncodeError: ``text`` holds something that the encoding cannot write.
        """
        return CaptionDocument.parse(self.bom + _encode(text, self.encoding))

    @property
    def first_line(self) -> str:
        """The first line that is not blank, stripped; empty when there is none. This is what trains."""
        return next((line.strip() for line in split_lines(self.text) if line.strip()), "")

    @property
    def tags(self) -> tuple[str, ...]:
        """The comma-separated parts of the first caption line, stripped, empty ones left out."""
        return split_tags(self.first_line)


def decoded(raw: bytes) -> str:
    """The text that :meth:`CaptionDocument.parse` finds in a file's bytes."""
    return raw.decode("ascii") if raw.isascii() else _decode(raw)[2]


def split_lines(text: str) -> list[str]:
    """Lines by ``\\n``, ``\\r\\n`` and ``\\r`` only; other Unicode separators belong to the caption."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def split_tags(line: str) -> tuple[str, ...]:
    """The comma-separated parts of ``line``, stripped, empty ones left out."""
    return tuple(part for part in (piece.strip() for piece in line.split(",")) if part)


def problem_text(code: str) -> str:
    """The sentence for a code of :attr:`CaptionDocument.problems`, in the current language."""
    return _(PROBLEM_TEXTS[code])


def _decode(raw: bytes) -> tuple[str, bytes, str]:
    for bom, encoding in _MARKS:
        if raw.startswith(bom):
            codec = "utf-8" if encoding == "utf-8-sig" else encoding
            try:
                return encoding, bom, raw[len(bom) :].decode(codec)
            except UnicodeDecodeError:
                if encoding == "utf-8-sig":
                    return UNDECODABLE, bom, raw[len(bom) :].decode("utf-8", "surrogateescape")
    try:
        return "utf-8", b"", raw.decode("utf-8")
    except UnicodeDecodeError:
        return UNDECODABLE, b"", raw.decode("utf-8", "surrogateescape")


def _encode(text: str, encoding: str) -> bytes:
    if encoding == UNDECODABLE:
        return text.encode("utf-8", "surrogateescape")
    return text.encode("utf-8" if encoding == "utf-8-sig" else encoding)


def _count_newlines(text: str) -> dict[str, int]:
    both = text.count("\r\n")
    return {"\n": text.count("\n") - both, "\r\n": both, "\r": text.count("\r") - both}


def _problems(encoding: str, bom: bytes, text: str, newlines: dict[str, int]) -> tuple[str, ...]:
    filled = sum(1 for line in split_lines(text) if line.strip())
    found = {
        "undecodable": encoding == UNDECODABLE,
        "bom": bool(bom) and encoding in ("utf-8-sig", UNDECODABLE),
        "wide": encoding.startswith(("utf-16", "utf-32")),
        "nul": "\0" in text,
        "empty": filled == 0,
        "more_lines": filled > 1,
        "mixed_newlines": sum(1 for count in newlines.values() if count) > 1,
    }
    return tuple(code for code, present in found.items() if present)
