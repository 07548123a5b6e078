"""What goes with an image when it is prepared: its captions, whatever their ending, and its mask.

Copied as they are: every ``stem.*`` beside the image that is no picture and nothing that a trainer computed from its
pixels (``.npz``, ``.safetensors`` …, which would be wrong for the new ones).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lora_tui.captions.files import MAX_BYTES
from lora_tui.captions.masks import MASK_ENDINGS, MASK_FOLDERS
from lora_tui.dataset.companions import owners_among
from lora_tui.dataset.scan import IMAGE_SUFFIXES

COMPUTED = frozenset({".npz", ".npy", ".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".pkl", ".lock", ".part", ".tmp"})
"""Endings of what is computed from pixels, and of files that are not whole yet."""


@dataclass(frozen=True, slots=True)
class Mask:
    """A mask, and how its name is made from that of a new image.

    Attributes:
        path: the file.
        folder: what stands before the image's own folder; ``masks/`` or empty.
        inside: what stands between that folder and the name; ``masks/`` or empty.
        ending: what stands behind the image's name.
    """

    path: Path
    folder: str = ""
    inside: str = ""
    ending: str = ".png"

    def name_for(self, folder: str, stem: str) -> str:
        """Its new name below the destination; ``folder`` is the image's, ending with ``/`` or empty."""
        return self.folder + folder + self.inside + stem + self.ending


class Folders:
    """What lies beside images; each folder is listed once."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, list[str]]] = {}

    def captions(self, folder: str, stem: str) -> list[str]:
        """The names of files that are copied along with an image, sorted; folders, pipes, large files are left out."""
        known = self._known.get(folder)
        if known is None:
            known = self._known[folder] = _by_stem(_files(Path(folder)))
        return known.get(stem, [])


class MaskFolder:
    """A folder of masks with the names of the images, as sd-scripts' ``conditioning_data_dir``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, dict[str, str]] = {}

    def mask(self, inside: str, image: Path) -> Mask | None:
        """The mask of an image that lies in the folder ``inside`` of the source; likewise there, or at the top."""
        for folder in dict.fromkeys((inside, "")):
            name = self._of(folder).get(image.stem)
            if name is not None:
                return Mask(self._root / folder / name, folder="masks/")
        return None

    def _of(self, folder: str) -> dict[str, str]:
        known = self._known.get(folder)
        if known is None:
            names = sorted(_files(self._root / folder)) if (self._root / folder).is_dir() else []
            pictures = [name for name in names if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES]  # noqa: PTH122
            known = self._known[folder] = {os.path.splitext(name)[0]: name for name in reversed(pictures)}  # noqa: PTH122
        return known


def mask_beside(image: Path, mask: Path) -> Mask:
    """A mask that a scan has found, by the convention that its name follows."""
    for ending in MASK_ENDINGS:
        if mask.name.endswith(ending):
            return Mask(mask, ending=ending)
    if mask.parent.name in MASK_FOLDERS and mask.parent.parent == image.parent:
        return Mask(mask, inside=f"{mask.parent.name}/")
    return Mask(mask, folder="masks/")


def _by_stem(sizes: Mapping[str, int]) -> dict[str, list[str]]:
    """The files to copy by the stem of their image."""
    return {
        stem: [name for name in names if _is_copied(name) and sizes[name] <= MAX_BYTES]
        for stem, names in owners_among(sizes).items()
    }


def _is_copied(name: str) -> bool:
    return not name.endswith(MASK_ENDINGS) and os.path.splitext(name)[1].lower() not in COMPUTED  # noqa: PTH122


def _files(folder: Path) -> dict[str, int]:
    """The regular files of a folder that are not hidden, links followed, with their sizes in bytes."""
    found = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    if not entry.name.startswith(".") and entry.is_file():
                        found[entry.name] = entry.stat().st_size
                except OSError:
                    continue
    except OSError:
        return {}
    return found
