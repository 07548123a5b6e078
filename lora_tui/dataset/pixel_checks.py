"""The checks of a dataset that need pixels: damaged files, real transparency, blur, near-duplicates."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from lora_tui.dataset.blur import is_blurred
from lora_tui.dataset.eyes import Eyes, eyes_now
from lora_tui.dataset.held_out import check_held_out
from lora_tui.dataset.load import content_hash
from lora_tui.dataset.notes import KeptAlike
from lora_tui.dataset.scan import DatasetImage, Problem, Progress, Stop
from lora_tui.dataset.similar import CLEAR, SHARP, fingerprints, group
from lora_tui.dataset.verdicts import remember_damage
from lora_tui.errors import UserError
from lora_tui.text import N_, _, ngettext, plain

if TYPE_CHECKING:
    from lora_tui.config.schema import Config


def check_pixels(
    images: Sequence[DatasetImage],
    on_progress: Progress | None = None,
    should_stop: Stop | None = None,
    *,
    config: Config | None = None,
) -> Iterator[Problem]:
    """Say which images are damaged, transparent or blurred, and which are near-duplicates.

    With a configuration, also which of those that it holds out for validation are trained as mirror images.

    An image whose fingerprint is known for its present size and time was decoded before, and is not again.

    Args:
        on_progress: called with the number of images decoded.
        should_stop: asked now and then; once it says yes, nothing more is looked at.
    """
    prints = fingerprints(images, on_progress, should_stop)
    if should_stop is not None and should_stop():
        return
    doubtful = [image for image, cells in zip(images, prints, strict=True) if cells is None]
    eyes = eyes_now()
    look = partial(_decoded, eyes=eyes)
    with ThreadPoolExecutor(max_workers=eyes.at_once) as pool:
        for problem in pool.map(look, doubtful):
            if problem is not None:
                yield problem
    becomes_white = fills_transparency(config)
    for image, cells in zip(images, prints, strict=True):
        if cells is not None and cells[CLEAR] and becomes_white:
            message = _("The image has transparent areas, which become white.")
            yield Problem(image.path, "image.alpha", message, _("Put it on the background you want."), "warning")
        if cells is not None and is_blurred(cells[SHARP]):
            message = _("The image is blurred: it has no sharp edge.")
            remedy = _('Use a sharp one, or tag it with "blurry" so that the LoRA does not learn the blur.')
            yield Problem(image.path, "image.blurred", message, remedy, "warning")
    groups = group(images, prints)
    yield from _near_duplicates(images, groups)
    if config is not None:
        yield from check_held_out(images, prints, groups, config)


def fills_transparency(config: Config | None) -> bool:
    """Whether transparent areas become white; they do not matter where they say which part of an image counts."""
    return config is None or config.masks.source != "alpha"


def _decoded(image: DatasetImage, eyes: Eyes) -> Problem | None:
    """What is wrong with an image that has no fingerprint: nothing when it can be decoded now."""
    try:
        eyes.verify(image.path)
    except UserError as error:
        remember_damage(image.path, image.facts, error)
        return Problem(image.path, error.code, error.message, error.remedy)
    return None


def _near_duplicates(images: Sequence[DatasetImage], numbers: Mapping[str, int]) -> Iterator[Problem]:
    groups: defaultdict[int, list[DatasetImage]] = defaultdict(list)
    for image in images:
        groups[numbers[image.uid]].append(image)
    kept = KeptAlike()
    for members in groups.values():
        if len(members) > 1 and kept.has(image.path for image in members):
            continue
        different = []
        for copies in _copies(members):
            first, *others = copies
            different.append(first)
            if others:
                apart = len({image.dataset for image in copies}) > 1
                text = (
                    N_("The same picture is in several datasets: {names}.")
                    if apart
                    else N_("The same file is there again: {names}.")
                )
                message = _(text).format(names=_names(others))
                remedy = _("Remove the copies; repeats show an image more often.")
                yield _about(first, "image.identical", message, remedy, others)
        first, *others = different
        if others:
            message = ngettext(
                "{number} other image is nearly the same: {names}.",
                "{number} other images are nearly the same: {names}.",
                len(others),
            ).format(number=len(others), names=_names(others))
            remedy = _("Keep the best of them, so that the LoRA does not learn this one picture by heart.")
            yield _about(first, "image.similar", message, remedy, others)


def _copies(members: Sequence[DatasetImage]) -> list[list[DatasetImage]]:
    """The images of a group, those whose files hold the same bytes together; only files of one size are read."""
    sizes = Counter(image.facts.size for image in members)
    groups: defaultdict[str, list[DatasetImage]] = defaultdict(list)
    for image in members:
        key = image.uid
        if sizes[image.facts.size] > 1:
            with suppress(UserError):  # gone since the scan: like no other
                key = content_hash(image.path)
        groups[key].append(image)
    return list(groups.values())


def _about(image: DatasetImage, code: str, message: str, remedy: str, others: Sequence[DatasetImage]) -> Problem:
    return Problem(image.path, code, message, remedy, "warning", tuple(other.path for other in others))


def _names(images: Sequence[DatasetImage], most: int = 3) -> str:
    """The names of the first images, and how many more there are."""
    shown = ", ".join(plain(image.relative) for image in images[:most])
    if len(images) <= most:
        return shown
    return _("{names} and {number} more").format(names=shown, number=len(images) - most)
