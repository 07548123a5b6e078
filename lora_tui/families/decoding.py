"""Decoding latents in strips: the same picture as in one piece, in a fraction of the memory.

A VAE's decoder is convolutions, which see a row above and below, norms over a whole map, and one attention. Maps lie in
the computer's memory; strips of their rows, with the rows around them, visit the device one after the other. Norms are
taken over the whole map first, and attention asks with some of its cells at a time. So there are no seams, unlike where
tiles are decoded each by itself and laid over one another (diffusers' ``enable_tiling``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

STRIP_CELLS = 1 << 17
"""Cells of a map that visit the device at a time: 128 rows of an image of 1024 px."""
ASKING_CELLS = 1 << 11
"""Cells of the attention that ask at a time."""
LARGEST_MAPS = 3.5
"""Maps of the largest size that are held while an image is decoded in one piece: what goes into a layer, through its
norm and its activation, and half as much that comes out."""

Work = Callable[[Tensor], Tensor]


@torch.no_grad()
def decode(vae: Any, latents: Tensor, *, tiled: bool) -> Tensor:
    """Pixels ([batch, 3, height, width] in 0..1, float32) of unscaled latents on the device of ``vae`` (diffusers').

    In strips with ``tiled``, or where a GPU has no room for more; the pixels are then on the CPU.
    """
    return decoded(
        latents,
        lambda: vae.decode(latents).sample,
        lambda one: _in_strips(vae, one, latents.device),
        tiled=tiled or lacks_room(latents, whole_bytes(vae, latents)),
    )


def decoded(latents: Tensor, whole: Callable[[], Tensor], in_strips: Work, *, tiled: bool) -> Tensor:
    """Pixels in 0..1 of what ``whole`` makes of ``latents``, or, where ``tiled``, ``in_strips`` of each on the CPU."""
    pixels = torch.cat([in_strips(one[None]) for one in latents.cpu()]) if tiled else whole()
    return (pixels / 2 + 0.5).clamp(0, 1)


def whole_bytes(vae: Any, latents: Tensor) -> int:
    """About what decoding in one piece takes besides the VAE itself."""
    channels = vae.config.block_out_channels
    return map_bytes(latents, 2 ** (len(channels) - 1), max(channels[:2]))


def map_bytes(latents: Tensor, factor: int, widest: int) -> int:
    """The same for pixels ``factor`` times as close as cells, where the maps at that have up to ``widest`` channels."""
    cells = latents.shape[0] * latents.shape[-2] * latents.shape[-1] * factor**2
    return int(LARGEST_MAPS * cells * widest * latents.element_size())


def lacks_room(latents: Tensor, needed: int) -> bool:
    """Whether the GPU on which ``latents`` lie, if they do, has fewer bytes left than are ``needed``."""
    if latents.device.type != "cuda":
        return False
    free = torch.cuda.mem_get_info(latents.device)[0]
    unused = torch.cuda.memory_reserved(latents.device) - torch.cuda.memory_allocated(latents.device)
    return needed > free + unused


def _in_strips(vae: Any, latents: Tensor, device: torch.device) -> Tensor:
    """[1, 3, height, width] on the CPU, before it is brought to 0..1."""
    strips, decoder = Strips(device), vae.decoder
    if getattr(vae, "post_quant_conv", None) is not None:
        latents = strips.layer(latents, vae.post_quant_conv)
    maps = strips.layer(latents, decoder.conv_in)
    first, *rest = decoder.mid_block.resnets
    maps = _resnet(strips, first, maps)
    for attention, resnet in zip(decoder.mid_block.attentions, rest, strict=True):
        if attention is not None:
            maps = _attention(strips, attention, maps)
        maps = _resnet(strips, resnet, maps)
    for block in decoder.up_blocks:
        for resnet in block.resnets:
            maps = _resnet(strips, resnet, maps)
        for upsampler in block.upsamplers or ():
            maps = strips.doubled(maps, upsampler.conv)
    return strips.layer(maps, decoder.conv_out, strips.normed(decoder.conv_norm_out, maps, decoder.conv_act))


def _resnet(strips: Strips, block: Any, maps: Tensor) -> Tensor:
    """What diffusers' ``ResnetBlock2D`` without an embedding gives."""
    inner = strips.layer(maps, block.conv1, strips.normed(block.norm1, maps, block.nonlinearity))
    outer = strips.layer(inner, block.conv2, strips.normed(block.norm2, inner, block.nonlinearity))
    del inner
    around = maps if block.conv_shortcut is None else strips.layer(maps, block.conv_shortcut)
    return outer.add_(around).div_(block.output_scale_factor)


def _attention(strips: Strips, layer: Any, maps: Tensor) -> Tensor:
    """What diffusers' ``Attention`` over a map gives: all cells ask all cells, some of them at a time."""
    normed = strips.normed(layer.group_norm, maps)
    cells = normed(maps.to(strips.device)).flatten(2).mT
    key, value = (_heads(made(cells), layer.heads) for made in (layer.to_k, layer.to_v))
    found = torch.empty(1, cells.shape[1], maps.shape[1])
    for start in range(0, cells.shape[1], ASKING_CELLS):
        query = _heads(layer.to_q(cells[:, start : start + ASKING_CELLS]), layer.heads)
        heard = nn.functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        found[:, start : start + ASKING_CELLS] = layer.to_out[0](heard)
    changed = found.mT.unflatten(2, maps.shape[-2:])
    return (changed + maps if layer.residual_connection else changed).div_(layer.rescale_output_factor)


def _heads(cells: Tensor, count: int) -> Tensor:
    """[batch, cells, width] as [batch, heads, cells, width of a head]."""
    return cells.unflatten(-1, (count, -1)).transpose(1, 2)


class Strips:
    """Layers over maps ([1, channels, rows, columns] on the CPU), a strip of rows at a time on ``device``."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def layer(self, maps: Tensor, convolution: Any, before: Work = lambda strip: strip) -> Tensor:
        """``convolution`` (of one or three cells) over what ``before`` makes of ``maps``."""
        halo = int(convolution.kernel_size[0]) // 2
        rows, columns = maps.shape[-2:]
        found = torch.empty(1, convolution.out_channels, rows, columns)
        step = max(1, STRIP_CELLS // columns)
        for start in range(0, rows, step):
            stop = min(start + step, rows)
            above, below = min(halo, start), min(halo, rows - stop)
            strip = before(maps[:, :, start - above : stop + below].to(self.device))
            made = convolution(strip)
            found[:, :, start:stop] = made[:, :, above : made.shape[2] - below]
        return found

    def doubled(self, maps: Tensor, convolution: Any) -> Tensor:
        """``convolution`` over ``maps`` of twice the sides, each cell repeated."""
        rows, columns = maps.shape[-2:]
        found = torch.empty(1, convolution.out_channels, 2 * rows, 2 * columns)
        step = max(1, STRIP_CELLS // (4 * columns))
        for start in range(0, rows, step):
            stop = min(start + step, rows)
            above, below = min(1, start), min(1, rows - stop)
            strip = maps[:, :, start - above : stop + below].to(self.device)
            made = convolution(nn.functional.interpolate(strip, scale_factor=2.0, mode="nearest"))
            found[:, :, 2 * start : 2 * stop] = made[:, :, 2 * above : made.shape[2] - 2 * below]
        return found

    def normed(self, norm: Any, maps: Tensor, after: Work = lambda strip: strip) -> Work:
        """What makes of a strip of ``maps`` what the group norm makes of it in the whole, and then ``after``."""
        groups, size = norm.num_groups, maps[0].numel() // norm.num_groups
        step = max(1, STRIP_CELLS // maps.shape[-1])
        total = torch.zeros(groups, dtype=torch.float64)
        square = torch.zeros(groups, dtype=torch.float64)
        for start in range(0, maps.shape[2], step):
            part = maps[0, :, start : start + step].to(self.device).reshape(groups, -1).double()
            total += part.sum(dim=1).cpu()
            square += part.square().sum(dim=1).cpu()
        mean = total / size
        rate = ((square / size - mean.square()).clamp(min=0) + norm.eps).rsqrt()
        each = maps.shape[1] // groups
        middle, factor = (numbers.repeat_interleave(each).to(norm.weight)[:, None, None] for numbers in (mean, rate))
        factor = factor * norm.weight[:, None, None]

        def work(strip: Tensor) -> Tensor:
            return after((strip - middle).mul_(factor).add_(norm.bias[:, None, None]))

        return work
