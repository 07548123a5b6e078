"""Z-Image in torch: encode text with a language model, images with the VAE, predict, decode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.families.separate.model import SeparateModel
from lora_tui.families.text_rows import MASK, TEXT
from lora_tui.families.zimage.model_network import told
from lora_tui.families.zimage.model_parts import Parts

TIMESTEPS = 1000


class ZImageModel(SeparateModel):
    """See :class:`lora_tui.families.protocol.Model`. Each caption has its own length, and nothing fills it up."""

    masks_text = True
    blocks = ("layers",)
    measuring = "llm"
    limit_setting = "captions.llm_tokens"

    def __init__(
        self, section: ModelSection, captions: CaptionSection, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        """Resolve the sources and look at their headers; nothing large is read yet.

        Raises:
            UserError: a part is missing, pickled, of another family, or damaged.
        """
        parts = Parts(section)
        super().__init__(parts, captions, device=device, dtype=dtype)
        self._shift = parts.shape.shift

    def encode_text(self, tokens: dict[str, Tensor]) -> dict[str, Tensor]:
        """``text`` ([batch, tokens, width]) and ``text_mask``, with the template of a conversation around a caption."""
        states, own = self.read("llm", tokens)
        return {TEXT: states, MASK: own}

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: dict[str, Tensor]) -> Tensor:
        """The network counts time from noise to data and says what leads there; the flow leads from data to noise."""
        times = (TIMESTEPS - timesteps.float()) / TIMESTEPS
        return -told(self.transformer, noisy, times, conditioning[TEXT], conditioning.get(MASK))

    def shift(self, width: int, height: int) -> float:
        """That of the schedule which the model was published with, whatever the size."""
        return self._shift

    def scheduler_config(self) -> Mapping[str, Any]:
        return {**super().scheduler_config(), "shift": self._shift}


def open_model(
    section: ModelSection, captions: CaptionSection, *, device: torch.device, dtype: torch.dtype
) -> ZImageModel:
    """The family's door: see :class:`ZImageModel`."""
    return ZImageModel(section, captions, device=device, dtype=dtype)
