"""Parameters of Z-Image's transformer, and what one training step keeps for its backward pass. Knows no torch."""

from __future__ import annotations

from lora_tui.families.separate.counting import blocks_bytes, image_tokens
from lora_tui.families.separate.shapes import linear
from lora_tui.families.zimage.shape import MULTIPLE, PATCH, TIME_INNER, TIME_WIDTH, Shape

#: Bytes that a block keeps for each token and unit of width with an adapter on each of its layers, as measured with
#: saved tensors: float32 throughout, and half precision with a float32 adapter. Blocks before it keep nothing, as
#: nothing that learns lies before them.
BLOCK_BYTES = {4: 91.0, 2: 78.0}


def transformer_parameters(shape: Shape) -> int:
    width, cells = shape.width, PATCH * PATCH * shape.channels
    total = linear(cells, width) + 2 * width  # with the tokens that fill up
    total += linear(TIME_WIDTH, TIME_INNER) + linear(TIME_INNER, shape.time_width)
    total += shape.text_width + linear(shape.text_width, width)
    total += linear(width, cells) + linear(shape.time_width, width)
    block = 4 * width * width + 3 * width * shape.feed + 4 * width + 2 * shape.head_width
    told = linear(shape.time_width, 4 * width)
    return total + (shape.blocks + 2 * shape.refiners) * block + (shape.blocks + shape.refiners) * told


def filled(tokens: int) -> int:
    """What ``tokens`` of an image or of a text are filled up to."""
    return -(-tokens // MULTIPLE) * MULTIPLE


def step_bytes(shape: Shape, pixels: tuple[int, int], tokens: int, bytes_per_value: int, *, checkpointing: bool) -> int:
    """What one image of ``pixels`` (width, height) with ``tokens`` of text keeps, in bytes."""
    units = (filled(image_tokens(pixels)) + filled(tokens)) * shape.width
    return blocks_bytes(units, ((shape.blocks, BLOCK_BYTES),), bytes_per_value, checkpointing=checkpointing)
