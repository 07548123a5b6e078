"""Likeness of pictures to other pictures, as a number that can be read: 0 like any picture, 1 like one of theirs.

Needs torch and the small image encoder of the package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.scores.encoder import ImageEncoder, as_input, load_encoder
from lora_tui.text import _

if TYPE_CHECKING:
    from PIL.Image import Image

Aspect = Literal["subject", "style"]
ENCODER_FILE = Path(__file__).resolve().parents[1] / "assets" / "micro" / "encoder.safetensors"
AT_ONCE = 64


@dataclass(frozen=True)
class Likeness:
    """How much pictures look like those of a set.

    Attributes:
        aspect: what is compared: what is drawn (``subject``) or how (``style``).
        references: unit vectors of the set, (n, width).
        floor: the mean cosine of ordinary pictures to the set; it counts as 0.
        ceiling: the mean cosine of a picture of the set to the others; it counts as 1.
    """

    encoder: ImageEncoder
    aspect: Aspect
    references: Tensor
    floor: float
    ceiling: float

    def of(self, pictures: Sequence[Image]) -> list[float]:
        """The likeness of each picture: its mean cosine to the set, between floor and ceiling; may lie beyond both."""
        if not pictures:
            return []
        cosines = (vectors(self.encoder, pictures, self.aspect) @ self.references.T).mean(1)
        return [float(value) for value in (cosines - self.floor) / (self.ceiling - self.floor)]


def likeness_to(
    references: Sequence[Image],
    ordinary: Sequence[Image],
    *,
    aspect: Aspect = "subject",
    encoder: ImageEncoder | None = None,
) -> Likeness:
    """Measure likeness to ``references`` on a scale that ``ordinary`` pictures and the references themselves give.

    Args:
        references: at least two pictures of what a LoRA is to show.
        ordinary: pictures of anything else, drawn in the usual way.
        encoder: none takes the package's own.

    Raises:
        UserError: there are too few pictures, or the references are no more like each other than like the others.
    """
    if len(references) < 2 or not ordinary:
        raise UserError(
            _("likeness needs at least two pictures to compare with, and some ordinary ones."),
            place="likeness",
            remedy=_("Add images to the dataset."),
            code="likeness.few",
        )
    encoder = encoder or load_encoder(ENCODER_FILE)
    own, others = vectors(encoder, references, aspect), vectors(encoder, ordinary, aspect)
    count = len(own)
    among = (own @ own.T).fill_diagonal_(0.0)
    ceiling, floor = float(among.sum() / (count * (count - 1))), float((others @ own.T).mean())
    if ceiling <= floor:
        raise UserError(
            _("these images are no more like each other than like any others."),
            place="likeness",
            remedy=_("Likeness cannot be measured for them; look at the pictures."),
            code="likeness.flat",
        )
    return Likeness(encoder, aspect, own, floor, ceiling)


@torch.no_grad()
def vectors(encoder: ImageEncoder, pictures: Sequence[Image], aspect: Aspect) -> Tensor:
    """Unit vectors of pictures of any size, (n, width)."""
    number = ("subject", "style").index(aspect)
    parts = [encoder(as_input(pictures[start : start + AT_ONCE]))[number] for start in range(0, len(pictures), AT_ONCE)]
    return torch.cat(parts)
