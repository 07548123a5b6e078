"""What a FLUX.2 klein model must be, from configuration files and headers. Knows no torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from lora_tui.errors import UserError
from lora_tui.families.flux2.counting import tensors
from lora_tui.families.flux2.facts import FACTS
from lora_tui.families.flux2.kinds import PatchVae
from lora_tui.families.flux2.shape import READ_LAYERS, Shape
from lora_tui.families.separate import places, whole
from lora_tui.families.separate.checks import Checks
from lora_tui.families.separate.language import Qwen3
from lora_tui.families.separate.places import Layout, Part
from lora_tui.families.separate.tensors import tensor_pieces
from lora_tui.families.source import Source
from lora_tui.families.told import read_object
from lora_tui.text import N_, _
from lora_tui.weights.names.flux2_original import GUIDANCE, ORIGINAL, original_names

LAYOUT: Layout = {
    "llm": Part(
        Qwen3(READ_LAYERS, thinks=False), "Qwen3", "text_encoder", ("text_encoders.qwen3_4b.transformer.",
        "text_encoders.qwen3_8b.transformer."), "tokenizer", needs_tokenizer=True, words="tokenizer",
    ),
    "vae": Part(PatchVae(), "VAE", "vae", ("vae.",)),
}  # fmt: skip
"""The parts beside the transformer, by the settings that name them."""


@dataclass(frozen=True)
class KleinChecks(Checks[Shape]):
    """FLUX.2 dev is told by name: its transformer is of the same class, and its text encoder of another kind."""

    def check_model(self, source: Source, *, own_vae: bool = True, prediction: str = "auto") -> None:
        whole.check_kind(source, self.facts.name, self.facts.title)
        if _is_told_guidance(source):
            raise UserError(
                _("it is FLUX.2 dev, which reads captions with Mistral Small; that is not loaded here."),
                place=str(source.path),
                remedy=_("Choose FLUX.2 klein, 4B or 9B."),
                code="model.family",
            )
        super().check_model(source, own_vae=own_vae, prediction=prediction)


def _is_told_guidance(source: Source) -> bool:
    """Whether the transformer is told the strength of guidance; false where that cannot be read."""
    if source.kind == "folder":
        try:
            told = read_object(source.path / "transformer" / "config.json")
            return bool(told.get("guidance_embeds", True))
        except (OSError, ValueError, AttributeError):
            return False
    return f"{GUIDANCE}.weight" in places.bare_shapes(source.path)


CHECKS = KleinChecks(
    facts=FACTS,
    layout=LAYOUT,
    names=lambda shape: original_names(shape.double, shape.single),
    channels=lambda shape: (shape.channels, FACTS.latent_channels),
    remedy=N_("Choose FLUX.2 klein, 4B or 9B."),
    widths=lambda shape: {"llm": shape.text_width},
    tensors=tensors,
    pieces=partial(tensor_pieces, ORIGINAL),
)
check_model, check_vae, part_flaws = CHECKS.check_model, CHECKS.check_vae, CHECKS.part_flaws
