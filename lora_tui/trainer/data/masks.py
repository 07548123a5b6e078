"""Masks as the loss wants them: cached by content like the latents whose size they have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lora_tui.caches.store import key_of
from lora_tui.config.schema import MaskSection
from lora_tui.dataset.batches import PlannedImage
from lora_tui.dataset.load import content_hash, unchanged
from lora_tui.dataset.looks import Look
from lora_tui.dataset.scan import has_mask
from lora_tui.errors import UserError
from lora_tui.keyed import keyed_random
from lora_tui.trainer.data.caching import Progress
from lora_tui.trainer.data.latents import placing
from lora_tui.trainer.data.mask_pixels import load_mask
from lora_tui.trainer.data.tensors import TensorStore

LAYOUT = 1  # version of what a cache entry holds


@dataclass
class Masks:
    """Masks of planned images by (uid, look).

    Attributes:
        factor: side of an image / side of its latents.
        keys: where each lies in the store.
        failed: uid -> why its mask could not be used.
    """

    section: MaskSection
    store: TensorStore
    factor: int
    keys: dict[tuple[str, Look], str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def get(self, planned: PlannedImage, look: Look) -> Tensor:
        """[1, height, width] of the latents, 0 to 1, on the CPU: what counts of an image, at least as configured.

        Raises:
            UserError: a mask that is not kept cannot be read any more.
        """
        bucket = look.fit.bucket
        if not has_mask(planned.image, self.section.source):
            return torch.ones(1, bucket.height // self.factor, bucket.width // self.factor)
        try:
            mask = self.store.get(self.keys[planned.image.uid, look])["mask"]
        except KeyError:  # each showing has a look of its own, or somebody emptied the cache: it is quickly made
            mask = self._made(planned, look)
        return mask.clamp(min=self.section.unmasked_weight)

    def shown(self, planned: PlannedImage, look: Look, *, seed: int, epoch: int, repeat: int) -> Tensor:
        """The same for one showing, which may be one where the whole image counts."""
        mask = self.get(planned, look)
        chance = keyed_random("unmasked", seed, epoch, planned.image.uid, repeat)
        return torch.ones_like(mask) if chance.random() < self.section.unmasked_probability else mask

    def learn(self, planned: PlannedImage, look: Look) -> None:
        """Have a mask in the store.

        Raises:
            UserError: it cannot be read.
        """
        image = planned.image
        path = image.mask_path if self.section.source == "file" and image.mask_path else image.path
        size = (image.facts.width, image.facts.height)
        with unchanged(path):
            key = key_of(
                "mask", LAYOUT, self.section.source, content_hash(path), *size, self.factor, *placing(look.fit),
                int(look.flipped),
            )  # fmt: skip
            made = None if self.store.has(key) else self._made(planned, look)
        if made is not None:
            self.store.put(key, {"mask": made})
        self.keys[image.uid, look] = key

    def _made(self, planned: PlannedImage, look: Look) -> Tensor:
        pixels = load_mask(planned, look.fit, self.section.source, factor=self.factor, flip=look.flipped)
        return torch.from_numpy(pixels)[None]


def cache_masks(
    images: Sequence[PlannedImage],
    section: MaskSection,
    store: TensorStore,
    *,
    factor: int,
    looks: Callable[[PlannedImage], Sequence[Look]],
    progress: Progress,
) -> Masks:
    """The masks of the images that have one; unreadable ones are noted, not fatal."""
    masks = Masks(section, store, factor)
    for done, planned in enumerate(images):
        progress(done, len(images))
        if has_mask(planned.image, section.source):
            try:
                for look in looks(planned):
                    masks.learn(planned, look)
            except UserError as error:
                masks.failed[planned.image.uid] = str(error)
    progress(len(images), len(images))
    return masks
