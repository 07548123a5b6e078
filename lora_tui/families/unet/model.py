"""Stable Diffusion 1.x, 2.x and XL in torch: encode text and images, predict noise or velocity, decode.

What sets the families apart are their facts. Each part (UNet, text encoders, VAE) is loaded on first use and can be
let go of, so that nothing sits in memory that the phase at hand does not need.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTokenizer

from lora_tui.captions.weighted import Piece, weighted_pieces
from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.families.decoding import decode
from lora_tui.families.packed import network_of
from lora_tui.families.parted import Parted, checkpoint_text_encoder, frozen
from lora_tui.families.protocol import Framing, Releasable, Storage, TargetModule, TextPart
from lora_tui.families.recomputed import compute_again
from lora_tui.families.source import Source
from lora_tui.families.state_dicts import identity, weights_id
from lora_tui.families.stored import put, streamed_in
from lora_tui.families.text_chunks import CHUNK, chunk_ids, chunk_weights, join_chunks, weighed
from lora_tui.families.unet.encoders import Encoder
from lora_tui.families.unet.facts import UnetFacts
from lora_tui.families.unet.model_parts import Parts
from lora_tui.families.unet.model_text import inner
from lora_tui.families.unet.targets import transformers


class UnetModel(Parted):
    """The parts of one base model on ``device`` in ``dtype``; the VAE always works in float32.

    See :class:`lora_tui.families.protocol.Model`.
    """

    embeds_guidance = False
    masks_text = False

    def __init__(
        self,
        facts: UnetFacts,
        section: ModelSection,
        captions: CaptionSection,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        """Resolve the source and look at its headers; nothing large is read yet (of old pickles all is).

        Raises:
            UserError: the base model is missing, pickled, of another family, or one that would be trained wrongly.
        """
        self.device = device
        self.dtype = dtype
        self.storage = Storage()
        self.clip_skip = section.clip_skip
        self._most_chunks = captions.max_tokens // CHUNK
        self._weighted = captions.weighted
        self.facts = facts
        self.text_parts = (
            TextPart((*(one.ids for one in facts.encoders), *(("weights",) if captions.weighted else ()))),
        )
        self._parts = Parts(facts, section)
        self.prediction = self._parts.prediction
        self._unet: UNet2DConditionModel | None = None
        self._encoders: dict[str, nn.Module] = {}
        self._vae: AutoencoderKL | None = None
        self._tokenizers: dict[str, CLIPTokenizer] = {}
        self._tokenizing = threading.Lock()  # a tokenizer's own state is not for several threads at once

    # -- parts ---------------------------------------------------------------------------------------------------

    @property
    def source(self) -> Source:
        return self._parts.source

    @property
    def unet(self) -> UNet2DConditionModel:
        if self._unet is None:
            layers = {target.path for target in self.targets(text_encoder=False) if not target.convolution}
            original = self.beneath.original("unet", self._parts.original(self.dtype))
            network = network_of(original, self.storage.weights, layers, self.device)
            blocks = [
                network.get_submodule(f"{path}.transformer_blocks.{number}")
                for path, _width, depth, _level in transformers(self._parts.shape)
                for number in range(depth)
            ]
            self._unet = put(network, self.storage, self.device, layers=layers, blocks=blocks)
        return self._unet

    def text_encoder(self, part: str = "text_encoder") -> nn.Module:
        """The text encoder called ``part``, as transformers has it."""
        if part not in self._encoders:
            encoder = self.facts.encoder(part)
            module = self.beneath.into(part, frozen(self._parts.text_encoder(encoder, self.dtype)))
            self._encoders[part] = self.placed("text_encoders", module)
        return self._encoders[part]

    @property
    def vae(self) -> Any:
        if self._vae is None:
            self._vae = self.placed("vae", frozen(self._parts.vae()))
        return self._vae

    def part(self, name: str) -> nn.Module:
        """The part called ``name``: ``unet``, ``vae`` or a text encoder."""
        return {"unet": lambda: self.unet, "vae": lambda: self.vae}.get(name, lambda: self.text_encoder(name))()

    def adapted_modules(self, *, text_encoder: bool) -> dict[str, nn.Module]:
        modules: dict[str, nn.Module] = {"unet": self.unet}
        if text_encoder:
            modules |= {encoder.part: inner(self.text_encoder(encoder.part)) for encoder in self.facts.encoders}
        return modules

    def targets(self, *, text_encoder: bool, convolutions: bool = False) -> tuple[TargetModule, ...]:
        return self.facts.targets(self.source.path, text_encoder=text_encoder, convolutions=convolutions)

    def weight_files(self) -> tuple[Path, ...]:
        return self._parts.files()

    def enable_checkpointing(self, *, text_encoder: bool, share: float = 1.0) -> None:
        compute_again(self.unet, share, streamed_in(self.unet))
        for encoder in self.facts.encoders if text_encoder else ():
            checkpoint_text_encoder(self.text_encoder(encoder.part))

    def loaded(self) -> list[nn.Module]:
        return [part for part in (self._unet, *self._encoders.values(), self._vae) if part is not None]

    def release(self, *parts: Releasable) -> None:
        if "vae" in parts:
            self._vae = None
        if "text_encoders" in parts:
            self._encoders.clear()
        if "network" in parts:
            self._unet = None
        self.empty_cache()

    # -- text ----------------------------------------------------------------------------------------------------

    def token_count(self, text: str) -> int:
        return len(self._rows(self.facts.encoders[0], [text])[0][0])

    @property
    def token_limit(self) -> tuple[int, str]:
        return self._most_chunks * CHUNK, "captions.max_tokens"

    def text_length(self, texts: Iterable[str]) -> int:
        """In chunks of 75 tokens."""
        longest = max((self.token_count(text) for text in texts), default=0)
        return min(max(1, -(-longest // CHUNK)), self._most_chunks)

    def tokenize(self, texts: Sequence[str], length: int) -> dict[str, Tensor]:
        """``ids`` (and ``ids_2`` for a second encoder): [batch, length, 77], each chunk with its own start and end.

        Where captions have weights, also ``weights`` of all these positions, which are those of every encoder.
        """
        found = {}
        for encoder in self.facts.encoders:
            rows, weights = self._rows(encoder, texts)
            tokenizer = self._tokenizers[encoder.part]
            if self._weighted:
                found["weights"] = chunk_weights(weights, length)
            start, end, pad = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
            assert start is not None and end is not None
            found[encoder.ids] = chunk_ids(rows, length, start=start, end=end, pad=end if pad is None else pad)
        return found

    def encode_text(self, tokens: dict[str, Tensor]) -> dict[str, Tensor]:
        """``text`` ([batch, positions, width]) and, of an encoder with one, ``pooled`` ([batch, width]).

        The states of a caption's chunks are joined (77, 152 or 227 positions), those of several encoders stand side by
        side. The pooled vector is that of the first chunk.
        """
        states, told = [], {}
        for encoder in self.facts.encoders:
            module: Any = self.text_encoder(encoder.part)
            ids = tokens[encoder.ids].to(module.place, non_blocking=True)
            output = module(ids.flatten(0, 1), output_hidden_states=True)
            joined = join_chunks(self._read(encoder, module, output).unflatten(0, ids.shape[:2]))
            if "weights" in tokens:
                joined = weighed(joined, tokens["weights"].to(module.place, non_blocking=True))
            states.append(joined)
            if encoder.pooled:
                told["pooled"] = output.text_embeds.unflatten(0, ids.shape[:2])[:, 0]
        return {"text": torch.cat(states, dim=-1) if len(states) > 1 else states[0], **told}

    def _read(self, encoder: Encoder, module: nn.Module, output: Any) -> Tensor:
        """The states that condition the UNet, of the layer that the family or clip skip names."""
        layers = output.hidden_states
        if encoder.reads == "before_last":
            return layers[-2]
        skip = min(self.clip_skip, len(layers) - 1) if encoder.reads == "clip_skip" else 1
        if skip == 1:
            return output.last_hidden_state
        return inner(module).final_layer_norm(layers[-skip])  # type: ignore[operator]

    def text_identity(self, part: TextPart) -> str:
        encoders = " ".join(self._encoder_identity(encoder) for encoder in self.facts.encoders)
        return f"{encoders} {self.dtype} {self.clip_skip}"

    def _encoder_identity(self, encoder: Encoder) -> str:
        return identity(
            encoder.part, (*self._parts.files_of(encoder.part), *self.beneath.files),
            [self.facts.name, str(self.dtype), *self.beneath.words],
            lambda: weights_id(self.text_encoder(encoder.part)),
        )  # fmt: skip

    def _rows(self, encoder: Encoder, texts: Sequence[str]) -> tuple[list[list[int]], list[list[float]]]:
        """Token ids of each text without start and end, and what each of them weighs."""
        pieces = [weighted_pieces(text) if self._weighted else [Piece(text, 1.0)] for text in texts]
        with self._tokenizing:
            if encoder.part not in self._tokenizers:
                self._tokenizers[encoder.part] = self._parts.tokenizer(encoder)
            words = [piece.text for row in pieces for piece in row]
            tokenizer = self._tokenizers[encoder.part]
            found: list[list[int]] = tokenizer(words, add_special_tokens=False, verbose=False)["input_ids"]
        rest = iter(found)
        rows, weights = [], []
        for row in pieces:
            ids = [next(rest) for _piece in row]
            rows.append([one for part in ids for one in part])
            weights.append([piece.weight for piece, part in zip(row, ids, strict=True) for _one in part])
        return rows, weights

    # -- images --------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def encode_image(self, pixels: Tensor, noise: Tensor) -> Tensor:
        vae = self.vae
        posterior = vae.encode(pixels.to(vae.place, torch.float32, non_blocking=True)).latent_dist
        latents = posterior.mean + posterior.std * noise.to(vae.place, torch.float32, non_blocking=True)
        return latents.to(self.device) * vae.config.scaling_factor

    @torch.no_grad()
    def decode_latents(self, latents: Tensor) -> Tensor:
        vae = self.vae
        return decode(vae, latents.to(vae.place, torch.float32) / vae.config.scaling_factor, tiled=self.tiled)

    def latent_identity(self) -> str:
        return identity(
            "vae", self._parts.files_of("vae"), [self.facts.name],
            lambda: f"{weights_id(self.vae)}*{float(self.vae.config.scaling_factor)!r}",
        )  # fmt: skip

    # -- the step ------------------------------------------------------------------------------------------------

    def picture_conditioning(self, framings: Sequence[Framing], *, guidance: float | None = None) -> dict[str, Tensor]:
        """``sizes`` ([batch, 6]) for models that are told them: height before width, as diffusers and sd-scripts do."""
        if not self.facts.full.told_width:
            return {}
        rows = [[*framing.original[::-1], *framing.corner[::-1], *framing.size[::-1]] for framing in framings]
        return {"sizes": torch.tensor(rows, dtype=torch.float32)}

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: dict[str, Tensor]) -> Tensor:
        text, told = conditioning["text"], None
        if "sizes" in conditioning:
            told = {"text_embeds": conditioning["pooled"], "time_ids": conditioning["sizes"]}
        if self.storage.channels_last:
            noisy = noisy.to(memory_format=torch.channels_last)
        return self.unet(noisy, timesteps, encoder_hidden_states=text, added_cond_kwargs=told, return_dict=False)[0]

    def scheduler_config(self) -> dict[str, Any]:
        return self._parts.scheduler_config()

    def shift(self, width: int, height: int) -> float:
        return 1.0
