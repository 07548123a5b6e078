"""Qwen-Image's VAE: a picture is a video of one frame, and each channel of its latents is normed by numbers of its own.

Sources: diffusers' ``QwenImagePipeline`` and ``AutoencoderKLQwenImage``.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKLQwenImage
from torch import Tensor, nn

from lora_tui.families import decoding
from lora_tui.families.loading import module_of_folder, network_without_weights
from lora_tui.families.qwen.shape import vae_config
from lora_tui.families.qwen.tensors import vae_name
from lora_tui.families.separate.model_file import in_dtype
from lora_tui.families.separate.model_vae import Vae
from lora_tui.families.state_dicts import load_exactly

FACTOR = 8
"""Pixels along each side of a cell."""


class FrameLatents(Vae):
    """diffusers' ``AutoencoderKLQwenImage``."""

    def load(self) -> AutoencoderKLQwenImage:
        place = self.place
        if place.is_folder:
            return module_of_folder(AutoencoderKLQwenImage, place.path, pickles=False, torch_dtype=torch.float32)
        tensors = {
            vae_name(name.removeprefix(place.prefix)): tensor for name, tensor in in_dtype(place, torch.float32).items()
        }
        width, channels = tensors["encoder.conv_in.weight"].shape[0], tensors["decoder.conv_in.weight"].shape[1]
        module = network_without_weights(AutoencoderKLQwenImage, vae_config(width, channels))
        load_exactly(module, tensors, optional_prefix="", place=f"{place.path}: VAE", assign=True)
        return module  # type: ignore[no-any-return]

    def encode(self, vae: Any, pixels: Tensor, noise: Tensor) -> Tensor:
        posterior = vae.encode(pixels[:, :, None]).latent_dist
        latents = (posterior.mean + posterior.std * noise[:, :, None])[:, :, 0]
        mean, spread = _norms(vae, latents)
        return (latents - mean) / spread

    def decode(self, vae: Any, latents: Tensor, *, tiled: bool) -> Tensor:
        mean, spread = _norms(vae, latents)
        plain = latents * spread + mean
        needed = decoding.map_bytes(plain, FACTOR, 2 * vae.config.base_dim)
        return decoding.decoded(
            plain,
            lambda: vae.decode(plain[:, :, None]).sample[:, :, 0],
            lambda one: in_strips(vae, one, plain.device),
            tiled=tiled or decoding.lacks_room(plain, needed),
        )

    def words(self, vae: Any) -> str:
        return f" {list(vae.config.latents_mean)!r} {list(vae.config.latents_std)!r}"


def _norms(vae: Any, like: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and spread of each channel: [1, channels, 1, 1]."""
    told = (vae.config.latents_mean, vae.config.latents_std)
    mean, spread = (torch.tensor(numbers).view(1, -1, 1, 1).to(like) for numbers in told)
    return mean, spread


@torch.no_grad()
def in_strips(vae: Any, latents: Tensor, device: torch.device) -> Tensor:
    """What ``vae`` decodes ``latents`` ([1, channels, rows, columns] on the CPU) to, a strip of rows at a time.

    In a video of a single frame nothing lies before that frame, so that of each convolution only the last slice in time
    counts. Its norms look at one cell at a time.
    """
    strips, decoder = decoding.Strips(device), vae.decoder
    maps = strips.layer(latents, _flat(vae.post_quant_conv))
    maps = strips.layer(maps, _flat(decoder.conv_in))
    first, *rest = decoder.mid_block.resnets
    maps = _resnet(strips, first, maps)
    for attention, resnet in zip(decoder.mid_block.attentions, rest, strict=True):
        maps = _resnet(strips, resnet, _attention(strips, attention, maps))
    for block in decoder.up_blocks:
        for resnet in block.resnets:
            maps = _resnet(strips, resnet, maps)
        for upsampler in block.upsamplers or ():
            maps = strips.doubled(maps, upsampler.resample[1])
    return strips.layer(maps, _flat(decoder.conv_out), _normed(decoder.norm_out, decoder.nonlinearity)).clamp(-1, 1)


def _resnet(strips: decoding.Strips, block: Any, maps: Tensor) -> Tensor:
    inner = strips.layer(maps, _flat(block.conv1), _normed(block.norm1, block.nonlinearity))
    outer = strips.layer(inner, _flat(block.conv2), _normed(block.norm2, block.nonlinearity))
    del inner
    shortcut = block.conv_shortcut
    return outer.add_(maps if isinstance(shortcut, nn.Identity) else strips.layer(maps, _flat(shortcut)))


def _attention(strips: decoding.Strips, layer: Any, maps: Tensor) -> Tensor:
    """All cells ask all cells, some of them at a time."""
    asked = layer.to_qkv(layer.norm(maps.to(strips.device))).flatten(2).mT
    query, key, value = asked.chunk(3, dim=-1)
    heard = [
        nn.functional.scaled_dot_product_attention(part, key, value)
        for part in query.split(decoding.ASKING_CELLS, dim=1)
    ]
    changed = layer.proj(torch.cat(heard, dim=1).mT.unflatten(2, maps.shape[-2:]))
    return changed.to(maps.device).add_(maps)


def _normed(norm: Any, after: nn.Module) -> decoding.Work:
    return lambda strip: after(norm(strip[:, :, None])[:, :, 0])


def _flat(convolution: nn.Conv3d) -> nn.Conv2d:
    """What ``convolution`` does to a single frame."""
    weight = convolution.weight[:, :, -1]
    outputs, inputs, kernel = weight.shape[:3]
    with torch.device("meta"):
        flat = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    flat.weight, flat.bias = nn.Parameter(weight, requires_grad=False), convolution.bias
    return flat
