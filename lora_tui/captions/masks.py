"""Masks: pictures that say which part of an image counts. They are no images to train on.

Conventions: OneTrainer's ``stem-masklabel.png`` and ``stem-condlabel.png`` beside the image, and what sd-scripts names
in ``conditioning_data_dir``, a folder of masks with the stems of the images; understood here when it is called ``mask``
or ``masks`` and lies in the folder of the images or around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from lora_tui.captions.folders import Folder

MASK_ENDINGS = ("-masklabel.png", "-condlabel.png")
"""What OneTrainer puts behind an image's stem for its mask."""
MASK_FOLDERS = frozenset({"mask", "masks"})


def masks_among(names: Iterable[str]) -> dict[str, str]:
    """The masks among the images of a dataset by name: each mask, and the image that it belongs to.

    Args:
        names: relative to the dataset's folder, with ``/``. Of several images with a mask's stem the first has it.
    """
    known = list(names)
    doubtful = [name for name in known if _may_be_mask(name)]
    if not doubtful:
        return {}
    masks = set(doubtful)
    stems: dict[str, str] = {}
    for name in known:
        if name not in masks:
            stems.setdefault(name.rpartition(".")[0], name)
    found = {}
    for name in doubtful:
        image = next((stems[stem] for stem in _stems(name) if stem in stems), None)
        if image is not None:
            found[name] = image
    return found


def without_masks(folders: Sequence[Folder]) -> Sequence[Folder]:
    """The same folders without the masks among their images."""
    if not any(
        not MASK_FOLDERS.isdisjoint(folder.prefix.split("/"))
        or any(name.endswith(MASK_ENDINGS) for name, _caption in folder.files)
        for folder in folders
    ):
        return folders
    masks = masks_among(folder.prefix + name for folder in folders for name, _caption in folder.files)
    if not masks:
        return folders
    kept = (
        replace(folder, files=tuple(pair for pair in folder.files if folder.prefix + pair[0] not in masks))
        for folder in folders
    )
    return tuple(folder for folder in kept if folder.files)


def mask_folders(folder: str) -> list[str]:
    """Where masks of the images of a folder may lie but beside them, the nearest first.

    Args:
        folder: relative to a folder around it, with ``/``; empty for that itself.
    """
    parts = folder.split("/") if folder else []
    found = (
        "/".join([*parts[:place], name, *parts[place:]])
        for place in range(len(parts), -1, -1)
        for name in sorted(MASK_FOLDERS)
    )
    return list(dict.fromkeys(found))


def _may_be_mask(name: str) -> bool:
    return name.endswith(MASK_ENDINGS) or ("mask" in name and not MASK_FOLDERS.isdisjoint(name.split("/")[:-1]))


def _stems(mask: str) -> Iterable[str]:
    """The images without their ending that ``mask`` may belong to, the nearest first."""
    for ending in MASK_ENDINGS:
        if mask.endswith(ending):
            yield mask.removesuffix(ending)
    path = PurePosixPath(mask.rpartition(".")[0])
    parts = path.parts
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] in MASK_FOLDERS:
            yield "/".join(parts[:place] + parts[place + 1 :])
