"""Tags as they are written into operations and filters, so that any tag can be named."""

from __future__ import annotations


def quoted(tag: str) -> str:
    r"""``tag`` in quotation marks, with ``\`` before each quotation mark and backslash in it."""
    return '"' + tag.replace("\\", "\\\\").replace('"', '\\"') + '"'
