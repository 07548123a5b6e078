"""FLUX.1 dev and schnell in torch: encode text with CLIP and T5, images with the VAE, predict, decode."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5Tokenizer

from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.families.flux.facts import FACTS
from lora_tui.families.flux.model_parts import Parts
from lora_tui.families.flux.shape import PATCH
from lora_tui.families.packed import network_of
from lora_tui.families.parted import Parted, checkpoint_text_encoder, frozen
from lora_tui.families.protocol import Framing, Releasable, Storage, TargetModule, TextPart
from lora_tui.families.recomputed import compute_again
from lora_tui.families.separate.model_latents import Latents
from lora_tui.families.source import Source
from lora_tui.families.stored import put, streamed_in
from lora_tui.families.text_chunks import CHUNK, chunk_ids
from lora_tui.families.text_rows import MASK, TEXT

TIMESTEPS = 1000
#: Tokens of an image for which the published model's noise levels are shifted by e to the power of the value, and
#: between which the power is linear: the schedule of FLUX.1 dev.
SHIFT_TOKENS, SHIFT_POWERS = (256, 4096), (0.5, 1.15)
CLIP, T5 = TextPart(("ids",)), TextPart(("ids_2",), learns=False)


class FluxModel(Latents, Parted):
    """The parts of one base model on ``device`` in ``dtype``; the VAE always works in float32.

    See :class:`lora_tui.families.protocol.Model`.
    """

    prediction = "flow"
    text_parts = (CLIP, T5)

    def __init__(
        self, section: ModelSection, captions: CaptionSection, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        """Resolve the sources and look at their headers; nothing large is read yet.

        Raises:
            UserError: a part is missing, pickled, of another family, or damaged.
        """
        self.facts = FACTS
        self.device = device
        self.dtype = dtype
        self.storage = Storage()
        self._guidance = section.guidance
        self._tokens = captions.t5_tokens
        self.masks_text = captions.t5_mask
        self._parts = Parts(section)
        self.embeds_guidance = self._parts.shape.guidance
        self._transformer: FluxTransformer2DModel | None = None
        self._clip: CLIPTextModel | None = None
        self._t5: T5EncoderModel | None = None
        self._vae: AutoencoderKL | None = None
        self._told: list[Tensor] = []  # timesteps and guidance of the prediction that is being made
        self._tokenizers: tuple[CLIPTokenizer, T5Tokenizer] | None = None
        self._tokenizing = threading.Lock()  # a tokenizer's own state is not for several threads at once

    # -- parts ---------------------------------------------------------------------------------------------------

    @property
    def source(self) -> Source:
        return self._parts.source

    @property
    def transformer(self) -> FluxTransformer2DModel:
        if self._transformer is None:
            layers = {target.path for target in self.targets(text_encoder=False)}
            original = self.beneath.original("transformer", self._parts.original(self.dtype))
            network = network_of(original, self.storage.weights, layers, self.device)
            blocks = [*network.transformer_blocks, *network.single_transformer_blocks]
            network = put(network, self.storage, self.device, layers=layers, blocks=blocks)
            network.time_text_embed.register_forward_pre_hook(self._exact_numbers)
            self._transformer = network
        assert self._transformer is not None
        return self._transformer

    @property
    def clip(self) -> CLIPTextModel:
        if self._clip is None:
            module = self.beneath.into("text_encoder", frozen(self._parts.clip(self.dtype)))
            self._clip = self.placed("text_encoders", module)
        return self._clip

    @property
    def t5(self) -> T5EncoderModel:
        """T5; in bfloat16 where the rest is float16, in which its states overflow."""
        if self._t5 is None:
            dtype = torch.bfloat16 if self.dtype == torch.float16 else self.dtype
            self._t5 = self.placed("frozen_text", frozen(self._parts.t5(dtype)))
        return self._t5

    @property
    def vae(self) -> Any:
        if self._vae is None:
            self._vae = self.placed("vae", frozen(self._parts.vae()))
        return self._vae

    def adapted_modules(self, *, text_encoder: bool) -> dict[str, nn.Module]:
        modules: dict[str, nn.Module] = {"transformer": self.transformer}
        if text_encoder:
            modules["text_encoder"] = getattr(self.clip, "text_model", self.clip)
        return modules

    def targets(self, *, text_encoder: bool, convolutions: bool = False) -> tuple[TargetModule, ...]:
        return FACTS.targets(self.source.path, text_encoder=text_encoder)

    def weight_files(self) -> tuple[Path, ...]:
        return self._parts.files()

    def enable_checkpointing(self, *, text_encoder: bool, share: float = 1.0) -> None:
        compute_again(self.transformer, share, streamed_in(self.transformer))
        if text_encoder:
            checkpoint_text_encoder(self.clip)

    def loaded(self) -> list[nn.Module]:
        parts = (self._transformer, self._clip, self._t5, self._vae)
        return [part for part in parts if part is not None]

    def release(self, *parts: Releasable) -> None:
        if "vae" in parts:
            self._vae = None
        if "text_encoders" in parts:
            self._clip = None
        if "text_encoders" in parts or "frozen_text" in parts:
            self._t5 = None
        if "network" in parts:
            self._transformer = None
        self.empty_cache()

    # -- text ----------------------------------------------------------------------------------------------------

    def token_count(self, text: str) -> int:
        """Tokens of T5: CLIP, which reads 75, gives the pooled vector alone."""
        return len(self._rows(1, [text])[0])

    @property
    def token_limit(self) -> tuple[int, str]:
        return self._tokens - 1, "captions.t5_tokens"  # its end is one of them

    def text_length(self, texts: Iterable[str]) -> int:
        """In tokens of T5: those that are set, or, where padding is not attended to, those of the longest text."""
        if not self.masks_text:
            return self._tokens
        return min(max((self.token_count(text) for text in texts), default=0) + 1, self._tokens)

    def tokenize(self, texts: Sequence[str], length: int) -> dict[str, Tensor]:
        """``{"ids": [batch, 77], "ids_2": [batch, length]}``: CLIP's, and T5's with its end."""
        clip_rows, t5_rows = self._rows(0, texts), self._rows(1, texts)
        clip, t5 = self._both_tokenizers()
        start, end, pad = clip.bos_token_id, clip.eos_token_id, clip.pad_token_id
        assert start is not None and end is not None
        assert t5.eos_token_id is not None and t5.pad_token_id is not None
        ids = chunk_ids([row[:CHUNK] for row in clip_rows], 1, start=start, end=end, pad=end if pad is None else pad)
        second = torch.full((len(texts), length), int(t5.pad_token_id), dtype=torch.long)
        for row, tokens in zip(second, t5_rows, strict=True):
            line = [*tokens[: length - 1], int(t5.eos_token_id)]
            row[: len(line)] = torch.tensor(line, dtype=torch.long)
        return {"ids": ids[:, 0], "ids_2": second}

    def encode_text(self, tokens: dict[str, Tensor]) -> dict[str, Tensor]:
        """``text`` ([batch, T5 tokens, width]) and ``pooled`` ([batch, width of CLIP]) in the model's dtype.

        With ``captions.t5_mask`` also ``text_mask``: T5 attends to a caption's own tokens alone and the others are
        zero, as with sd-scripts' ``apply_t5_attn_mask``.
        """
        told: dict[str, Tensor] = {}
        if "ids" in tokens:
            clip: Any = self.clip
            told["pooled"] = clip(tokens["ids"].to(clip.place, non_blocking=True)).pooler_output
        if "ids_2" in tokens:
            t5: Any = self.t5
            ids, own = tokens["ids_2"].to(t5.place, non_blocking=True), None
            if self.masks_text:
                own = told[MASK] = ids != self._both_tokenizers()[1].pad_token_id
            with torch.no_grad():
                states = t5(ids, attention_mask=own).last_hidden_state.to(self.dtype)
            told[TEXT] = states if own is None else states * own[..., None]
        return told

    def text_identity(self, part: TextPart) -> str:
        if part is CLIP:
            weights, masked = self.encoder_identity("clip_l", lambda: self.clip), False
        else:
            weights, masked = self.encoder_identity("t5xxl", lambda: self.t5), self.masks_text
        return f"{weights} {self.dtype} {masked}"

    def _both_tokenizers(self) -> tuple[CLIPTokenizer, T5Tokenizer]:
        if self._tokenizers is None:
            self._tokenizers = self._parts.clip_tokenizer(), self._parts.t5_tokenizer()
        return self._tokenizers

    def _rows(self, which: int, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text without start and end, from CLIP (0) or T5 (1)."""
        with self._tokenizing:
            tokenizer = self._both_tokenizers()[which]
            rows: list[list[int]] = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        return rows

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

    def scheduler_config(self) -> Mapping[str, Any]:
        return self._parts.scheduler_config()

    def shift(self, width: int, height: int) -> float:
        """dev: e to a power that grows with the tokens of the image; schnell, which knows no guidance: 1."""
        if not self.embeds_guidance:
            return 1.0
        side = FACTS.latent_factor * PATCH
        return math.exp(shift_power((width // side) * (height // side)))


def shift_power(tokens: int) -> float:
    """The exponent of the shift for an image of so many tokens (``mu`` of Black Forest Labs' sampling code)."""
    (few, many), (low, high) = SHIFT_TOKENS, SHIFT_POWERS
    return low + (high - low) * (tokens - few) / (many - few)


def pack(latents: Tensor) -> Tensor:
    """[batch, channels, height, width] as tokens of 2 x 2 cells: [batch, height/2 * width/2, channels * 4]."""
    batch, channels, height, width = latents.shape
    cells = latents.view(batch, channels, height // PATCH, PATCH, width // PATCH, PATCH)
    return cells.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, channels * PATCH**2)


def unpack(tokens: Tensor, height: int, width: int) -> Tensor:
    """What :func:`pack` did, undone, for latents of ``height`` x ``width`` cells."""
    batch, _count, channels = tokens.shape
    cells = tokens.view(batch, height // PATCH, width // PATCH, channels // PATCH**2, PATCH, PATCH)
    return cells.permute(0, 3, 1, 4, 2, 5).reshape(batch, -1, height, width)


def image_places(rows: int, columns: int, device: torch.device) -> Tensor:
    """Where each token of the image stands: [rows * columns, 3], the first of the three numbers being 0."""
    places = torch.zeros(rows, columns, 3, device=device)
    places[..., 1] = torch.arange(rows, device=device)[:, None]
    places[..., 2] = torch.arange(columns, device=device)[None, :]
    return places.reshape(-1, 3)


def open_model(
    section: ModelSection, captions: CaptionSection, *, device: torch.device, dtype: torch.dtype
) -> FluxModel:
    """The family's door: see :class:`FluxModel`."""
    return FluxModel(section, captions, device=device, dtype=dtype)
