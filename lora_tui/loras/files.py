"""One LoRA file of many, in what a list shows of it: read from its header, and kept small. Knows no torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.weights.header.loras import LoraInfo, lora_info
from lora_tui.weights.header.story import base_of, tags_of, triggers_of

SUFFIX = ".safetensors"
MOST_FILES = 50_000
"""Files that are listed at most; folders of whole drives are no collections."""
KEPT_TAGS = 60
MOST_DEEP = 12
"""Folders below each other that are looked into."""
CALLED = ("ss_output_name", "modelspec.title")


@dataclass(frozen=True)
class LoraFile:
    """A file of the list.

    Attributes:
        modified: unix seconds; ``size`` in bytes.
        family, kind, layout: see :class:`lora_tui.weights.header.loras.LoraInfo`; empty where ``problem`` says why.
        rank, alpha: of most layers; none where there is none.
        step: of the training, 0 where nothing says it.
        titles: what its metadata call it.
        tags: of the training set, the commonest first.
        session: identifies the life of the run that wrote it; ``digest`` its tensors, where the file says so.
    """

    path: Path
    size: int
    modified: float
    family: str = ""
    kind: str = ""
    layout: str = ""
    rank: int | None = None
    alpha: float | None = None
    step: int = 0
    base: str = ""
    titles: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    session: str = ""
    digest: str = ""
    problem: UserError | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        return self.path.name.removesuffix(SUFFIX)


def file_row(path: Path) -> LoraFile | None:
    """What a list shows of the file at ``path``; none where it is gone, or holds a whole model and no LoRA."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    try:
        info = lora_info(path)
    except UserError as error:
        if error.code == "lora.not_a_lora":
            return None
        return LoraFile(path, found.st_size, found.st_mtime, problem=error)
    return _row(path, found.st_mtime, info)


def _row(path: Path, modified: float, info: LoraInfo) -> LoraFile:
    told = info.metadata
    return LoraFile(
        path,
        info.size,
        modified,
        info.family,
        info.kind,
        info.layout,
        info.rank,
        info.alpha,
        _whole(told.get("ss_steps", "")),
        base_of(told).name,
        tuple(dict.fromkeys(told[key] for key in CALLED if told.get(key))),
        triggers_of(told),
        tuple(tag for tag, _number in tags_of(told)[:KEPT_TAGS]),
        told.get("ss_session_id", ""),
        told.get("sshs_model_hash", ""),
    )


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 12 else 0


def find_files(folders: Iterable[Path], stop: Callable[[], bool] = lambda: False) -> list[Path]:
    """The files that may be LoRAs in ``folders`` and below them, each once, by its own name rather than a link's; links
    to folders are not followed.

    What cannot be read is left out.
    """
    found: dict[tuple[int, int], Path] = {}
    links: set[tuple[int, int]] = set()
    for folder in folders:
        for entry in _walk(folder, 0):
            if stop() or len(found) >= MOST_FILES:
                return list(found.values())
            try:
                about, link = entry.stat(), entry.is_symlink()
            except OSError:
                continue
            key = about.st_dev, about.st_ino
            if key not in found or (key in links and not link):
                found[key] = Path(entry.path)
                (links.add if link else links.discard)(key)
    return list(found.values())


def _walk(folder: Path | str, deep: int) -> Iterator[os.DirEntry[str]]:
    folders: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        if deep < MOST_DEEP and not entry.name.startswith("."):
                            folders.append(entry.path)
                    elif entry.name.lower().endswith(SUFFIX) and not entry.name.startswith(".") and entry.is_file():
                        yield entry
                except OSError:
                    continue
    except (OSError, ValueError):
        return
    for inner in sorted(folders):
        yield from _walk(inner, deep + 1)


def copies(files: Iterable[LoraFile]) -> Mapping[str, list[LoraFile]]:
    """Files with the same tensors, by what their metadata say of these."""
    found: dict[str, list[LoraFile]] = {}
    for one in files:
        if one.digest:
            found.setdefault(one.digest, []).append(one)
    return found
