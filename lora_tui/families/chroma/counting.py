"""Parameters of Chroma's transformer, and what one training step keeps for its backward pass. Knows no torch."""

from __future__ import annotations

from lora_tui.families.chroma.shape import Shape
from lora_tui.families.chroma.targets import transformer_targets
from lora_tui.families.separate.counting import blocks_bytes, image_tokens
from lora_tui.families.separate.tensors import Tensors, linears, norms, parameters, two_streams
from lora_tui.weights.names.chroma_original import APPROXIMATOR

#: Bytes that a block keeps for each token and unit of width with an adapter on each of its layers, as measured with
#: saved tensors: float32 throughout, and half precision with a float32 adapter.
DOUBLE_BYTES = {4: 72.3, 2: 46.4}
SINGLE_BYTES = {4: 68.2, 2: 44.2}


def tensors(shape: Shape) -> Tensors:
    """Names and shapes of all tensors of the transformer, as diffusers has them."""
    width, hidden = shape.width, shape.hidden
    layers = {
        "x_embedder": (shape.channels, width),
        "context_embedder": (shape.text_width, width),
        "proj_out": (width, shape.channels),
        f"{APPROXIMATOR}.in_proj": (shape.told, hidden),
        f"{APPROXIMATOR}.out_proj": (hidden, width),
        **{target.path: (target.inputs, target.outputs) for target in transformer_targets(shape)},
    }
    for number in range(shape.deep):
        layers |= {f"{APPROXIMATOR}.layers.{number}.linear_{one}": (hidden, hidden) for one in (1, 2)}
    deep = norms((f"{APPROXIMATOR}.norms.{number}" for number in range(shape.deep)), hidden)
    return linears(layers) | deep | two_streams(shape.double, shape.single, shape.head_width)


def transformer_parameters(shape: Shape) -> int:
    return parameters(tensors(shape))


def step_bytes(shape: Shape, pixels: tuple[int, int], tokens: int, bytes_per_value: int, *, checkpointing: bool) -> int:
    """What one image of ``pixels`` (width, height) with ``tokens`` of text keeps, in bytes."""
    units = (image_tokens(pixels) + tokens) * shape.width
    blocks = ((shape.double, DOUBLE_BYTES), (shape.single, SINGLE_BYTES))
    return blocks_bytes(units, blocks, bytes_per_value, checkpointing=checkpointing)
