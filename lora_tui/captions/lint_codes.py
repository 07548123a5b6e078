"""The names of the problems that captions are looked at for; data only, for filters and options that name them."""

from __future__ import annotations

CODES: tuple[str, ...] = (
    "cache.stale",
    "caption.bom",
    "caption.control",
    "caption.crlf",
    "caption.empty",
    "caption.ending",
    "caption.missing",
    "caption.more_lines",
    "caption.nul",
    "caption.orphan",
    "caption.shared",
    "caption.tokens",
    "caption.undecodable",
    "caption.unreadable",
    "caption.wide",
    "caption.zero_bytes",
    "mark.braces",
    "mark.empty_tag",
    "mark.escape",
    "mark.keep",
    "mark.unit",
    "mark.weight",
    "mark.wide_comma",
    "mark.wildcard",
    "tag.banned",
    "tag.contradiction",
    "tag.double",
    "tag.double_spelling",
    "tag.plural",
    "tag.slip",
    "tag.spelling",
    "trigger.case",
    "trigger.missing",
    "trigger.not_first",
)


def names_of(code: str) -> tuple[str, str]:
    """What a problem may be called: its code, and what stands behind the full stop."""
    return code, code.partition(".")[2]
