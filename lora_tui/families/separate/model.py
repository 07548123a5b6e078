"""A model whose text encoders and VAE may lie in files of their own, in torch; families derive from it.

It owns the parts: loads them when they are first used, puts them where they work, forgets them. A family says what a
text becomes for its network, how a prediction is asked for, and by how much noise levels are shifted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from lora_tui.config.schema import CaptionSection
from lora_tui.families.packed import network_of
from lora_tui.families.parted import Parted, checkpoint_text_encoder, frozen
from lora_tui.families.protocol import Framing, Releasable, Storage, TargetModule, TextPart
from lora_tui.families.recomputed import compute_again
from lora_tui.families.separate.model_parts import Parts
from lora_tui.families.separate.model_text import TextEncoder
from lora_tui.families.source import Source
from lora_tui.families.state_dicts import identity, weights_id
from lora_tui.families.stored import put, streamed_in
from lora_tui.families.unet.model_text import inner

if TYPE_CHECKING:
    from lora_tui.families.separate.model_language import LanguageText


class SeparateModel(ABC, Parted):
    """The parts of one base model on ``device`` in ``dtype``; the VAE always works in float32.

    See :class:`lora_tui.families.protocol.Model`, also for what is not told here.

    Attributes:
        blocks: the lists of blocks of its transformer, in the order of the forward pass.
        measuring: the text encoder that cuts a caption first.
        limit_setting: the setting that says how many of its tokens are read.
        encoders: its text encoders, by the settings that name them.
    """

    prediction = "flow"
    embeds_guidance = False
    masks_text = False
    blocks: tuple[str, ...] = ("transformer_blocks",)
    measuring = "t5xxl"
    limit_setting = "captions.t5_tokens"

    def __init__(
        self, parts: Parts[Any], captions: CaptionSection, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.facts = parts.checks.facts
        self.device = device
        self.dtype = dtype
        self.storage = Storage()
        self.encoders: dict[str, TextEncoder] = parts.encoders()
        self.text_parts = tuple(self._text_parts())
        self._parts = parts
        self._tokens: int = getattr(captions, self.limit_setting.removeprefix("captions."))
        self._vae_kind = parts.vae()
        self._transformer: Any = None
        self._encoders: dict[str, Any] = {}
        self._vae: Any = None

    def _text_parts(self) -> Iterable[TextPart]:
        """The encoders that learn together, and those that never do."""
        for learns in (True, False):
            tokens = [name for encoder in self.encoders.values() if encoder.learns is learns for name in encoder.tokens]
            if tokens:
                yield TextPart(tuple(tokens), learns=learns)

    # -- the family's own ----------------------------------------------------------------------------------------

    def prepared(self, network: Any) -> Any:
        """The transformer as it is used, once it is put where it works."""
        return network

    def text_words(self, part: TextPart) -> str:
        """What decides the embeddings of ``part`` besides weights and precision; begins with a space."""
        return ""

    @abstractmethod
    def encode_text(self, tokens: dict[str, Tensor]) -> dict[str, Tensor]:
        """The conditioning from those of the :meth:`tokenize`'d entries that are there; see :meth:`states`."""

    @abstractmethod
    def predict(self, noisy: Tensor, timesteps: Tensor, conditioning: dict[str, Tensor]) -> Tensor: ...

    @abstractmethod
    def shift(self, width: int, height: int) -> float: ...

    def picture_conditioning(self, framings: Sequence[Framing], *, guidance: float | None = None) -> dict[str, Tensor]:
        return {}

    # -- parts ---------------------------------------------------------------------------------------------------

    @property
    def source(self) -> Source:
        return self._parts.source

    @property
    def transformer(self) -> Any:
        if self._transformer is None:
            layers = {target.path for target in self.targets(text_encoder=False)}
            original = self.beneath.original("transformer", self._parts.original(self.dtype))
            network = network_of(original, self.storage.weights, layers, self.device)
            blocks = [block for name in self.blocks for block in getattr(network, name)]
            self._transformer = self.prepared(put(network, self.storage, self.device, layers=layers, blocks=blocks))
        return self._transformer

    def encoder(self, name: str) -> Any:
        """The text encoder ``name``, as transformers has it."""
        if name not in self._encoders:
            kind = self.encoders[name]
            module = frozen(kind.load(kind.precision(self.dtype)))
            if kind.learns:
                module = self.beneath.into(kind.part.folder, module)
            self._encoders[name] = self.placed("text_encoders" if kind.learns else "frozen_text", module)
        return self._encoders[name]

    @property
    def vae(self) -> Any:
        if self._vae is None:
            self._vae = self.placed("vae", frozen(self._vae_kind.load()))
        return self._vae

    @property
    def _learners(self) -> list[str]:
        return [name for name, encoder in self.encoders.items() if encoder.learns]

    def adapted_modules(self, *, text_encoder: bool) -> dict[str, nn.Module]:
        modules: dict[str, nn.Module] = {self.facts.denoiser: self.transformer}
        if text_encoder:
            modules |= {self.encoders[name].part.folder: inner(self.encoder(name)) for name in self._learners}
        return modules

    def targets(self, *, text_encoder: bool, convolutions: bool = False) -> tuple[TargetModule, ...]:
        return self.facts.targets(self.source.path, text_encoder=text_encoder)

    def weight_files(self) -> tuple[Path, ...]:
        return self._parts.files()

    def enable_checkpointing(self, *, text_encoder: bool, share: float = 1.0) -> None:
        compute_again(self.transformer, share, streamed_in(self.transformer))
        for name in self._learners if text_encoder else ():
            checkpoint_text_encoder(self.encoder(name))

    def loaded(self) -> list[nn.Module]:
        encoders = [self._encoders[name] for name in self.encoders if name in self._encoders]
        return [part for part in (self._transformer, *encoders, self._vae) if part is not None]

    def release(self, *parts: Releasable) -> None:
        if "vae" in parts:
            self._vae = None
        for name, encoder in self.encoders.items():
            if "text_encoders" in parts or ("frozen_text" in parts and not encoder.learns):
                self._encoders.pop(name, None)
        if "network" in parts:
            self._transformer = None
        self.empty_cache()

    # -- text ----------------------------------------------------------------------------------------------------

    def token_count(self, text: str) -> int:
        """Tokens of the encoder that cuts a caption at the setting; CLIP's 75 only give what is added to its states."""
        return len(self.encoders[self.measuring].rows([text])[0])

    @property
    def token_limit(self) -> tuple[int, str]:
        return self._tokens - self.encoders[self.measuring].adds, self.limit_setting

    def text_length(self, texts: Iterable[str]) -> int:
        """In tokens: those that are set, or, where padding is not attended to, those of the longest text."""
        if not self.masks_text:
            return self._tokens
        longest = max((self.token_count(text) for text in texts), default=0)
        return min(longest + self.encoders[self.measuring].adds, self._tokens)

    def tokenize(self, texts: Sequence[str], length: int) -> dict[str, Tensor]:
        """The entries of every encoder, with ``length`` tokens of the one that measures."""
        found: dict[str, Tensor] = {}
        for encoder in self.encoders.values():
            found |= encoder.tokenize(texts, length)
        return found

    def ids_at(self, name: str, tokens: Mapping[str, Tensor]) -> Tensor:
        """The ids of the encoder ``name``, where it works."""
        return tokens[self.encoders[name].tokens[0]].to(self.encoder(name).place, non_blocking=True)

    def states(self, name: str, ids: Tensor, **options: Any) -> Any:
        """What the encoder ``name`` makes of ``ids``; gradients flow where it can be trained."""
        with nullcontext() if self.encoders[name].learns else torch.no_grad(), self._in_own_precision(name):
            return self.encoder(name)(ids, **options)

    def read(self, name: str, tokens: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The states of the language model ``name`` ([batch, tokens, widths]), and which are the texts' own (bool)."""
        kind, module = cast("LanguageText", self.encoders[name]), self.encoder(name)
        ids, own = (tokens[entry].to(module.place, non_blocking=True) for entry in kind.tokens)
        with self._in_own_precision(name):
            return kind.read(module, ids, own).to(self.dtype), own

    def _in_own_precision(self, name: str) -> AbstractContextManager[Any]:
        """Around an encoder that works in another precision than the model: autocast would put it into the model's."""
        if self.encoders[name].precision(self.dtype) == self.dtype:
            return nullcontext()
        return torch.autocast(self.encoder(name).place.type, enabled=False)

    def text_identity(self, part: TextPart) -> str:
        names = [name for name, encoder in self.encoders.items() if encoder.learns is part.learns]
        found = [self._encoder_identity(name) for name in names]
        kinds = {self.dtype, *(self.encoders[name].precision(self.dtype) for name in names)}
        return f"{' '.join(found)} {' '.join(sorted(map(str, kinds)))}{self.text_words(part)}"

    def _encoder_identity(self, name: str) -> str:
        """What tells the weights of a text encoder apart; it is loaded if need be."""
        files = (*self._parts.files_of(name), *self.beneath.files)
        parts = [self.facts.name, str(self.dtype), self._parts.places[name].prefix, *self.beneath.words]
        load = partial(self.encoder, name)
        return identity(name, files, parts, lambda: weights_id(load()))

    # -- images --------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def encode_image(self, pixels: Tensor, noise: Tensor) -> Tensor:
        vae = self.vae
        pixels, noise = (one.to(vae.place, torch.float32, non_blocking=True) for one in (pixels, noise))
        return self._vae_kind.encode(vae, pixels, noise).to(self.device)

    @torch.no_grad()
    def decode_latents(self, latents: Tensor) -> Tensor:
        vae = self.vae
        return self._vae_kind.decode(vae, latents.to(vae.place, torch.float32), tiled=self.tiled)

    def latent_identity(self) -> str:
        parts = [self.facts.name, self._parts.places["vae"].prefix]
        return identity(
            "vae", self._parts.files_of("vae"), parts, lambda: f"{weights_id(self.vae)}{self._vae_kind.words(self.vae)}"
        )

    def scheduler_config(self) -> Mapping[str, Any]:
        return dict(self._parts.schedule)
