"""The models that look at pictures and read prompts, each as unit vectors. Needs torch.

CLIP and SigLIP give what their projections give; DINOv2 the state of its first token, the measure known as DINO-I.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from lora_tui.caches.contents import sha256_of
from lora_tui.caches.store import key_of
from lora_tui.scores.encoder import load_encoder
from lora_tui.scores.likeness import ENCODER_FILE, Aspect, vectors
from lora_tui.scores.named import MICRO, Named
from lora_tui.tagging.transformers_model import loaded

if TYPE_CHECKING:
    from PIL.Image import Image

Vectors = NDArray[np.float32]
"""Unit vectors, (n, width)."""


class Looker(Protocol):
    """``digest`` changes with whatever changes its vectors."""

    digest: str

    def images(self, pictures: Sequence[Image]) -> Vectors: ...


class Micro:
    """The package's own small encoder: ``subject`` is what is drawn, ``style`` how."""

    def __init__(self, aspect: Aspect) -> None:
        self._encoder, self._aspect = load_encoder(ENCODER_FILE), aspect
        self.digest = key_of("micro", aspect, sha256_of(ENCODER_FILE))

    def images(self, pictures: Sequence[Image]) -> Vectors:
        return _array(vectors(self._encoder, pictures, self._aspect))


class Watcher:
    """A model of transformers that sees pictures."""

    def __init__(self, named: Named, device: torch.device) -> None:
        """Load it, in float32: vectors are the same on any machine, but for rounding.

        Raises:
            UserError: the folder cannot be loaded as what it says it is.
        """
        from transformers import AutoImageProcessor, AutoModel

        assert named.folder is not None
        self.named, self._device = named, device
        self._model, self._process = loaded(named.folder, AutoModel, AutoImageProcessor, torch.float32)
        self._model.to(device).requires_grad_(False)
        files = sorted(path for path in named.folder.iterdir() if path.suffix in (".json", ".safetensors", ".bin"))
        self.digest = key_of("looker", named.kind, *(f"{path.name} {sha256_of(path)}" for path in files))

    @torch.inference_mode()
    def images(self, pictures: Sequence[Image]) -> Vectors:
        pixels = self._process(images=list(pictures), return_tensors="pt")["pixel_values"].to(self._device)
        if self.named.reads:
            return _array(self._model.get_image_features(pixel_values=pixels))
        return _array(self._model(pixel_values=pixels).last_hidden_state[:, 0])


class Reader(Watcher):
    """One that reads prompts, too."""

    def __init__(self, named: Named, device: torch.device) -> None:
        """Raises :class:`UserError` as :class:`Watcher`, also where the tokenizer is missing."""
        from transformers import AutoTokenizer

        super().__init__(named, device)
        self._tokenize = _tokenizer(AutoTokenizer, named)
        self._most = int(self._model.config.text_config.max_position_embeddings)

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Vectors:
        """Texts longer than the model reads are cut off; SigLIP reads all of one length, as it was trained."""
        tokens = self._tokenize(
            list(texts), padding="max_length" if self.named.kind == "siglip" else True, truncation=True,
            max_length=self._most, return_tensors="pt",
        )  # fmt: skip
        asked = {name: value.to(self._device) for name, value in tokens.items() if name != "token_type_ids"}
        if self.named.kind == "siglip":
            asked.pop("attention_mask", None)
        return _array(self._model.get_text_features(**asked))


def looker(named: Named, device: torch.device, aspect: Aspect) -> Looker:
    """The model, loaded.

    Raises:
        UserError: it cannot be.
    """
    if named.kind == MICRO:
        return Micro(aspect)
    return Reader(named, device) if named.reads else Watcher(named, device)


def _tokenizer(tokenizer_class: Any, named: Named) -> Any:
    from lora_tui.errors import UserError
    from lora_tui.text import _, plain

    try:
        return tokenizer_class.from_pretrained(named.folder, local_files_only=True)
    except Exception as error:  # transformers raises nearly everything on a folder that lacks something
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            _("The tokenizer of the model cannot be loaded: {reason}.").format(
                reason=plain(lines[0], limit=200).rstrip(".")
            ),
            place=plain(str(named.folder)),
            remedy=_("Copy its folder again, whole, from where the model comes from."),
            code="scores.tokenizer",
        ) from error


def _array(found: Any) -> Vectors:
    values = found if isinstance(found, torch.Tensor) else found.pooler_output
    return normalize(values.float(), dim=-1).cpu().numpy()
