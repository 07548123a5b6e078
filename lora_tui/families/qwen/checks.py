"""What a Qwen-Image model must be, from configuration files and headers. Knows no torch."""

from __future__ import annotations

from dataclasses import dataclass

from lora_tui.errors import UserError
from lora_tui.families.qwen.counting import transformer_tensors
from lora_tui.families.qwen.facts import FACTS
from lora_tui.families.qwen.kinds import FrameVae
from lora_tui.families.qwen.language import QwenVl
from lora_tui.families.qwen.shape import PATCH, Shape
from lora_tui.families.separate.checks import Checks
from lora_tui.families.separate.places import Layout, Part
from lora_tui.families.source import Source
from lora_tui.families.told import read_config, read_object, unusual
from lora_tui.text import N_, _, plain

LAYOUT: Layout = {
    "llm": Part(
        QwenVl(), "Qwen2.5-VL", "text_encoder", ("text_encoders.qwen25_7b.transformer.",), "tokenizer",
        needs_tokenizer=True, words="tokenizer",
    ),
    "vae": Part(FrameVae(), "VAE", "vae", ("vae.",)),
}  # fmt: skip
"""The parts beside the transformer, by the settings that name them."""
FIXED = ("patch_size", "out_channels", "guidance_embeds", "axes_dims_rope")
"""What the configuration of a transformer says that follows from its widths."""
OTHERS = ("QwenImageEdit", "QwenImageLayered", "QwenImageControlNet")
"""Beginnings of the names of pipelines that read pictures as well as texts."""


@dataclass(frozen=True)
class QwenChecks(Checks[Shape]):
    """Models that read pictures, too, have the same layers, and are told by what their folders and files say."""

    def check_model(self, source: Source, *, own_vae: bool = True, prediction: str = "auto") -> None:
        super().check_model(source, own_vae=own_vae, prediction=prediction)
        if self.facts.shape_of(source.path).special or _reads_pictures(source):
            raise UserError(
                _(
                    "{name} is a Qwen-Image that reads pictures, too, or draws in layers; that is not trained here."
                ).format(name=plain(source.path.name)),
                place=str(source.path),
                remedy=_(self.remedy),
                code="model.special",
            )

        if source.kind == "folder":
            path = source.path / "transformer" / "config.json"
            told, usual = read_config(path), self.facts.shape_of(source.path).transformer_config()
            for name in FIXED:
                if told.get(name, usual[name]) != usual[name]:
                    raise unusual(path, name, told[name])


def _reads_pictures(source: Source) -> bool:
    """Whether a folder is that of a pipeline that edits."""
    if source.kind != "folder":
        return False
    try:
        return str(read_object(source.path / "model_index.json").get("_class_name", "")).startswith(OTHERS)
    except (OSError, ValueError):
        return False


CHECKS = QwenChecks(
    facts=FACTS,
    layout=LAYOUT,
    names=transformer_tensors,
    channels=lambda shape: (shape.channels, FACTS.latent_channels * PATCH**2),
    remedy=N_("Choose Qwen-Image, or a model made from it."),
    widths=lambda shape: {"llm": shape.text_width},
    tensors=transformer_tensors,
    named_alike=True,
)
check_model, check_vae, part_flaws = CHECKS.check_model, CHECKS.check_vae, CHECKS.part_flaws
