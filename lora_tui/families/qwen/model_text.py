"""Qwen2.5-VL as text encoder, in torch: the part that reads texts, and what a caption becomes for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLTextConfig, Qwen2_5_VLTextModel

from lora_tui.families.parts import weights_of
from lora_tui.families.qwen.language import BEFORE, BEHIND, REQUEST, own_name, vl_shape
from lora_tui.families.separate.language import ROTARY_BASE, LanguageShape, no_tokenizer
from lora_tui.families.separate.model_file import in_dtype
from lora_tui.families.separate.model_language import tokenizer_of
from lora_tui.families.separate.model_text import TOKENIZING, TextEncoder
from lora_tui.families.separate.places import Place, header_shapes, told_by_configs
from lora_tui.families.state_dicts import load_exactly
from lora_tui.families.told import read_config
from lora_tui.text import _, plain

EPSILON = 1e-6
"""Of the norms of the published model; no file of weights tells it."""
SHARES = (8, 12, 12)
"""How a half of a head's width is shared among the three numbers of a place, in thirty-seconds."""


def text_arguments(shape: LanguageShape) -> dict[str, Any]:
    """Arguments of transformers' ``Qwen2_5_VLTextConfig``, as the published model has them."""
    half = shape.head_width // 2
    return {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "intermediate_size": shape.inner,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.keys,
        "max_position_embeddings": 128000,
        "rms_norm_eps": EPSILON,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": ROTARY_BASE,
            "mrope_section": [half * share // 32 for share in SHARES],
        },
    }


class QwenVlText(TextEncoder):
    """Qwen2.5-VL without what reads pictures. It never learns here.

    Its entries of a batch are ids ([batch, request + tokens]) and which of them are a text's own, those of the
    conversation among them (bool, likewise); what fills a row up stands behind. A text that is longer than a row is cut
    at its end, as diffusers' pipeline does.
    """

    def load(self, dtype: torch.dtype) -> nn.Module:
        """Weights are read file by file, and none but those that are needed are kept."""
        config = self._config()
        with torch.device("meta"):
            module: Any = Qwen2_5_VLTextModel(config)
        module.rotary_emb = type(module.rotary_emb)(config=config)  # its numbers come from no file
        wanted = set(module.state_dict())
        tensors = {name: tensor for name, tensor in self._tensors(dtype) if name in wanted}
        load_exactly(module, tensors, optional_prefix="", place=f"{self.place.path}: {self.part.title}", assign=True)
        return module  # type: ignore[no-any-return]

    def _config(self) -> Any:
        path = self.place.path
        if self.place.is_folder:
            told = told_by_configs(path, lambda: read_config(path / "config.json"))
            self.part.kind.check_config(told, path)
            return told_by_configs(path, lambda: Qwen2_5_VLConfig(**told).text_config)
        return Qwen2_5_VLTextConfig(**text_arguments(vl_shape(header_shapes(path), self.place.prefix)))

    def _tensors(self, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
        for file in self._files():
            for name, tensor in in_dtype(Place(file, self.place.prefix), dtype).items():
                yield own_name(name, self.place.prefix), tensor

    def _files(self) -> tuple[Path, ...]:
        path = self.place.path
        return weights_of(path.parent, path.name, self.part.kind.stem).files if self.place.is_folder else (path,)

    def precision(self, dtype: torch.dtype) -> torch.dtype:
        """bfloat16 in place of float16, which its largest states exceed."""
        return torch.bfloat16 if dtype == torch.float16 else dtype

    def load_tokenizer(self) -> Any:
        """That of the model which the encoder belongs to, or the one that is named.

        Raises:
            UserError: there is none, or it has other words than the encoder knows.
        """
        folder = self.tokenizer_folder
        tokenizer = tokenizer_of(self.part, folder, self._config().vocab_size)
        if len(tokenizer(BEFORE, verbose=False)["input_ids"]) != REQUEST:  # captions would be cut elsewhere
            assert folder is not None
            text = _("{folder} holds a tokenizer of other words than those of {part}.")
            raise no_tokenizer(folder, text.format(folder=plain(folder.name), part=self.part.title))
        return tokenizer

    def conversations(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text in its conversation, with the beginning of an answer."""
        with TOKENIZING:
            written = [f"{BEFORE}{text}{BEHIND}" for text in texts]
            rows: list[list[int]] = self.tokenizer(written, verbose=False)["input_ids"]
        return rows

    @property
    def adds(self) -> int:  # type: ignore[override]
        """The tokens of the conversation that the transformer sees."""
        if self._adds is None:
            self._adds = len(self.conversations([""])[0]) - REQUEST
        return self._adds

    _adds: int | None = None

    def tokenize(self, texts: Sequence[str], length: int) -> dict[str, Tensor]:
        ids = torch.full((len(texts), REQUEST + length), int(self.tokenizer.pad_token_id), dtype=torch.long)
        own = torch.zeros(ids.shape, dtype=torch.bool)
        for number, row in enumerate(self.conversations(texts)):
            row = row[: REQUEST + length]
            ids[number, : len(row)] = torch.tensor(row, dtype=torch.long)
            own[number, : len(row)] = True
        return dict(zip(self.tokens, (ids, own), strict=True))

    @torch.no_grad()
    def read(self, module: Any, ids: Tensor, own: Tensor) -> Tensor:
        """The states of ``module`` behind its last layer: [batch, request + tokens, width]."""
        states: Tensor = module(input_ids=ids, attention_mask=own, use_cache=False).last_hidden_state
        return states
