"""The cached and the live sides of a run's data behind one face: conditioning and latents, wherever they come from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lora_tui.config.schema import SamplePrompt
from lora_tui.dataset.batches import PlannedImage
from lora_tui.dataset.load import load_image
from lora_tui.text import _
from lora_tui.trainer.data.loader import Loader, Preparation
from lora_tui.trainer.data.passes import Latents, Texts, to_pixels
from lora_tui.trainer.objectives.noise import NoiseRules, fixed_noise
from lora_tui.trainer.objectives.schedule import DiscreteSchedule
from lora_tui.trainer.prepare import Data
from lora_tui.trainer.session import Session, autocast
from lora_tui.trainer.step import StepFunction

Conditioning = dict[str, Tensor]


@dataclass
class Material:
    """``latents`` and ``texts`` are none where the VAE or the text encoder works in the step."""

    session: Session
    data: Data
    model: Any
    latents: Latents | None
    texts: Texts | None
    chunks: int
    _prompts: dict[tuple[str, str], tuple[Conditioning, Conditioning]] = field(default_factory=dict)

    def loader(self) -> Loader:
        """Batches of the plan."""
        config = self.session.config
        noise = NoiseRules(
            config.steps.seed, config.noise.min_timestep, config.noise.max_timestep, config.noise.noise_offset
        )
        preparation = Preparation(
            self.data.plan, self.model.facts, self.data.captions, self.data.rules, noise, self.latents, self.texts
        )
        return Loader(preparation, self.session.device)

    def step(self) -> StepFunction:
        """Losses under the run's settings."""
        session = self.session
        schedule = DiscreteSchedule(self.model.scheduler_config(), session.device)
        return StepFunction(self.model, schedule, session.config.noise, session.device, session.dtype, self.chunks)

    def latent(self, planned: PlannedImage) -> Tensor:
        """[channels, h, w] of an image, not mirrored, on the device."""
        if self.latents is not None:
            return self.latents.get(planned.image.uid, False).to(self.session.device)
        bucket, facts = planned.fit.bucket, self.model.facts
        shape = (facts.latent_channels, bucket.height // facts.latent_factor, bucket.width // facts.latent_factor)
        pixels = to_pixels(load_image(planned, planned.fit))
        noise = fixed_noise(shape, "posterior", "validation", planned.image.relative)
        encoded: Tensor = self.model.encode_image(pixels[None], noise[None])[0]
        return encoded

    def conditioning(self, planned: PlannedImage) -> Conditioning:
        """The conditioning of an image's whole caption, [1, ...] on the device."""
        text = self.data.captions.get(planned.image.uid, "")
        if self.texts is not None:
            return {name: tensor[None].to(self.session.device) for name, tensor in self.texts.get(text).items()}
        return self._encode([text], self.chunks)

    def encode_prompts(self) -> None:
        """Encode the sample prompts while the text encoder is still there."""
        phase, prompts = self.session.phase("caching", _("sample prompts")), self.session.config.samples
        for done, prompt in enumerate(prompts):
            phase(done, len(prompts))
            self._prompts[prompt.prompt, prompt.negative] = self._encode_prompt(prompt)

    def prompt(self, prompt: SamplePrompt) -> tuple[Conditioning, Conditioning]:
        """Conditioning of a prompt and its negative, of equal lengths."""
        found = self._prompts.get((prompt.prompt, prompt.negative))
        return found if found is not None else self._encode_prompt(prompt)

    def _encode_prompt(self, prompt: SamplePrompt) -> tuple[Conditioning, Conditioning]:
        chunks = self.model.chunks_needed([prompt.prompt, prompt.negative])
        return self._encode([prompt.prompt], chunks), self._encode([prompt.negative], chunks)

    @torch.no_grad()
    def _encode(self, texts: list[str], chunks: int) -> Conditioning:
        with autocast(self.session.device, self.session.dtype):
            encoded: Conditioning = self.model.encode_text(texts, chunks=chunks)
        return encoded
