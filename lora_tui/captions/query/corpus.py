"""What a filter needs of a dataset: entries and their index. Nothing here opens a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lora_tui.captions.index import Index


class DocumentLike(Protocol):
    """A caption file that was read."""

    @property
    def raw(self) -> bytes: ...
    @property
    def encoding(self) -> str: ...
    @property
    def bom(self) -> bytes: ...
    @property
    def text(self) -> str: ...
    @property
    def problems(self) -> tuple[str, ...]: ...


class EntryLike(Protocol):
    """An image with its caption.

    Attributes:
        number: its place in the corpus.
        name: the image's path relative to the dataset's folder, with ``/``.
        caption_name: the caption file's path in the same way; that of a new one where there is no file.
        document: what the file holds; none when there is no file.
        tags: in their order.
        mtime_ns: when the caption file was last changed, ns since 1970; 0 when there is none.
        size: of the caption file, bytes.
    """

    @property
    def number(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def caption_name(self) -> str: ...
    @property
    def document(self) -> DocumentLike | None: ...
    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def mtime_ns(self) -> int: ...
    @property
    def size(self) -> int: ...


class CorpusLike(Protocol):
    """The captions of a dataset."""

    @property
    def entries(self) -> Sequence[EntryLike]: ...
    @property
    def index(self) -> Index: ...


def text_of(entry: EntryLike) -> str:
    """The text of an entry's caption; empty when it has none."""
    return "" if entry.document is None else entry.document.text
