"""The caching pass of captions: each to its embeddings, once; see :mod:`~lora_tui.trainer.data.latents`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from lora_tui.caches.store import key_of
from lora_tui.errors import UserError
from lora_tui.families.precision import autocast
from lora_tui.families.protocol import Model, Tensors
from lora_tui.families.text_rows import rows_of
from lora_tui.text import _
from lora_tui.trainer.data.caching import Progress, Together, batch_part
from lora_tui.trainer.data.overlap import WriteBehind
from lora_tui.trainer.data.tensors import TensorStore
from lora_tui.trainer.data.transfer import pinned

LAYOUT = 4  # version of what a cache entry holds


@dataclass
class Texts:
    """Embeddings by caption text.

    Attributes:
        batch: captions that are encoded together.
        live: the tokens of the encoders that are not kept because they learn, see :meth:`Model.tokenize`.
        keys: where the entries of a text lie in the store, one for each kept :class:`TextPart`.
    """

    store: TensorStore
    batch: int = 1
    live: tuple[str, ...] = ()
    keys: dict[str, list[str]] = field(default_factory=dict)

    def get(self, text: str) -> dict[str, Tensor]:
        """What is kept of one caption without the batch dimension, on the CPU, see :mod:`~lora_tui.families.text_rows`.

        Raises:
            UserError: the cache entry was removed while the run was going.
        """
        try:
            return {name: tensor for key in self.keys[text] for name, tensor in self.store.get(key).items()}
        except KeyError:
            raise UserError(
                _("a cached text embedding is gone."),
                remedy=_("Somebody emptied the cache during the run; resume the run to encode it again."),
                code="cache.gone",
            ) from None


def cache_texts(
    texts: Iterable[str], model: Model, store: TensorStore, *, length: int, progress: Progress, learns: bool = False,
    batch: int = 1,
) -> Texts:  # fmt: skip
    """Encode the captions that the store does not have, in rows of ``length`` (:meth:`Model.text_length`).

    Rows of a model that masks them have each their own length. An embedding is kept in the model's precision, which
    is that of the arithmetic that reads it, and filed under the tokens that go into the text encoders, so a model
    with the same weights and another tokenizer finds none of them. With ``learns``, encoders that then learn are left
    out. With a ``batch`` beyond 1, that many go through the encoders together, unless their rows have each their own
    length; such embeddings have other last bits, and entries of their own.
    """
    batch = 1 if model.masks_text else batch
    wanted = sorted(set(texts))
    kept = [part for part in model.text_parts if not (learns and part.learns)]
    live = tuple(name for part in model.text_parts if part not in kept for name in part.tokens)
    found = Texts(store, batch, live, {text: [] for text in wanted})
    progress(0, len(wanted) * len(kept))
    with WriteBehind() as write:

        def encode(missing: list[tuple[str, Tensors]], filled: list[tuple[str, Tensors]]) -> None:
            tokens = {name: torch.cat([ids[name] for _key, ids in filled]) for name in filled[0][1]}
            for (key, _ids), row in zip(missing, embedded(model, tokens), strict=False):
                write(partial(store.put, key, row))

        together = Together(batch, encode)
        for number, part in enumerate(kept):
            identity, known = model.text_identity(part), set[str]()
            for done, text in enumerate(wanted, number * len(wanted)):
                progress(done, len(wanted) * len(kept))
                own = model.text_length([text]) if model.masks_text else length
                tokens = {name: ids for name, ids in model.tokenize([text], own).items() if name in part.tokens}
                told = repr({name: tokens[name].tolist() for name in sorted(tokens)})
                key = key_of("text", LAYOUT, identity, told, *batch_part(batch))
                if key not in known and not store.has(key):
                    together.add(tuple((name, ids.shape) for name, ids in tokens.items()), (key, tokens))
                known.add(key)
                found.keys[text].append(key)
            together.rest()
    progress(len(wanted) * len(kept), len(wanted) * len(kept))
    return found


def embedded(model: Model, tokens: Tensors) -> list[Tensors]:
    """What is kept of each caption of ``tokens``: its own positions, in the model's precision."""
    return [{name: tensor.to(model.dtype) for name, tensor in row.items()} for row in rows_of(embed(model, tokens))]


@torch.no_grad()
def embed(model: Model, tokens: Tensors) -> Tensors:
    """The conditioning from ``tokens``, on the device, in the arithmetic of the step and without gradients."""
    with autocast(model.device, model.dtype):
        return model.encode_text(pinned(tokens, model.device))
