"""Captions as other programs take them: kohya's metadata JSON, JSON lines, one CSV."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable

from lora_tui.captions.as_trained import caption_text
from lora_tui.captions.corpus import Corpus, Entry

FORMATS = ("kohya-json", "jsonl", "csv")


def export(corpus: Corpus, numbers: Iterable[int], form: str, *, full_paths: bool = False) -> str:
    """The captions of images as the text of one file.

    ``kohya-json`` is the metadata of sd-scripts' fine-tuning: ``tags`` is one text, as its trainer joins it, and an
    image is named by its path without its ending, to which its trainer adds every ending that it knows; where two
    images differ in nothing else, both are named by their whole paths.
    ``jsonl`` has ``image_path`` and ``caption`` a line, as sd-scripts and musubi-tuner read it. Images without a
    caption have an empty one.
    """
    entries = [corpus.entries[number] for number in numbers]
    if form == "kohya-json":
        stems = [entry.name.rpartition(".")[0] for entry in entries]
        several = Counter(stems)
        rows = {
            _key(corpus, entry, full_paths=True) if full_paths or several[stem] > 1 else stem: {
                "tags": _text(corpus, entry)
            }
            for entry, stem in zip(entries, stems, strict=True)
        }
        return json.dumps(rows, ensure_ascii=True, indent=2) + "\n"
    if form == "jsonl":
        lines = (
            json.dumps({"image_path": str(corpus.root / entry.name), "caption": _text(corpus, entry)}) + "\n"
            for entry in entries
        )
        return "".join(lines)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("image", "caption"))
    writer.writerows((_key(corpus, entry, full_paths=full_paths), _text(corpus, entry)) for entry in entries)
    return buffer.getvalue()


def _text(corpus: Corpus, entry: Entry) -> str:
    """What the profile's trainer would read: the whole text, or its first line."""
    if entry.document is None:
        return ""
    if corpus.profile.lines == "all":
        return entry.document.text.strip()
    return caption_text(entry.document)


def _key(corpus: Corpus, entry: Entry, *, full_paths: bool) -> str:
    return str(corpus.root / entry.name) if full_paths else entry.name
