"""One step of training, from a prepared batch to the loss of each image: noise in, prediction, weighted error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from lora_tui.families.precision import autocast
from lora_tui.families.protocol import Model, Tensors
from lora_tui.trainer.data.prepared import Prepared
from lora_tui.trainer.data.transfer import moved
from lora_tui.trainer.objectives.losses import Loss
from lora_tui.trainer.objectives.masked import image_means
from lora_tui.trainer.objectives.noise import lifted
from lora_tui.trainer.objectives.objective import Objective


@dataclass(frozen=True)
class StepFunction:
    """Losses of batches, computed on the model's device; the adapter's own weights stay float32.

    ``predict`` stands for the model's own while it learns. ``adaptive`` is the share of an image's own mean in its
    noise offset; ``by_area``: see :func:`~lora_tui.trainer.objectives.masked.image_means`.
    """

    model: Model
    objective: Objective
    loss: Loss
    adaptive: float = 0.0
    by_area: bool = True
    predict: Callable[[Tensor, Tensor, Tensors], Tensor] | None = None

    def losses(self, batch: Prepared) -> Tensor:
        """Weighted error of each image: [batch], float32, with gradients. ``batch`` must hold an image."""
        model = self.model
        inputs = moved(batch.inputs, model.device)
        conditioning = moved(batch.conditioning, model.device)
        latents = (
            inputs["latents"] if "latents" in inputs else model.encode_image(inputs["pixels"], inputs["posterior"])
        )
        if batch.tokens:
            with autocast(model.device, model.dtype):
                conditioning.update(model.encode_text(batch.tokens))
        noise = inputs["noise"]
        if "lift" in inputs:
            noise = lifted(noise, inputs["lift"], inputs["strength"], latents, self.adaptive)
        extra, mask = inputs.get("extra"), inputs.get("mask")
        errors = self.error(latents, noise, inputs["timesteps"], conditioning, extra, mask)
        return errors * inputs["weight"] if "weight" in inputs else errors

    def error(
        self,
        latents: Tensor,
        noise: Tensor,
        timesteps: Tensor,
        conditioning: Tensors,
        extra: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """The same from tensors on the device: ``latents`` and ``noise`` [batch, c, h, w], ``timesteps`` [batch].

        ``extra`` noise is seen by the model and is not to be found; ``mask`` [batch, 1, h, w] says what counts.
        """
        model, objective = self.model, self.objective
        noisy = objective.add_noise(latents, noise if extra is None else noise + extra, timesteps).to(model.dtype)
        with autocast(model.device, model.dtype):
            predicted = (self.predict or model.predict)(noisy, timesteps, conditioning)
        each = self.loss(predicted.float(), objective.target(latents, noise, timesteps), timesteps)
        errors = image_means(each, mask, by_area=self.by_area)
        weights = objective.weights(timesteps)
        return errors if weights is None else errors * weights
