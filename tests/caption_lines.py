"""Small datasets in memory for tests of the filters and what stands on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lora_tui.captions.document import CaptionDocument, split_tags
from lora_tui.captions.index import Index
from lora_tui.captions.query.facts import Context
from lora_tui.captions.query.query import parse_query


@dataclass
class Line:
    """An entry: an image's name and what its caption file holds; none when there is no file."""

    number: int
    name: str
    document: CaptionDocument | None
    tags: tuple[str, ...] = ()
    mtime_ns: int = 0
    size: int = 0

    @property
    def caption_name(self) -> str:
        return self.name.rpartition(".")[0] + ".txt"


class Lines:
    """A corpus of captions given as text or bytes."""

    def __init__(self, captions: Sequence[str | bytes | None] | Mapping[str, str | bytes | None]) -> None:
        named = captions if isinstance(captions, Mapping) else {f"{n}.png": text for n, text in enumerate(captions)}
        self.index = Index()
        self.entries: list[Line] = []
        for number, (name, content) in enumerate(named.items()):
            raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
            document = None if raw is None else CaptionDocument.parse(raw)
            entry = Line(number, name, document)
            if document is not None:
                entry.tags = self.index.add(number, split_tags(document.first_line))
            self.entries.append(entry)

    def find(self, query: str, context: Context | None = None) -> list[int]:
        return parse_query(query).select(self, context)
