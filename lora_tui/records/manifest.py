"""Which files and captions a run was trained on, and how the datasets of two runs differ.

``dataset.json`` of a run's folder names every file with its content's digest and its caption; older runs have the same
in their record. It is apart from the record because that is read for every line of a list, and this for a comparison.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lora_tui.files import open_file, write_atomic
from lora_tui.jobs.events import as_count
from lora_tui.runs.folder import RunFolder, read_json

FILE = "dataset.json"
FORMAT = 1
MOST_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Trained:
    """One image as a run used it. ``digest`` is of its bytes, empty where unknown; ``crop`` in px, or none."""

    digest: str
    caption: str
    repeats: int = 1
    crop: tuple[int, ...] = ()


@dataclass(frozen=True)
class Change:
    """One image that both runs have, and what is another in the second."""

    name: str
    before: Trained
    after: Trained


@dataclass(frozen=True)
class DatasetChanges:
    """How the dataset of a second run differs from that of a first.

    Attributes:
        added, removed: names of images that only the second, only the first has.
        renamed: (before, after) of images that are the same under another name.
        contents, captions, repeats, crops: images that both have, with another picture, caption, number or cut.
        tags: tag -> images that have it, before and after, where that differs; the largest differences first.
        same: images that nothing is different about.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    contents: tuple[Change, ...] = ()
    captions: tuple[Change, ...] = ()
    repeats: tuple[Change, ...] = ()
    crops: tuple[Change, ...] = ()
    tags: Mapping[str, tuple[int, int]] | None = None
    same: int = 0

    @property
    def nothing(self) -> bool:
        """Whether the datasets are the same."""
        lists = (self.added, self.removed, self.renamed, self.contents, self.captions, self.repeats, self.crops)
        return not any(lists)


def write_manifest(run: RunFolder, files: Mapping[str, Mapping[str, Any]]) -> None:
    """Note the files of a run: name -> ``hash``, ``caption``, ``repeats`` and perhaps ``crop``.

    Raises:
        OSError: the folder cannot be written; what was there before is untouched.
    """
    text = json.dumps({"format": FORMAT, "files": files}, ensure_ascii=False, separators=(",", ":"))
    write_atomic(run.root / FILE, text.encode("utf-8", "replace"), durable=False)


def read_manifest(run: RunFolder) -> dict[str, Trained] | None:
    """The files of a run by name; none where nothing tells them."""
    files = _own(run)
    if files is None:
        dataset = read_json(run.record_path).get("dataset")
        files = dataset.get("files") if isinstance(dataset, dict) else None
    if not isinstance(files, dict):
        return None
    return {name: trained for name, entry in files.items() if (trained := _trained(entry)) is not None}


def changes(first: Mapping[str, Trained], second: Mapping[str, Trained]) -> DatasetChanges:
    """How ``second`` differs from ``first``; linear in their number."""
    added, removed = second.keys() - first.keys(), first.keys() - second.keys()
    places: dict[str, list[str]] = {}
    for name in sorted(added):
        if digest := second[name].digest:
            places.setdefault(digest, []).append(name)
    renamed: list[tuple[str, str]] = []
    for name in sorted(removed):
        if there := places.get(first[name].digest):
            renamed.append((name, there.pop(0)))
    pairs = [Change(name, first[name], second[name]) for name in sorted(first.keys() & second.keys())]
    pairs += [Change(after, first[before], second[after]) for before, after in renamed]
    contents = tuple(pair for pair in pairs if _differ(pair.before.digest, pair.after.digest))
    captions = tuple(pair for pair in pairs if pair.before.caption != pair.after.caption)
    repeats = tuple(pair for pair in pairs if pair.before.repeats != pair.after.repeats)
    crops = tuple(pair for pair in pairs if pair.before.crop != pair.after.crop)
    moved = {after for _before, after in renamed}
    changed = {pair.name for some in (contents, captions, repeats, crops) for pair in some}
    return DatasetChanges(
        tuple(sorted(added - moved)),
        tuple(sorted(removed - {before for before, _after in renamed})),
        tuple(renamed),
        contents,
        captions,
        repeats,
        crops,
        _tag_changes(first, second),
        sum(pair.name not in changed and pair.name not in moved for pair in pairs),
    )


def caption_change(change: Change) -> tuple[list[str], list[str]]:
    """The parts between commas that a caption lost and got, each in its order."""
    before, after = _parts(change.before.caption), _parts(change.after.caption)
    lost, got = Counter(before) - Counter(after), Counter(after) - Counter(before)
    return _first_of(before, lost), _first_of(after, got)


def _first_of(parts: list[str], wanted: Counter[str]) -> list[str]:
    found = []
    for part in parts:
        if wanted[part] > 0:
            wanted[part] -= 1
            found.append(part)
    return found


def _tag_changes(first: Mapping[str, Trained], second: Mapping[str, Trained]) -> dict[str, tuple[int, int]]:
    before, after = _counted(first), _counted(second)
    differ = {tag: (before[tag], after[tag]) for tag in before.keys() | after.keys() if before[tag] != after[tag]}
    return dict(sorted(differ.items(), key=lambda one: (-abs(one[1][0] - one[1][1]), one[0])))


def _counted(files: Mapping[str, Trained]) -> Counter[str]:
    found: Counter[str] = Counter()
    for entry in files.values():
        found.update(set(_parts(entry.caption)))
    return found


def _parts(caption: str) -> list[str]:
    return [part for text in caption.split(",") if (part := text.strip())]


def _differ(before: str, after: str) -> bool:
    return bool(before and after and before != after)


def _own(run: RunFolder) -> Any:
    try:
        with open_file(run.root / FILE) as file:
            value = json.loads(file.read(MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return value.get("files") if isinstance(value, dict) else None


def _trained(entry: Any) -> Trained | None:
    if not isinstance(entry, dict):
        return None
    digest, caption, crop = entry.get("hash"), entry.get("caption"), entry.get("crop")
    return Trained(
        digest if isinstance(digest, str) else "",
        caption if isinstance(caption, str) else "",
        as_count(entry.get("repeats", 1)),
        tuple(as_count(side) for side in crop[:4]) if isinstance(crop, list) else (),
    )
