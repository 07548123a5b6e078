"""The cached and the live sides of a run's data behind one face: conditioning and latents, wherever they come from."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from torch import Tensor

from lora_tui.config.schema import SamplePrompt
from lora_tui.dataset.batches import PlannedImage
from lora_tui.dataset.looks import Look
from lora_tui.errors import UserError
from lora_tui.families.protocol import Model, Tensors, latent_shape
from lora_tui.families.text_rows import batch_of
from lora_tui.text import _
from lora_tui.trainer.data.damage import Damage
from lora_tui.trainer.data.latents import Latents, pixels_of
from lora_tui.trainer.data.loader import Loader
from lora_tui.trainer.data.masks import Masks
from lora_tui.trainer.data.prepared import Preparation, framing_of
from lora_tui.trainer.data.texts import Texts, cache_texts, embed, embedded
from lora_tui.trainer.data.transfer import moved
from lora_tui.trainer.metadata import FileHashes
from lora_tui.trainer.objectives.losses import loss_for
from lora_tui.trainer.objectives.noise import fixed_noise
from lora_tui.trainer.objectives.objective import objective_for
from lora_tui.trainer.prepare import Data
from lora_tui.trainer.session import Session
from lora_tui.trainer.step import StepFunction

DECODERS = 4  # threads at most that decode images where latents are not cached


@dataclass
class Material:
    """``latents`` and ``texts`` are none where the VAE or the text encoders work in the step.

    ``masks`` are none where the whole of each image counts. ``text_length`` is that of the captions, see
    :meth:`~lora_tui.families.protocol.Model.text_length`; ``base`` are the hashes of the file with the denoiser;
    ``step`` gives losses under the run's settings.
    """

    session: Session
    data: Data
    model: Model
    latents: Latents | None
    texts: Texts | None
    masks: Masks | None
    text_length: int
    base: FileHashes
    step: StepFunction = field(init=False)
    _damage: Damage = field(init=False)
    _prompts: dict[tuple[str, int], Tensors] = field(default_factory=dict, init=False)  # by text and length

    def __post_init__(self) -> None:
        self._damage = Damage(self.session, [planned.image.uid for planned in self.data.plan.train])
        noise = self.session.config.noise
        objective = objective_for(self.model, noise)
        self.step = StepFunction(
            self.model, objective, loss_for(noise, objective.ratios), noise.offset_adaptive,
            by_area=self.session.config.masks.normalise,
        )  # fmt: skip

    def loader(self) -> Loader:
        """Batches of the plan, those that fall to this process."""
        data = self.data
        noise = self.session.config.noise
        preparation = Preparation(
            data.plan, self.model, self.step.objective, data.captions, data.rules_of, noise, self.latents, self.texts,
            self.masks, self.text_length, self._damage.leave_out,
        )  # fmt: skip
        workers = 1 if self.latents is not None else min(DECODERS, len(os.sched_getaffinity(0)))
        ranks = self.session.ranks
        share = (ranks.number, ranks.count)
        return Loader(preparation.prepare, data.plan, self.session.device, workers=workers, share=share)

    def latent(self, planned: PlannedImage) -> Tensor | None:
        """[channels, h, w] of an image, not mirrored, on the device; none for one that cannot be decoded.

        Of one that is only kept in looks that vary, the first of those.

        Raises:
            UserError: the image is not there any more, or has changed.
        """
        if self.latents is not None:
            return self.latents.get(planned.image.uid, self._look(planned)).to(self.session.device)
        try:
            pixels = pixels_of(planned, Look(planned.fit))
        except UserError as error:
            self._damage.leave_out(planned, error)
            return None
        bucket = planned.fit.bucket
        noise = fixed_noise(
            latent_shape(self.model.facts, bucket.width, bucket.height), "posterior", "validation",
            planned.image.relative,
        )  # fmt: skip
        return self.model.encode_image(pixels[None], noise[None])[0]

    def mask(self, planned: PlannedImage) -> Tensor | None:
        """[1, h, w]: what counts of an image, not mirrored, on the device; none where all of it does."""
        return None if self.masks is None else self.masks.get(planned, self._look(planned)).to(self.session.device)

    def _look(self, planned: PlannedImage) -> Look:
        plain = Look(planned.fit)
        known = self.latents is None or (planned.image.uid, plain) in self.latents.keys
        return plain if known else self.data.plan.looks(planned)[0]

    def conditioning(self, planned: PlannedImage) -> Tensors:
        """The conditioning of an image with its whole caption, [1, ...] on the device."""
        text = self.data.whole_caption(planned.image.uid)
        if self.texts is None:
            told = self._embed(text, self.text_length)
        else:
            told = self._whole(batch_of([self.texts.get(text)]), text)
        return moved({**told, **self.model.picture_conditioning([framing_of(planned)])}, self.session.device)

    def encode_prompts(self) -> None:
        """Encode the sample prompts while the text encoders are still there; the results wait on the CPU.

        What encoders that learn say of a prompt is found when it is drawn.
        """
        assert self.texts is not None
        phase, prompts = self.session.phase("caching", _("sample prompts")), self.session.config.samples
        for done, prompt in enumerate(prompts):
            phase(done, len(prompts))
            self._encode_prompt(prompt, self.texts)

    def _encode_prompt(self, prompt: SamplePrompt, kept: Texts) -> None:
        length = self._prompt_length(prompt)
        for text in (prompt.prompt, prompt.negative):
            tokens = {n: t for n, t in self.model.tokenize([text], length).items() if n not in kept.live}
            row = {name: tensor.cpu() for name, tensor in embedded(self.model, tokens)[0].items()}
            self._prompts[text, length] = row

    def encode_more(self, texts: Iterable[str]) -> None:
        """Have the embeddings of captions that no batch shows; encoders that had gone leave again after it."""
        kept = self.texts
        if kept is None:
            return
        wanted = {text for text in texts if text not in kept.keys}
        if wanted:
            phase, learns = self.session.phase("caching", _("text embeddings")), bool(kept.live)
            found = cache_texts(
                wanted, self.model, kept.store, length=self.text_length, progress=phase, learns=learns,
                batch=kept.batch,
            )  # fmt: skip
            kept.keys.update(found.keys)
            self.release_texts()

    def encode_prompt(self, prompt: SamplePrompt) -> None:
        """Have what is kept of a prompt that was not in the configuration."""
        if self.texts is None or (prompt.prompt, self._prompt_length(prompt)) in self._prompts:
            return
        self._encode_prompt(prompt, self.texts)
        self.release_texts()

    def release_texts(self) -> None:
        """Let go of the text encoders that everything is known of."""
        if self.texts is not None:
            self.model.release("frozen_text" if self.texts.live else "text_encoders")

    def release_vae(self) -> None:
        """Let go of the VAE where the latents are cached."""
        if self.session.config.memory.cache_latents:
            self.model.release("vae")

    def prompt(self, prompt: SamplePrompt) -> tuple[Tensors, Tensors]:
        """Conditioning of a prompt and its negative, of equal lengths."""
        length, texts = self._prompt_length(prompt), (prompt.prompt, prompt.negative)
        if self.texts is None:
            return self._embed(texts[0], length), self._embed(texts[1], length)
        both = batch_of([self._prompts[text, length] for text in texts])
        positive, negative = ({name: t[n : n + 1] for name, t in both.items()} for n in range(2))
        return self._whole(positive, texts[0]), self._whole(negative, texts[1])

    def _prompt_length(self, prompt: SamplePrompt) -> int:
        return self.model.text_length([prompt.prompt, prompt.negative])

    def _whole(self, kept: Tensors, text: str) -> Tensors:
        """What is kept of a caption, with what the encoders say that learn; on the CPU or the device."""
        live = () if self.texts is None else self.texts.live
        if not live:
            return kept
        tokens = self.model.tokenize([text], self.text_length)
        return {**kept, **embed(self.model, {name: tokens[name] for name in live})}

    def _embed(self, text: str, length: int) -> Tensors:
        return embed(self.model, self.model.tokenize([text], length))
