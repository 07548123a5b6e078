"""The stage that trains the image autoencoder."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from lora_tui.keyed import keyed_random
from tools.micro.layout import SIDE, make_vae
from tools.micro.pictures import any_scene, cut, soup, to_tensor
from tools.micro.stage import Stage

KL_WEIGHT = 5e-4
CROP = 64
"""Most steps see cuts of this many px: their details are those of a full picture at a quarter of its cost."""
WHOLE_FROM = 0.85
"""From this share of the steps on, whole pictures are shown."""
HELD_OUT = 64
"""Scenes, and as many pictures of soup, that it is measured by."""


class VaeStage(Stage):
    """Reconstruction (absolute, squared and edge differences) and a light pull towards a unit Gaussian."""

    name = "vae"
    rate = 2.5e-3
    warm = 50
    plateau = 0.15

    def __init__(self, folder: Path, *, steps: int, seed: int, part: int = 1) -> None:
        torch.manual_seed(seed)
        self.part = part
        super().__init__(folder, {"vae": make_vae().train()}, steps=steps, seed=seed)

    def pictures(self, step: int) -> Tensor:
        """Half scenes, half soup; a third of the scenes whole at half size, which the first UNet stage needs."""
        chance = self.chance(step, "pictures")
        four, two, six = (range(max(number // self.part, 1)) for number in (4, 2, 6))
        if step >= WHOLE_FROM * self.steps:
            return to_tensor([*(any_scene(SIDE, chance) for _ in two), *(soup(SIDE, chance) for _ in two)])
        scenes = [cut(any_scene(SIDE, chance), CROP, chance) for _ in four]
        scenes += [any_scene(CROP, chance) for _ in two]
        return to_tensor([*scenes, *(cut(soup(SIDE, chance), CROP, chance) for _ in six)])

    def loss(self, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        vae = self.modules["vae"]
        pictures = self.pictures(step)
        with torch.autocast("cpu", torch.bfloat16):
            spread = vae.encode(pictures).latent_dist
            mean, log_variance = spread.mean.float(), spread.logvar.float()
            noise = torch.randn(mean.shape, generator=self.generator(step, "noise"))
            shown = vae.decode(mean + torch.exp(0.5 * log_variance) * noise).sample
        difference = shown.float() - pictures
        divergence = 0.5 * (mean.pow(2) + log_variance.exp() - 1 - log_variance).mean()
        absolute = difference.abs().mean()
        edges = difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()
        loss = absolute + 0.5 * difference.pow(2).mean() + 0.25 * edges + KL_WEIGHT * divergence
        return loss, {"absolute": absolute.detach(), "divergence": divergence.detach()}

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Peak signal to noise (dB) of unseen scenes and soup, and the scaling factor of the latents."""
        vae = self.averages["vae"]
        chance = keyed_random("micro", "vae", "held out", self.seed)
        found = {}
        for name, draw in (("scenes", any_scene), ("soup", soup)):
            pictures = to_tensor([draw(SIDE, chance) for _ in range(HELD_OUT // self.part)])
            mean = torch.cat([vae.encode(part).latent_dist.mean for part in pictures.split(16)])
            shown = torch.cat([vae.decode(part).sample.clamp(-1, 1) for part in mean.split(16)])
            error = (shown - pictures).pow(2).mean((1, 2, 3))
            found[f"psnr_{name}"] = (10 * torch.log10(4 / error)).mean().item()
            if name == "scenes":
                found["scaling_factor"] = 1 / mean.std().item()
        return found
