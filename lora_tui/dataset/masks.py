"""Masks: pictures that say which part of an image counts. They are no images to train on.

Conventions: OneTrainer's ``stem-masklabel.png`` and ``stem-condlabel.png`` beside the image, and what sd-scripts names
in ``conditioning_data_dir``, a folder of masks with the stems of the images; understood here when it is called ``mask``
or ``masks`` and lies in the folder of the images or around it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

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
