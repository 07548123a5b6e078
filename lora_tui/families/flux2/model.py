"""FLUX.2 klein in torch: encode text with Qwen3, images with the VAE, predict, decode."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.families.flux2.model_parts import Parts
from lora_tui.families.flux2.shape import CELL
from lora_tui.families.separate.model import SeparateModel
from lora_tui.families.separate.model_patches import shift_power
from lora_tui.families.text_rows import TEXT

TIMESTEPS = 1000
MANY_TOKENS = 4300
"""Of an image, from which on the number of steps decides nothing about the shift it is drawn with."""
#: Slope and start of the exponent of the shift, by the tokens of an image, where it is drawn in 10 and in 200 steps.
TEN_STEPS, MANY_STEPS = (8.73809524e-05, 1.89833333), (0.00016927, 0.45666666)


class Flux2Model(SeparateModel):
    """See :class:`lora_tui.families.protocol.Model`. Text is read with what fills it up, as it was published."""

    blocks = ("transformer_blocks", "single_transformer_blocks")
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
        self._told = torch.empty(0)  # the timesteps of the prediction that is being made

    def prepared(self, network: Any) -> Any:
        network.time_guidance_embed.time_proj.register_forward_pre_hook(self._exact_timesteps)
        return network

    def encode_text(self, tokens: dict[str, Tensor]) -> dict[str, Tensor]:
        """``text`` ([batch, tokens, three widths of the encoder]) in the model's dtype, what fills it up among it."""
        return {TEXT: self.read("llm", tokens)[0]}

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: dict[str, Tensor]) -> Tensor:
        """Each cell of the latents is a token; a place has four numbers: image, row, column, place in the text."""
        text, (height, width) = conditioning[TEXT], noisy.shape[-2:]
        self._told = timesteps.float()
        predicted: Tensor = self.transformer(
            hidden_states=noisy.flatten(2).mT,
            encoder_hidden_states=text,
            timestep=timesteps / TIMESTEPS,
            img_ids=_places(noisy.device, height, width, 1),
            txt_ids=_places(noisy.device, 1, 1, text.shape[1]),
            return_dict=False,
        )[0]
        return predicted.mT.unflatten(2, (height, width))

    def _exact_timesteps(self, _module: nn.Module, _args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The timesteps as they were given, in place of their copies in half precision."""
        return (self._told,)

    def shift(self, width: int, height: int) -> float:
        """As FLUX.1's, by the tokens of the image: what musubi-tuner calls ``flux2_shift``."""
        return math.exp(shift_power(_tokens(width, height)))

    def drawing_shift(self, width: int, height: int, steps: int) -> float:
        """e to a power that grows with the tokens of the image and falls with the steps: ``compute_empirical_mu``."""
        tokens = _tokens(width, height)
        few, many = (slope * tokens + start for slope, start in (TEN_STEPS, MANY_STEPS))
        if tokens > MANY_TOKENS:
            return math.exp(many)
        return math.exp(many + (many - few) / 190 * (steps - 200))


def _tokens(width: int, height: int) -> int:
    """Of an image of so many px."""
    return (width // CELL) * (height // CELL)


def _places(device: torch.device, rows: int, columns: int, texts: int) -> Tensor:
    """Where each token stands: [rows * columns * texts, 4]."""
    return torch.cartesian_prod(*(torch.arange(count, device=device) for count in (1, rows, columns, texts)))


def open_model(
    section: ModelSection, captions: CaptionSection, *, device: torch.device, dtype: torch.dtype
) -> Flux2Model:
    """The family's door: see :class:`Flux2Model`."""
    return Flux2Model(section, captions, device=device, dtype=dtype)
