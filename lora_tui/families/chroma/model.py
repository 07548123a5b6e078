"""Chroma in torch: encode text with T5, images with the VAE, predict, decode."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from diffusers.models.transformers.transformer_chroma import ChromaSingleTransformerBlock
from torch import Tensor, nn

from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.families.chroma.model_parts import Parts
from lora_tui.families.separate.model import SeparateModel
from lora_tui.families.separate.model_patches import PATCH, image_places, pack, shift_told, unpack
from lora_tui.families.text_rows import MASK, TEXT

TIMESTEPS = 1000
SEEN_FILLING = 1
"""Tokens of what fills a caption up that are attended to: Chroma learned with one."""


class ChromaModel(SeparateModel):
    """See :class:`lora_tui.families.protocol.Model`.

    A caption's own tokens are attended to, its end and one more; so a row is as long as that, and no longer.
    """

    blocks = ("transformer_blocks", "single_transformer_blocks")
    masks_text = True

    def __init__(
        self, section: ModelSection, captions: CaptionSection, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        """Resolve the sources and look at their headers; nothing large is read yet.

        Raises:
            UserError: a part is missing, pickled, of another family, or damaged.
        """
        self._own = Parts(section)
        super().__init__(self._own, captions, device=device, dtype=dtype)
        self._timesteps: Tensor | None = None  # of the prediction that is being made, and its mask
        self._mask: Tensor | None = None
        self._rounded = dtype

    def prepared(self, network: Any) -> Any:
        network.time_text_embed.register_forward_pre_hook(self._exact_timesteps)
        network.time_text_embed.register_forward_hook(self._as_rounded)
        for block in (*network.transformer_blocks, *network.single_transformer_blocks):
            block.attn.register_forward_pre_hook(_keys_alone, with_kwargs=True)
        return network

    def enable_checkpointing(self, *, text_encoder: bool, share: float = 1.0) -> None:
        """diffusers leaves the mask out where a single block is computed again; here it goes along."""
        super().enable_checkpointing(text_encoder=text_encoder, share=share)
        if self.transformer.gradient_checkpointing:
            run = self.transformer._gradient_checkpointing_func
            self.transformer._gradient_checkpointing_func = partial(self._with_mask, run)

    def _with_mask(self, run: Callable[..., Any], block: nn.Module, *args: Any) -> Any:
        alone = isinstance(block, ChromaSingleTransformerBlock)
        return run(block, *args, self._mask) if alone else run(block, *args)

    # -- text ----------------------------------------------------------------------------------------------------

    def text_length(self, texts: Iterable[str]) -> int:
        """In tokens of T5: those of the longest text, with its end and what is seen of its filling."""
        longest = max((self.token_count(text) for text in texts), default=0)
        return min(longest + self.encoders[self.measuring].adds + SEEN_FILLING, self._tokens)

    def encode_text(self, tokens: dict[str, Tensor]) -> dict[str, Tensor]:
        """``text`` ([batch, T5 tokens, width]) in the model's dtype, and ``text_mask``, as diffusers' pipeline has it.

        T5 attends to a caption's own tokens and its end alone, the transformer to one more; the others are zero.
        """
        ids = self.ids_at("t5xxl", tokens)
        own = ids != self.encoders["t5xxl"].tokenizer.pad_token_id
        states = self.states("t5xxl", ids, attention_mask=own).last_hidden_state.to(self.dtype)
        seen = torch.arange(ids.shape[1], device=ids.device)[None, :] < own.sum(dim=1, keepdim=True) + SEEN_FILLING
        return {TEXT: states * seen[..., None], MASK: seen}

    # -- the step ------------------------------------------------------------------------------------------------

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: dict[str, Tensor]) -> Tensor:
        height, width = noisy.shape[-2:]
        text, mask = conditioning[TEXT], conditioning.get(MASK)
        if mask is not None:  # who may be attended to: of the text what is seen, and all of the image
            mask = torch.cat([mask, mask.new_ones(len(mask), (height // PATCH) * (width // PATCH))], dim=1)
        self._timesteps, self._mask = timesteps.float(), mask
        predicted = self.transformer(
            hidden_states=pack(noisy),
            encoder_hidden_states=text,
            timestep=timesteps / TIMESTEPS,
            img_ids=image_places(height // PATCH, width // PATCH, noisy.device),
            txt_ids=torch.zeros(text.shape[1], 3, device=noisy.device),
            attention_mask=mask,
            return_dict=False,
        )[0]
        return unpack(predicted, height, width)

    def _exact_timesteps(self, _module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The timesteps as they were given, in place of their copies in half precision."""
        self._rounded = args[0].dtype
        assert self._timesteps is not None
        return (self._timesteps, *args[1:])

    def _as_rounded(self, _module: nn.Module, _args: Any, told: Tensor) -> Tensor:
        return told.to(self._rounded)

    def scheduler_config(self) -> Mapping[str, Any]:
        return self._own.told_schedule

    def shift(self, width: int, height: int) -> float:
        """As the schedule says: one factor, or e to a power that grows with the tokens of the image."""
        side = self.facts.latent_factor * PATCH
        return shift_told(self._own.told_schedule, (width // side) * (height // side))


def _keys_alone(_attention: nn.Module, args: tuple[Any, ...], told: dict[str, Any]) -> tuple[Any, Any]:
    """The mask of an attention without its rows: every token looks at what is seen.

    diffusers lets tokens that nobody sees look at nothing, which some kernels answer with what is no number. The last
    row is one of the image's, which look at all that is seen.
    """
    mask = told.get("attention_mask")
    return args, told if mask is None else {**told, "attention_mask": mask[..., -1:, :]}


def open_model(
    section: ModelSection, captions: CaptionSection, *, device: torch.device, dtype: torch.dtype
) -> ChromaModel:
    """The family's door: see :class:`ChromaModel`."""
    return ChromaModel(section, captions, device=device, dtype=dtype)
