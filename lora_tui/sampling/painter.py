"""Draws cells one after the other, loading as little as the order allows: for grids and for ``generate``.

A base model stays until a cell asks for another. A LoRA file stays beside it as long as a later cell wears it, at a
strength of 0 meanwhile, which leaves the model's own numbers. A text is encoded once for each state of the encoders.
"""

from __future__ import annotations

import contextlib
import gc
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor

from lora_tui.config.schema import UNETS, CaptionSection, Config, ModelSection
from lora_tui.families import open_model
from lora_tui.families.devices import choose_device, choose_dtype, use_threads
from lora_tui.families.protocol import Model, Storage, Tensors
from lora_tui.grids.cell import Cell
from lora_tui.grids.needs import LoraUse, lora_uses, needs_negative, text_state
from lora_tui.sampling.lora import AppliedLora, apply_lora
from lora_tui.sampling.renderer import Progress, Renderer, RenderRequest
from lora_tui.weights.blocks import block_weights

MOST_TOKENS = 225
"""Of a prompt for CLIP, whatever captions were trained with."""


class Painter:
    """Draws cells of one family with the settings of a configuration; see :meth:`begin` and :meth:`paint`."""

    def __init__(self, config: Config, texts: Callable[[Path], bool]) -> None:
        """``texts``: whether a LoRA file has layers for text encoders.

        Raises:
            UserError: the device or its precision is not there.
        """
        memory = config.memory
        use_threads(memory.threads)
        self._config = config
        self._texts = texts
        self._device = choose_device(memory.device)
        if self.on_gpu:
            torch.cuda.set_device(self._device)  # pinning means the current device, and would begin to use another one
        self._dtype = choose_dtype(memory.precision, self._device)
        self._captions = _prompts(config)
        self.counts: Counter[str] = Counter()
        self.apart = False  # predictions with and without the prompt one after the other
        self._base = ""
        self._model: Model | None = None
        self._renderer: Renderer | None = None
        self._vaes: dict[str, Model] = {}
        self._worn: dict[LoraUse, AppliedLora] = {}
        self._embeddings: dict[tuple[Any, ...], Tensors] = {}
        self._cells: list[Cell] = []
        self._passed = 0
        self._last: dict[tuple[str, LoraUse], int] = {}  # the number of the last cell that wears it
        self._latents: tuple[Cell, Tensor] | None = None

    @property
    def on_gpu(self) -> bool:
        return self._device.type == "cuda"

    def begin(self, cells: Iterable[Cell]) -> None:
        """The cells that will be drawn, in their order: what none of the rest needs is let go of."""
        self._cells, self._passed = list(cells), 0
        self._last = {(cell.base, use): number for number, cell in enumerate(self._cells) for use in lora_uses(cell)}

    def passed(self, count: int) -> None:
        """So many more of them are drawn, or will not be."""
        self._passed += count

    # -- pictures ------------------------------------------------------------------------------------------------

    def paint(self, cells: Sequence[Cell], progress: Progress) -> list[Image]:
        """The pictures of cells that :func:`lora_tui.grids.plan.together` allows to be drawn together.

        Raises:
            UserError: a model or a LoRA file cannot be used.
            torch.OutOfMemoryError: the device has no room.
        """
        found = self._same_latents(cells)
        if found is None:
            first = cells[0]
            self._open(first)
            self._wear(first)
            requests = [self._request(cell) for cell in cells]
            assert self._renderer is not None
            found = self._renderer.several(requests, progress)
            self._latents = (replace(first, vae=""), found[0]) if len(cells) == 1 else None
        decoder = self._decoder(cells[0])
        pictures = [decoder.image(one) for one in found]
        self.counts["pictures"] += len(pictures)
        return pictures

    def _same_latents(self, cells: Sequence[Cell]) -> list[Tensor] | None:
        """What was drawn last, where only the VAE is another."""
        if len(cells) == 1 and self._latents is not None and self._latents[0] == replace(cells[0], vae=""):
            return [self._latents[1]]
        return None

    def _request(self, cell: Cell) -> RenderRequest:
        assert self._model is not None
        guided = needs_negative(self._config.model.family, cell)
        pair = [cell.prompt, cell.negative] if guided else [cell.prompt]
        alike = self._config.model.family in UNETS  # chunks of CLIP; rows of others are filled up when they meet
        lengths = [self._model.text_length(pair if alike else [text]) for text in pair]
        told = [self._encoded(cell, text, length) for text, length in zip(pair, lengths, strict=True)]
        return RenderRequest(cell.sample(), told[0], told[-1])

    @torch.no_grad()
    def _encoded(self, cell: Cell, text: str, length: int) -> Tensors:
        model = self._model
        assert model is not None
        key = (*text_state(cell, self._texts), text, length)
        if key not in self._embeddings:
            encoded = model.encode_text(model.tokenize([text], length))
            self._embeddings[key] = {name: value.cpu() for name, value in encoded.items()}
            self.counts["texts"] += 1
        return self._embeddings[key]

    # -- what is loaded ------------------------------------------------------------------------------------------

    def _open(self, cell: Cell) -> None:
        """Have the cell's base model, and read its texts while no LoRA is beside the encoders."""
        if self._model is None or cell.base != self._base:
            self.close()
            memory = self._config.memory
            storage = Storage(memory.base_weights, memory.streamed_blocks) if self.on_gpu else Storage()
            self._model = self._opened(self._section(cell.base), storage)
            self._base = cell.base
            self._renderer = Renderer(self._model, apart=lambda: self.apart)
            self.counts["bases"] += 1
            self._read_ahead()
        if hasattr(self._model, "clip_skip"):
            self._model.clip_skip = cell.clip_skip

    def _opened(self, section: ModelSection, storage: Storage | None = None) -> Model:
        return open_model(section, self._captions, device=self._device, dtype=self._dtype, storage=storage)

    def _section(self, base: str, vae: str = "") -> ModelSection:
        update = {"base": base, **({"vae": vae} if vae else {})}
        return self._config.model.model_copy(update=update)

    def _read_ahead(self) -> None:
        """Encode what no LoRA changes before the network is there, and let go of the encoders where that was all."""
        assert self._model is not None
        here = [cell for cell in self._cells[self._passed :] if cell.base == self._base]
        plain = [cell for cell in here if not text_state(cell, self._texts)[2]]
        for cell in {(one.clip_skip, one.prompt, one.negative, one.guidance > 1): one for one in plain}.values():
            if hasattr(self._model, "clip_skip"):
                self._model.clip_skip = cell.clip_skip
            self._request(cell)
        if len(plain) == len(here) and here:
            self._model.release("text_encoders", "frozen_text")

    def _wear(self, cell: Cell) -> None:
        """Have exactly the cell's LoRA files work, each at its strengths."""
        assert self._model is not None
        wanted = lora_uses(cell)
        self._let_go(keep=set(wanted))
        for lora in self._worn.values():
            lora.strength, lora.text = 0.0, None
        for use, ingredient in wanted.items():
            if use not in self._worn:
                self._worn[use] = apply_lora(self._model, ingredient.path)
                self.counts["loras"] += 1
            lora = self._worn[use]
            lora.strength, lora.text = ingredient.strength, ingredient.text
            weights = block_weights(ingredient.blocks, self._model.facts.name) if ingredient.blocks else None
            lora.weigh(weights)

    def _let_go(self, keep: set[LoraUse]) -> None:
        """Take off what no later cell of this base wears."""
        for use in [use for use in self._worn if use not in keep]:
            if self._last.get((self._base, use), -1) < self._passed:
                self._worn.pop(use).remove()

    def _decoder(self, cell: Cell) -> Renderer:
        assert self._model is not None and self._renderer is not None
        if cell.vae in ("", self._config.model.vae):
            return self._renderer
        if cell.vae not in self._vaes:
            self._vaes[cell.vae] = self._opened(self._section(cell.base, cell.vae))
            self.counts["vaes"] += 1
        return Renderer(self._vaes[cell.vae])

    def spare(self) -> None:
        """Give back what is not needed at once: the device had no room."""
        for use in [use for use, lora in self._worn.items() if not lora.strength and not lora.text]:
            self._worn.pop(use).remove()
        self._vaes.clear()
        if self._model is not None:
            self._model.tiled = True
        gc.collect()
        if self.on_gpu:
            with contextlib.suppress(RuntimeError):
                torch.cuda.empty_cache()

    def close(self) -> None:
        """Forget the base model and all that is beside it."""
        for lora in self._worn.values():
            lora.remove()
        self._worn.clear()
        self._vaes.clear()
        self._embeddings.clear()
        self._latents = None
        if self._model is not None:
            self._model.release("vae", "text_encoders", "frozen_text", "network")
        self._model = self._renderer = None
        self._base = ""


def _prompts(config: Config) -> CaptionSection:
    """How prompts are read: with weights in brackets and up to three chunks where CLIP reads them."""
    if config.model.family not in UNETS:
        return config.captions
    return config.captions.model_copy(update={"weighted": True, "max_tokens": MOST_TOKENS})
