"""How long each part is trained."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tools.micro.layout import SIDE


@dataclass(frozen=True)
class Budget:
    """Steps of the stages; the UNet's stages with the number of their scenes.

    ``part``: batches, and what a stage is measured by, are this part of the full ones (1 : n).
    """

    vae: int
    text: int
    small: int
    small_scenes: int
    whole: int
    whole_scenes: int
    encoder: int
    part: int = 1

    def unet(self) -> Iterator[tuple[str, int, int, int, int, float, float, float]]:
        """The UNet's stages: name, side in px, scenes, steps, batch, learning rate, plateau, share of high noise."""
        yield "unet-64", SIDE // 2, self.small_scenes, self.small, 64 // self.part, 2e-3, 0.4, 0.0
        yield "unet-128", SIDE, self.whole_scenes, self.whole, 16 // self.part, 1.5e-3, 0.25, 0.35


BUDGETS = {
    "full": Budget(vae=3500, text=1200, small=1400, small_scenes=40_000, whole=3900, whole_scenes=20_000, encoder=1500),
    "tiny": Budget(vae=16, text=8, small=8, small_scenes=32, whole=8, whole_scenes=16, encoder=8, part=4),
}
"""``full`` is what ships; ``tiny`` walks the same road in a fraction of a minute."""
