"""Language models as text encoders, in torch: loaded as far as they are read, and what a text becomes for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, Qwen3Config, Qwen3Model

from lora_tui.errors import UserError
from lora_tui.families.loading import module_of_folder
from lora_tui.families.separate.language import Qwen3, language_shape, no_tokenizer, own_name
from lora_tui.families.separate.model_file import in_dtype
from lora_tui.families.separate.model_text import TOKENIZING, TextEncoder, check_words
from lora_tui.families.separate.places import Part, header_shapes, told_by_configs
from lora_tui.families.state_dicts import load_exactly
from lora_tui.families.told import read_config
from lora_tui.text import _, plain


class _Read(Qwen3Model):
    """As far as it is read: what lies behind that is in the files, and is no cause for a warning."""

    _keys_to_ignore_on_load_unexpected = (r"(?:^|\.)layers\.\d+\.", r"^lm_head\.")


class LanguageText(TextEncoder):
    """A Qwen3 language model that reads a text as the first turn of a conversation. It never learns here.

    Its entries of a batch are ids ([batch, tokens]) and which of them are a text's own ([batch, tokens], bool), those
    of the template among them; what fills a row up stands behind. A text with its template that is longer than a row
    is cut at its end, as diffusers' pipelines do.
    """

    @property
    def kind(self) -> Qwen3:
        kind = self.part.kind
        assert isinstance(kind, Qwen3)
        return kind

    def load(self, dtype: torch.dtype) -> nn.Module:
        """As far as it is read: no layer behind that, no norm at the end, no head of words."""
        config = self._config()
        places = self.kind.places(config.num_hidden_layers)
        config.num_hidden_layers, config.layer_types = max(places), config.layer_types[: max(places)]
        if self.place.is_folder:
            module = module_of_folder(_Read, self.place.path, pickles=False, dtype=dtype, config=config)
        else:
            module = self._of_file(config, dtype)
        module.norm = nn.Identity()
        module.read_at = places
        return module  # type: ignore[no-any-return]

    def _config(self) -> Any:
        path = self.place.path
        if self.place.is_folder:
            told = told_by_configs(path, lambda: read_config(path / "config.json"))
            self.kind.check_config(told, path)
            return told_by_configs(path, lambda: Qwen3Config(**told))
        return Qwen3Config(**language_shape(header_shapes(path), self.place.prefix).config())

    def _of_file(self, config: Any, dtype: torch.dtype) -> Any:
        place = self.place
        with torch.device("meta"):
            module: Any = _Read(config).to(dtype)
        module.rotary_emb = type(module.rotary_emb)(config=config)  # its numbers come from no file
        module.to_empty(device="cpu", recurse=False)
        for part in (module.embed_tokens, module.layers, module.norm):
            part.to_empty(device="cpu")
        tensors = {own_name(name, place.prefix): tensor for name, tensor in in_dtype(place, dtype).items()}
        load_exactly(module, tensors, optional_prefix="model.", place=f"{place.path}: {self.part.title}")
        return module

    def precision(self, dtype: torch.dtype) -> torch.dtype:
        """bfloat16 in place of float16, which its largest states exceed."""
        return torch.bfloat16 if dtype == torch.float16 else dtype

    def load_tokenizer(self) -> Any:
        """That of the model which the encoder belongs to, or the one that is named.

        Raises:
            UserError: there is none, it has no template, or words that the encoder does not know.
        """
        return tokenizer_of(self.part, self.tokenizer_folder, self._config().vocab_size)

    def templated(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text in its template, with the beginning of an answer."""
        with TOKENIZING:
            written = [
                self.tokenizer.apply_chat_template(
                    [{"role": "user", "content": text}],
                    tokenize=False,
                    add_generation_prompt=True,
                    enable_thinking=self.kind.thinks,
                )
                for text in texts
            ]
            rows: list[list[int]] = self.tokenizer(written, verbose=False)["input_ids"]
        return rows

    @property
    def adds(self) -> int:  # type: ignore[override]
        """The tokens of the template."""
        if self._adds is None:
            self._adds = len(self.templated([""])[0])
        return self._adds

    _adds: int | None = None

    def tokenize(self, texts: Sequence[str], length: int) -> dict[str, Tensor]:
        ids = torch.full((len(texts), length), int(self.tokenizer.pad_token_id), dtype=torch.long)
        own = torch.zeros((len(texts), length), dtype=torch.bool)
        for number, row in enumerate(self.templated(texts)):
            row = row[:length]
            ids[number, : len(row)] = torch.tensor(row, dtype=torch.long)
            own[number, : len(row)] = True
        return dict(zip(self.tokens, (ids, own), strict=True))

    @torch.no_grad()
    def read(self, module: Any, ids: Tensor, own: Tensor) -> Tensor:
        """The states of ``module``, which :meth:`load` gave, at the places that are read: [batch, tokens, widths]."""
        told = module(input_ids=ids, attention_mask=own, output_hidden_states=True, use_cache=False)
        return torch.cat([told.hidden_states[place] for place in module.read_at], dim=-1)


def tokenizer_of(part: Part, folder: Path | None, known: int) -> Any:
    """The tokenizer in ``folder`` for the language model ``part``, which knows so many words.

    Raises:
        UserError: there is none, it cannot be read or does not serve, or has words that the encoder does not know.
    """
    if folder is None:
        raise UserError(
            _("{part} has no tokenizer.").format(part=part.title), place=f"model.{part.words}", code="model.tokenizer"
        )
    part.kind.check_tokenizer(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # of any kind: three libraries read it
        text = _("{folder} holds a tokenizer that cannot be read: {reason}")
        reason = plain(str(error).strip().partition("\n")[0], limit=200)
        raise no_tokenizer(folder, text.format(folder=plain(folder.name), reason=reason)) from error
    if tokenizer.pad_token_id is None:
        text = _("{folder} holds a tokenizer that does not say what fills a row up (pad_token).")
        raise no_tokenizer(folder, text.format(folder=plain(folder.name)))
    check_words(len(tokenizer), known, folder)
    return tokenizer
