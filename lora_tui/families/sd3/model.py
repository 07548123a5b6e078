"""SD3 and SD3.5 in torch: encode text with two CLIPs and T5, images with the VAE, predict, decode."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.families.sd3.model_parts import SHIFT, Parts
from lora_tui.families.separate.model import SeparateModel

CLIPS = ("clip_l", "clip_g")


class Sd3Model(SeparateModel):
    """See :class:`lora_tui.families.protocol.Model`. Its attention knows no mask: texts are filled up."""

    def __init__(
        self, section: ModelSection, captions: CaptionSection, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        """Resolve the sources and look at their headers; nothing large is read yet.

        Raises:
            UserError: a part is missing, pickled, of another family, or damaged.
        """
        super().__init__(Parts(section), captions, device=device, dtype=dtype)

    def encode_text(self, tokens: dict[str, Tensor]) -> dict[str, Tensor]:
        """``clip`` ([batch, 77, both widths]) and ``pooled`` ([batch, both]), ``text`` ([batch, T5 tokens, width]).

        The states of both CLIPs' last layer but one stand side by side, and so do their pooled vectors.
        """
        told: dict[str, Tensor] = {}
        if "ids" in tokens:
            outputs = [self.states(name, self.ids_at(name, tokens), output_hidden_states=True) for name in CLIPS]
            told["clip"] = torch.cat([output.hidden_states[-2] for output in outputs], dim=-1)
            told["pooled"] = torch.cat([output.text_embeds for output in outputs], dim=-1)
        if "ids_3" in tokens:
            told["text"] = self.states("t5xxl", self.ids_at("t5xxl", tokens)).last_hidden_state.to(self.dtype)
        return told

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: dict[str, Tensor]) -> Tensor:
        """The network reads the CLIPs' states, filled up with zeros to T5's width, and T5's behind them."""
        text, clip = conditioning["text"], conditioning["clip"]
        clip = nn.functional.pad(clip, (0, text.shape[-1] - clip.shape[-1]))
        predicted: Tensor = self.transformer(
            hidden_states=noisy,
            encoder_hidden_states=torch.cat([clip, text], dim=1),
            pooled_projections=conditioning["pooled"],
            timestep=timesteps,
            return_dict=False,
        )[0]
        return predicted

    def shift(self, width: int, height: int) -> float:
        return SHIFT


def open_model(
    section: ModelSection, captions: CaptionSection, *, device: torch.device, dtype: torch.dtype
) -> Sd3Model:
    """The family's door: see :class:`Sd3Model`."""
    return Sd3Model(section, captions, device=device, dtype=dtype)
