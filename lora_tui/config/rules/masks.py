"""Masks: whether they do anything, and which images have none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lora_tui.config.findings import Finding, error, note, warning
from lora_tui.config.schema import Config
from lora_tui.text import _, count, ngettext, plain

if TYPE_CHECKING:
    from lora_tui.dataset.scan import Scan

NAMED = 3  # images that a finding names


def settings(config: Config) -> Iterator[Finding]:
    """Masks whose settings take back what they do."""
    section = config.masks
    for key, value in (
        ("masks.unmasked_weight", section.unmasked_weight),
        ("masks.unmasked_probability", section.unmasked_probability),
    ):
        if section.source != "off" and value >= 1:
            yield warning(
                key,
                _("The whole image always counts: the masks have no effect."),
                _("Use 0 to 0.3, or set masks.source to off."),
                "masks.no_effect",
            )


def dataset(config: Config, scan: Scan) -> Iterator[Finding]:
    """Images without a mask where masks are wanted, and masks where none are."""
    from lora_tui.dataset.scan import has_mask

    source = config.masks.source
    if source == "off":
        masked = sum(image.mask_path is not None for image in scan.images)
        if masked:
            yield note(
                "masks.source",
                ngettext(
                    "{count} image has a mask, which is not in effect.",
                    "{count} images have masks, which are not in effect.",
                    masked,
                ).format(count=count(masked)),
                _("Set masks.source to file to learn from the masked part alone."),
                "masks.unused",
            )
        return
    without = [image for image in scan.images if not has_mask(image, source)]
    if scan.images and len(without) == len(scan.images):
        yield error(
            "masks.source",
            _("No image has a mask.") if source == "file" else _("No image has transparency to take as its mask."),
            _("Put name-masklabel.png beside name.png, or the masks into a folder called masks; or set it to off."),
            "masks.none",
        )
    elif without:
        names = ", ".join(plain(image.relative, limit=60) for image in without[:NAMED])
        if len(without) > NAMED:
            names = _("{names} and {count} more").format(names=names, count=count(len(without) - NAMED))
        yield warning(
            "masks.source",
            ngettext(
                "{count} image has no mask and is trained whole: {names}.",
                "{count} images have no mask and are trained whole: {names}.",
                len(without),
            ).format(count=count(len(without)), names=names),
            _("Make masks for them, or leave them out."),
            "masks.missing",
        )


RULES = (settings,)
