"""Text encoders of models with separate parts: how each kind is loaded, and what a text becomes for it."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import CLIPTokenizer, T5Config, T5EncoderModel, T5Tokenizer

from lora_tui.errors import UserError
from lora_tui.families.loading import module_of_folder
from lora_tui.families.separate.kinds import Clip
from lora_tui.families.separate.model_file import in_dtype
from lora_tui.families.separate.places import Part, Place, header_shapes, tokenizer_beside
from lora_tui.families.separate.shapes import t5_shape
from lora_tui.families.state_dicts import load_exactly
from lora_tui.families.text_chunks import CHUNK, chunk_ids
from lora_tui.families.unet.model_text import encoder_class, encoder_of_file
from lora_tui.families.unet.particulars import TOKENIZER
from lora_tui.text import _

T5_TOKENIZER = TOKENIZER.parents[1] / "flux" / "tokenizer_2"
TOKENIZING = threading.RLock()  # a tokenizer's own state is not for several threads at once


class TextEncoder(ABC):
    """One text encoder: where it comes from, and its tokenizer, which is loaded on first use.

    A kind of encoder says how it is loaded and what a text becomes for it.

    Attributes:
        learns: whether adapters can be trained on it.
        adds: the tokens around those of a text itself that it reads, such as an end.
        tokens: the entries of a batch of texts that it reads, its ids first.
    """

    learns = False
    adds = 0

    def __init__(self, part: Part, place: Place, *tokens: str) -> None:
        self.part = part
        self.place = place
        self.tokens = tokens
        self._tokenizer: Any = None

    @abstractmethod
    def load(self, dtype: torch.dtype) -> nn.Module:
        """The module anew, on the CPU.

        Raises:
            UserError: a tensor is missing, or one is of another shape, or the file is torn.
        """

    @abstractmethod
    def load_tokenizer(self) -> Any:
        """Its tokenizer, of transformers.

        Raises:
            UserError: there is none, or none that goes with the encoder.
        """

    @abstractmethod
    def tokenize(self, texts: Sequence[str], length: int) -> dict[str, Tensor]:
        """What it reads of ``texts``, on the CPU: the entries :attr:`tokens`, each with a row of ``length`` a text.

        An encoder whose rows are always as long may take no notice of the length.
        """

    def precision(self, dtype: torch.dtype) -> torch.dtype:
        """What it works in where the model works in ``dtype``."""
        return dtype

    @property
    def tokenizer(self) -> Any:
        with TOKENIZING:
            if self._tokenizer is None:
                self._tokenizer = self.load_tokenizer()
            return self._tokenizer

    def rows(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text by itself, without those that are added. Any thread may call it."""
        with TOKENIZING:
            rows: list[list[int]] = self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        return rows

    @property
    def tokenizer_folder(self) -> Path | None:
        """The tokenizer that lies beside it, if one does."""
        return tokenizer_beside(self.part, self.place)


class ClipText(TextEncoder):
    """CLIP, of which one row of 77 is read."""

    learns = True

    def load(self, dtype: torch.dtype) -> nn.Module:
        """With its projection where the family reads the projected vector."""
        kind, place = self.part.kind, self.place
        assert isinstance(kind, Clip)
        if place.is_folder:
            module: nn.Module = module_of_folder(encoder_class(kind.encoder), place.path, pickles=False, dtype=dtype)
            return module
        encoder = kind.at(place.prefix)
        shape = encoder.shape_of(header_shapes(place.path))
        found: Any = encoder_of_file(encoder, shape, {}, in_dtype(place, torch.float32), str(place.path))
        return found.to(dtype)

    def load_tokenizer(self) -> CLIPTokenizer:
        """That of the model which the encoder belongs to, or the published one."""
        kind, own = self.part.kind, self.tokenizer_folder
        assert isinstance(kind, Clip)
        if own is not None:
            return CLIPTokenizer.from_pretrained(own, local_files_only=True)
        return CLIPTokenizer.from_pretrained(TOKENIZER, local_files_only=True, pad_token=kind.encoder.pad)

    def tokenize(self, texts: Sequence[str], length: int) -> dict[str, Tensor]:
        rows, words = self.rows(texts), self.tokenizer
        end, pad = words.eos_token_id, words.pad_token_id
        ids = chunk_ids(
            [row[:CHUNK] for row in rows], 1, start=words.bos_token_id, end=end, pad=end if pad is None else pad
        )
        return {self.tokens[0]: ids[:, 0]}


class T5Text(TextEncoder):
    """T5, which reads an end behind each text. It has never learned here, and works in no float16."""

    adds = 1

    def __init__(self, part: Part, place: Place, *tokens: str, vocabulary: int) -> None:
        """``vocabulary`` is that of an encoder which lies in a folder."""
        super().__init__(part, place, *tokens)
        self._vocabulary = vocabulary

    def load(self, dtype: torch.dtype) -> nn.Module:
        return load_t5(self.place, dtype)

    def load_tokenizer(self) -> T5Tokenizer:
        """That of the model which the encoder belongs to, or the published one.

        Raises:
            UserError: it has words that the encoder does not know.
        """
        place, known, own = self.place, self._vocabulary, self.tokenizer_folder
        tokenizer = T5Tokenizer.from_pretrained(own or T5_TOKENIZER, local_files_only=True)
        if not place.is_folder:
            known = t5_shape(header_shapes(place.path), place.prefix).vocabulary
        check_words(len(tokenizer), known, own or T5_TOKENIZER)
        return tokenizer

    def tokenize(self, texts: Sequence[str], length: int) -> dict[str, Tensor]:
        rows, words = self.rows(texts), self.tokenizer
        ids = torch.full((len(texts), length), int(words.pad_token_id), dtype=torch.long)
        for row, tokens in zip(ids, rows, strict=True):
            line = [*tokens[: length - 1], int(words.eos_token_id)]
            row[: len(line)] = torch.tensor(line, dtype=torch.long)
        return {self.tokens[0]: ids}

    def precision(self, dtype: torch.dtype) -> torch.dtype:
        """bfloat16 in place of float16, in which its states overflow."""
        return torch.bfloat16 if dtype == torch.float16 else dtype


def load_t5(place: Place, dtype: torch.dtype) -> T5EncoderModel:
    """T5's encoder.

    Raises:
        UserError: a tensor is missing, or one is of another shape, or the file is torn.
    """
    if place.is_folder:
        return module_of_folder(T5EncoderModel, place.path, pickles=False, dtype=dtype)
    shape = t5_shape(header_shapes(place.path), place.prefix)
    module = T5EncoderModel(T5Config(**shape.config())).to(dtype)
    tensors = {name.removeprefix(place.prefix): tensor for name, tensor in in_dtype(place, dtype).items()}
    words = tensors.get("shared.weight", tensors.get("encoder.embed_tokens.weight"))
    tensors |= {name: words for name in ("shared.weight", "encoder.embed_tokens.weight") if words is not None}
    load_exactly(module, tensors, optional_prefix="model.", place=f"{place.path}: T5-XXL")
    return module


def check_words(words: int, known: int, folder: Path) -> None:
    """Refuse the tokenizer in ``folder`` with more ``words`` than the encoder knows.

    Raises:
        UserError: it has.
    """
    if words > known:
        raise UserError(
            _("the tokenizer has {words} entries, the text encoder only {known}.").format(words=words, known=known),
            place=str(folder),
            remedy=_("Use the tokenizer that belongs to this model."),
            code="model.tokenizer",
        )
