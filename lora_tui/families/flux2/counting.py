"""Parameters of FLUX.2's transformer and VAE, and what a training step keeps for its backward pass. Knows no torch."""

from __future__ import annotations

from lora_tui.families.flux2.shape import Shape
from lora_tui.families.separate.counting import blocks_bytes, image_tokens
from lora_tui.families.separate.shapes import vae_parameters
from lora_tui.weights.names.flux2_original import FEED

TIME_WIDTH = 256
"""Of the embedding of a timestep."""
#: Bytes that a block keeps for each token and unit of width with an adapter on each of its layers, as measured with
#: saved tensors: float32 throughout, and half precision with a float32 adapter.
DOUBLE_BYTES = {4: 88.5, 2: 54.7}
SINGLE_BYTES = {4: 84.3, 2: 50.4}


def transformer_parameters(shape: Shape) -> int:
    """No layer has a bias."""
    width, head = shape.width, shape.head_width
    total = (2 * shape.channels + shape.text_width + TIME_WIDTH + width) * width
    total += (6 + 6 + 3 + 2) * width * width  # the modulations: both streams, the single blocks, the last one
    double = 2 * ((4 + 2 * FEED + FEED) * width * width + 2 * head)
    single = (3 + 2 * FEED + 1 + FEED) * width * width + 2 * head
    return total + shape.double * double + shape.single * single


def whole_vae_parameters(shape: Shape) -> int:
    """With the convolutions around its latents, which FLUX.1's has not."""
    moments, latents = 2 * shape.latent_channels, shape.latent_channels
    around = moments * moments + moments + latents * latents + latents
    return vae_parameters(shape.vae_channels, shape.latent_channels) + around


def step_bytes(shape: Shape, pixels: tuple[int, int], tokens: int, bytes_per_value: int, *, checkpointing: bool) -> int:
    """What one image of ``pixels`` (width, height) with ``tokens`` of text keeps, in bytes."""
    units = (image_tokens(pixels) + tokens) * shape.width
    blocks = ((shape.double, DOUBLE_BYTES), (shape.single, SINGLE_BYTES))
    return blocks_bytes(units, blocks, bytes_per_value, checkpointing=checkpointing)
