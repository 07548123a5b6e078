"""The stage that trains the image encoder: which two pictures show the same creature, which two the same style?"""

from __future__ import annotations

import random
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lora_tui.keyed import keyed_random
from lora_tui.scores.encoder import SIDE, ImageEncoder, as_input
from tools.micro.creatures import any_creature, any_style, draw_creature
from tools.micro.stage import Stage

PAIRS = 32
"""Pairs of pictures in a step, for each of the two questions."""
ASKED = 100
"""Pairs that it is measured by."""
LIKE = 12.0
"""Cosines are multiplied by this before the softmax (an inverse temperature)."""


class EncoderStage(Stage):
    """Contrastive (InfoNCE, van den Oord et al. 2018), in both directions."""

    name = "encoder"
    rate = 2e-3
    average = 0.995

    def __init__(self, folder: Path, *, steps: int, seed: int, part: int = 1) -> None:
        torch.manual_seed(seed)
        super().__init__(folder, {"encoder": ImageEncoder()}, steps=steps, seed=seed)
        self._pairs, self._asked = PAIRS // part, ASKED // part

    def loss(self, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        chance = self.chance(step, "pictures")
        pairs = self._pairs
        by_subject, by_style = subject_pairs(pairs, chance), style_pairs(pairs, chance)
        subject, style = self.modules["encoder"](torch.cat([*by_subject, *by_style]))
        first, second = subject[:pairs], subject[pairs : 2 * pairs]
        third, fourth = style[2 * pairs : 3 * pairs], style[3 * pairs :]
        what, how = _contrast(first, second), _contrast(third, fourth)
        return what + how, {"subject": what.detach(), "style": how.detach()}

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """How often the right partner of :data:`ASKED` is found, for creatures and styles that were never seen."""
        chance = keyed_random("micro", "encoder", "held out", self.seed)
        encoder = self.averages["encoder"]
        found = {}
        for number, (name, pairs) in enumerate((("subject", subject_pairs), ("style", style_pairs))):
            one, other = (encoder(part)[number] for part in pairs(self._asked, chance))
            found[f"found {name}"] = ((one @ other.T).argmax(1) == torch.arange(self._asked)).float().mean().item()
        return found


def subject_pairs(count: int, chance: random.Random) -> tuple[Tensor, Tensor]:
    """Two pictures each of ``count`` creatures, in one style on different backgrounds."""
    first, second = [], []
    for _pair in range(count):
        creature, style = any_creature(chance), any_style(chance)
        first.append(draw_creature(creature, style, SIDE, chance))
        second.append(draw_creature(creature, style, SIDE, chance))
    return as_input(first), as_input(second)


def style_pairs(count: int, chance: random.Random) -> tuple[Tensor, Tensor]:
    """Two pictures each in ``count`` styles, of different creatures."""
    first, second = [], []
    for _pair in range(count):
        style = any_style(chance)
        first.append(draw_creature(any_creature(chance), style, SIDE, chance))
        second.append(draw_creature(any_creature(chance), style, SIDE, chance))
    return as_input(first), as_input(second)


def _contrast(one: Tensor, other: Tensor) -> Tensor:
    scores = LIKE * one @ other.T
    right = torch.arange(len(one))
    return (cross_entropy(scores, right) + cross_entropy(scores.T, right)) / 2


def trained(folder: Path, *, steps: int, seed: int, part: int = 1) -> nn.Module:
    """The encoder after its training."""
    return EncoderStage(folder, steps=steps, seed=seed, part=part).run()["encoder"]
