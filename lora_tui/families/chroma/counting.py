"""Parameters of Chroma's transformer, and what one training step keeps for its backward pass. Knows no torch."""

from __future__ import annotations

from lora_tui.families.chroma.shape import Shape
from lora_tui.families.flux.shape import FEED
from lora_tui.families.separate.counting import blocks_bytes, image_tokens
from lora_tui.families.separate.shapes import linear

#: Bytes that a block keeps for each token and unit of width with an adapter on each of its layers, as measured with
#: saved tensors: float32 throughout, and half precision with a float32 adapter.
DOUBLE_BYTES = {4: 72.3, 2: 46.4}
SINGLE_BYTES = {4: 68.2, 2: 44.2}


def transformer_parameters(shape: Shape) -> int:
    """The network that gives the modulations among them."""
    width, feed, head, hidden = shape.width, FEED * shape.width, shape.head_width, shape.hidden
    total = linear(shape.channels, width) + linear(shape.text_width, width) + linear(width, shape.channels)
    total += linear(shape.told, hidden) + shape.deep * (2 * linear(hidden, hidden) + hidden) + linear(hidden, width)
    stream = 4 * linear(width, width) + linear(width, feed) + linear(feed, width)
    single = 3 * linear(width, width) + linear(width, feed) + linear(width + feed, width)
    return total + shape.double * 2 * (stream + 2 * head) + shape.single * (single + 2 * head)


def step_bytes(shape: Shape, pixels: tuple[int, int], tokens: int, bytes_per_value: int, *, checkpointing: bool) -> int:
    """What one image of ``pixels`` (width, height) with ``tokens`` of text keeps, in bytes."""
    units = (image_tokens(pixels) + tokens) * shape.width
    blocks = ((shape.double, DOUBLE_BYTES), (shape.single, SINGLE_BYTES))
    return blocks_bytes(units, blocks, bytes_per_value, checkpointing=checkpointing)
