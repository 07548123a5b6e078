"""From a planned batch to tensors: latents or pixels, noise, timesteps, text. Pure but for reading files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lora_tui.captions.as_trained import CaptionRules, caption_for
from lora_tui.config.schema import NoiseSection
from lora_tui.dataset.batches import Batch, DataPlan, Item, PlannedImage
from lora_tui.dataset.looks import Look
from lora_tui.errors import UserError
from lora_tui.families.protocol import Framing, Model, Tensors, latent_shape
from lora_tui.families.text_rows import batch_of
from lora_tui.trainer.data.latents import Latents, pixels_of
from lora_tui.trainer.data.masks import Masks
from lora_tui.trainer.data.texts import Texts
from lora_tui.trainer.data.transfer import pinned
from lora_tui.trainer.objectives.noise import draw_noise, fixed_noise, showing
from lora_tui.trainer.objectives.objective import Objective


@dataclass
class Prepared:
    """One batch on the CPU.

    Attributes:
        images: how many are in it; fewer than planned where some are damaged, perhaps none.
        inputs: ``noise`` [batch, channels, h, w] and ``timesteps`` [batch], and either ``latents`` [batch, channels,
            h, w] or, where the VAE encodes in the step, ``pixels`` [batch, 3, height, width] in -1..1 with
            ``posterior`` noise for them; ``mask`` [batch, 1, h, w] where masks are in effect, and ``weight``
            [batch] where images count differently. All but timesteps are float32.
        conditioning: what the network is told: of the pictures, and cached embeddings of the captions.
        tokens: of the captions, for text encoders that work in the step; else empty.
        names: of the images, as their dataset has them.
    """

    images: int = 0
    inputs: Tensors = field(default_factory=dict)
    conditioning: Tensors = field(default_factory=dict)
    tokens: Tensors = field(default_factory=dict)
    names: tuple[str, ...] = ()

    def pinned(self, device: torch.device) -> Prepared:
        """The same in memory from which copies to ``device`` do not wait."""
        inputs, conditioning, tokens = (pinned(each, device) for each in (self.inputs, self.conditioning, self.tokens))
        return Prepared(self.images, inputs, conditioning, tokens, self.names)


@dataclass(frozen=True)
class Preparation:
    """What all batches of a run have in common.

    Attributes:
        rules_of: what is done to an image's caption, by its uid.
        noise: see :func:`~lora_tui.trainer.objectives.noise.draw_noise`.
        latents, texts: the caches; none where the VAE or the text encoders work in the step.
        masks: what counts of each image; none where all does.
        text_length: of rows of tokens, see :meth:`~lora_tui.families.protocol.Model.text_length`.
        leave_out: told of an image that cannot be decoded, which is then left out of its batch; it may raise.
    """

    plan: DataPlan
    model: Model
    objective: Objective
    captions: Mapping[str, str]
    rules_of: Callable[[str], CaptionRules]
    noise: NoiseSection
    latents: Latents | None
    texts: Texts | None
    masks: Masks | None
    text_length: int
    leave_out: Callable[[PlannedImage, UserError], None]

    def prepare(self, epoch: int, batch: Batch) -> Prepared:
        """The tensors of one batch; any thread may ask for them.

        Raises:
            UserError: an image or cache entry is not there any more, or has changed.
        """
        found = [(item, image) for item in batch.items if (image := self._image(epoch, item)) is not None]
        if not found:
            return Prepared()
        items = [item for item, _image in found]
        size = batch.bucket
        shape = latent_shape(self.model.facts, size.width, size.height)
        noises, timesteps = [], []
        for item in items:
            generator = showing(self.plan.seed, epoch=epoch, uid=self._uid(item), repeat=item.repeat)
            timesteps.append(self.objective.draw(generator, size.width, size.height))
            noises.append(draw_noise(generator, shape, self.noise).tensors())
        inputs = {name: torch.stack([one[name] for one in noises]) for name in noises[0]}
        inputs["timesteps"] = self.objective.as_tensor(timesteps)
        inputs["pixels" if self.latents is None else "latents"] = torch.stack([image for _item, image in found])
        if self.latents is None:
            inputs["posterior"] = torch.stack([self._posterior(epoch, item, shape) for item in items])
        weights = [self.plan.entry(self.plan.train[item.index]).weight for item in items]
        if any(weight != 1 for weight in weights):
            inputs["weight"] = torch.tensor(weights)
        if self.masks is not None:
            inputs["mask"] = torch.stack([self._mask(epoch, item, self.masks) for item in items])
        conditioning = self.model.picture_conditioning([self._framing(epoch, item) for item in items])
        step = self.plan.updates_before(epoch, batch)
        texts = [self._caption(epoch, item, step) for item in items]
        tokens: Tensors = {}
        if self.texts is None or self.texts.live:
            tokens = self.model.tokenize(texts, self.text_length)
        if self.texts is not None:
            tokens = {name: tokens[name] for name in self.texts.live}
            conditioning |= batch_of([self.texts.get(text) for text in texts])
        names = tuple(self.plan.train[item.index].image.relative for item in items)
        return Prepared(len(items), inputs, conditioning, tokens, names)

    def _uid(self, item: Item) -> str:
        return self.plan.train[item.index].image.uid

    def _image(self, epoch: int, item: Item) -> Tensor | None:
        """Its latent, or its pixels where latents are not cached; none when it is left out."""
        planned = self.plan.train[item.index]
        look = self.plan.look(epoch, item)
        if self.latents is not None:
            return self.latents.get(planned.image.uid, look)
        try:
            return pixels_of(planned, look)
        except UserError as error:
            self.leave_out(planned, error)
            return None

    def _mask(self, epoch: int, item: Item, masks: Masks) -> Tensor:
        planned, look = self.plan.train[item.index], self.plan.look(epoch, item)
        return masks.shown(planned, look, seed=self.plan.seed, epoch=epoch, repeat=item.repeat)

    def _posterior(self, epoch: int, item: Item, shape: tuple[int, int, int]) -> Tensor:
        return fixed_noise(shape, "posterior", self.plan.seed, epoch, self._uid(item), item.repeat)

    def _caption(self, epoch: int, item: Item, step: int) -> str:
        uid = self._uid(item)
        return caption_for(
            self.captions.get(uid, ""), self.rules_of(uid), seed=self.plan.seed, epoch=epoch, uid=uid,
            repeat=item.repeat, step=step,
        )  # fmt: skip

    def _framing(self, epoch: int, item: Item) -> Framing:
        planned = self.plan.train[item.index]
        return framing_of(planned, self.plan.look(epoch, item))


def framing_of(planned: PlannedImage, look: Look | None = None) -> Framing:
    """How a planned image becomes a training image in one of its looks; plain when none is given."""
    look, image = look or Look(planned.fit), planned.image
    fit = look.fit
    left = fit.resize.width - fit.bucket.width - fit.crop_left if look.flipped else fit.crop_left
    return Framing((image.width, image.height), (left, fit.crop_top), (fit.bucket.width, fit.bucket.height))
