"""Noise keyed by what it is for, drawn on the CPU: the same on any device and after any resume."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lora_tui.config.schema import NoiseSection
from lora_tui.keyed import keyed_seed

Shape = tuple[int, int, int]  # channels, height, width


def showing(seed: int, *, epoch: int, uid: str, repeat: int) -> torch.Generator:
    """The generator of one showing of one image; what is drawn from it first decides what comes after."""
    return torch.Generator().manual_seed(keyed_seed(seed, "step", epoch, uid, repeat))


@dataclass(frozen=True)
class Drawn:
    """What one showing is mixed with, float32.

    Attributes:
        noise: what the model is to find, [c, h, w], less what only the latents decide.
        lift: [c, 1, 1], and ``strength`` ([1, 1, 1]): an offset that the image's own mean changes, see :func:`lifted`.
        extra: [c, h, w], seen by the model and not to be found by it.
    """

    noise: Tensor
    lift: Tensor | None = None
    strength: Tensor | None = None
    extra: Tensor | None = None

    def tensors(self) -> dict[str, Tensor]:
        """Those that there are, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


def draw_noise(generator: torch.Generator, shape: Shape, section: NoiseSection) -> Drawn:
    """The noise of one showing under the settings: standard normal, and what they add to it.

    The offset shifts each channel as a whole (Guttenberg 2023, "Diffusion with offset noise"); the input perturbation
    is noise that is not to be found (Ning et al. 2023, "Input Perturbation Reduces Exposure Bias in Diffusion Models").
    """
    noise = torch.randn(shape, generator=generator)
    lift = strength = extra = None
    if section.noise_offset > 0:
        lift = torch.randn((shape[0], 1, 1), generator=generator)
        share = torch.rand((1, 1, 1), generator=generator) if section.offset_random else torch.ones(1, 1, 1)
        strength = section.noise_offset * share
        if not section.offset_adaptive:
            noise, lift, strength = noise + strength * lift, None, None
    if section.pyramid_levels > 0:
        noise = pyramid_noise(noise, generator, section.pyramid_levels, section.pyramid_discount)
    if section.ip_noise_gamma > 0:
        amount = section.ip_noise_gamma
        if section.ip_noise_random:
            amount *= float(torch.rand((), generator=generator))
        extra = amount * torch.randn(shape, generator=generator)
    return Drawn(noise, lift, strength, extra)


def lifted(noise: Tensor, lift: Tensor, strength: Tensor, latents: Tensor, adaptive: float) -> Tensor:
    """``noise`` [batch, c, h, w] with each channel shifted by ``lift`` [batch, c, 1, 1] times its strength.

    The strength is ``strength`` [batch, 1, 1, 1] plus ``adaptive`` times the size of the channel's mean in ``latents``,
    and never below 0: sd-scripts' ``adaptive_noise_scale``.
    """
    means = latents.mean(dim=(2, 3), keepdim=True).abs()
    return noise + (strength + adaptive * means).clamp(min=0.0) * lift


def pyramid_noise(noise: Tensor, generator: torch.Generator, levels: int, discount: float) -> Tensor:
    """``noise`` [c, h, w] with coarser noise added and brought back to a deviation of 1.

    Level n (from 0) is drawn at 1 / r^n of the size, r between 2 and 4, and weakened by ``discount``^n, until it is one
    cell wide (Whitaker 2023, "Multi-Resolution Noise for Diffusion Model Training").
    """
    channels, height, width = noise.shape
    for level in range(levels):
        ratio = 2.0 + 2.0 * float(torch.rand((), generator=generator))
        rows, columns = max(1, int(height / ratio**level)), max(1, int(width / ratio**level))
        coarse = torch.randn((1, channels, rows, columns), generator=generator)
        noise = noise + torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")[0] * discount**level
        if rows == 1 or columns == 1:
            break
    return noise / noise.std()


def fixed_noise(shape: Shape, *parts: str | int) -> Tensor:
    """Standard normal noise (float32) named by ``parts``; used for posteriors and for validation."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(keyed_seed("fixed", *parts)))
