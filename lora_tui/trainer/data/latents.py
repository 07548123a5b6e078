"""The caching pass of images: each to its latent, once.

One at a time unless batches are asked for, and full batches alone then, so that no result depends on what else there
was; an entry is complete or absent, so a pass that was cut off goes on where it was. Images are read and decoded ahead
of the VAE, and results written behind it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lora_tui.caches.store import key_of
from lora_tui.dataset.batches import PlannedImage
from lora_tui.dataset.buckets import Fit
from lora_tui.dataset.load import content_hash, load_image, unchanged
from lora_tui.dataset.looks import Look, coloured
from lora_tui.dataset.verdicts import remember_damage
from lora_tui.errors import UserError
from lora_tui.families.protocol import Model, latent_shape
from lora_tui.text import _
from lora_tui.trainer.data.caching import Progress, Together, batch_part
from lora_tui.trainer.data.overlap import WriteBehind, read_ahead
from lora_tui.trainer.data.tensors import TensorStore
from lora_tui.trainer.objectives.noise import fixed_noise

LAYOUT = 3  # version of what a cache entry holds
AT_ONCE = 2  # looks of an image that are read at once, such as one and its mirror image


def to_pixels(image: Image.Image) -> Tensor:
    """An RGB image as [3, height, width] float32 in -1..1."""
    array = np.asarray(image, dtype=np.float32).transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(array)) / 127.5 - 1.0


@dataclass
class Latents:
    """Latents of planned images by (uid, look).

    Attributes:
        keys: where each lies in the store.
        failed: uid -> why the image could not be used.
        hashes: uid -> digest of the file's bytes.
    """

    store: TensorStore
    keys: dict[tuple[str, Look], str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)

    def get(self, uid: str, look: Look) -> Tensor:
        """[channels, height, width] float32 on the CPU.

        Raises:
            UserError: the cache entry was removed while the run was going.
        """
        try:
            return self.store.get(self.keys[uid, look])["latent"]
        except KeyError:
            raise UserError(
                _("its cached latent is gone."),
                place=uid,
                remedy=_("Somebody emptied the cache during the run; resume the run to encode it again."),
                code="cache.gone",
            ) from None


def cache_latents(
    images: Sequence[PlannedImage],
    model: Model,
    store: TensorStore,
    *,
    looks: Callable[[PlannedImage], Sequence[Look]],
    progress: Progress,
    batch: int = 1,
) -> Latents:
    """Encode the ``looks`` of images that the store does not have; unreadable images are noted, not fatal.

    The posterior is drawn with noise keyed by the file's content and its crop, so a latent is the same whichever
    run encodes it. With a ``batch`` beyond 1, that many of one size go through the VAE together; such latents have
    other last bits, and entries of their own.
    """
    latents = Latents(store)
    done, total = 0, sum(len(looks(planned)) for planned in images)
    progress(0, total)
    read = partial(_read, store, model.latent_identity(), batch)
    if batch > 1:  # those of one size one after the other, so that few wait
        images = sorted(images, key=lambda one: looks(one)[0].fit.bucket)
    parts = ((one, wanted[at : at + AT_ONCE]) for one in images for wanted in (looks(one),)
             for at in range(0, len(wanted), AT_ONCE))  # fmt: skip
    with contextlib.closing(read_ahead(read, parts)) as ahead, WriteBehind() as write:

        def encode(wanted: list[_Wanted], filled: list[_Wanted]) -> None:
            pixels, noise = (torch.stack([getattr(one, name) for one in filled]) for name in ("pixels", "noise"))
            for one, latent in zip(wanted, model.encode_image(pixels, noise), strict=False):
                write(partial(store.put, one.key, {"latent": latent}))

        together = Together(batch, encode)
        for found in ahead:
            uid = found.planned.image.uid
            if found.digest:
                latents.hashes[uid] = found.digest
            for look, key, pixels in found.looks:
                progress(done, total)
                if pixels is not None:
                    together.rest(besides=pixels.shape)
                    together.add(pixels.shape, _Wanted(key, pixels, _noise(look, found.digest, model)))
                latents.keys[uid, look] = key
                done += 1
            if found.error is not None and uid not in latents.failed:
                latents.failed[uid] = str(found.error)
                remember_damage(found.planned.image.path, found.planned.image.facts, found.error)
            done += found.left
        together.rest()
    progress(total, total)
    return latents


@dataclass
class _Wanted:
    """An image at the VAE: ``pixels`` [3, height, width] and ``noise`` [channels, height, width] for its posterior."""

    key: str
    pixels: Tensor
    noise: Tensor


@dataclass
class _Read:
    """Some looks of an image on their way to the VAE.

    Attributes:
        looks: each with its key in the store, and its pixels where that has none of it; none with an ``error``.
        left: how many could not be had.
    """

    planned: PlannedImage
    digest: str = ""
    looks: list[tuple[Look, str, Tensor | None]] = field(default_factory=list)
    left: int = 0
    error: UserError | None = None


def _read(store: TensorStore, identity: str, batch: int, part: tuple[PlannedImage, Sequence[Look]]) -> _Read:
    """What the pass needs of ``part``: of an image and some of its looks; in any thread."""
    planned, looks = part
    found = _Read(planned)
    try:
        with unchanged(planned.image.path):
            found.digest = content_hash(planned.image.path)
            keys = [(look, _latent_key(look, found.digest, identity, batch)) for look in looks]
            wanted = [(look, key, None if store.has(key) else pixels_of(planned, look)) for look, key in keys]
        found.looks = wanted
    except UserError as error:
        found.error, found.left = error, len(looks)
    return found


def _latent_key(look: Look, digest: str, identity: str, batch: int) -> str:
    size, crop = placing(look.fit)[:6], placing(look.fit)[6:]
    colour = () if look.colour is None else (repr(astuple(look.colour)),)
    return key_of("latent", LAYOUT, identity, digest, *size, int(look.flipped), *crop, *colour, *batch_part(batch))


def placing(fit: Fit) -> tuple[int, ...]:
    """How an image is scaled and cut, px: width and height scaled and cut, the corner, and the part that is used."""
    part = () if fit.source is None else (fit.source.left, fit.source.top, fit.source.right, fit.source.bottom)
    return (
        fit.resize.width, fit.resize.height, fit.bucket.width, fit.bucket.height, fit.crop_left, fit.crop_top, *part,
    )  # fmt: skip


def pixels_of(planned: PlannedImage, look: Look) -> Tensor:
    """An image in one of its looks: [3, height, width] float32 in -1..1.

    Raises:
        UserError: as :func:`~lora_tui.dataset.load.load_image`.
    """
    return to_pixels(coloured(load_image(planned, look.fit, flip=look.flipped), look.colour))


def _noise(look: Look, digest: str, model: Model) -> Tensor:
    bucket = look.fit.bucket
    shape = latent_shape(model.facts, bucket.width, bucket.height)
    return fixed_noise(shape, "posterior", digest, bucket.width, bucket.height, int(look.flipped))
