"""What a FLUX.1 model must be, from configuration files and headers. Knows no torch."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from lora_tui.families.flux.counting import tensors
from lora_tui.families.flux.facts import FACTS
from lora_tui.families.flux.shape import PATCH, Shape
from lora_tui.families.separate.checks import Checks
from lora_tui.families.separate.kinds import T5, Clip, KlVae
from lora_tui.families.separate.places import Layout, Part
from lora_tui.families.separate.shapes import VAE_SCALE, VAE_SHIFT
from lora_tui.families.separate.tensors import tensor_pieces
from lora_tui.families.unet.encoders import Encoder
from lora_tui.text import N_
from lora_tui.weights.names.flux_original import ORIGINAL, original_names

ENCODER_L = Encoder(prefix="")
LAYOUT: Layout = {
    "clip_l": Part(Clip(ENCODER_L), "CLIP-L", "text_encoder", ("text_encoders.clip_l.transformer.",), "tokenizer"),
    "t5xxl": Part(T5(), "T5-XXL", "text_encoder_2", ("text_encoders.t5xxl.transformer.",), "tokenizer_2"),
    "vae": Part(KlVae(VAE_SCALE, VAE_SHIFT), "VAE", "vae", ("vae.",)),
}
"""The parts beside the transformer, by the settings that name them."""


def _names(shape: Shape) -> Iterator[str]:
    return original_names(shape.double, shape.single, guidance=shape.guidance)


CHECKS = Checks(
    facts=FACTS,
    layout=LAYOUT,
    names=_names,
    channels=lambda shape: (shape.channels, shape.latent_channels * PATCH**2),
    remedy=N_("Choose FLUX.1 dev or schnell, or a model made from them."),
    widths=lambda shape: {"clip_l": shape.pooled_width, "t5xxl": shape.text_width},
    tensors=tensors,
    pieces=partial(tensor_pieces, ORIGINAL),
)
check_model, check_vae, part_flaws = CHECKS.check_model, CHECKS.check_vae, CHECKS.part_flaws
