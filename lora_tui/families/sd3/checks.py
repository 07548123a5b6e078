"""What an SD3 or SD3.5 model must be, from configuration files and headers. Knows no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.families.sd3.counting import TABLE, tensors
from lora_tui.families.sd3.facts import FACTS
from lora_tui.families.sd3.shape import VAE_SCALE, VAE_SHIFT, Shape
from lora_tui.families.separate import places, whole
from lora_tui.families.separate.checks import Checks
from lora_tui.families.separate.kinds import T5, Clip, KlVae
from lora_tui.families.separate.places import Layout, Part, Place
from lora_tui.families.separate.tensors import tensor_pieces
from lora_tui.families.unet.encoders import EXCLAMATION, Encoder
from lora_tui.places import expand
from lora_tui.text import N_, _
from lora_tui.weights.names.sd3_original import ORIGINAL, POSITIONS, original_names

ENCODER_L = Encoder(prefix="", reads="before_last", pooled=True)
ENCODER_G = Encoder(
    prefix="", part="text_encoder_2", tokenizer="tokenizer_2", activation="gelu", reads="before_last", pooled=True,
    pad=EXCLAMATION,
)  # fmt: skip
LAYOUT: Layout = {
    "clip_l": Part(Clip(ENCODER_L), "CLIP-L", "text_encoder", ("text_encoders.clip_l.transformer.",), "tokenizer"),
    "clip_g": Part(Clip(ENCODER_G), "CLIP-G", "text_encoder_2", ("text_encoders.clip_g.transformer.",), "tokenizer_2"),
    "t5xxl": Part(T5(), "T5-XXL", "text_encoder_3", ("text_encoders.t5xxl.transformer.",), "tokenizer_3"),
    "vae": Part(KlVae(VAE_SCALE, VAE_SHIFT), "VAE", "vae", ("first_stage_model.", "vae.")),
}
"""The parts beside the transformer, by the settings that name them."""


def _names(shape: Shape) -> Iterator[str]:
    return original_names(shape.blocks, dual=shape.dual, norms=shape.norms)


def _pieces(name: str) -> tuple[str, ...]:
    return (TABLE,) if name == POSITIONS else tensor_pieces(ORIGINAL, name)


CHECKS = Checks(
    facts=FACTS,
    layout=LAYOUT,
    names=_names,
    channels=lambda shape: (shape.channels, FACTS.latent_channels),
    remedy=N_("Choose SD3 or SD3.5, medium or large, or a model made from them."),
    widths=lambda shape: {"t5xxl": shape.text_width},
    tensors=tensors,
    pieces=_pieces,
)
check_model, check_vae = CHECKS.check_model, CHECKS.check_vae


def part_flaws(base: Path, named: Mapping[str, str]) -> list[tuple[str, UserError]]:
    """See :func:`lora_tui.families.part_flaws`."""
    found = CHECKS.part_flaws(base, named)
    if not found and named.get("clip_l") and named.get("clip_g"):
        try:
            check_clips({name: places.named_place(LAYOUT, name, expand(named[name])) for name in ("clip_l", "clip_g")})
        except UserError as flaw:
            found.append(("clip_l", flaw))
    return found


def check_clips(found: Mapping[str, Place]) -> None:
    """Refuse the two CLIP encoders in each other's place: they would load, and draw wrongly.

    CLIP-G is the wider of the two.

    Raises:
        UserError: they are, or one cannot be read.
    """
    widths = {name: _width(name, found[name]) for name in ("clip_l", "clip_g")}
    if widths["clip_l"] >= widths["clip_g"]:
        raise UserError(
            _("CLIP-L is {first} wide and CLIP-G {second}: CLIP-G must be the wider one.").format(
                first=widths["clip_l"], second=widths["clip_g"]
            ),
            place="model.clip_l",
            remedy=_("Change model.clip_l and model.clip_g about, or name the files that SD3 was published with."),
            code="model.part",
        )


def _width(name: str, place: Place) -> int:
    return places.told_by_configs(place.path, lambda: whole.width_at(LAYOUT[name], place))
