"""What a FLUX.1 model must be, from configuration files and headers. Knows no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lora_tui.errors import UserError
from lora_tui.families.flux.facts import FACTS
from lora_tui.families.flux.shape import PATCH, Shape, shape_of, shape_of_folder, shape_of_tensors
from lora_tui.families.parts import need_tensors
from lora_tui.families.separate import places
from lora_tui.families.separate.places import Layout, Part, bare
from lora_tui.families.source import Source
from lora_tui.places import expand
from lora_tui.text import _
from lora_tui.weights.header.format import read_header
from lora_tui.weights.names.flux_original import original_names

LAYOUT: Layout = {
    "clip_l": Part("clip", "CLIP-L", "text_encoder", ("text_encoders.clip_l.transformer.",)),
    "t5xxl": Part("t5", "T5-XXL", "text_encoder_2", ("text_encoders.t5xxl.transformer.",)),
    "vae": Part("vae", "VAE", "vae", ("vae.",)),
}
"""The parts beside the transformer, by the settings that name them."""


def check_model(source: Source, *, own_vae: bool = True, prediction: str = "auto") -> None:
    """Refuse a base model whose transformer could not be trained, and a folder with gaps.

    The encoders and the VAE of a single file are looked at by :func:`lora_tui.families.separate.places.check_part`.

    Raises:
        UserError: it is of another family, an inpainting or control model, quantised in a way that is not read here,
            incomplete or damaged.
    """
    places.check_kind(source, FACTS.name, FACTS.title)
    shape = _shape_of_folder(source.path, own_vae) if source.kind == "folder" else _shape_of_file(source.path)
    if shape.channels != shape.latent_channels * PATCH**2:
        raise UserError(
            _("it takes {channels} channels, not {wanted}: an inpainting or control model.").format(
                channels=shape.channels, wanted=shape.latent_channels * PATCH**2
            ),
            place=str(source.path),
            remedy=_("Choose FLUX.1 dev or schnell, or a model made from them."),
            code="model.inpainting",
        )


def check_vae(path: Path, *, allow_pickle: bool = False) -> None:
    """Refuse a separate VAE that is none of FLUX.1.

    Raises:
        UserError: what is missing or wrong.
    """
    places.check_part(LAYOUT, "vae", path)


def part_flaws(base: Path, named: Mapping[str, str]) -> list[tuple[str, UserError]]:
    """See :func:`lora_tui.families.part_flaws`."""
    found = places.part_flaws(LAYOUT, base, named)
    wrong = {part for part, _flaw in found}
    shape = shape_of(base, FACTS.full)
    for part, width in (("clip_l", shape.pooled_width), ("t5xxl", shape.text_width)):
        if named.get(part) and part not in wrong:
            flaw = places.width_flaw(LAYOUT, part, expand(named[part]), width)
            found += [(part, flaw)] if flaw else []
    return found


def _shape_of_folder(folder: Path, own_vae: bool) -> Shape:
    places.check_folder(LAYOUT, folder, own_vae=own_vae)
    return places.told_by_configs(folder, lambda: shape_of_folder(folder, FACTS.full))


def _shape_of_file(path: Path) -> Shape:
    tensors = read_header(path).tensors
    places.refuse_other_layouts(tensors, path)
    shapes = {bare(name): info.shape for name, info in tensors.items()}
    try:
        shape = shape_of_tensors(shapes, FACTS.full)
    except (KeyError, IndexError, ValueError) as error:
        raise places.part_missing(FACTS.title, str(error.args[0]), path) from None
    need_tensors(original_names(shape.double, shape.single, guidance=shape.guidance), shapes, str(path))
    return shape
