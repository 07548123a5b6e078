"""Parameters of an SD3 transformer, and what one training step keeps for its backward pass. Knows no torch."""

from __future__ import annotations

from lora_tui.families.sd3.shape import FEED, PATCH, Shape
from lora_tui.families.separate.counting import image_tokens
from lora_tui.families.separate.shapes import linear

TIME_WIDTH = 256
"""Of the embedding of a timestep."""
#: Bytes that a block keeps for each token and unit of width with an adapter on each of its layers, as measured with
#: saved tensors: float32 throughout, and half precision with a float32 adapter. A second attention adds the others,
#: for tokens of the image.
BLOCK_BYTES = {4: 92.5, 2: 58.7}
DUAL_BYTES = {4: 32.3, 2: 30.3}


def transformer_parameters(shape: Shape) -> int:
    """Without the table of positions, which nobody learns."""
    width, cells = shape.width, PATCH * PATCH * shape.channels
    total = cells * width + width + linear(shape.text_width, width)
    for inputs in (TIME_WIDTH, shape.pooled_width):
        total += linear(inputs, width) + linear(width, width)
    total += linear(width, 2 * width) + linear(width, cells)
    return total + sum(_block(shape, number) for number in range(shape.blocks))


def _block(shape: Shape, number: int) -> int:
    width, last, dual = shape.width, number == shape.blocks - 1, number < shape.dual
    feed = linear(width, FEED * width) + linear(FEED * width, width)
    norms = 2 * shape.head_width if shape.norms else 0  # of queries and of keys
    image = linear(width, (9 if dual else 6) * width) + 4 * linear(width, width) + feed + norms
    image += 4 * linear(width, width) + norms if dual else 0
    text = linear(width, (2 if last else 6) * width) + 3 * linear(width, width) + norms
    return image + text + (0 if last else linear(width, width) + feed)


def step_bytes(shape: Shape, pixels: tuple[int, int], tokens: int, bytes_per_value: int, *, checkpointing: bool) -> int:
    """What one image of ``pixels`` (width, height) with ``tokens`` of text keeps, in bytes.

    With checkpointing each block keeps what goes into it, and one is computed again at a time.
    """
    cells = image_tokens(pixels)
    block, dual = (of.get(bytes_per_value, of[2]) for of in (BLOCK_BYTES, DUAL_BYTES))
    whole = (cells + tokens) * shape.width * block
    second = cells * shape.width * dual
    if checkpointing:
        kept = shape.blocks * (cells + tokens) * shape.width * bytes_per_value
        return int(kept + whole + (second if shape.dual else 0))
    return int(shape.blocks * whole + shape.dual * second)
