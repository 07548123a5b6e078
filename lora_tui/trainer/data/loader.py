"""Batches prepared ahead of the step by one thread: latents, noise, timesteps and text, in pinned memory on CUDA."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from lora_tui.captions.as_trained import CaptionRules, caption_for
from lora_tui.dataset.batches import Batch, DataPlan, Item
from lora_tui.dataset.load import load_image
from lora_tui.families.protocol import Facts
from lora_tui.trainer.data.passes import Latents, Texts, to_pixels
from lora_tui.trainer.objectives.noise import NoiseRules, draw, fixed_noise

AHEAD = 3  # batches prepared in advance: enough to cover a slow read, little memory


@dataclass
class Prepared:
    """One batch on the CPU.

    Attributes:
        epoch, index: its place in the plan, both from 0.
        latents: [batch, channels, height, width] float32; none when the VAE encodes in the step.
        pixels: [batch, 3, height, width] float32 in -1..1, with ``posterior`` noise for their encoding.
        noise, timesteps: what the step mixes in and where.
        texts: the captions; ``conditioning`` holds their embeddings when those are cached.
    """

    epoch: int
    index: int
    uids: list[str]
    texts: list[str]
    noise: Tensor
    timesteps: Tensor
    latents: Tensor | None = None
    pixels: Tensor | None = None
    posterior: Tensor | None = None
    conditioning: dict[str, Tensor] | None = None

    def pinned(self) -> Prepared:
        """The same with every tensor in pinned memory, so that copies to a GPU do not wait."""
        for name in ("noise", "timesteps", "latents", "pixels", "posterior"):
            tensor = getattr(self, name)
            if tensor is not None:
                setattr(self, name, tensor.pin_memory())
        if self.conditioning is not None:
            self.conditioning = {name: tensor.pin_memory() for name, tensor in self.conditioning.items()}
        return self


@dataclass(frozen=True)
class Preparation:
    """Everything that turns a planned batch into tensors; pure but for reading files."""

    plan: DataPlan
    facts: Facts
    captions: Mapping[str, str]
    caption_rules: CaptionRules
    noise: NoiseRules
    latents: Latents | None
    texts: Texts | None

    def prepare(self, epoch: int, index: int, batch: Batch) -> Prepared:
        """The tensors of one batch.

        Raises:
            UserError: an image or cache entry cannot be read any more.
        """
        size, seed, facts = batch.bucket, self.plan.seed, self.facts
        shape = (facts.latent_channels, size.height // facts.latent_factor, size.width // facts.latent_factor)
        uids = [self.plan.train[item.index].image.uid for item in batch.items]
        texts, noises, timesteps = [], [], []
        for uid, item in zip(uids, batch.items, strict=True):
            caption = self.captions.get(uid, "")
            texts.append(caption_for(caption, self.caption_rules, seed=seed, epoch=epoch, uid=uid, repeat=item.repeat))
            noise, timestep = draw(self.noise, shape, epoch=epoch, uid=uid, repeat=item.repeat)
            noises.append(noise)
            timesteps.append(timestep)
        prepared = Prepared(epoch, index, uids, texts, torch.stack(noises), torch.tensor(timesteps, dtype=torch.long))
        if self.latents is not None:
            flips = [self.plan.flipped(epoch, item) for item in batch.items]
            prepared.latents = torch.stack([self.latents.get(u, f) for u, f in zip(uids, flips, strict=True)])
        else:
            prepared.pixels = torch.stack([self._pixels(epoch, item) for item in batch.items])
            keyed = [
                fixed_noise(shape, "posterior", seed, epoch, uid, item.repeat)
                for uid, item in zip(uids, batch.items, strict=True)
            ]
            prepared.posterior = torch.stack(keyed)
        if self.texts is not None:
            rows = [self.texts.get(text) for text in texts]
            prepared.conditioning = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
        return prepared

    def _pixels(self, epoch: int, item: Item) -> Tensor:
        planned = self.plan.train[item.index]
        return to_pixels(load_image(planned, planned.fit, flip=self.plan.flipped(epoch, item)))


class Loader:
    """Prepared batches in the plan's order from any place in it.

    ``waited`` is the time in seconds that the consumer stood still for data since it was last read.
    """

    def __init__(self, preparation: Preparation, device: torch.device) -> None:
        self._preparation = preparation
        self._device = device
        self._pin = device.type == "cuda"
        self.waited = 0.0

    def batches(self, epoch: int, start: int) -> Generator[Prepared, None, None]:
        """The batches of ``epoch`` from index ``start`` on.

        Raises:
            UserError: reading one failed; raised where it would have been used.
        """
        ready: queue.Queue[Prepared | BaseException | None] = queue.Queue(maxsize=AHEAD)
        gone = threading.Event()
        thread = threading.Thread(target=self._fill, args=(epoch, start, ready, gone), daemon=True, name="loader")
        thread.start()
        try:
            while True:
                began = time.perf_counter()
                item = ready.get()
                self.waited += time.perf_counter() - began
                if item is None:
                    return
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            gone.set()
            thread.join(timeout=10)

    def _fill(
        self, epoch: int, start: int, ready: queue.Queue[Prepared | BaseException | None], gone: threading.Event
    ) -> None:
        def hand_over(item: Prepared | BaseException | None) -> bool:
            while not gone.is_set():
                try:
                    ready.put(item, timeout=0.1)
                except queue.Full:
                    continue
                return True
            return False

        try:
            if self._device.type == "cuda":
                torch.cuda.set_device(self._device)  # a thread of its own begins on the first GPU
            for index, batch in enumerate(self._preparation.plan.epoch(epoch)):
                if index < start:
                    continue
                prepared = self._preparation.prepare(epoch, index, batch)
                if not hand_over(prepared.pinned() if self._pin else prepared):
                    return
            hand_over(None)
        except BaseException as error:
            hand_over(error)

    def take_waited(self) -> float:
        """``waited`` since the last call, in seconds."""
        waited, self.waited = self.waited, 0.0
        return waited
