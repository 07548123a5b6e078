"""The small image encoder that ships with the program: what is drawn, and how, as two vectors. Needs torch.

It was trained on drawn creatures and styles that exist in no dataset, by telling apart which two pictures show the
same one on different backgrounds, in different places and sizes; so likeness to something new needs no download.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 64
"""Pictures are scaled to this many px a side."""
WIDTHS = (24, 48, 72, 96)
VECTOR = 48
"""Numbers in a vector of what is drawn, and of how it is drawn."""


class Block(nn.Module):
    """A residual block of two convolutions that halves the sides."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(inside, outside, 3, stride=2, padding=1)
        self.norm = nn.GroupNorm(4, outside)
        self.more = nn.Conv2d(outside, outside, 3, padding=1)
        self.last = nn.GroupNorm(4, outside)

    def forward(self, values: Tensor) -> Tensor:
        """(n, inside, h, w) to (n, outside, h / 2, w / 2)."""
        first = torch.relu(self.norm(self.down(values)))
        return torch.relu(first + self.last(self.more(first)))


class ImageEncoder(nn.Module):
    """Pictures (n, 3, 64, 64), -1 to 1, to two unit vectors each: subject (n, 48) and style (n, 48)."""

    def __init__(self) -> None:
        super().__init__()
        pairs = zip((3, *WIDTHS), WIDTHS, strict=False)
        self.blocks = nn.Sequential(*(Block(inside, outside) for inside, outside in pairs))
        self.look = nn.Linear(WIDTHS[-1], 1)
        self.subject = nn.Linear(2 * WIDTHS[-1], VECTOR)
        self.style = nn.Linear(2 * WIDTHS[-1], VECTOR)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors of subject and style."""
        found = self.blocks(pictures).flatten(2)
        where = torch.softmax(self.look(found.mT).squeeze(-1), dim=-1)
        attended = (found * where[:, None]).sum(-1)
        together = torch.cat([attended, found.mean(-1)], 1)
        return normalize(self.subject(together), dim=1), normalize(self.style(together), dim=1)


def as_input(pictures: Sequence[Image]) -> Tensor:
    """Pictures of any size and mode as the encoder's input; transparency is laid on white."""
    import numpy as np
    from PIL import Image

    arrays = []
    for picture in pictures:
        if picture.mode in ("RGBA", "LA", "P", "PA"):
            above = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", above.size, (255, 255, 255, 255)), above)
        arrays.append(np.asarray(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)))
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).float() / 127.5 - 1


def load_encoder(path: Path) -> ImageEncoder:
    """The encoder from its safetensors file, in float32 on the CPU, ready to use."""
    from safetensors.torch import load_file

    encoder = ImageEncoder()
    encoder.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return encoder.eval().requires_grad_(False)
