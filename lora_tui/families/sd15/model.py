"""Stable Diffusion 1.x in torch: encode text and images, predict noise, decode.

Each part (UNet, text encoder, VAE) is loaded on first use and can be let go of, so that nothing sits in memory
that the phase at hand does not need.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from lora_tui.captions.weighted import Piece, weighted_pieces
from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.families.protocol import Framing, Releasable, TargetModule
from lora_tui.families.sd15.facts import FACTS
from lora_tui.families.sd15.model_parts import Parts
from lora_tui.families.source import Source
from lora_tui.families.state_dicts import weights_id
from lora_tui.families.text_chunks import CHUNK, chunk_ids, chunk_weights, join_chunks, weighed


class Sd15Model:
    """The parts of one SD1.x base model on ``device`` in ``dtype``; the VAE always works in float32.

    See :class:`lora_tui.families.protocol.Model`.
    """

    facts = FACTS
    prediction = "epsilon"
    embeds_guidance = False

    def __init__(
        self, section: ModelSection, captions: CaptionSection, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        """Resolve the source and look at its headers; nothing large is read yet (of old pickles all is).

        Raises:
            UserError: the base model is missing, pickled, of another family, or one that would be trained wrongly.
        """
        self.device = device
        self.dtype = dtype
        self._clip_skip = section.clip_skip
        self._most_chunks = captions.max_tokens // CHUNK
        self._weighted = captions.weighted
        self._parts = Parts(section)
        self._unet: UNet2DConditionModel | None = None
        self._text_encoder: CLIPTextModel | None = None
        self._vae: AutoencoderKL | None = None
        self._tokenizer: CLIPTokenizer | None = None
        self._tokenizing = threading.Lock()  # the tokenizer's own state is not for several threads at once

    # -- parts ---------------------------------------------------------------------------------------------------

    @property
    def source(self) -> Source:
        return self._parts.source

    @property
    def unet(self) -> UNet2DConditionModel:
        if self._unet is None:
            self._unet = _frozen(self._parts.unet(self.dtype)).to(self.device)
        return self._unet

    @property
    def text_encoder(self) -> CLIPTextModel:
        if self._text_encoder is None:
            self._text_encoder = _frozen(self._parts.text_encoder(self.dtype)).to(self.device)
        return self._text_encoder

    @property
    def vae(self) -> AutoencoderKL:
        if self._vae is None:
            self._vae = _frozen(self._parts.vae()).to(self.device)
        return self._vae

    def adapted_modules(self, *, text_encoder: bool) -> dict[str, nn.Module]:
        modules: dict[str, nn.Module] = {"unet": self.unet}
        if text_encoder:
            modules["text_encoder"] = _inner(self.text_encoder)
        return modules

    def targets(self, *, text_encoder: bool, convolutions: bool = False) -> tuple[TargetModule, ...]:
        return FACTS.targets(self.source.path, text_encoder=text_encoder, convolutions=convolutions)

    def weight_files(self) -> tuple[Path, ...]:
        return self._parts.files()

    def enable_checkpointing(self, *, text_encoder: bool) -> None:
        self.unet.enable_gradient_checkpointing()
        if text_encoder:
            self.text_encoder.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            self.text_encoder.train()  # transformers checkpoints only in training mode; CLIP has no dropout

    def loaded(self) -> list[nn.Module]:
        return [part for part in (self._unet, self._text_encoder, self._vae) if part is not None]

    def release(self, *parts: Releasable) -> None:
        if "vae" in parts:
            self._vae = None
        if "text_encoders" in parts:
            self._text_encoder = None
        self._empty_cache()

    def park(self) -> None:
        for part in self.loaded():
            part.to("cpu")
        self._empty_cache()

    def unpark(self) -> None:
        for part in self.loaded():
            part.to(self.device)

    def _empty_cache(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    # -- text ----------------------------------------------------------------------------------------------------

    def token_count(self, text: str) -> int:
        return len(self._rows([text])[0][0])

    def text_length(self, texts: Iterable[str]) -> int:
        """In chunks of 75 tokens."""
        longest = max((self.token_count(text) for text in texts), default=0)
        return min(max(1, -(-longest // CHUNK)), self._most_chunks)

    def tokenize(self, texts: Sequence[str], length: int) -> dict[str, Tensor]:
        """``{"ids": [batch, length, 77]}``: each chunk with its own start and end."""
        rows, weights = self._rows(texts)
        tokenizer = self._tokenizer
        assert tokenizer is not None
        start, end, pad = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
        assert start is not None and end is not None
        ids = chunk_ids(rows, length, start=start, end=end, pad=end if pad is None else pad)
        return {"ids": ids, "weights": chunk_weights(weights, length)} if self._weighted else {"ids": ids}

    def encode_text(self, tokens: dict[str, Tensor]) -> dict[str, Tensor]:
        """``{"text": [batch, positions, width]}`` in the model's dtype.

        The states of a caption's chunks are joined (77, 152 or 227 positions). The layer is the one that clip skip
        names, passed through the final norm.
        """
        encoder = self.text_encoder
        ids = tokens["ids"].to(self.device, non_blocking=True)
        output = encoder(ids.flatten(0, 1), output_hidden_states=True)
        layers = output.hidden_states
        skip = min(self._clip_skip, len(layers) - 1)
        states = output.last_hidden_state if skip == 1 else _inner(encoder).final_layer_norm(layers[-skip])
        joined = join_chunks(states.unflatten(0, ids.shape[:2]))
        if "weights" in tokens:
            joined = weighed(joined, tokens["weights"].to(self.device, non_blocking=True))
        return {"text": joined}

    def text_identity(self) -> str:
        return f"{weights_id(self.text_encoder)} {self.dtype} {self._clip_skip}"

    def _rows(self, texts: Sequence[str]) -> tuple[list[list[int]], list[list[float]]]:
        """Token ids of each text without start and end, and what each of them weighs."""
        pieces = [weighted_pieces(text) if self._weighted else [Piece(text, 1.0)] for text in texts]
        with self._tokenizing:
            if self._tokenizer is None:
                self._tokenizer = self._parts.tokenizer()
            words = [piece.text for row in pieces for piece in row]
            found: list[list[int]] = self._tokenizer(words, add_special_tokens=False, verbose=False)["input_ids"]
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
        posterior = vae.encode(pixels.to(self.device, torch.float32, non_blocking=True)).latent_dist
        latents = posterior.mean + posterior.std * noise.to(self.device, torch.float32, non_blocking=True)
        return latents * vae.config.scaling_factor

    @torch.no_grad()
    def decode_latents(self, latents: Tensor) -> Tensor:
        vae = self.vae
        pixels = vae.decode(latents.to(self.device, torch.float32) / vae.config.scaling_factor).sample
        return (pixels / 2 + 0.5).clamp(0, 1)

    def latent_identity(self) -> str:
        return f"{weights_id(self.vae)}*{float(self.vae.config.scaling_factor)!r}"

    # -- the step ------------------------------------------------------------------------------------------------

    def picture_conditioning(self, framings: Sequence[Framing], *, guidance: float | None = None) -> dict[str, Tensor]:
        return {}

    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: dict[str, Tensor]) -> Tensor:
        text = conditioning["text"]
        return self.unet(noisy, timesteps, encoder_hidden_states=text, return_dict=False)[0]

    def scheduler_config(self) -> dict[str, Any]:
        return self._parts.scheduler_config()

    def shift(self, width: int, height: int) -> float:
        return 1.0


def open_model(
    section: ModelSection, captions: CaptionSection, *, device: torch.device, dtype: torch.dtype
) -> Sd15Model:
    """The family's door: see :class:`Sd15Model`."""
    return Sd15Model(section, captions, device=device, dtype=dtype)


def _frozen(module: nn.Module) -> Any:
    module.requires_grad_(False)
    return module.eval()


def _inner(encoder: CLIPTextModel) -> nn.Module:
    """The transformer itself, which some versions of transformers wrap once more."""
    return getattr(encoder, "text_model", encoder)
