"""Text to image with guidance: the loop over a sampler's timesteps, with a place to stop at each of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from lora_tui.config.schema import SamplePrompt
from lora_tui.sampling.samplers import make_sampler

Progress = Callable[[int, int], None]  # (denoising steps done, total); may raise to stop


@dataclass(frozen=True)
class RenderRequest:
    """One image to draw: the prompt's settings and the embeddings of its prompt and negative prompt.

    ``positive`` and ``negative`` hold the conditioning of one image each, with a batch dimension of 1 and equal
    lengths.
    """

    prompt: SamplePrompt
    positive: dict[str, Tensor]
    negative: dict[str, Tensor]


class Renderer:
    """Draws with a family's model on its device. The starting noise comes from the CPU: equal on every device."""

    def __init__(self, model: Any, device: torch.device, dtype: torch.dtype) -> None:
        self._model = model
        self._device = device
        self._dtype = dtype

    @torch.no_grad()
    def latents(self, request: RenderRequest, progress: Progress) -> Tensor:
        """The finished latents: [1, channels, height / factor, width / factor], float32."""
        prompt, facts = request.prompt, self._model.facts
        generator = torch.Generator().manual_seed(prompt.seed)
        sampler = make_sampler(prompt.sampler, self._model.scheduler_config())
        sampler.set_timesteps(prompt.steps, device=self._device)
        side = (prompt.height // facts.latent_factor, prompt.width // facts.latent_factor)
        start = torch.randn((1, facts.latent_channels, *side), generator=generator)
        latents = start.to(self._device) * sampler.init_noise_sigma
        guided = prompt.guidance > 1
        conditioning = self._conditioning(request, guided)
        options = {"generator": generator} if prompt.sampler == "euler_a" else {}
        total = len(sampler.timesteps)
        for done, timestep in enumerate(sampler.timesteps):
            progress(done, total)
            noisy = sampler.scale_model_input(latents, timestep)
            predicted = self._predict(noisy, timestep, conditioning, guided, prompt.guidance)
            latents = sampler.step(predicted, timestep, latents, return_dict=False, **options)[0]
        return latents

    def image(self, latents: Tensor) -> Image.Image:
        """Decode the latents of one image."""
        pixels = self._model.decode_latents(latents)[0]
        array = (pixels.permute(1, 2, 0) * 255).round().to(torch.uint8).cpu().numpy()
        return Image.fromarray(array)

    def _conditioning(self, request: RenderRequest, guided: bool) -> dict[str, Tensor]:
        if not guided:
            return {name: tensor.to(self._device) for name, tensor in request.positive.items()}
        return {
            name: torch.cat([request.negative[name], request.positive[name]]).to(self._device)
            for name in request.positive
        }

    def _predict(
        self, noisy: Tensor, timestep: Tensor, conditioning: dict[str, Tensor], guided: bool, guidance: float
    ) -> Tensor:
        batch = torch.cat([noisy, noisy]) if guided else noisy
        steps = timestep.reshape(1).expand(len(batch)).to(self._device)
        with self._autocast():
            predicted: Tensor = self._model.predict(batch.to(self._dtype), steps, conditioning).float()
        if not guided:
            return predicted
        without, with_prompt = predicted.chunk(2)
        return without + guidance * (with_prompt - without)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self._dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self._device.type, dtype=self._dtype)
