"""FLUX.1 dev and schnell in torch: encode text with CLIP and T5, images with the VAE, predict, decode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.families.flux.facts import FACTS
from lora_tui.families.flux.model_parts import Parts
from lora_tui.families.protocol import Framing, TextPart
from lora_tui.families.separate.model import SeparateModel
from lora_tui.families.separate.model_patches import PATCH, image_places, pack, shift_power, unpack
from lora_tui.families.text_rows import MASK, TEXT

TIMESTEPS = 1000


class FluxModel(SeparateModel):
    """See :class:`lora_tui.families.protocol.Model`."""

    blocks = ("transformer_blocks", "single_transformer_blocks")

    def __init__(
        self, section: ModelSection, captions: CaptionSection, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        """Resolve the sources and look at their headers; nothing large is read yet.

        Raises:
            UserError: a part is missing, pickled, of another family, or damaged.
        """
        parts = Parts(section)
        super().__init__(parts, captions, device=device, dtype=dtype)
        self.masks_text = captions.t5_mask
        self.embeds_guidance = parts.shape.guidance
        self._guidance = section.guidance
        self._told: list[Tensor] = []  # timesteps and guidance of the prediction that is being made

    def prepared(self, network: Any) -> Any:
        network.time_text_embed.register_forward_pre_hook(self._exact_numbers)
        return network

    # -- text ----------------------------------------------------------------------------------------------------

    def text_words(self, part: TextPart) -> str:
        return f" {self.masks_text and not part.learns}"

    def encode_text(self, tokens: dict[str, Tensor]) -> dict[str, Tensor]:
        """``text`` ([batch, T5 tokens, width]) and ``pooled`` ([batch, width of CLIP]) in the model's dtype.

        With ``captions.t5_mask`` also ``text_mask``: T5 attends to a caption's own tokens alone and the others are
        zero, as with sd-scripts' ``apply_t5_attn_mask``.
        """
        told: dict[str, Tensor] = {}
        if "ids" in tokens:
            told["pooled"] = self.states("clip_l", self.ids_at("clip_l", tokens)).pooler_output
        if "ids_2" in tokens:
            ids, own = self.ids_at("t5xxl", tokens), None
            if self.masks_text:
                own = told[MASK] = ids != self.encoders["t5xxl"].tokenizer.pad_token_id
            states = self.states("t5xxl", ids, attention_mask=own).last_hidden_state.to(self.dtype)
            told[TEXT] = states if own is None else states * own[..., None]
        return told

    # -- the step ------------------------------------------------------------------------------------------------

    def picture_conditioning(self, framings: Sequence[Framing], *, guidance: float | None = None) -> dict[str, Tensor]:
        """``guidance`` ([batch]) where the network takes one: ``model.guidance`` while training."""
        if not self.embeds_guidance:
            return {}
        return {"guidance": torch.full((len(framings),), self._guidance if guidance is None else guidance)}

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: dict[str, Tensor]) -> Tensor:
        height, width = noisy.shape[-2:]
        guidance, mask = conditioning.get("guidance"), conditioning.get(MASK)
        if mask is not None:  # who may be attended to, by every token alike: the caption's own and all of the image
            image = mask.new_ones(len(mask), (height // PATCH) * (width // PATCH))
            mask = torch.cat([mask, image], dim=1)[:, None, None, :]
        self._told = [timesteps.float()] if guidance is None else [timesteps.float(), guidance.float() * TIMESTEPS]
        predicted = self.transformer(
            hidden_states=pack(noisy),
            encoder_hidden_states=conditioning["text"],
            pooled_projections=conditioning["pooled"],
            timestep=timesteps / TIMESTEPS,
            guidance=guidance,
            img_ids=image_places(height // PATCH, width // PATCH, noisy.device),
            txt_ids=torch.zeros(conditioning["text"].shape[1], 3, device=noisy.device),
            joint_attention_kwargs=None if mask is None else {"attention_mask": mask},
            return_dict=False,
        )[0]
        return unpack(predicted, height, width)

    def _exact_numbers(self, _module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Timestep and guidance as they were given, in place of their copies in half precision.

        The network rounds both to its own precision first, which makes 836 of a timestep of 837.2.
        """
        return (*self._told, *args[len(self._told) :])

    def shift(self, width: int, height: int) -> float:
        """dev: e to a power that grows with the tokens of the image; schnell, which knows no guidance: 1."""
        if not self.embeds_guidance:
            return 1.0
        side = FACTS.latent_factor * PATCH
        return math.exp(shift_power((width // side) * (height // side)))


def open_model(
    section: ModelSection, captions: CaptionSection, *, device: torch.device, dtype: torch.dtype
) -> FluxModel:
    """The family's door: see :class:`FluxModel`."""
    return FluxModel(section, captions, device=device, dtype=dtype)
