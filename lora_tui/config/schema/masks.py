"""Which part of each image counts."""

from __future__ import annotations

from typing import Literal

from lora_tui.config.option import Rule, option
from lora_tui.config.schema.section import Section
from lora_tui.text.translate import N_

_ON = Rule(lambda c: c.masks.source != "off", N_("masks are in effect"))


class MaskSection(Section):
    """Masks"""

    source: Literal["off", "file", "alpha"] = option(
        "off",
        N_("masks"),
        N_(
            "Learn only from a part of each image: white of a mask counts, black does not. Masks are files "
            "(name-masklabel.png beside name.png, or a folder called masks) or the images' own transparency. An image "
            "without one is trained whole."
        ),
        labels=(("off", N_("off")), ("file", N_("files")), ("alpha", N_("transparency"))),
        peers=("masked_loss", "alpha_mask", "conditioning_data_dir", "masked_training"),
    )
    unmasked_weight: float = option(
        0.0,
        N_("weight outside"),
        N_("What the rest of the image counts at least; 0.1 keeps backgrounds from falling apart."),
        ge=0.0,
        le=1.0,
        when=_ON,
        peers=("unmasked_weight", "mask_min_value"),
    )
    unmasked_probability: float = option(
        0.0,
        N_("share without mask"),
        N_("Share of the time that the mask is ignored and the whole image counts."),
        ge=0.0,
        le=1.0,
        expert=True,
        when=_ON,
        peers=("unmasked_probability",),
    )
    normalise: bool = option(
        True,
        N_("by area"),
        N_(
            "Divide the loss by the area of the mask, so that a small subject is learned as strongly as a large one. "
            "Off divides by the whole image, as sd-scripts does."
        ),
        expert=True,
        when=_ON,
        peers=("normalize_masked_area_loss",),
    )
