"""The stages that train UNet and text encoder together: first on half-size pictures, then on whole ones."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lora_tui.demo.world.draw import draw_scene
from lora_tui.demo.world.scene import Scene, sample_scene
from lora_tui.keyed import keyed_random
from tools.micro.layout import make_scheduler
from tools.micro.pictures import to_tensor
from tools.micro.stage import Stage
from tools.micro.text import caption
from tools.micro.tokens import Words

UNTOLD = 0.1
"""The share of pictures that are shown without a caption, for classifier-free guidance."""
SNR_GAMMA = 5.0
ENCODED_AT_ONCE = 16


class Latents:
    """The latents of scene number 0, 1, …, encoded once and kept in a file.

    The file is (count, 4, side / 8, side / 8), float16, posterior means times the scaling factor.
    """

    def __init__(self, folder: Path, vae: Any, *, side: int, count: int, seed: int) -> None:
        self.side = side
        self.count = count
        self._seed = seed
        path = folder / f"latents-{side}-{count}.npy"
        if not path.exists():
            self._encode(path, vae)
        self.values = torch.from_numpy(np.load(path))

    def scene(self, number: int) -> tuple[Scene, random.Random]:
        """Scene ``number``, and the chance that draws it."""
        chance = keyed_random("micro", "scene", self._seed, self.side, number)
        return sample_scene(chance), chance

    @torch.no_grad()
    def _encode(self, path: Path, vae: Any) -> None:
        found = []
        for start in range(0, self.count, ENCODED_AT_ONCE):
            drawn = [self.scene(number) for number in range(start, min(start + ENCODED_AT_ONCE, self.count))]
            pictures = to_tensor([draw_scene(scene, self.side, chance) for scene, chance in drawn])
            with torch.autocast("cpu", torch.bfloat16):
                mean = vae.encode(pictures).latent_dist.mean.float()
            found.append((mean * vae.config.scaling_factor).half())
        temporary = path.with_suffix(".part.npy")
        np.save(temporary, torch.cat(found).numpy())
        temporary.replace(path)


class UnetStage(Stage):
    """Predicts the noise in latents; every caption is worded anew each time.

    Args:
        high_noise: the share of timesteps that are drawn towards pure noise, where the layout is decided. With it
            the weight of the loss there is raised by up to ten.
    """

    warm = 150
    average = 0.9985

    def __init__(
        self,
        folder: Path,
        modules: dict[str, nn.Module],
        words: Words,
        latents: Latents,
        *,
        name: str,
        steps: int,
        seed: int,
        batch: int,
        rate: float,
        plateau: float,
        high_noise: float,
    ) -> None:
        self.name, self.rate, self.plateau = name, rate, plateau
        super().__init__(folder, modules, steps=steps, seed=seed)
        self._words, self._latents = words, latents
        self._batch, self._high_noise = batch, high_noise
        self._alphas = make_scheduler().alphas_cumprod

    def loss(self, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        chance, generator = self.chance(step, "captions"), self.generator(step, "noise")
        numbers = [chance.randrange(self._latents.count) for _ in range(self._batch)]
        captions = []
        for number in numbers:
            scene, _chance = self._latents.scene(number)
            captions.append("" if chance.random() < UNTOLD else caption(scene, chance))
        clean = self._latents.values[numbers].float()
        noise = torch.randn(clean.shape, generator=generator)
        times = self._times(generator)
        alpha = self._alphas[times].view(-1, 1, 1, 1)
        noisy = (alpha.sqrt() * clean + (1 - alpha).sqrt() * noise).contiguous(memory_format=torch.channels_last)
        text = self.modules["text_encoder"](self._words(captions))[0]
        error = (self.modules["unet"](noisy, times, text).sample - noise).pow(2).mean((1, 2, 3))
        loss = (self._weights(alpha.flatten()) * error).mean()
        return loss, {"error": error.detach().mean()}

    def _times(self, generator: torch.Generator) -> Tensor:
        times = torch.randint(0, len(self._alphas), (self._batch,), generator=generator)
        late = 1 - torch.rand(self._batch, generator=generator) ** 2
        high = torch.rand(self._batch, generator=generator) < self._high_noise
        return torch.where(high, (late * len(self._alphas)).long().clamp(max=len(self._alphas) - 1), times)

    def _weights(self, alpha: Tensor) -> Tensor:
        """Min-SNR weights (Hang et al. 2023)."""
        ratio = alpha / (1 - alpha)
        weights = ratio.clamp(max=SNR_GAMMA) / ratio
        return weights * (1 + 1 / ratio).clamp(max=10) if self._high_noise else weights
