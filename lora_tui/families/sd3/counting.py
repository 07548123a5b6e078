"""Parameters of an SD3 transformer, and what one training step keeps for its backward pass. Knows no torch."""

from __future__ import annotations

import math

from lora_tui.families.sd3.shape import PATCH, Shape
from lora_tui.families.sd3.targets import transformer_targets
from lora_tui.families.separate.counting import BACKWARD_BYTES, image_tokens
from lora_tui.families.separate.tensors import (
    ADDED_NORMS,
    ATTENTION_NORMS,
    Tensors,
    linears,
    norms,
    numbered,
    parameters,
)

TABLE = "pos_embed.pos_embed"
TIME_WIDTH = 256
"""Of the embedding of a timestep."""
#: Bytes that a block keeps for each token and unit of width with an adapter on each of its layers, as measured with
#: saved tensors: float32 throughout, and half precision with a float32 adapter. A second attention adds the others,
#: for tokens of the image.
BLOCK_BYTES = {4: 92.5, 2: 58.7}
DUAL_BYTES = {4: 32.3, 2: 30.3}
#: What the last block keeps for each of the text's, which go no further than into its attention.
LAST_TEXT_BYTES = {4: 32.0, 2: 20.0}


def tensors(shape: Shape) -> Tensors:
    """Names and shapes of all tensors of the transformer, as diffusers has them."""
    width, cells = shape.width, PATCH * PATCH * shape.channels
    layers = {
        "context_embedder": (shape.text_width, width),
        "norm_out.linear": (width, 2 * width),
        "proj_out": (width, cells),
        **{target.path: (target.inputs, target.outputs) for target in transformer_targets(shape)},
    }
    for name, inputs in (("timestep_embedder", TIME_WIDTH), ("text_embedder", shape.pooled_width)):
        layers |= {f"time_text_embed.{name}.linear_1": (inputs, width)}
        layers |= {f"time_text_embed.{name}.linear_2": (width, width)}
    last = f"transformer_blocks.{shape.blocks - 1}"
    layers |= {f"{last}.norm1_context.linear": (width, 2 * width), f"{last}.attn.add_q_proj": (width, width)}
    found = linears(layers)
    if shape.norms:
        own = norms((*ATTENTION_NORMS, *ADDED_NORMS), shape.head_width)
        found |= numbered("transformer_blocks", shape.blocks, own)
        found |= numbered("transformer_blocks", shape.dual, norms(("attn2.norm_q", "attn2.norm_k"), shape.head_width))
    return found | {
        TABLE: (1, shape.positions**2, width),
        "pos_embed.proj.weight": (width, shape.channels, PATCH, PATCH),
        "pos_embed.proj.bias": (width,),
    }


def transformer_parameters(shape: Shape) -> int:
    """Without the table of positions, which nobody learns."""
    found = tensors(shape)
    return parameters(found) - math.prod(found[TABLE])


def step_bytes(shape: Shape, pixels: tuple[int, int], tokens: int, bytes_per_value: int, *, checkpointing: bool) -> int:
    """What one image of ``pixels`` (width, height) with ``tokens`` of text keeps, in bytes.

    With checkpointing each block keeps what goes into it, and one is computed again at a time.
    """
    cells = image_tokens(pixels)
    block, dual, last = (of.get(bytes_per_value, of[2]) for of in (BLOCK_BYTES, DUAL_BYTES, LAST_TEXT_BYTES))
    units, own = (cells + tokens) * shape.width, cells * shape.width
    second = own * dual
    if checkpointing:
        kept = units * (shape.blocks * bytes_per_value + block + BACKWARD_BYTES)
        return int(kept + (second if shape.dual else 0))
    before, at_last = (shape.blocks - 1) * units * block, own * (block + BACKWARD_BYTES) + (units - own) * last
    return int(before + at_last + shape.dual * second)
