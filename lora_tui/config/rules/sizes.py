"""Sizes of the images beside the size that is trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lora_tui.background import courteous
from lora_tui.config.findings import Finding, warning
from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.text import _, count, ngettext, plain
from lora_tui.text.formats import number

if TYPE_CHECKING:
    from lora_tui.dataset.scan import Scan


def dataset(config: Config, scan: Scan) -> Iterator[Finding]:
    """Images that are too small for the size that is trained: a LoRA learns how blurred they become."""
    from lora_tui.dataset.batches import fitter
    from lora_tui.dataset.checks import MAX_ENLARGEMENT

    try:
        fit = fitter(config)
        scales = [(fit(image).resize.width / image.width, image) for image in courteous(scan.images)]
    except UserError:
        return  # sizes that cannot be: other rules say so
    small = [(scale, image) for scale, image in scales if scale > MAX_ENLARGEMENT]
    if not small:
        return
    most, image = max(small, key=lambda found: found[0])
    yield warning(
        "data.resolution",
        ngettext(
            "{count} image of {all} is smaller than it is trained: {name} is enlarged {scale} times.",
            "{count} images of {all} are smaller than they are trained: {name} is enlarged {scale} times.",
            len(small),
        ).format(
            count=count(len(small)),
            all=count(len(scan.images)),
            name=plain(image.path.name, limit=60),
            scale=number(most, 1),
        ),
        _("Use larger originals, train at a smaller size, or set data.upscale to false, which keeps them small."),
        "data.enlarged",
    )
