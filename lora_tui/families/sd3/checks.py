"""What an SD3 or SD3.5 model must be, from configuration files and headers. Knows no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.families.parts import need_tensors
from lora_tui.families.sd3.facts import FACTS
from lora_tui.families.sd3.shape import Shape, shape_of_folder, shape_of_tensors
from lora_tui.families.separate import places
from lora_tui.families.separate.places import Layout, Part, Place
from lora_tui.families.source import Source
from lora_tui.families.unet.encoders import EXCLAMATION, Encoder
from lora_tui.places import expand
from lora_tui.text import _
from lora_tui.weights.header.format import read_header
from lora_tui.weights.names.sd3_original import original_names

ENCODER_L = Encoder(prefix="", reads="before_last", pooled=True)
ENCODER_G = Encoder(
    prefix="", part="text_encoder_2", tokenizer="tokenizer_2", activation="gelu", reads="before_last", pooled=True,
    pad=EXCLAMATION,
)  # fmt: skip
LAYOUT: Layout = {
    "clip_l": Part("clip", "CLIP-L", "text_encoder", ("text_encoders.clip_l.transformer.",), ENCODER_L),
    "clip_g": Part("clip", "CLIP-G", "text_encoder_2", ("text_encoders.clip_g.transformer.",), ENCODER_G),
    "t5xxl": Part("t5", "T5-XXL", "text_encoder_3", ("text_encoders.t5xxl.transformer.",)),
    "vae": Part("vae", "VAE", "vae", ("first_stage_model.", "vae.")),
}
"""The parts beside the transformer, by the settings that name them."""


def check_model(source: Source, *, own_vae: bool = True, prediction: str = "auto") -> None:
    """Refuse a base model whose transformer could not be trained, and a folder with gaps.

    The encoders and the VAE of a single file are looked at by :func:`lora_tui.families.separate.places.check_part`.

    Raises:
        UserError: it is of another family, an inpainting or control model, incomplete or damaged.
    """
    places.check_kind(source, FACTS.name, FACTS.title)
    if source.kind == "folder":
        places.check_folder(LAYOUT, source.path, own_vae=own_vae)
        shape = places.told_by_configs(source.path, lambda: shape_of_folder(source.path, FACTS.full))
    else:
        shape = _shape_of_file(source.path)
    if shape.channels != FACTS.latent_channels:
        raise UserError(
            _("it takes {channels} channels, not {wanted}: an inpainting or control model.").format(
                channels=shape.channels, wanted=FACTS.latent_channels
            ),
            place=str(source.path),
            remedy=_("Choose SD3 or SD3.5, medium or large, or a model made from them."),
            code="model.inpainting",
        )


def check_vae(path: Path, *, allow_pickle: bool = False) -> None:
    """Refuse a separate VAE that is none of SD3.

    Raises:
        UserError: what is missing or wrong.
    """
    places.check_part(LAYOUT, "vae", path)


def part_flaws(base: Path, named: Mapping[str, str]) -> list[tuple[str, UserError]]:
    """See :func:`lora_tui.families.part_flaws`."""
    found = places.part_flaws(LAYOUT, base, named)
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
    if place.is_folder:
        return places.told_by_configs(
            place.path, lambda: int(json.loads((place.path / "config.json").read_text("utf-8"))["hidden_size"])
        )
    return places.encoder_at(LAYOUT[name], place).shape_of(places.header_shapes(place.path)).width


def _shape_of_file(path: Path) -> Shape:
    tensors = read_header(path).tensors
    places.refuse_other_layouts(tensors, path)
    shapes = {places.bare(name): info.shape for name, info in tensors.items()}
    try:
        shape = shape_of_tensors(shapes, FACTS.full)
    except (KeyError, IndexError, ValueError) as error:
        raise places.part_missing(FACTS.title, str(error.args[0]), path) from None
    need_tensors(original_names(shape.blocks, dual=shape.dual, norms=shape.norms), shapes, str(path))
    return shape
