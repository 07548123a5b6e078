"""What a Z-Image model must be, from configuration files and headers. Knows no torch."""

from __future__ import annotations

from collections.abc import Iterator

from lora_tui.errors import UserError
from lora_tui.families.separate.checks import Checks
from lora_tui.families.separate.kinds import KlVae
from lora_tui.families.separate.places import Layout, Part
from lora_tui.families.separate.shapes import VAE_SCALE, VAE_SHIFT
from lora_tui.families.separate.tensors import tensor_pieces
from lora_tui.families.source import Source
from lora_tui.families.zimage.counting import tensors
from lora_tui.families.zimage.facts import FACTS, LANGUAGE
from lora_tui.families.zimage.shape import Shape
from lora_tui.text import N_, _, plain
from lora_tui.weights.names.zimage_original import ORIGINAL, OUTER, TOKENS, original_names

LAYOUT: Layout = {
    "llm": Part(
        LANGUAGE, "Qwen3", "text_encoder", ("text_encoders.qwen3_4b.transformer.",), "tokenizer",
        needs_tokenizer=True, words="tokenizer",
    ),
    "vae": Part(KlVae(VAE_SCALE, VAE_SHIFT), "VAE", "vae", ("vae.", "first_stage_model.")),
}  # fmt: skip
"""The parts beside the transformer, by the settings that name them."""


def _names(shape: Shape) -> Iterator[str]:
    return original_names(shape.blocks, shape.refiners)


def _pieces(name: str) -> tuple[str, ...]:
    path, _dot, kind = name.rpartition(".")
    if name in TOKENS or path in OUTER:
        return (name if name in TOKENS else f"{OUTER[path]}.{kind}",)
    return tensor_pieces(ORIGINAL, name)


CHECKS = Checks(
    facts=FACTS,
    layout=LAYOUT,
    names=_names,
    channels=lambda shape: (shape.channels, FACTS.latent_channels),
    remedy=N_("Choose Z-Image or Z-Image-Turbo, or a model made from them."),
    widths=lambda shape: {"llm": shape.text_width},
    tensors=tensors,
    pieces=_pieces,
)
check_vae, part_flaws = CHECKS.check_vae, CHECKS.part_flaws


def check_model(source: Source, *, own_vae: bool = True, prediction: str = "auto") -> None:
    """See :meth:`lora_tui.families.separate.checks.Checks.check_model`.

    Raises:
        UserError: as there, and for a model that reads pictures as well as texts.
    """
    CHECKS.check_model(source, own_vae=own_vae, prediction=prediction)
    if FACTS.shape_of(source.path).pictures:
        raise UserError(
            _("{name} is Z-Image-Omni, which reads pictures, too; that is not trained here.").format(
                name=plain(source.path.name)
            ),
            place=str(source.path),
            remedy=_(CHECKS.remedy),
            code="model.special",
        )
