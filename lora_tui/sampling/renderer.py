"""Text to image with guidance: the loop over a sampler's timesteps, with a place to stop at each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from lora_tui.config.schema import SamplePrompt
from lora_tui.families.precision import autocast
from lora_tui.families.protocol import Framing, Model, Tensors, latent_shape
from lora_tui.families.text_rows import MASK, batch_of, rows_of
from lora_tui.sampling.samplers import Course, make_sampler

Progress = Callable[[int, int], None]  # (denoising steps done, total); may raise to stop


@dataclass(frozen=True)
class RenderRequest:
    """One image to draw: the prompt's settings and the embeddings of its prompt and negative prompt.

    ``positive`` and ``negative`` hold the conditioning of one image each, with a batch dimension of 1, and equal
    lengths where no mask tells what is their own; they may lie on any device.
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

    def latents(self, request: RenderRequest, progress: Progress) -> Tensor:
        """The finished latents: [1, channels, height / factor, width / factor], float32."""
        return self.several([request], progress)[0]

    @torch.no_grad()
    def several(self, requests: Sequence[RenderRequest], progress: Progress) -> list[Tensor]:
        """The finished latents of each, see :meth:`latents`, predicted together.

        They have the same size, steps, sampler and guidance, and embeddings of one length; noise is each one's own.
        """
        model, first = self._model, requests[0].prompt
        shift = model.drawing_shift(first.width, first.height, first.steps)
        schedule = model.scheduler_config() if self._schedule is None else self._schedule
        samplers, latents = [], []
        for request in requests:
            generator = torch.Generator().manual_seed(request.prompt.seed)
            noise = torch.randn((1, *latent_shape(model.facts, first.width, first.height)), generator=generator)
            course = Course(schedule, model.prediction, first.steps, shift, generator, model.device, first.spacing)
            samplers.append(make_sampler(first.sampler, course))
            latents.append(samplers[-1].begin(noise.to(model.device)))
        guided = first.guidance > 1 and not model.embeds_guidance
        conditioning = self._conditioning(requests, guided)
        timesteps = samplers[0].timesteps
        for done, timestep in enumerate(timesteps):
            progress(done, len(timesteps))
            shown = [sampler.model_input(one, timestep) for sampler, one in zip(samplers, latents, strict=True)]
            predicted = self._predict(torch.cat(shown) if len(shown) > 1 else shown[0], timestep, conditioning)
            if guided:
                without, with_prompt = predicted.chunk(2)
                predicted = model.guided(with_prompt, without, first.guidance)
            latents = [
                sampler.step(predicted[row : row + 1], timestep, latents[row]) for row, sampler in enumerate(samplers)
            ]
        return latents

    def image(self, latents: Tensor) -> Image.Image:
        """Decode the latents of one image."""
        pixels = self._model.decode_latents(latents)[0]
        array = (pixels.permute(1, 2, 0) * 255).round().to(torch.uint8).cpu().numpy()
        return Image.fromarray(array)

    def _conditioning(self, requests: Sequence[RenderRequest], guided: bool) -> Tensors:
        """A row an image; with guidance by a prediction without the prompt, those rows before, one an image, too."""
        first = requests[0].prompt
        size = (first.width, first.height)
        picture = self._model.picture_conditioning(
            [Framing(original=size, corner=(0, 0), size=size)], guidance=first.guidance
        )
        texts = [request.negative for request in requests] if guided else []
        texts += [request.positive for request in requests]
        rows = [{**text, **picture} for text in texts]
        if MASK in rows[0]:  # each of its own length
            whole = batch_of([row for one in rows for row in rows_of(one)])
            return {name: tensor.to(self._model.device) for name, tensor in whole.items()}
        return {name: torch.cat([row[name].to(self._model.device) for row in rows]) for name in rows[0]}

    def _predict(self, noisy: Tensor, timestep: Tensor, conditioning: Tensors) -> Tensor:
        """What the model predicts for ``noisy`` [n, ...] with the conditioning's n rows, or 2n in halves; float32."""
        model = self._model
        rows = len(next(iter(conditioning.values())))
        batch = noisy.repeat(rows // len(noisy), *(1,) * (noisy.dim() - 1)).to(model.dtype)
        steps = timestep.reshape(1).expand(rows).to(model.device)
        parts = [slice(row, row + 1) for row in range(rows)] if self._apart() else [slice(None)]
        with autocast(model.device, model.dtype):
            found = [
                model.predict(batch[part], steps[part], {name: told[part] for name, told in conditioning.items()})
                for part in parts
            ]
        return torch.cat(found).float() if len(found) > 1 else found[0].float()
