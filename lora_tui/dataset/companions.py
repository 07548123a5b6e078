"""The files that belong to an image and go where it goes: captions, masks, and what trainers cached for it.

Conventions: ``stem.txt``, ``stem.caption``, ``stem.wd14.txt`` and any other ``stem.*`` that is no image; OneTrainer's
``stem-masklabel.png`` and ``stem-condlabel.png``; sd-scripts' caches ``stem.npz``, ``stem_<size>_<kind>.npz`` and
``stem_te_outputs.npz``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path

from lora_tui.captions.masks import MASK_ENDINGS
from lora_tui.dataset.scan import IMAGE_SUFFIXES, OTHER_SUFFIXES

_CACHE = re.compile(r"(_\d+x\d+)?_[a-z0-9]+(_te|_te_outputs|_outputs)?\.npz")


def is_image_name(name: str) -> bool:
    """Whether a file is an image of the dataset by its name: masks of other images are not."""
    ending = os.path.splitext(name)[1].lower()  # noqa: PTH122 - names, not paths
    return ending in IMAGE_SUFFIXES | OTHER_SUFFIXES and not name.endswith(MASK_ENDINGS)


def companions(image: str, names: Collection[str]) -> list[str]:
    """The companions of ``image`` among ``names``, the files of its folder, sorted.

    What belongs to two images (``a.png`` and ``a.jpg`` share ``a.txt``) belongs to neither alone and is left out, and
    ``a.b.txt`` is that of ``a.b.png`` when there is one.
    """
    stem = _stem(image)
    others = {_stem(name) for name in names if name != image and is_image_name(name)}
    if stem in others:
        return []
    longer = [other for other in others if len(other) > len(stem) and other.startswith(stem)]
    return sorted(name for name in names if name != image and _belongs(name, stem, longer))


def companions_of(image: Path) -> list[Path]:
    """The companions of an image on disk.

    Raises:
        OSError: its folder cannot be listed.
    """
    names = {entry.name for entry in os.scandir(image.parent) if entry.is_file(follow_symlinks=False)}
    return [image.parent / name for name in companions(image.name, names)]


def _belongs(name: str, stem: str, longer: Iterable[str]) -> bool:
    if not _follows(name, stem) or is_image_name(name):
        return False
    return not any(_follows(name, other) for other in longer)


def _follows(name: str, stem: str) -> bool:
    """Whether ``name`` is ``stem`` with the ending of a caption, a mask or a cache."""
    if not name.startswith(stem):
        return False
    rest = name[len(stem) :]
    return (rest.startswith(".") and len(rest) > 1) or rest in MASK_ENDINGS or bool(_CACHE.fullmatch(rest))


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]  # noqa: PTH122
