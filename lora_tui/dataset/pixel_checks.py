"""The checks of a dataset that need pixels: damaged files, real transparency, near-duplicates."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from lora_tui.dataset.buckets import Size
from lora_tui.dataset.load import is_transparent, open_upright
from lora_tui.dataset.scan import DatasetImage, Problem, Progress, Stop
from lora_tui.dataset.similar import image_groups
from lora_tui.errors import UserError
from lora_tui.text import _, ngettext, plain

_CHUNK = 64
#: JPEGs are decoded at a fraction of their size: their whole data is read all the same.
_SMALL = Size(64, 64)


def check_pixels(
    images: Sequence[DatasetImage], on_progress: Progress | None = None, should_stop: Stop | None = None
) -> Iterator[Problem]:
    """Decode every image, in threads, and say what is wrong; then look for near-duplicates.

    Args:
        on_progress: called with the number of images decoded.
        should_stop: asked now and then; once it says yes, nothing more is looked at.
    """
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        for start in range(0, len(images), _CHUNK):
            if should_stop is not None and should_stop():
                return
            if on_progress is not None:
                on_progress(start)
            for problem in pool.map(_decoded, images[start : start + _CHUNK]):
                if problem is not None:
                    yield problem
    if on_progress is not None:
        on_progress(len(images))
    yield from _near_duplicates(images, should_stop)


def _decoded(image: DatasetImage) -> Problem | None:
    try:
        if not image.facts.alpha:
            open_upright(image.path, at_least=_SMALL)
        elif is_transparent(image.path):
            message = _("The image has transparent areas, which become white.")
            return Problem(image.path, "image.alpha", message, _("Put it on the background you want."), "warning")
    except UserError as error:
        return Problem(image.path, error.code, error.message, error.remedy)
    return None


def _near_duplicates(images: Sequence[DatasetImage], should_stop: Stop | None) -> Iterator[Problem]:
    groups: defaultdict[int, list[DatasetImage]] = defaultdict(list)
    numbers = image_groups(images, should_stop=should_stop)
    for image in images:
        groups[numbers[image.uid]].append(image)
    for members in groups.values():
        first, *others = members
        if not others:
            continue
        message = ngettext(
            "{number} other image is nearly the same: {names}.",
            "{number} other images are nearly the same: {names}.",
            len(others),
        ).format(number=len(others), names=_names(others))
        remedy = _("Keep the best of them, so that the LoRA does not learn this one picture by heart.")
        yield Problem(first.path, "image.similar", message, remedy, "warning")


def _names(images: Sequence[DatasetImage], most: int = 3) -> str:
    shown = ", ".join(plain(image.relative) for image in images[:most])
    return shown + (", …" if len(images) > most else "")
