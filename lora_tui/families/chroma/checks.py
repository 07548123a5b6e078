"""What a Chroma model must be, from configuration files and headers. Knows no torch."""

from __future__ import annotations

from collections.abc import Iterator

from lora_tui.families.chroma.counting import tensors
from lora_tui.families.chroma.facts import FACTS
from lora_tui.families.chroma.shape import PATCH, Shape
from lora_tui.families.separate.checks import Checks
from lora_tui.families.separate.kinds import T5, KlVae
from lora_tui.families.separate.places import Layout, Part
from lora_tui.families.separate.shapes import VAE_SCALE, VAE_SHIFT
from lora_tui.families.separate.tensors import tensor_pieces
from lora_tui.text import N_
from lora_tui.weights.names.chroma_original import APPROXIMATOR, ORIGINAL, approximator_path, original_names

LAYOUT: Layout = {
    "t5xxl": Part(T5(), "T5-XXL", "text_encoder", ("text_encoders.t5xxl.transformer.",), "tokenizer"),
    "vae": Part(KlVae(VAE_SCALE, VAE_SHIFT), "VAE", "vae", ("vae.",)),
}
"""The parts beside the transformer, by the settings that name them."""


def _names(shape: Shape) -> Iterator[str]:
    return original_names(shape.double, shape.single, approximator=shape.deep)


def _pieces(name: str) -> tuple[str, ...]:
    if not name.startswith(APPROXIMATOR):
        return tensor_pieces(ORIGINAL, name)
    path, _dot, kind = name.rpartition(".")
    return (f"{approximator_path(path)}.{'weight' if kind == 'scale' else kind}",)


CHECKS = Checks(
    facts=FACTS,
    layout=LAYOUT,
    names=_names,
    channels=lambda shape: (shape.channels, shape.latent_channels * PATCH**2),
    remedy=N_("Choose Chroma1-Base or Chroma1-HD, or a model made from them."),
    widths=lambda shape: {"t5xxl": shape.text_width},
    tensors=tensors,
    pieces=_pieces,
)
check_model, check_vae, part_flaws = CHECKS.check_model, CHECKS.check_vae, CHECKS.part_flaws
