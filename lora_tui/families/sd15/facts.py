"""Facts of Stable Diffusion 1.x that need no torch: layers, sizes, names in files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lora_tui.families.protocol import TargetModule
from lora_tui.families.sd15.shape import LAYERS, Shape, shape_of

#: Suffixes of the layers in each UNet transformer that sd-scripts' LoRA attaches to (192 modules at full size).
UNET_TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out")
#: The same for the text encoder (72 modules at full size).
TEXT_ENCODER_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")

#: Widths of input to all adapted layers of one transformer: proj_in, q k v, out, q, out, gate, 4 x for the
#: feed-forward's second layer, proj_out.
INPUTS_OF_TRANSFORMER = 13
ADAPTER_BYTES = 4  # the adapter works in float32
#: Bytes that autograd keeps for each input value of an adapted layer besides the base model's own, measured
#: with half precision: most inputs are also kept as float32 copies.
KEPT_INPUT_BYTES = 3.0
#: Maps that a layer of the text encoder keeps for its backward pass, and its float32 copies in half precision.
CLIP_MAPS, CLIP_COPIES = 20.0, 6.2


@dataclass(frozen=True)
class Sd15Facts:
    """See :class:`lora_tui.families.protocol.Facts`."""

    name: str = "sd15"
    title: str = "Stable Diffusion 1.5"
    resolution: int = 512
    size_multiple: int = 8
    latent_factor: int = 8
    latent_channels: int = 4
    denoiser: str = "unet"
    model_version: str = "sd_v1"
    architecture: str = "stable-diffusion-v1"
    implementation: str = "https://github.com/Stability-AI/StableDiffusion"

    def targets(self, base: str | Path = "", *, text_encoder: bool = True) -> tuple[TargetModule, ...]:
        shape = shape_of(base)
        unet = _unet_targets(shape)
        return (*unet, *_clip_targets(shape)) if text_encoder else tuple(unet)

    def lora_parameters(self, rank: int, base: str | Path = "", *, text_encoder: bool = True) -> int:
        return sum(module.parameters(rank) for module in self.targets(base, text_encoder=text_encoder))

    def part_parameters(self, base: str | Path = "") -> dict[str, int]:
        shape = shape_of(base)
        return {
            "unet": _unet_parameters(shape),
            "text_encoder": _clip_parameters(shape),
            "vae": _vae_parameters(shape),
        }

    def activation_bytes(
        self,
        width: int,
        height: int,
        batch: int,
        *,
        bytes_per_value: int,
        checkpointing: bool,
        text_encoder: bool = False,
        base: str | Path = "",
    ) -> int:
        shape = shape_of(base)
        latent = (width // 8, height // 8)
        kept = _unet_activations(shape, *latent, checkpointing) * bytes_per_value
        if bytes_per_value < ADAPTER_BYTES and not checkpointing:
            kept += KEPT_INPUT_BYTES * _adapter_inputs(shape, *latent)
        if text_encoder:
            values = shape.clip_layers * shape.positions * shape.clip_width
            copies = CLIP_COPIES * ADAPTER_BYTES if bytes_per_value < ADAPTER_BYTES else 0
            kept += values * (CLIP_MAPS * bytes_per_value + copies)
        return int(kept * batch)


def _transformers(shape: Shape) -> list[tuple[str, int]]:
    """Dotted names and widths of the UNet's transformers, in the order of the forward pass."""
    widths = shape.unet_channels
    found = [(f"down_blocks.{b}.attentions.{i}", widths[b]) for b in range(3) for i in range(LAYERS)]
    found.append(("mid_block.attentions.0", widths[3]))
    found += [(f"up_blocks.{b}.attentions.{i}", widths[3 - b]) for b in range(1, 4) for i in range(LAYERS + 1)]
    return found


def _unet_targets(shape: Shape) -> list[TargetModule]:
    found = []
    for path, width in _transformers(shape):
        block = f"{path}.transformer_blocks.0"
        found.append(TargetModule("unet", f"{path}.proj_in", width, width, convolution=True))
        for attention, context in (("attn1", width), ("attn2", shape.cross_width)):
            found.append(TargetModule("unet", f"{block}.{attention}.to_q", width, width))
            found.append(TargetModule("unet", f"{block}.{attention}.to_k", context, width))
            found.append(TargetModule("unet", f"{block}.{attention}.to_v", context, width))
            found.append(TargetModule("unet", f"{block}.{attention}.to_out.0", width, width))
        found.append(TargetModule("unet", f"{block}.ff.net.0.proj", width, width * 8))
        found.append(TargetModule("unet", f"{block}.ff.net.2", width * 4, width))
        found.append(TargetModule("unet", f"{path}.proj_out", width, width, convolution=True))
    return found


def _clip_targets(shape: Shape) -> list[TargetModule]:
    width, inner = shape.clip_width, shape.clip_inner
    found = []
    for layer in range(shape.clip_layers):
        path = f"encoder.layers.{layer}"
        found += [
            TargetModule("text_encoder", f"{path}.self_attn.{name}", width, width)
            for name in ("q_proj", "k_proj", "v_proj", "out_proj")
        ]
        found.append(TargetModule("text_encoder", f"{path}.mlp.fc1", width, inner))
        found.append(TargetModule("text_encoder", f"{path}.mlp.fc2", inner, width))
    return found


def _convolution(inputs: int, outputs: int, kernel: int = 3) -> int:
    return inputs * outputs * kernel * kernel + outputs


def _linear(inputs: int, outputs: int, bias: bool = True) -> int:
    return inputs * outputs + (outputs if bias else 0)


def _resnet(inputs: int, outputs: int, time: int = 0) -> int:
    total = 2 * inputs + _convolution(inputs, outputs) + 2 * outputs + _convolution(outputs, outputs)
    total += _linear(time, outputs) if time else 0
    return total + (_convolution(inputs, outputs, 1) if inputs != outputs else 0)


def _transformer_parameters(width: int, cross: int) -> int:
    attention = 2 * _linear(width, width, False) + 2 * _linear(width, width)  # q of both, out of both
    attention += 2 * _linear(width, width, False) + 2 * _linear(cross, width, False)  # k and v of both
    feed = _linear(width, width * 8) + _linear(width * 4, width)
    norms = 3 * 2 * width + 2 * width
    return attention + feed + norms + 2 * _convolution(width, width, 1)


def _unet_parameters(shape: Shape) -> int:
    widths, time = shape.unet_channels, shape.unet_channels[0] * 4
    total = _linear(widths[0], time) + _linear(time, time)
    total += _convolution(shape.latent_channels, widths[0]) + 2 * widths[0]
    total += _convolution(widths[0], shape.latent_channels)
    total += sum(_transformer_parameters(width, shape.cross_width) for _, width in _transformers(shape))
    skips, inputs = [widths[0]], widths[0]
    for block, width in enumerate(widths):
        for _ in range(LAYERS):
            total += _resnet(inputs, width, time)
            inputs = width
            skips.append(width)
        if block < 3:
            total += _convolution(width, width)
            skips.append(width)
    total += 2 * _resnet(inputs, inputs, time)
    for block, width in enumerate(reversed(widths)):
        for _ in range(LAYERS + 1):
            total += _resnet(inputs + skips.pop(), width, time)
            inputs = width
        total += _convolution(width, width) if block < 3 else 0
    return total


def _clip_parameters(shape: Shape) -> int:
    width, inner = shape.clip_width, shape.clip_inner
    layer = 4 * _linear(width, width) + _linear(width, inner) + _linear(inner, width) + 4 * width
    return shape.vocabulary * width + shape.positions * width + shape.clip_layers * layer + 2 * width


def _vae_parameters(shape: Shape) -> int:
    widths, latent = shape.vae_channels, shape.latent_channels
    top = widths[-1]
    middle = 2 * _resnet(top, top) + 4 * _linear(top, top) + 2 * top
    encoder = _convolution(3, widths[0]) + 2 * top + _convolution(top, 2 * latent)
    decoder = _convolution(latent, top) + 2 * widths[0] + _convolution(widths[0], 3)
    inputs = widths[0]
    for block, width in enumerate(widths):
        encoder += sum(_resnet(inputs if i == 0 else width, width) for i in range(LAYERS))
        encoder += _convolution(width, width) if block < 3 else 0
        inputs = width
    inputs = top
    for block, width in enumerate(reversed(widths)):
        decoder += sum(_resnet(inputs if i == 0 else width, width) for i in range(LAYERS + 1))
        decoder += _convolution(width, width) if block < 3 else 0
        inputs = width
    quant = _convolution(2 * latent, 2 * latent, 1) + _convolution(latent, latent, 1)
    return encoder + decoder + 2 * middle + quant


def _unet_activations(shape: Shape, width: int, height: int, checkpointing: bool) -> float:
    """Values kept for the backward pass of one image of ``width`` x ``height`` latent cells.

    Counted by kind: a resnet keeps about 8.5 maps of its width, a transformer about 32 (inputs of norms,
    projections, attention, a feed-forward of 8x width with its gate). Measured on the full model at 512 px:
    467 million values. Checkpointing keeps two maps a layer and the inside of the largest block.
    """
    total, largest = 0.0, 0.0
    for block, channels in enumerate(shape.unet_channels):
        area = (width >> block) * (height >> block)
        layers = 2 * LAYERS + 1
        inside = 8.5 * channels * area + (31.9 * channels * area if block < 3 else 0.0)
        total += layers * (channels * area * 2.0 if checkpointing else inside)
        largest = max(largest, inside)
    return total + (largest if checkpointing else 0.0)


def _adapter_inputs(shape: Shape, width: int, height: int) -> int:
    """Values that go into the UNet's adapted layers for one image; text is small beside them and left out."""
    widths = shape.unet_channels
    layers = 2 * LAYERS + 1
    levels = [(layers, widths[b], (width >> b) * (height >> b)) for b in range(3)]
    levels.append((1, widths[3], (width >> 3) * (height >> 3)))
    return sum(count * channels * area * INPUTS_OF_TRANSFORMER for count, channels, area in levels)


FACTS = Sd15Facts()
