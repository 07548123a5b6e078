"""The check of images held out for validation: none of them may be trained in disguise, or the loss on it says nothing.

The plan keeps near-duplicates on one side; copies that were mirrored, as ``dataset prepare --flips`` writes them, are
looked for here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from lora_tui.dataset.problems import Problem
from lora_tui.dataset.scan import DatasetImage, Scan
from lora_tui.dataset.similar import mirror_images
from lora_tui.text import _, plain

if TYPE_CHECKING:
    from lora_tui.config.schema import Config


def check_held_out(
    images: Sequence[DatasetImage], prints: Sequence[bytes | None], groups: Mapping[str, int], config: Config
) -> Iterator[Problem]:
    """Images that a run of this configuration holds out while it trains their mirror image.

    Args:
        prints: the images' fingerprints, in their order.
        groups: their groups of near-duplicates by uid.
    """
    from lora_tui.dataset.batches import make_plan, validation_count

    if validation_count(len(images), config.validation.mode, config.validation.share) < 1:
        return
    held = {one.image.uid for one in make_plan(config, Scan(tuple(images)), groups=groups).validation}
    places = [place for place, image in enumerate(images) if image.uid in held]
    found = mirror_images(prints, places)
    for place, others in found.items():
        trained = [images[other] for other in others if images[other].uid not in held]
        if trained:
            message = _("The image is held out for validation, and its mirror image is trained: {name}.")
            remedy = _("Leave one of the two out; flip in the parameters mirrors images while they are trained.")
            yield Problem(
                images[place].path,
                "image.held_out",
                message.format(name=plain(trained[0].relative)),
                remedy,
                "warning",
                tuple(image.path for image in trained),
            )
