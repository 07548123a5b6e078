"""What a step asks of a way to learn, by what the model predicts. One module a way, listed in :data:`OBJECTIVES`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from lora_tui.choices import chosen
from lora_tui.config.schema import NoiseSection
from lora_tui.families.protocol import Model

#: :attr:`Model.prediction` -> a class like :class:`Objective`, made from the model and the settings of noise
OBJECTIVES = {
    "epsilon": "lora_tui.trainer.objectives.diffusion:Diffusion",
    "v_prediction": "lora_tui.trainer.objectives.diffusion:Diffusion",
    "flow": "lora_tui.trainer.objectives.flow:Flow",
}


class Objective(Protocol):
    """How noise is mixed in and what is to be predicted. Latents and noise are [batch, channels, h, w].

    :meth:`draw` runs in the loader's threads and touches no tensor of the device.
    """

    def draw(self, generator: torch.Generator, width: int, height: int) -> float:
        """A timestep (0 to 1000) for one showing of an image of ``width`` x ``height`` px."""
        ...

    def levels(self, count: int) -> list[float]:
        """``count`` timesteps evenly over the trained range: the noise levels that validation measures at."""
        ...

    def as_tensor(self, timesteps: Sequence[float]) -> Tensor:
        """Timesteps as the model takes them, on the CPU: [batch]."""
        ...

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """``latents`` with ``noise`` mixed in at ``timesteps`` ([batch], on the device)."""
        ...

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """What the model should predict."""
        ...

    def ratios(self, timesteps: Tensor) -> Tensor:
        """Signal-to-noise ratios (power of the image over that of the noise) at ``timesteps``, [batch]."""
        ...

    def weights(self, timesteps: Tensor) -> Tensor | None:
        """Weights of the images' errors, [batch]; none where all count alike."""
        ...


def objective_for(model: Model, section: NoiseSection) -> Objective:
    """The objective for what ``model`` predicts.

    Raises:
        ValueError: the model's noise schedule is one that the objective does not know.
        UserError: a setting makes no sense for what the model predicts.
    """
    found: Objective = chosen(OBJECTIVES, model.prediction)(model, section)
    return found
