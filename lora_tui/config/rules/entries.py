"""What the folders of images say for themselves: values that cannot be, or that nothing reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lora_tui.config.arguments import installed
from lora_tui.config.entries import further_sizes, settings_of
from lora_tui.config.findings import Finding, error, note, warning
from lora_tui.config.mistakes import shown
from lora_tui.config.schema import LEAST_SIDE, MOST_SIDE, Config
from lora_tui.families import facts_for
from lora_tui.places import expand, is_file
from lora_tui.text import _

if TYPE_CHECKING:
    from lora_tui.dataset.scan import Scan


def sizes(config: Config) -> Iterator[Finding]:
    """Resolutions of their own."""
    facts = facts_for(config.model.family)
    for number, entry in enumerate(config.datasets):
        key, size = f"datasets.{number}.resolution", entry.resolution
        if not size or size == config.data.resolution:
            continue
        if size < LEAST_SIDE:
            yield error(
                key,
                _("{size} px is too small to train at.").format(size=size),
                _("Use {least} px or more, or 0 for the general resolution.").format(least=LEAST_SIDE),
                "datasets.resolution",
            )
        elif not config.data.buckets and size % facts.size_multiple:
            yield error(
                key,
                _("{size} px is no multiple of {multiple}.").format(size=size, multiple=facts.size_multiple),
                _("Use {size}.").format(size=size - size % facts.size_multiple),
                "data.resolution_multiple",
            )
        elif not 0.5 <= size / facts.resolution <= 2:
            yield warning(
                key,
                _("{size} px is far from the {usual} px that {family} learned at.").format(
                    size=size, usual=facts.resolution, family=facts.title
                ),
                _("Use {low} to {high} px.").format(low=facts.resolution, high=facts.resolution * 3 // 2),
                "data.resolution_far",
            )


def further(config: Config) -> Iterator[Finding]:
    """Further resolutions that are none, or none that could be trained at."""
    section, facts = config.data, facts_for(config.model.family)
    for text in section.more_resolutions:
        size = int(text) if text.strip().isdecimal() else 0
        if not LEAST_SIDE <= size <= MOST_SIDE or (not section.buckets and size % facts.size_multiple):
            yield error(
                "data.more_resolutions",
                _("{text} is no size to train at.").format(text=shown(text)),
                _("Give whole numbers from {least} to {most}, multiples of {multiple}: 768, 1024.").format(
                    least=LEAST_SIDE, most=MOST_SIDE, multiple=facts.size_multiple
                ),
                "data.more_resolutions",
            )
        elif size == section.resolution:
            yield warning(
                "data.more_resolutions",
                _("{size} px is the general resolution already.").format(size=size),
                _("Leave it out."),
                "config.no_effect",
            )
    if further_sizes(section) and config.datasets and all(entry.resolution for entry in config.datasets):
        yield warning(
            "data.more_resolutions",
            _("Every folder has a resolution of its own: no image is trained at the further ones."),
            _("Set datasets.0.resolution to 0, or leave data.more_resolutions empty."),
            "config.no_effect",
        )


def captions(config: Config) -> Iterator[Finding]:
    """First tags of their own where nothing moves tags."""
    for number, entry in enumerate(config.datasets):
        own = settings_of(config, number).captions
        if entry.keep_tokens > 0 and not (own.shuffle or own.tag_dropout > 0 or own.tag_warmup > 0):
            yield warning(
                f"datasets.{number}.keep_tokens",
                _("The tags of these captions are not shuffled: keeping the first ones has no effect."),
                _("Set it back to -1, or shuffle the tags."),
                "config.no_effect",
            )


def crops(config: Config) -> Iterator[Finding]:
    """Random crops where buckets leave next to nothing to cut."""
    if config.data.random_crop and config.data.buckets:
        yield note(
            "data.random_crop",
            _("Buckets leave little to cut away: a random crop moves by a few pixels."),
            _("Set data.buckets to false to cut squares anywhere out of the images."),
            "data.little_crop",
        )


def subjects(config: Config) -> Iterator[Finding]:
    """What looks for faces, and how close it goes."""
    data, place = config.data, "data.face_detector"
    seeks = data.closeups > 0 or (data.crop == "subject" and not data.random_crop)
    if data.closeups > 0 and not data.face_detector:
        yield error(
            place,
            _("Close-ups need a detector of faces, and none is named."),
            _("Give the file face_detection_yunet_2023mar.onnx of OpenCV, or set data.closeups to 0."),
            "data.no_detector",
        )
    elif seeks and data.face_detector and not is_file(expand(data.face_detector)):
        yield error(
            place,
            _("There is no file {path}.").format(path=shown(data.face_detector)),
            _("Give the file face_detection_yunet_2023mar.onnx of OpenCV, or leave it empty."),
            "data.no_detector",
        )
    elif seeks and data.face_detector and not installed("onnxruntime"):
        yield error(
            place,
            _("Finding faces needs onnxruntime, which is not installed."),
            _("Install it: pip install {library}").format(library="onnxruntime"),
            "library.missing",
        )
    if data.closeups > 0 and data.closeup_from > data.closeup_to:
        yield error(
            "data.closeup_from",
            _("The nearest close-up is wider than the widest."),
            _("Set data.closeup_from below data.closeup_to; 2 and 4 are usual."),
            "data.closeup_range",
        )


def regularisation(config: Config) -> Iterator[Finding]:
    """Images of the class without those of a subject, or in vain."""
    in_use = [number for number, entry in enumerate(config.datasets) if entry.use]
    of_class = [number for number in in_use if config.datasets[number].regularisation]
    if config.datasets and not in_use:
        yield error(
            "datasets.0.use",
            _("No folder is in use: there is nothing to learn."),
            _("Turn one of them on."),
            "datasets.none_in_use",
        )
    if of_class and len(of_class) == len(in_use):
        yield error(
            f"datasets.{of_class[0]}.regularisation",
            _("Every folder is for regularisation: nothing is left to learn."),
            _("Add the folder of the subject, or turn this off."),
            "datasets.only_regularisation",
        )
    elif of_class and config.data.prior_loss_weight == 0:
        yield warning(
            "data.prior_loss_weight",
            _("Regularisation images count nothing: half of the steps are in vain."),
            _("Set it to 1, or leave the folder out."),
            "data.no_prior",
        )


def dataset(config: Config, scan: Scan) -> Iterator[Finding]:
    """Folders for regularisation without an image."""
    there = {image.dataset for image in scan.images}
    for number, entry in enumerate(config.datasets):
        if entry.use and entry.regularisation and there and number not in there:
            yield warning(
                f"datasets.{number}.path",
                _("There is no regularisation image in this folder."),
                _("lora-tui dataset class-images draws some with the base model."),
                "datasets.no_class_images",
            )


def weights(config: Config) -> Iterator[Finding]:
    """Folders whose images count nothing, or none that counts."""
    in_use = [number for number, entry in enumerate(config.datasets) if entry.use]
    nothing = [number for number in in_use if config.datasets[number].weight == 0]
    if nothing and all(settings_of(config, number).weight == 0 for number in in_use):
        yield error(
            f"datasets.{nothing[0]}.weight",
            _("The loss of every folder counts nothing: nothing would be learned."),
            _("Set the weight of one of them to 1."),
            "datasets.no_weights",
        )
        return
    for number in nothing:
        yield warning(
            f"datasets.{number}.weight",
            _("The loss of these images counts nothing: their steps are in vain."),
            _("Set it to 1, or leave the folder out."),
            "datasets.no_weight",
        )


RULES = (sizes, further, captions, crops, subjects, regularisation, weights)
