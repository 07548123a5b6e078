"""Loss on held-out images with fixed noise and fixed timesteps: comparable between steps and between runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lora_tui.dataset.batches import PlannedImage
from lora_tui.families.protocol import Tensors
from lora_tui.trainer.objectives.noise import fixed_noise
from lora_tui.trainer.step import StepFunction

LEVELS = 4  # noise levels each image is measured at


@dataclass(frozen=True)
class Validator:
    """Measures the held-out images.

    ``latent`` and ``conditioning`` give one image's [channels, h, w] and conditioning ([1, ...]) on the device;
    ``latent`` gives none for an image that is left out, ``mask`` [1, h, w] none where the whole image counts; ``apart``
    says whether each level is predicted by itself.
    """

    images: tuple[PlannedImage, ...]
    step: StepFunction
    latent: Callable[[PlannedImage], Tensor | None]
    conditioning: Callable[[PlannedImage], Tensors]
    mask: Callable[[PlannedImage], Tensor | None]
    apart: Callable[[], bool] = lambda: False

    @torch.no_grad()
    def measure(self, progress: Callable[[int, int], None]) -> float | None:
        """Mean loss over images and noise levels; none when every image is left out."""
        losses = []
        for done, planned in enumerate(self.images):
            progress(done, len(self.images))
            latent = self.latent(planned)
            if latent is not None:
                losses.append(self.levels_of(planned, latent).mean())
        progress(len(self.images), len(self.images))
        return float(torch.stack(losses).mean()) if losses else None

    @torch.no_grad()
    def levels_of(self, planned: PlannedImage, latent: Tensor) -> Tensor:
        """The loss of an image at each noise level, [levels] on the device."""
        levels, device = self.step.objective.levels(LEVELS), latent.device
        noise = torch.stack(
            [fixed_noise(tuple(latent.shape), "validation", planned.image.relative, round(level)) for level in levels]
        )
        conditioning = {
            name: tensor.expand(len(levels), *tensor.shape[1:]) for name, tensor in self.conditioning(planned).items()
        }
        timesteps = self.step.objective.as_tensor(levels)
        latents = latent[None].expand(len(levels), *latent.shape)
        mask = self.mask(planned)
        rows = [slice(level, level + 1) for level in range(len(levels))] if self.apart() else [slice(None)]
        return torch.cat(
            [
                self.step.error(
                    latents[row], noise.to(device)[row], timesteps.to(device)[row],
                    {name: tensor[row] for name, tensor in conditioning.items()},
                    mask=None if mask is None else mask[None],
                )
                for row in rows
            ]
        )  # fmt: skip
