"""Parameters of FLUX.2's transformer and VAE, and what a training step keeps for its backward pass. Knows no torch."""

from __future__ import annotations

from lora_tui.families.flux2.shape import Shape
from lora_tui.families.flux2.targets import transformer_targets
from lora_tui.families.separate.counting import blocks_bytes, image_tokens
from lora_tui.families.separate.tensors import Tensors, linears, parameters, two_streams, vae_tensors

TIME_WIDTH = 256
"""Of the embedding of a timestep."""
#: Bytes that a block keeps for each token and unit of width with an adapter on each of its layers, as measured with
#: saved tensors: float32 throughout, and half precision with a float32 adapter.
DOUBLE_BYTES = {4: 88.5, 2: 54.7}
SINGLE_BYTES = {4: 84.3, 2: 50.4}


def tensors(shape: Shape) -> Tensors:
    """Names and shapes of all tensors of the transformer, as diffusers has them; no layer has a bias."""
    width = shape.width
    layers = {
        "x_embedder": (shape.channels, width),
        "context_embedder": (shape.text_width, width),
        "time_guidance_embed.timestep_embedder.linear_1": (TIME_WIDTH, width),
        "time_guidance_embed.timestep_embedder.linear_2": (width, width),
        "double_stream_modulation_img.linear": (width, 6 * width),
        "double_stream_modulation_txt.linear": (width, 6 * width),
        "single_stream_modulation.linear": (width, 3 * width),
        "norm_out.linear": (width, 2 * width),
        "proj_out": (width, shape.channels),
        **{target.path: (target.inputs, target.outputs) for target in transformer_targets(shape)},
    }
    return linears(layers, bias=False) | two_streams(shape.double, shape.single, shape.head_width)


def transformer_parameters(shape: Shape) -> int:
    return parameters(tensors(shape))


def whole_vae_parameters(shape: Shape) -> int:
    """With the convolutions around its latents, which FLUX.1's has not."""
    return parameters(vae_tensors(shape.vae_channels, shape.latent_channels, around=(True, True)))


def step_bytes(shape: Shape, pixels: tuple[int, int], tokens: int, bytes_per_value: int, *, checkpointing: bool) -> int:
    """What one image of ``pixels`` (width, height) with ``tokens`` of text keeps, in bytes."""
    units = (image_tokens(pixels) + tokens) * shape.width
    blocks = ((shape.double, DOUBLE_BYTES), (shape.single, SINGLE_BYTES))
    return blocks_bytes(units, blocks, bytes_per_value, checkpointing=checkpointing)
