"""Whether both loops learn the same: one batch with the same noise through each of them, forward and back.

What is quicker because it computes something else is not quicker. So the batch that ours takes, the way that the
measured steps take one (compiled, played, laid out otherwise), goes through the bare network with the same LoRA.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lora_tui.bench.common import Measure
from lora_tui.text.translate import _

if TYPE_CHECKING:
    from torch import Tensor

    from lora_tui.trainer.data.prepared import Prepared

BARS = {"fp32": 0.02, "bf16": 0.2}
"""How far gradients may be apart, as a share of their norm: by rounding, and by products in TF32 on a GPU."""


@dataclass(frozen=True)
class Passes:
    """A batch taken forward and back.

    Attributes:
        batch: as it was prepared: latents, noise, timesteps, text.
        weights, gradients: of the LoRA, by layer and matrix (``path.lora_A``).
        loss: the mean over the images.
    """

    batch: Prepared
    weights: Mapping[str, Tensor]
    gradients: Mapping[str, Tensor]
    loss: float


@dataclass(frozen=True)
class Apart:
    """Two losses, and the norm of the difference of gradients as a share of the second ones' norm."""

    loss: float
    other: float
    gradients: float

    def measure(self, precision: str) -> Measure:
        """As a figure, held to what ``precision`` explains."""
        told = _("loss {own}, of the bare loop {other}").format(own=f"{self.loss:.6f}", other=f"{self.other:.6f}")
        name = _("gradients of the same batch: how far from the bare loop's")
        return Measure(name, self.gradients, "share", bar=BARS[precision], detail=told)


def apart(one: Passes, other: Passes) -> Apart:
    """How far ``one`` is from the ``other``; without end where they have gradients of other layers."""
    if one.gradients.keys() != other.gradients.keys():
        return Apart(one.loss, other.loss, math.inf)
    off = math.hypot(*(float((one.gradients[name] - right).norm()) for name, right in other.gradients.items()))
    whole = math.hypot(*(float(right.norm()) for right in other.gradients.values()))
    return Apart(one.loss, other.loss, off / max(whole, 1e-30))
