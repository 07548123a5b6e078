"""Parameters of Z-Image's transformer, and what one training step keeps for its backward pass. Knows no torch."""

from __future__ import annotations

from lora_tui.families.separate.counting import blocks_bytes, image_tokens
from lora_tui.families.separate.tensors import Tensors, linears, norms, numbered, parameters
from lora_tui.families.zimage.shape import MULTIPLE, PATCH, TIME_INNER, TIME_WIDTH, Shape
from lora_tui.families.zimage.targets import block_layers
from lora_tui.weights.names.zimage_original import MODULATION, TOKENS

#: Bytes that a block keeps for each token and unit of width with an adapter on each of its layers, as measured with
#: saved tensors: float32 throughout, and half precision with a float32 adapter. Blocks before it keep nothing, as
#: nothing that learns lies before them.
BLOCK_BYTES = {4: 91.0, 2: 78.0}


def tensors(shape: Shape) -> Tensors:
    """Names and shapes of all tensors of the transformer, as diffusers has them."""
    width, cells = shape.width, PATCH * PATCH * shape.channels
    outer = {
        "all_x_embedder.2-1": (cells, width),
        "cap_embedder.1": (shape.text_width, width),
        "t_embedder.mlp.0": (TIME_WIDTH, TIME_INNER),
        "t_embedder.mlp.2": (TIME_INNER, shape.time_width),
        "all_final_layer.2-1.linear": (width, cells),
        "all_final_layer.2-1.adaLN_modulation.1": (shape.time_width, width),
    }
    block = linears(block_layers(shape), bias=False)
    block |= norms(("attention.norm_q", "attention.norm_k"), shape.head_width)
    block |= norms(("attention_norm1", "attention_norm2", "ffn_norm1", "ffn_norm2"), width)
    told = block | linears({MODULATION: (shape.time_width, 4 * width)})
    return {
        **dict.fromkeys(TOKENS, (1, width)),
        **linears(outer),
        **norms(("cap_embedder.0",), shape.text_width),
        **numbered("layers", shape.blocks, told),
        **numbered("noise_refiner", shape.refiners, told),
        **numbered("context_refiner", shape.refiners, block),
    }


def transformer_parameters(shape: Shape) -> int:
    return parameters(tensors(shape))


def filled(tokens: int) -> int:
    """What ``tokens`` of an image or of a text are filled up to."""
    return -(-tokens // MULTIPLE) * MULTIPLE


def step_bytes(shape: Shape, pixels: tuple[int, int], tokens: int, bytes_per_value: int, *, checkpointing: bool) -> int:
    """What one image of ``pixels`` (width, height) with ``tokens`` of text keeps, in bytes."""
    units = (filled(image_tokens(pixels)) + filled(tokens)) * shape.width
    return blocks_bytes(units, ((shape.blocks, BLOCK_BYTES),), bytes_per_value, checkpointing=checkpointing)
