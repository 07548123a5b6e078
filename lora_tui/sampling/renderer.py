"""Text to image with guidance: the loop over a sampler's timesteps, with a place to stop at each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from lora_tui.config.schema import SamplePrompt
from lora_tui.families.precision import autocast
from lora_tui.families.protocol import Framing, Model, Tensors, latent_shape
from lora_tui.sampling.samplers import Course, make_sampler

Progress = Callable[[int, int], None]  # (denoising steps done, total); may raise to stop


@dataclass(frozen=True)
class RenderRequest:
    """One image to draw: the prompt's settings and the embeddings of its prompt and negative prompt.

    ``positive`` and ``negative`` hold the conditioning of one image each, with a batch dimension of 1 and equal
    lengths; they may lie on any device.
    """

    prompt: SamplePrompt
    positive: Tensors
    negative: Tensors


class Renderer:
    """Draws with a family's model on its device. The starting noise comes from the CPU: equal on every device."""

    def __init__(
        self, model: Model, schedule: Mapping[str, Any] | None = None, apart: Callable[[], bool] = lambda: False
    ) -> None:
        """``schedule`` replaces the model's own noise schedule, where it is trained for another.

        ``apart``: whether the predictions with and without the prompt are made one after the other, in less memory.
        """
        self._model = model
        self._schedule = schedule
        self._apart = apart

    @torch.no_grad()
    def latents(self, request: RenderRequest, progress: Progress) -> Tensor:
        """The finished latents: [1, channels, height / factor, width / factor], float32."""
        prompt, model = request.prompt, self._model
        generator = torch.Generator().manual_seed(prompt.seed)
        noise = torch.randn((1, *latent_shape(model.facts, prompt.width, prompt.height)), generator=generator)
        shift = model.drawing_shift(prompt.width, prompt.height, prompt.steps)
        schedule = model.scheduler_config() if self._schedule is None else self._schedule
        course = Course(schedule, model.prediction, prompt.steps, shift, generator, model.device)
        sampler = make_sampler(prompt.sampler, course)
        latents = sampler.begin(noise.to(model.device))
        guided = prompt.guidance > 1 and not model.embeds_guidance
        conditioning = self._conditioning(request, guided)
        total = len(sampler.timesteps)
        for done, timestep in enumerate(sampler.timesteps):
            progress(done, total)
            predicted = self._predict(sampler.model_input(latents, timestep), timestep, conditioning)
            if guided:
                without, with_prompt = predicted.chunk(2)
                predicted = model.guided(with_prompt, without, prompt.guidance)
            latents = sampler.step(predicted, timestep, latents)
        return latents

    def image(self, latents: Tensor) -> Image.Image:
        """Decode the latents of one image."""
        pixels = self._model.decode_latents(latents)[0]
        array = (pixels.permute(1, 2, 0) * 255).round().to(torch.uint8).cpu().numpy()
        return Image.fromarray(array)

    def _conditioning(self, request: RenderRequest, guided: bool) -> Tensors:
        """For one image, or for two where guidance takes a prediction without the prompt, which comes first."""
        size = (request.prompt.width, request.prompt.height)
        framing = Framing(original=size, corner=(0, 0), size=size)
        picture = self._model.picture_conditioning([framing], guidance=request.prompt.guidance)
        texts = [request.negative, request.positive] if guided else [request.positive]
        halves = [{**text, **picture} for text in texts]
        return {name: torch.cat([half[name].to(self._model.device) for half in halves]) for name in halves[0]}

    def _predict(self, noisy: Tensor, timestep: Tensor, conditioning: Tensors) -> Tensor:
        """What the model predicts for ``noisy`` [1, ...], once for each row of the conditioning; float32."""
        model = self._model
        rows = len(next(iter(conditioning.values())))
        batch = noisy.expand(rows, *noisy.shape[1:]).to(model.dtype)
        steps = timestep.reshape(1).expand(rows).to(model.device)
        parts = [slice(row, row + 1) for row in range(rows)] if self._apart() else [slice(None)]
        with autocast(model.device, model.dtype):
            found = [
                model.predict(batch[part], steps[part], {name: told[part] for name, told in conditioning.items()})
                for part in parts
            ]
        return torch.cat(found).float() if len(found) > 1 else found[0].float()
