"""SD3 and SD3.5 in torch: encode text with two CLIPs and T5, images with the VAE, predict, decode."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, SD3Transformer2DModel
from torch import Tensor, nn
from transformers import T5EncoderModel

from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.families.packed import network_of
from lora_tui.families.parted import Parted, checkpoint_text_encoder, frozen
from lora_tui.families.protocol import Framing, Releasable, Storage, TargetModule, TextPart
from lora_tui.families.recomputed import compute_again
from lora_tui.families.sd3.checks import LAYOUT
from lora_tui.families.sd3.facts import FACTS
from lora_tui.families.sd3.model_parts import SHIFT, Parts
from lora_tui.families.separate.model_latents import Latents
from lora_tui.families.source import Source
from lora_tui.families.stored import put, streamed_in
from lora_tui.families.text_chunks import CHUNK, chunk_ids
from lora_tui.families.unet.model_text import inner

CLIPS = {"clip_l": "ids", "clip_g": "ids_2"}
"""The CLIP encoders, with the names of their tokens."""
T5_IDS = "ids_3"
CLIP_PART, T5_PART = TextPart(tuple(CLIPS.values())), TextPart((T5_IDS,), learns=False)


class Sd3Model(Latents, Parted):
    """The parts of one base model on ``device`` in ``dtype``; the VAE always works in float32.

    See :class:`lora_tui.families.protocol.Model`.
    """

    prediction = "flow"
    embeds_guidance = False
    text_parts = (CLIP_PART, T5_PART)
    masks_text = False  # its attention knows no mask

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
        self._tokens = captions.t5_tokens
        self._parts = Parts(section)
        self._transformer: SD3Transformer2DModel | None = None
        self._clips: dict[str, Any] = {}
        self._t5: T5EncoderModel | None = None
        self._vae: AutoencoderKL | None = None
        self._tokenizers: dict[str, Any] = {}
        self._tokenizing = threading.Lock()  # a tokenizer's own state is not for several threads at once

    # -- parts ---------------------------------------------------------------------------------------------------

    @property
    def source(self) -> Source:
        return self._parts.source

    @property
    def transformer(self) -> SD3Transformer2DModel:
        if self._transformer is None:
            layers = {target.path for target in self.targets(text_encoder=False)}
            original = self.beneath.original("transformer", self._parts.original(self.dtype))
            network = network_of(original, self.storage.weights, layers, self.device)
            blocks = list(network.transformer_blocks)
            self._transformer = put(network, self.storage, self.device, layers=layers, blocks=blocks)
        assert self._transformer is not None
        return self._transformer

    def clip(self, name: str) -> Any:
        """``clip_l`` or ``clip_g``, as transformers has it."""
        if name not in self._clips:
            module = self.beneath.into(LAYOUT[name].folder, frozen(self._parts.clip(name, self.dtype)))
            self._clips[name] = self.placed("text_encoders", module)
        return self._clips[name]

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
            modules |= {LAYOUT[name].folder: inner(self.clip(name)) for name in CLIPS}
        return modules

    def targets(self, *, text_encoder: bool, convolutions: bool = False) -> tuple[TargetModule, ...]:
        return FACTS.targets(self.source.path, text_encoder=text_encoder)

    def weight_files(self) -> tuple[Path, ...]:
        return self._parts.files()

    def enable_checkpointing(self, *, text_encoder: bool, share: float = 1.0) -> None:
        compute_again(self.transformer, share, streamed_in(self.transformer))
        for name in CLIPS if text_encoder else ():
            checkpoint_text_encoder(self.clip(name))

    def loaded(self) -> list[nn.Module]:
        parts = (self._transformer, *self._clips.values(), self._t5, self._vae)
        return [part for part in parts if part is not None]

    def release(self, *parts: Releasable) -> None:
        if "vae" in parts:
            self._vae = None
        if "text_encoders" in parts:
            self._clips.clear()
        if "text_encoders" in parts or "frozen_text" in parts:
            self._t5 = None
        if "network" in parts:
            self._transformer = None
        self.empty_cache()

    # -- text ----------------------------------------------------------------------------------------------------

    def token_count(self, text: str) -> int:
        """Tokens of T5; the two CLIPs read the first 75 of theirs."""
        return len(self._rows("t5xxl", [text])[0])

    @property
    def token_limit(self) -> tuple[int, str]:
        return self._tokens - 1, "captions.t5_tokens"  # its end is one of them

    def text_length(self, texts: Iterable[str]) -> int:
        """In tokens of T5: always those that are set, for the network attends to what fills a caption up."""
        return self._tokens

    def tokenize(self, texts: Sequence[str], length: int) -> dict[str, Tensor]:
        """``ids`` and ``ids_2`` ([batch, 77]) of the CLIPs, ``ids_3`` ([batch, length]) of T5 with its end."""
        found = {}
        for name, ids in CLIPS.items():
            rows, tokenizer = self._rows(name, texts), self._tokenizer(name)
            start, end, pad = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
            found[ids] = chunk_ids([row[:CHUNK] for row in rows], 1, start=start, end=end, pad=pad)[:, 0]
        t5 = self._tokenizer("t5xxl")
        last = torch.full((len(texts), length), int(t5.pad_token_id), dtype=torch.long)
        for row, tokens in zip(last, self._rows("t5xxl", texts), strict=True):
            line = [*tokens[: length - 1], int(t5.eos_token_id)]
            row[: len(line)] = torch.tensor(line, dtype=torch.long)
        return {**found, T5_IDS: last}

    def encode_text(self, tokens: dict[str, Tensor]) -> dict[str, Tensor]:
        """``clip`` ([batch, 77, both widths]) and ``pooled`` ([batch, both]), ``text`` ([batch, T5 tokens, width]).

        The states of both CLIPs' last layer but one stand side by side, and so do their pooled vectors.
        """
        told: dict[str, Tensor] = {}
        if "ids" in tokens:
            outputs = [
                self.clip(name)(tokens[ids].to(self.clip(name).place, non_blocking=True), output_hidden_states=True)
                for name, ids in CLIPS.items()
            ]
            told["clip"] = torch.cat([output.hidden_states[-2] for output in outputs], dim=-1)
            told["pooled"] = torch.cat([output.text_embeds for output in outputs], dim=-1)
        if T5_IDS in tokens:
            t5: Any = self.t5
            with torch.no_grad():
                states = t5(tokens[T5_IDS].to(t5.place, non_blocking=True)).last_hidden_state
            told["text"] = states.to(self.dtype)
        return told

    def text_identity(self, part: TextPart) -> str:
        if part is T5_PART:
            return f"{self.encoder_identity('t5xxl', lambda: self.t5)} {self.dtype}"
        found = [self.encoder_identity(name, partial(self.clip, name)) for name in CLIPS]
        return f"{' '.join(found)} {self.dtype}"

    def _tokenizer(self, name: str) -> Any:
        if name not in self._tokenizers:
            load = self._parts.t5_tokenizer if name == "t5xxl" else lambda: self._parts.clip_tokenizer(name)
            self._tokenizers[name] = load()
        return self._tokenizers[name]

    def _rows(self, name: str, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text without start and end."""
        with self._tokenizing:
            tokenizer = self._tokenizer(name)
            rows: list[list[int]] = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        return rows

    # -- the step ------------------------------------------------------------------------------------------------

    def picture_conditioning(self, framings: Sequence[Framing], *, guidance: float | None = None) -> dict[str, Tensor]:
        return {}

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

    def scheduler_config(self) -> Mapping[str, Any]:
        return self._parts.scheduler_config()

    def shift(self, width: int, height: int) -> float:
        return SHIFT


def open_model(
    section: ModelSection, captions: CaptionSection, *, device: torch.device, dtype: torch.dtype
) -> Sd3Model:
    """The family's door: see :class:`Sd3Model`."""
    return Sd3Model(section, captions, device=device, dtype=dtype)
