"""Parameters of FLUX.1's transformer, and what one training step keeps for its backward pass. Knows no torch."""

from __future__ import annotations

from lora_tui.families.flux.shape import Shape
from lora_tui.families.flux.targets import transformer_targets
from lora_tui.families.separate.counting import blocks_bytes, image_tokens
from lora_tui.families.separate.tensors import Tensors, linears, parameters, two_streams

TIME_WIDTH = 256
"""Of the embedding of a timestep, and of the strength of guidance."""
#: Bytes that a block keeps for each token and unit of width with an adapter on each of its layers, as measured with
#: saved tensors: float32 throughout, and half precision with a float32 adapter.
DOUBLE_BYTES = {4: 88.5, 2: 55.3}
SINGLE_BYTES = {4: 76.3, 2: 48.6}


def tensors(shape: Shape) -> Tensors:
    """Names and shapes of all tensors of the transformer, as diffusers has them."""
    width = shape.width
    layers = {
        "x_embedder": (shape.channels, width),
        "context_embedder": (shape.text_width, width),
        "norm_out.linear": (width, 2 * width),
        "proj_out": (width, shape.channels),
        **{target.path: (target.inputs, target.outputs) for target in transformer_targets(shape)},
    }
    told = {"timestep_embedder": TIME_WIDTH, "text_embedder": shape.pooled_width}
    told |= {"guidance_embedder": TIME_WIDTH} if shape.guidance else {}
    for name, inputs in told.items():
        layers |= {f"time_text_embed.{name}.linear_1": (inputs, width)}
        layers |= {f"time_text_embed.{name}.linear_2": (width, width)}
    return linears(layers) | two_streams(shape.double, shape.single, shape.head_width)


def transformer_parameters(shape: Shape) -> int:
    return parameters(tensors(shape))


def step_bytes(shape: Shape, pixels: tuple[int, int], tokens: int, bytes_per_value: int, *, checkpointing: bool) -> int:
    """What one image of ``pixels`` (width, height) with ``tokens`` of text keeps, in bytes."""
    units = (image_tokens(pixels) + tokens) * shape.width
    blocks = ((shape.double, DOUBLE_BYTES), (shape.single, SINGLE_BYTES))
    return blocks_bytes(units, blocks, bytes_per_value, checkpointing=checkpointing)
