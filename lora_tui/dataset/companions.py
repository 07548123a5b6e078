"""What belongs to an image and goes where it goes: captions, masks, and what trainers cached for it.

Conventions: ``stem.txt``, ``stem.caption``, ``stem.wd14.txt`` and any other ``stem.*`` that may be a caption, which
projects, models, archives and the files of drawing programs are not; sd-scripts' caches ``stem.npz``,
``stem_<size>_<kind>.npz`` and ``stem_te_outputs.npz``; masks as :mod:`lora_tui.captions.masks` knows them, beside the
image and in folders of their own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

from lora_tui.captions.masks import MASK_ENDINGS, MASK_FOLDERS, mask_folders
from lora_tui.captions.variants import OTHER_ENDINGS
from lora_tui.dataset.renaming import is_folder
from lora_tui.dataset.scan import IMAGE_SUFFIXES, OTHER_SUFFIXES

_CACHE = re.compile(r"(_\d+x\d+)?_[a-z0-9]+(_te|_te_outputs|_outputs)?\.npz")
_CACHES = frozenset({".npz", ".npy"})
_PICTURES = IMAGE_SUFFIXES | OTHER_SUFFIXES
_MARKS = frozenset("._-")
"""What the endings of companions begin with."""


def is_image_name(name: str) -> bool:
    """Whether a file is an image of the dataset by its name: masks of other images are not."""
    return _is_picture(name) and not name.endswith(MASK_ENDINGS)


def owner_of(name: str, stems: Collection[str]) -> str | None:
    """Which of the images with these stems a file beside them belongs to by its name; none when to none of them.

    ``a.b.txt`` is that of ``a.b.png`` when there is one, else that of ``a.png``.
    """
    for place in range(len(name) - 1, 0, -1):
        if name[place] in _MARKS and name[:place] in stems and _is_ending(name[place:]):
            return name[:place]
    return None


def owners_among(names: Collection[str]) -> dict[str, list[str]]:
    """What belongs to images among ``names``, the files of one folder: by the images' stems, sorted."""
    images = {name for name in names if is_image_name(name)}
    stems = {_stem(name) for name in images}
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        if name not in images and (stem := owner_of(name, stems)) is not None:
            found.setdefault(stem, []).append(name)
    return found


def companions(images: Iterable[str], names: Collection[str]) -> dict[str, list[str]]:
    """The companions of each of ``images`` among ``names``, the files of their folder.

    What belongs to an image that is none of them as well (``a.png`` and ``a.jpg`` share ``a.txt``) is left out; what
    belongs to several of them is named with the first.
    """
    leaving = list(dict.fromkeys(images))
    owners = owners_among(names)
    staying = _stems_of_others(names, leaving)
    found: dict[str, list[str]] = {}
    for image in leaving:
        stem = _stem(image)
        found[image] = [] if stem in staying else owners.pop(stem, [])
    return found


def belongings(home: Path, images: Iterable[str]) -> dict[str, list[str]]:
    """The files that go when images go, those images aside.

    Args:
        images: relative to ``home``, with ``/``; the files are, too.

    Raises:
        OSError: a folder of the images cannot be listed.
    """
    folders: dict[str, list[str]] = {}
    for name in dict.fromkeys(images):
        folder, _slash, file = name.rpartition("/")
        folders.setdefault(folder, []).append(file)
    found: dict[str, list[str]] = {}
    for folder, files in folders.items():
        prefix = f"{folder}/" if folder else ""
        there = _files(home / folder)
        staying = _stems_of_others(there, files)
        for file, own in companions(files, there).items():
            found[prefix + file] = [prefix + name for name in own]
        owner = {_stem(file): prefix + file for file in reversed(files)}
        for masks in mask_folders(folder):
            for name in _files_if_any(home / masks):
                stem = _stem(name)
                if _is_picture(name) and stem in owner and stem not in staying:
                    found[owner[stem]].append(f"{masks}/{name}")
    return found


def place_for(folder: PurePosixPath, image: str, companion: str) -> PurePosixPath:
    """Where a companion of ``image`` is to lie when that lies in ``folder``: masks stay in a folder of their own."""
    path = PurePosixPath(companion)
    if path.parent == PurePosixPath(image).parent:
        return folder / path.name
    kind = next(part for part in reversed(path.parent.parts) if part in MASK_FOLDERS)
    return folder / kind / path.name


def _stems_of_others(names: Iterable[str], images: Collection[str]) -> set[str]:
    leaving = set(images)
    return {_stem(name) for name in names if name not in leaving and is_image_name(name)}


def _is_ending(rest: str) -> bool:
    """Whether this stands behind an image's stem in the name of a caption, a mask or a cache."""
    ending = os.path.splitext("-" + rest)[1].lower()  # noqa: PTH122
    if rest.startswith("."):
        return len(ending) > 1 and (ending in _CACHES or ending not in OTHER_ENDINGS)
    return rest in MASK_ENDINGS or bool(_CACHE.fullmatch(rest))


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in _PICTURES  # noqa: PTH122 - names, not paths


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]  # noqa: PTH122


def _files(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if not is_folder(entry))


def _files_if_any(folder: Path) -> list[str]:
    try:
        return _files(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
