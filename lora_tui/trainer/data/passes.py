"""The caching passes: every image to its latent, every caption to its embedding, once, one at a time.

One at a time, so that no result depends on what else was in a batch; an entry is complete or absent, so a pass
that was cut off goes on where it was. Images are read and decoded ahead of the VAE, and results written behind it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
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
from lora_tui.families.precision import autocast
from lora_tui.families.protocol import Model, Tensors, latent_shape
from lora_tui.families.text_rows import rows_of
from lora_tui.text import _
from lora_tui.trainer.data.overlap import WriteBehind, read_ahead
from lora_tui.trainer.data.tensors import TensorStore
from lora_tui.trainer.data.transfer import pinned
from lora_tui.trainer.objectives.noise import fixed_noise

Progress = Callable[[int, int], None]  # (done, total); also the place where a pass may be stopped
LAYOUT, TEXT_LAYOUT = 3, 4  # versions of what a cache entry of each kind holds
TOGETHER = 2  # looks of an image that are read at once, such as one and its mirror image


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
) -> Latents:
    """Encode the ``looks`` of images that the store does not have; unreadable images are noted, not fatal.

    The posterior is drawn with noise keyed by the file's content and its crop, so a latent is the same whichever
    run encodes it.
    """
    latents = Latents(store)
    done, total = 0, sum(len(looks(planned)) for planned in images)
    progress(0, total)
    read = partial(_read, store, model.latent_identity())
    parts = ((one, wanted[at : at + TOGETHER]) for one in images for wanted in (looks(one),)
             for at in range(0, len(wanted), TOGETHER))  # fmt: skip
    with contextlib.closing(read_ahead(read, parts)) as ahead, WriteBehind() as write:
        for found in ahead:
            uid = found.planned.image.uid
            if found.digest:
                latents.hashes[uid] = found.digest
            for look, key, pixels in found.looks:
                progress(done, total)
                if pixels is not None:
                    latent = _encode(pixels, look, found.digest, model)
                    write(partial(store.put, key, {"latent": latent}))
                latents.keys[uid, look] = key
                done += 1
            if found.error is not None and uid not in latents.failed:
                latents.failed[uid] = str(found.error)
                remember_damage(found.planned.image.path, found.planned.image.facts, found.error)
            done += found.left
    progress(total, total)
    return latents


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


def _read(store: TensorStore, identity: str, part: tuple[PlannedImage, Sequence[Look]]) -> _Read:
    """What the pass needs of ``part``: of an image and some of its looks; in any thread."""
    planned, looks = part
    found = _Read(planned)
    try:
        with unchanged(planned.image.path):
            found.digest = content_hash(planned.image.path)
            keys = [(look, _latent_key(look, found.digest, identity)) for look in looks]
            wanted = [(look, key, None if store.has(key) else pixels_of(planned, look)) for look, key in keys]
        found.looks = wanted
    except UserError as error:
        found.error, found.left = error, len(looks)
    return found


def _latent_key(look: Look, digest: str, identity: str) -> str:
    size, crop = placing(look.fit)[:6], placing(look.fit)[6:]
    colour = () if look.colour is None else (repr(astuple(look.colour)),)
    return key_of("latent", LAYOUT, identity, digest, *size, int(look.flipped), *crop, *colour)


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


def _encode(pixels: Tensor, look: Look, digest: str, model: Model) -> Tensor:
    bucket = look.fit.bucket
    shape = latent_shape(model.facts, bucket.width, bucket.height)
    noise = fixed_noise(shape, "posterior", digest, bucket.width, bucket.height, int(look.flipped))
    return model.encode_image(pixels[None], noise[None])[0]


@dataclass
class Texts:
    """Embeddings by caption text.

    Attributes:
        live: the tokens of the encoders that are not kept because they learn, see :meth:`Model.tokenize`.
        keys: where the entries of a text lie in the store, one for each kept :class:`TextPart`.
    """

    store: TensorStore
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
    texts: Iterable[str], model: Model, store: TensorStore, *, length: int, progress: Progress, learns: bool = False
) -> Texts:
    """Encode the captions that the store does not have, in rows of ``length`` (:meth:`Model.text_length`).

    Rows of a model that masks them have each their own length. An embedding is kept in the model's precision, which
    is that of the arithmetic that reads it, and filed under the tokens that go into the text encoders, so a model
    with the same weights and another tokenizer finds none of them. With ``learns``, encoders that then learn are left
    out.
    """
    wanted = sorted(set(texts))
    kept = [part for part in model.text_parts if not (learns and part.learns)]
    live = tuple(name for part in model.text_parts if part not in kept for name in part.tokens)
    found = Texts(store, live, {text: [] for text in wanted})
    progress(0, len(wanted) * len(kept))
    with WriteBehind() as write:
        for number, part in enumerate(kept):
            identity, known = model.text_identity(part), set[str]()
            for done, text in enumerate(wanted, number * len(wanted)):
                progress(done, len(wanted) * len(kept))
                own = model.text_length([text]) if model.masks_text else length
                tokens = {name: ids for name, ids in model.tokenize([text], own).items() if name in part.tokens}
                told = repr({name: tokens[name].tolist() for name in sorted(tokens)})
                key = key_of("text", TEXT_LAYOUT, identity, told)
                if key not in known and not store.has(key):
                    write(partial(store.put, key, embedded(model, tokens)))
                known.add(key)
                found.keys[text].append(key)
    progress(len(wanted) * len(kept), len(wanted) * len(kept))
    return found


def embedded(model: Model, tokens: Tensors) -> Tensors:
    """What is kept of the one caption of ``tokens``: its own positions, in the model's precision."""
    return {name: tensor.to(model.dtype) for name, tensor in rows_of(embed(model, tokens))[0].items()}


@torch.no_grad()
def embed(model: Model, tokens: Tensors) -> Tensors:
    """The conditioning from ``tokens``, on the device, in the arithmetic of the step and without gradients."""
    with autocast(model.device, model.dtype):
        return model.encode_text(pinned(tokens, model.device))
