"""What Qwen-Image's transformer and VAE are made of, and what one step keeps for its backward pass. Knows no torch."""

from __future__ import annotations

from lora_tui.families.qwen.shape import FEED, LEVELS, PATCH, Shape
from lora_tui.families.qwen.targets import BLOCKS
from lora_tui.families.separate.counting import blocks_bytes, image_tokens
from lora_tui.families.separate.tensors import ADDED_NORMS, ATTENTION_NORMS, Tensors, linears, norms, numbered

TIME_WIDTH = 256
"""Of the embedding of a timestep."""
TIMES = (False, True, True)
"""Between which levels of its encoder the VAE halves a video's frames, too."""
LAYERS = 2
"""Resnets of each level of the encoder; the decoder has one more."""
#: Bytes that a block keeps for each token and unit of width with an adapter on each of its layers, as measured with
#: saved tensors: float32 throughout, and half precision with a float32 adapter.
BLOCK_BYTES = {4: 73.0, 2: 46.0}


def transformer_tensors(shape: Shape) -> Tensors:
    """Names and shapes of all tensors of the transformer, which are the same in all files."""
    width, feed, square = shape.width, FEED * shape.width, (shape.width, shape.width)
    outer = {
        "img_in": (shape.channels, width),
        "txt_in": (shape.text_width, width),
        "time_text_embed.timestep_embedder.linear_1": (TIME_WIDTH, width),
        "time_text_embed.timestep_embedder.linear_2": square,
        "norm_out.linear": (width, 2 * width),
        "proj_out": (width, shape.channels),
    }
    sides = ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
    block = {f"attn.{side}": square for side in sides}
    for stream in ("img", "txt"):
        block |= {f"{stream}_mod.1": (width, 6 * width)}
        block |= {f"{stream}_mlp.net.0.proj": (width, feed), f"{stream}_mlp.net.2": (feed, width)}
    own = linears(block) | norms((*ATTENTION_NORMS, *ADDED_NORMS), shape.head_width)
    return {**linears(outer), **norms(("txt_norm",), shape.text_width), **numbered(BLOCKS, shape.blocks, own)}


def vae_tensors(width: int, channels: int) -> Tensors:
    """Of diffusers' ``AutoencoderKLQwenImage`` of so many ``channels``, ``width`` wide at its first level."""
    widths = [width * times for times in LEVELS]
    top = widths[-1]
    found = _cube("encoder.conv_in", 3, width) | _cube("encoder.conv_out", top, 2 * channels)
    found |= _cube("decoder.conv_in", channels, top) | _cube("decoder.conv_out", width, 3)
    found |= _cube("quant_conv", 2 * channels, 2 * channels, (1, 1, 1))
    found |= _cube("post_quant_conv", channels, channels, (1, 1, 1))
    found |= {"encoder.norm_out.gamma": (top, 1, 1, 1), "decoder.norm_out.gamma": (width, 1, 1, 1)}
    for side in ("encoder", "decoder"):
        attention = f"{side}.mid_block.attentions.0"
        for place in (0, 1):
            found |= _resnet(f"{side}.mid_block.resnets.{place}", top, top)
        found |= {f"{attention}.norm.gamma": (top, 1, 1)}
        found |= _square(f"{attention}.to_qkv", top, 3 * top, 1) | _square(f"{attention}.proj", top, top, 1)
    return found | _down(widths) | _up(widths[::-1])


def _down(widths: list[int]) -> Tensors:
    found: Tensors = {}
    number, inputs = 0, widths[0]
    for level, outputs in enumerate(widths):
        for _layer in range(LAYERS):
            found |= _resnet(f"encoder.down_blocks.{number}", inputs, outputs)
            number, inputs = number + 1, outputs
        if level < len(TIMES):
            block = f"encoder.down_blocks.{number}"
            found |= _square(f"{block}.resample.1", outputs, outputs)
            found |= _cube(f"{block}.time_conv", outputs, outputs, (3, 1, 1)) if TIMES[level] else {}
            number += 1
    return found


def _up(widths: list[int]) -> Tensors:
    found: Tensors = {}
    inputs = widths[0]
    for level, outputs in enumerate(widths):
        block = f"decoder.up_blocks.{level}"
        for layer in range(LAYERS + 1):
            found |= _resnet(f"{block}.resnets.{layer}", outputs if layer else inputs, outputs)
        if level < len(TIMES):
            found |= _square(f"{block}.upsamplers.0.resample.1", outputs, outputs // 2)
            times = TIMES[::-1][level]
            found |= _cube(f"{block}.upsamplers.0.time_conv", outputs, 2 * outputs, (3, 1, 1)) if times else {}
        inputs = outputs // 2
    return found


def _cube(path: str, inputs: int, outputs: int, kernel: tuple[int, int, int] = (3, 3, 3)) -> Tensors:
    return {f"{path}.weight": (outputs, inputs, *kernel), f"{path}.bias": (outputs,)}


def _square(path: str, inputs: int, outputs: int, kernel: int = 3) -> Tensors:
    return {f"{path}.weight": (outputs, inputs, kernel, kernel), f"{path}.bias": (outputs,)}


def _resnet(path: str, inputs: int, outputs: int) -> Tensors:
    found: Tensors = {f"{path}.norm1.gamma": (inputs, 1, 1, 1), f"{path}.norm2.gamma": (outputs, 1, 1, 1)}
    found |= _cube(f"{path}.conv1", inputs, outputs) | _cube(f"{path}.conv2", outputs, outputs)
    return found | (_cube(f"{path}.conv_shortcut", inputs, outputs, (1, 1, 1)) if inputs != outputs else {})


def step_bytes(shape: Shape, pixels: tuple[int, int], tokens: int, bytes_per_value: int, *, checkpointing: bool) -> int:
    """What one image of ``pixels`` (width, height) with ``tokens`` of text keeps, in bytes."""
    units = (image_tokens(pixels, 8 * PATCH) + tokens) * shape.width
    return blocks_bytes(units, [(shape.blocks, BLOCK_BYTES)], bytes_per_value, checkpointing=checkpointing)
