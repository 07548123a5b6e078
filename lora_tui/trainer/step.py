"""One step of training, from a prepared batch to the loss of each image: noise in, prediction, weighted error."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lora_tui.config.schema import NoiseSection
from lora_tui.trainer.data.loader import Prepared
from lora_tui.trainer.objectives.schedule import DiscreteSchedule, min_snr_weights
from lora_tui.trainer.session import autocast


@dataclass
class StepFunction:
    """Losses of batches under the settings of a run.

    ``chunks`` is the number of 75-token chunks that captions are encoded with when the text encoder is trained.
    """

    model: Any
    schedule: DiscreteSchedule
    noise: NoiseSection
    device: torch.device
    dtype: torch.dtype
    chunks: int

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Arithmetic in the run's precision; the adapter's own weights stay float32."""
        return autocast(self.device, self.dtype)

    def losses(self, batch: Prepared) -> Tensor:
        """Weighted squared error of each image: [batch], float32, with gradients."""
        latents = self._latents(batch)
        noise, timesteps = self._to_device(batch.noise), self._to_device(batch.timesteps)
        with self.autocast():
            conditioning = self._conditioning(batch)
        return self.error(latents, noise, timesteps, conditioning)

    def error(self, latents: Tensor, noise: Tensor, timesteps: Tensor, conditioning: dict[str, Tensor]) -> Tensor:
        """The same from tensors on the device: ``latents`` and ``noise`` [batch, c, h, w], ``timesteps`` [batch]."""
        noisy = self.schedule.add_noise(latents, noise, timesteps).to(self.dtype)
        with self.autocast():
            predicted = self.model.predict(noisy, timesteps, conditioning)
        errors = torch.nn.functional.mse_loss(predicted.float(), noise, reduction="none").mean(dim=(1, 2, 3))
        if self.noise.min_snr_gamma > 0:
            errors = errors * min_snr_weights(self.schedule.snr(timesteps), self.noise.min_snr_gamma)
        return errors

    def _latents(self, batch: Prepared) -> Tensor:
        if batch.latents is not None:
            return self._to_device(batch.latents)
        assert batch.pixels is not None and batch.posterior is not None
        encoded: Tensor = self.model.encode_image(self._to_device(batch.pixels), self._to_device(batch.posterior))
        return encoded

    def _conditioning(self, batch: Prepared) -> dict[str, Tensor]:
        if batch.conditioning is not None:
            return {name: self._to_device(tensor) for name, tensor in batch.conditioning.items()}
        encoded: dict[str, Tensor] = self.model.encode_text(batch.texts, chunks=self.chunks)
        return encoded

    def _to_device(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, non_blocking=True)
