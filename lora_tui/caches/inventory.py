"""What can be computed again and is kept: kinds, their bytes, when they were last used; and letting go of some.

Nothing here is needed for a result: what is let go of costs the time to compute it again. What a run uses right now is
not touched, for users of a store hold its lock.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_tui.caches.folders import FolderStore, Held
from lora_tui.caches.store import ContentStore
from lora_tui.settings import cache_dir
from lora_tui.text.translate import N_


@dataclass(frozen=True)
class Kind:
    """One kind of what is kept.

    Attributes:
        name: as a person names it; ``place`` is its folder, or how its files begin.
        title: what it is, and ``costs`` what it costs to have it made again.
        suffix: the ending of its files where it is a store that prunes itself by its lock; empty for plain files.
        whole: its folders are used, and leave, as a whole.
    """

    name: str
    place: str
    title: str
    costs: str
    suffix: str = ""
    whole: bool = False


COMPILED = "compiled"
"""The kind, and the place, of what a compiler made of blocks of networks."""
COMPILED_CAP = 20_000_000_000

KINDS: tuple[Kind, ...] = (
    Kind("latents", "latents", N_("encoded images"), N_("the VAE runs over each image again"), ".safetensors"),
    Kind("text", "text", N_("encoded captions"), N_("the text encoders run over each caption again"), ".safetensors"),
    Kind(
        "packed", "packed", N_("packed base models"), N_("a base model is packed again, some minutes"), ".safetensors"
    ),
    Kind(COMPILED, COMPILED, N_("compiled blocks"), N_("blocks are compiled again, some minutes"), whole=True),
    Kind("thumbnails", "thumbnails", N_("small pictures"), N_("images are decoded again when they are seen"), ".jpg"),
    Kind("contents", "contents", N_("digests of large files"), N_("base models are read whole again"), ".txt"),
    Kind("subjects", "subjects", N_("subjects found in images"), N_("the detector runs again"), ".json"),
    Kind("vectors", "vectors", N_("what models made of pictures"), N_("they look at each picture again"), ".f32"),
    Kind("captions", "captions", N_("what captions held when they were last read"), N_("they are read again")),
    Kind("scores", "answers-", N_("scores of taggers"), N_("the taggers run over each image again")),
    Kind("fingerprints", "fingerprints-", N_("fingerprints of images"), N_("images are decoded again")),
    Kind("runs", "runs", N_("the lists of runs"), N_("the files of each run are read again")),
    Kind("loras", "loras-", N_("the lists of LoRA files"), N_("the header of each file is read again")),
    Kind("other", "", N_("other"), N_("it is computed again")),
)
"""Every kind; the last one takes what no other knows."""


@dataclass(frozen=True)
class Kept:
    """What there is of a kind: files, bytes, and when one was last used (unix seconds; none where there is none)."""

    kind: Kind
    files: int
    size: int
    used: float | None


@dataclass(frozen=True)
class Freed:
    """What was, or would be, let go of. ``busy``: somebody uses it now, so it was left alone."""

    kind: Kind
    files: int
    size: int
    busy: bool = False


@dataclass(frozen=True)
class _File:
    used: float
    size: int
    path: Path


def inventory(root: Path | None = None) -> list[Kept]:
    """All kinds that are there, the largest first. Never raises: what cannot be read is not counted."""
    root = cache_dir() if root is None else root
    found = []
    for kind in KINDS:
        held = _folders(root, kind).held() if kind.whole else []
        files = [] if kind.whole else _files(root, kind)
        if held:
            found.append(Kept(kind, *_sums(held), held[-1].used))
        elif files:
            used = max(file.used for file in files)
            found.append(Kept(kind, len(files), sum(file.size for file in files), used))
    return sorted(found, key=lambda one: -one.size)


def prune(
    kinds: Sequence[Kind],
    *,
    cap: int | None = None,
    unused_seconds: float = math.inf,
    dry: bool = True,
    root: Path | None = None,
) -> list[Freed]:
    """Let go of what was unused for longest until at most ``cap`` bytes of each kind are left, and of what nobody used
    for ``unused_seconds``. With neither, all of it goes. ``dry``: only say it.

    Raises:
        OSError: a folder cannot be changed.
    """
    root = cache_dir() if root is None else root
    if cap is None and math.isinf(unused_seconds):
        cap = 0
    found = []
    for kind in kinds:
        if kind.whole:
            found.append(_pruned(_folders(root, kind), kind, cap, unused_seconds, dry=dry))
            continue
        leaving = _leaving(_files(root, kind), cap, unused_seconds)
        size = sum(file.size for file in leaving)
        if dry or not leaving:
            found.append(Freed(kind, len(leaving), size))
        elif kind.suffix:
            store = ContentStore(root, kind.place, kind.suffix)
            most = sum(file.size for file in _files(root, kind)) if cap is None else cap
            freed = store.prune(most, unused_seconds)
            gone = sum(not file.path.exists() for file in leaving)
            found.append(Freed(kind, gone, freed, busy=not gone))
        else:
            found.append(_removed(kind, leaving))
    return found


def compiled_folders() -> FolderStore:
    """Where the programs of compiled blocks of all runs lie, a folder for each set of shapes."""
    return FolderStore(cache_dir(), COMPILED, cap=COMPILED_CAP)


def _folders(root: Path, kind: Kind) -> FolderStore:
    return FolderStore(root, kind.place, cap=0)


def _pruned(store: FolderStore, kind: Kind, cap: int | None, unused_seconds: float, *, dry: bool) -> Freed:
    most = sum(one.size for one in store.held()) if cap is None else cap
    leaving = store.leaving(most, unused_seconds)
    gone = leaving if dry else store.prune(most, unused_seconds)
    return Freed(kind, *_sums(gone), busy=bool(leaving) and not gone)


def _sums(held: Sequence[Held]) -> tuple[int, int]:
    """Files and bytes of all."""
    return sum(one.files for one in held), sum(one.size for one in held)


def _leaving(files: list[_File], cap: int | None, unused_seconds: float) -> list[_File]:
    """The files that go, those unused for longest first."""
    files = sorted(files, key=lambda file: (file.used, file.path))
    excess = sum(file.size for file in files) - cap if cap is not None else 0
    oldest, found, freed = time.time() - unused_seconds, [], 0
    for file in files:
        if freed >= excess and file.used >= oldest:
            break
        found.append(file)
        freed += file.size
    return found


def _removed(kind: Kind, leaving: list[_File]) -> Freed:
    gone = [file for file in leaving if _unlink(file.path)]
    return Freed(kind, len(gone), sum(file.size for file in gone), busy=not gone)


def _unlink(path: Path) -> bool:
    with contextlib.suppress(OSError):
        path.unlink()
        return True
    return False


def _files(root: Path, kind: Kind) -> list[_File]:
    found: list[_File] = []
    for entry in _entries(root):
        if _kind_of(entry) is not kind:
            continue
        if not entry.is_dir(follow_symlinks=False):
            _add(found, entry)
            continue
        for place, _folders, names in os.walk(entry.path):
            for name in names:
                if name == ".lock" or (kind.suffix and not name.endswith(kind.suffix)):
                    continue
                path = Path(place, name)
                with contextlib.suppress(OSError):
                    facts = path.lstat()
                    found.append(_File(facts.st_mtime, facts.st_size, path))
    return found


def _entries(root: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(root) as entries:
            return list(entries)
    except OSError:
        return []


def _kind_of(entry: os.DirEntry[str]) -> Kind:
    for kind in KINDS[:-1]:
        if entry.name == kind.place or (kind.place.endswith("-") and entry.name.startswith(kind.place)):
            return kind
    return KINDS[-1]


def _add(found: list[_File], entry: os.DirEntry[str]) -> None:
    with contextlib.suppress(OSError):
        facts = entry.stat(follow_symlinks=False)
        found.append(_File(facts.st_mtime, facts.st_size, Path(entry.path)))
