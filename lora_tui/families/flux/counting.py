"""How many parameters FLUX.1's parts have, and what one training step keeps for its backward pass. Knows no torch."""

from __future__ import annotations

from lora_tui.families.flux.shape import FEED, PATCH, Shape, T5Shape

TIME_WIDTH = 256
"""Of the embedding of a timestep, and of the strength of guidance."""
VALUE_BYTES = 4  # of float32
#: Bytes that a block keeps for each token and unit of width with an adapter on each of its layers, as measured with
#: saved tensors: float32 throughout, and half precision with a float32 adapter.
DOUBLE_BYTES = {4: 88.5, 2: 55.3}
SINGLE_BYTES = {4: 76.3, 2: 48.6}


def transformer_parameters(shape: Shape) -> int:
    width, feed, head = shape.width, FEED * shape.width, shape.head_width
    total = _linear(shape.channels, width) + _linear(shape.text_width, width) + _linear(width, shape.channels)
    for inputs in (TIME_WIDTH, shape.pooled_width, *((TIME_WIDTH,) if shape.guidance else ())):
        total += _linear(inputs, width) + _linear(width, width)
    total += _linear(width, 2 * width)  # the last modulation
    stream = _linear(width, 6 * width) + 4 * _linear(width, width) + _linear(width, feed) + _linear(feed, width)
    single = _linear(width, 3 * width) + 3 * _linear(width, width) + _linear(width, feed) + _linear(width + feed, width)
    return total + shape.double * 2 * (stream + 2 * head) + shape.single * (single + 2 * head)


def t5_parameters(shape: T5Shape) -> int:
    width, heads = shape.width, shape.heads * shape.head_width
    layer = 4 * width * heads + 3 * width * shape.inner + 2 * width
    return shape.vocabulary * width + 32 * shape.heads + shape.layers * layer + width


def vae_parameters(shape: Shape) -> int:
    widths, latent, layers = shape.vae_channels, shape.latent_channels, 2
    top = widths[-1]
    middle = 2 * _resnet(top, top) + 4 * _linear(top, top) + 2 * top
    encoder = _convolution(3, widths[0]) + _levels(widths, layers) + 2 * top + _convolution(top, 2 * latent)
    decoder = _convolution(latent, top) + _levels(widths[::-1], layers + 1) + 2 * widths[0] + _convolution(widths[0], 3)
    return encoder + decoder + 2 * middle


def _levels(widths: tuple[int, ...], layers: int) -> int:
    """The levels of one half of a VAE, with what halves or doubles the side between them."""
    total, inputs = 0, widths[0]
    for block, width in enumerate(widths):
        total += sum(_resnet(inputs if layer == 0 else width, width) for layer in range(layers))
        total += _convolution(width, width) if block < len(widths) - 1 else 0
        inputs = width
    return total


def step_bytes(shape: Shape, pixels: tuple[int, int], tokens: int, bytes_per_value: int, *, checkpointing: bool) -> int:
    """What one image of ``pixels`` (width, height) with ``tokens`` of text keeps, in bytes.

    With checkpointing each block keeps what goes into it, and one is computed again at a time.
    """
    cells = (pixels[0] // (8 * PATCH)) * (pixels[1] // (8 * PATCH))
    unit = (cells + tokens) * shape.width
    double, single = (of.get(bytes_per_value, of[2]) for of in (DOUBLE_BYTES, SINGLE_BYTES))
    if checkpointing:
        largest = double if shape.double else single
        return int(unit * ((shape.double + shape.single) * bytes_per_value + largest))
    return int(unit * (shape.double * double + shape.single * single))


def _linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def _convolution(inputs: int, outputs: int, kernel: int = 3) -> int:
    return inputs * outputs * kernel * kernel + outputs


def _resnet(inputs: int, outputs: int) -> int:
    total = 2 * inputs + _convolution(inputs, outputs) + 2 * outputs + _convolution(outputs, outputs)
    return total + (_convolution(inputs, outputs, 1) if inputs != outputs else 0)
