"""Parameters of FLUX.1's transformer, and what one training step keeps for its backward pass. Knows no torch."""

from __future__ import annotations

from lora_tui.families.flux.shape import FEED, Shape
from lora_tui.families.separate.counting import blocks_bytes, image_tokens
from lora_tui.families.separate.shapes import linear

TIME_WIDTH = 256
"""Of the embedding of a timestep, and of the strength of guidance."""
#: Bytes that a block keeps for each token and unit of width with an adapter on each of its layers, as measured with
#: saved tensors: float32 throughout, and half precision with a float32 adapter.
DOUBLE_BYTES = {4: 88.5, 2: 55.3}
SINGLE_BYTES = {4: 76.3, 2: 48.6}


def transformer_parameters(shape: Shape) -> int:
    width, feed, head = shape.width, FEED * shape.width, shape.head_width
    total = linear(shape.channels, width) + linear(shape.text_width, width) + linear(width, shape.channels)
    for inputs in (TIME_WIDTH, shape.pooled_width, *((TIME_WIDTH,) if shape.guidance else ())):
        total += linear(inputs, width) + linear(width, width)
    total += linear(width, 2 * width)  # the last modulation
    stream = linear(width, 6 * width) + 4 * linear(width, width) + linear(width, feed) + linear(feed, width)
    single = linear(width, 3 * width) + 3 * linear(width, width) + linear(width, feed) + linear(width + feed, width)
    return total + shape.double * 2 * (stream + 2 * head) + shape.single * (single + 2 * head)


def step_bytes(shape: Shape, pixels: tuple[int, int], tokens: int, bytes_per_value: int, *, checkpointing: bool) -> int:
    """What one image of ``pixels`` (width, height) with ``tokens`` of text keeps, in bytes."""
    units = (image_tokens(pixels) + tokens) * shape.width
    blocks = ((shape.double, DOUBLE_BYTES), (shape.single, SINGLE_BYTES))
    return blocks_bytes(units, blocks, bytes_per_value, checkpointing=checkpointing)
