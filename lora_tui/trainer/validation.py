"""Loss on held-out images with fixed noise and fixed timesteps: comparable between steps and between runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lora_tui.config.schema import NoiseSection
from lora_tui.dataset.batches import PlannedImage
from lora_tui.trainer.objectives.noise import fixed_noise
from lora_tui.trainer.step import StepFunction

TIMESTEPS = 4  # noise levels each image is measured at, evenly over the trained range


def levels(noise: NoiseSection) -> list[int]:
    """The timesteps: the middles of equal parts of the trained range."""
    span = noise.max_timestep - noise.min_timestep
    return [noise.min_timestep + int((part + 0.5) * span / TIMESTEPS) for part in range(TIMESTEPS)]


@dataclass
class Validator:
    """Measures the held-out images.

    ``latent`` and ``conditioning`` give one image's [channels, h, w] and conditioning ([1, ...]) on the device.
    """

    images: tuple[PlannedImage, ...]
    step: StepFunction
    latent: Callable[[PlannedImage], Tensor]
    conditioning: Callable[[PlannedImage], dict[str, Tensor]]

    @torch.no_grad()
    def measure(self, progress: Callable[[int, int], None]) -> float:
        """Mean loss over images and noise levels."""
        timesteps = torch.tensor(levels(self.step.noise), dtype=torch.long, device=self.step.device)
        losses = []
        for done, planned in enumerate(self.images):
            progress(done, len(self.images))
            latent = self.latent(planned)
            shape = (latent.shape[0], latent.shape[1], latent.shape[2])
            noise = torch.stack(
                [fixed_noise(shape, "validation", planned.image.relative, level) for level in timesteps.tolist()]
            ).to(self.step.device)
            conditioning = {
                name: tensor.expand(TIMESTEPS, *tensor.shape[1:]) for name, tensor in self.conditioning(planned).items()
            }
            latents = latent[None].expand(TIMESTEPS, *latent.shape)
            losses.append(self.step.error(latents, noise, timesteps, conditioning).mean())
        progress(len(self.images), len(self.images))
        return float(torch.stack(losses).mean())
