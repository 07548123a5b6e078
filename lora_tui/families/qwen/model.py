"""Qwen-Image in torch: encode text with a language model, images with the VAE, predict, decode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.families.qwen.language import REQUEST
from lora_tui.families.qwen.model_parts import Parts
from lora_tui.families.separate.model import SeparateModel
from lora_tui.families.separate.model_patches import PATCH, pack, shift_told, unpack
from lora_tui.families.text_rows import MASK, TEXT

TIMESTEPS = 1000


class QwenModel(SeparateModel):
    """See :class:`lora_tui.families.protocol.Model`. Each caption has its own length; what fills it up is unseen."""

    masks_text = True
    measuring = "llm"
    limit_setting = "captions.llm_tokens"

    def __init__(
        self, section: ModelSection, captions: CaptionSection, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        """Resolve the sources and look at their headers; nothing large is read yet.

        Raises:
            UserError: a part is missing, pickled, of another family, or damaged.
        """
        super().__init__(Parts(section), captions, device=device, dtype=dtype)
        self._told: Tensor | None = None  # the timesteps of the prediction that is being made

    def prepared(self, network: Any) -> Any:
        network.time_text_embed.register_forward_pre_hook(self._exact_timesteps)
        return network

    def encode_text(self, tokens: dict[str, Tensor]) -> dict[str, Tensor]:
        """``text`` ([batch, tokens, width]) and ``text_mask``: what comes behind the request, the caption first."""
        states, own = self.read("llm", tokens)
        return {TEXT: states[:, REQUEST:] * own[:, REQUEST:, None], MASK: own[:, REQUEST:]}

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: dict[str, Tensor]) -> Tensor:
        height, width = noisy.shape[-2:]
        self._told = timesteps.float() / TIMESTEPS
        predicted = self.transformer(
            hidden_states=pack(noisy),
            encoder_hidden_states=conditioning[TEXT],
            encoder_hidden_states_mask=conditioning.get(MASK),
            timestep=self._told,
            img_shapes=[[(1, height // PATCH, width // PATCH)]] * len(noisy),
            return_dict=False,
        )[0]
        return unpack(predicted, height, width)

    def _exact_timesteps(self, _module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Any, ...]:
        """The timesteps as they were given, in place of their copies in half precision."""
        return (self._told, *args[1:])

    def guided(self, told: Tensor, untold: Tensor, strength: float) -> Tensor:
        """What is followed is as long as what the prompt alone gives, token by token."""
        alone, height, width = pack(told), *told.shape[-2:]
        both = pack(super().guided(told, untold, strength))
        return unpack(both * (alone.norm(dim=-1, keepdim=True) / both.norm(dim=-1, keepdim=True)), height, width)

    def scheduler_config(self) -> Mapping[str, Any]:
        return self._parts.told_schedule

    def shift(self, width: int, height: int) -> float:
        """As the schedule says: one factor, or e to a power that grows with the tokens of the image."""
        side = self.facts.latent_factor * PATCH
        return shift_told(self._parts.told_schedule, (width // side) * (height // side))


def open_model(
    section: ModelSection, captions: CaptionSection, *, device: torch.device, dtype: torch.dtype
) -> QwenModel:
    """The family's door: see :class:`QwenModel`."""
    return QwenModel(section, captions, device=device, dtype=dtype)
