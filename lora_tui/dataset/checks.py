"""What a person should know about a dataset before training on it: each finding with its remedy.

The checks read captions and headers; with ``decode`` they also decode every image, which finds damaged
files, images that really are transparent, and near-duplicates.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.background import uncollected
from lora_tui.config.entries import all_settings
from lora_tui.dataset.batches import fitter
from lora_tui.dataset.buckets import Fit
from lora_tui.dataset.caption_checks import CaptionChecks
from lora_tui.dataset.closeups import check_closeup
from lora_tui.dataset.file_checks import check_file, check_twice
from lora_tui.dataset.pixel_checks import check_pixels, fills_transparency
from lora_tui.dataset.scan import CAPTION_EXTENSIONS, DatasetImage, Problem, Progress, Scan, Stop, natural_key
from lora_tui.dataset.set_checks import Told, check_alike, check_number, check_set
from lora_tui.text import _, count

if TYPE_CHECKING:
    from lora_tui.config.schema import Config

#: An image enlarged more than this loses so much sharpness that the LoRA learns the blur.
MAX_ENLARGEMENT = 1.25
#: Share of an image that may be cut away by its bucket before it is worth a word.
MAX_CUT = 0.25
#: Repeats beyond this are more likely a year in a folder's name than a wish.
USUAL_REPEATS = 500

_CHUNK = 64
_GRAVITY = ("error", "warning", "note")


@uncollected()
def check_dataset(
    scan: Scan,
    *,
    config: Config | None = None,
    purpose: str = "",
    trigger: str = "",
    extensions: Sequence[str] = CAPTION_EXTENSIONS,
    decode: bool = False,
    closeups: Collection[Path] = (),
    told: Told | None = None,
    on_progress: Progress | None = None,
    should_stop: Stop | None = None,
) -> tuple[Problem, ...]:
    """Everything found, the scan's own problems included: errors first, notes last, then by file.

    Args:
        config: gives the sizes to train at and the caption endings; without it, the defaults.
        purpose: a key of :data:`lora_tui.project.PURPOSES`; decides how many images are usual.
        trigger: a word that every caption should have.
        extensions: endings of caption files, when there is no ``config``.
        decode: also decode every image.
        closeups: images that a tagger takes for close-ups.
        told: tags of images that a tagger is sure of.
        on_progress: called with the number of images done.
        should_stop: asked now and then; once it says yes, what was found so far is returned.
    """
    from lora_tui.config.schema import Config as Defaults

    every = (ending for own in all_settings(config) for ending in own.captions.extensions) if config else extensions
    endings = tuple(dict.fromkeys(every))
    fit = fitter(config or Defaults())
    found = list(scan.problems)
    found.extend(check_number(scan, purpose))
    captions = CaptionChecks(endings, trigger)
    becomes_white = not decode and fills_transparency(config)
    of_class = {number for number, own in enumerate(all_settings(config)) if own.regularisation} if config else set()
    for number, image in enumerate(scan.images):
        if number % _CHUNK == 0:
            if should_stop is not None and should_stop():
                break
            if on_progress is not None and not decode:
                on_progress(number)
        found.extend(_image_problems(image, becomes_white=becomes_white))
        found.extend(check_file(image))
        found.extend(_fit_problems(image, fit(image)))
        found.extend(captions.check(image, subject=image.dataset not in of_class))
        if (close := check_closeup(image, captions.texts[-1], purpose, closeups)) is not None:
            found.append(close)
    found.extend(captions.check_triggers())
    found.extend(captions.check_folders(scan.images))
    found.extend(check_twice(scan.images, [own.data.resolution for own in all_settings(config)] if config else ()))
    found.extend(check_set(scan.images, purpose, captions.texts, told))
    if decode:
        pixels = list(check_pixels(scan.images, on_progress, should_stop, config=config))
        found += [*pixels, *check_alike(scan.images, pixels)]
    return tuple(sorted(found, key=order))


def order(problem: Problem) -> tuple[int, object, str]:
    """What problems are sorted by: errors first, notes last, then by file."""
    return _GRAVITY.index(problem.severity), natural_key(os.fspath(problem.path)), problem.code


def _warning(path: Path, code: str, message: str, remedy: str) -> Problem:
    return Problem(path, code, message, remedy, "warning")


def _image_problems(image: DatasetImage, *, becomes_white: bool) -> Iterator[Problem]:
    if image.facts.alpha and becomes_white:
        message = _("The image may have transparent areas, which become white.")
        yield _warning(image.path, "image.alpha", message, _("Put it on the background you want."))
    if image.facts.animated:
        message = _("The image is animated; only its first frame is trained.")
        yield _warning(image.path, "image.animated", message, _("Save the frame you mean as PNG."))
    name = os.fspath(image.path)
    if not name.isascii() and any("\ud800" <= char <= "\udfff" for char in name):
        message = _("The file's name is not valid UTF-8.")
        yield _warning(image.path, "image.name", message, _("Rename it, together with its caption."))
    if image.repeats > USUAL_REPEATS:
        message = _("The image is shown {repeats} times in one epoch.").format(repeats=count(image.repeats))
        yield _warning(image.path, "image.repeats", message, _("If the folder's number is a date, rename the folder."))


def _fit_problems(image: DatasetImage, fit: Fit) -> Iterator[Problem]:
    scale, cut = fit.resize.width / image.width, _cut_share(fit)
    if scale > MAX_ENLARGEMENT:
        message = _("The image is small ({width} x {height}): it is enlarged {scale:.1f} times.").format(
            width=image.width, height=image.height, scale=scale
        )
        yield _warning(image.path, "image.small", message, _("Use a larger original, or train at a smaller size."))
    if cut > MAX_CUT:
        message = _("{share:.0%} of the image is cut away to fit its bucket.").format(share=cut)
        remedy = _("Crop it yourself, so that what matters stays.")
        yield Problem(image.path, "image.cut", message, remedy, "note")


def _cut_share(fit: Fit) -> float:
    return 1 - fit.bucket.width * fit.bucket.height / (fit.resize.width * fit.resize.height)
