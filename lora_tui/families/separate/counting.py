"""What a training step keeps of transformers with two kinds of blocks. Knows no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

CELL = 16
"""Side of a token in an image, px: a latent cell has 8, a patch two of them."""

BACKWARD_BYTES = 32.0
"""Bytes for each token and unit of width that gradients take on their way through a block, measured on models 192 wide.

Half precision takes no less: the adapters' own path is float32.
"""


def image_tokens(pixels: tuple[int, int], cell: int = CELL) -> int:
    """Tokens of an image of ``pixels`` (width, height)."""
    return (pixels[0] // cell) * (pixels[1] // cell)


def blocks_bytes(
    units: int,
    blocks: Iterable[tuple[int, Mapping[int, float]]],
    bytes_per_value: int,
    *,
    checkpointing: bool,
) -> int:
    """What blocks keep of one image and its text, in bytes, with the gradients on their way through one of them.

    With checkpointing each block keeps what goes into it, and one is computed again at a time.

    Args:
        units: tokens times the width of the model.
        blocks: of each kind, the largest first, how many there are, and the bytes that one keeps for each unit by
            the bytes of a value; those of 2 stand for what is not there.
    """
    found = [(count, kept.get(bytes_per_value, kept[2])) for count, kept in blocks]
    if checkpointing:
        largest = next((kept for count, kept in found if count), found[-1][1])
        return int(units * (sum(count for count, _kept in found) * bytes_per_value + largest + BACKWARD_BYTES))
    return int(units * (sum(count * kept for count, kept in found) + BACKWARD_BYTES))
