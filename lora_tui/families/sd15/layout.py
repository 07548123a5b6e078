"""Names of SD1.x tensors in the original single-file layout (LDM), from diffusers' names. Knows no torch.

The format is that of CompVis' Stable Diffusion checkpoints, which A1111, ComfyUI and sd-scripts read and write.
"""

from __future__ import annotations

import re

from lora_tui.families.sd15.shape import CLIP_PREFIX, UNET_PREFIX, VAE_PREFIX

_UNET_WHOLE = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_UNET_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
_BLOCK = re.compile(r"(down|up)_blocks\.(\d)\.(resnets|attentions|downsamplers|upsamplers)\.(\d)\.(.+)")
_MIDDLE = re.compile(r"mid_block\.(resnets|attentions)\.(\d)\.(.+)")


def ldm_name(part: str, name: str) -> str:
    """The single-file name of the diffusers tensor ``name`` of ``part`` (``unet``, ``vae``, ``text_encoder``).

    Raises:
        KeyError: the part is unknown.
        ValueError: the part has no such tensor.
    """
    path, kind = name.rsplit(".", 1)
    match part:
        case "unet":
            return f"{UNET_PREFIX}{_unet(path)}.{kind}"
        case "vae":
            return f"{VAE_PREFIX}{_vae(path)}.{kind}"
        case "text_encoder":
            return f"{CLIP_PREFIX}text_model.{name.removeprefix('text_model.')}"
    raise KeyError(part)


def is_vae_attention(name: str) -> bool:
    """Whether a VAE tensor is a matrix in diffusers and a 1x1 convolution in the single file."""
    return ".attentions." in name and name.endswith(".weight") and "group_norm" not in name


def _unet(path: str) -> str:
    if path in _UNET_WHOLE:
        return _UNET_WHOLE[path]
    if found := _MIDDLE.fullmatch(path):
        kind, index, inner = found.groups()
        return f"middle_block.{1 if kind == 'attentions' else 2 * int(index)}.{_UNET_RESNET.get(inner, inner)}"
    if found := _BLOCK.fullmatch(path):
        direction, block, kind, index, inner = found.groups()
        b, i = int(block), int(index)
        inner = _UNET_RESNET.get(inner, inner) if kind == "resnets" else inner
        if kind == "downsamplers":
            return f"input_blocks.{3 * b + 3}.0.op"
        if kind == "upsamplers":
            return f"output_blocks.{3 * b + 2}.{1 if b == 0 else 2}.conv"
        place = f"input_blocks.{1 + 3 * b + i}" if direction == "down" else f"output_blocks.{3 * b + i}"
        return f"{place}.{0 if kind == 'resnets' else 1}.{inner}"
    raise ValueError(f"no UNet tensor: {path}")


def _vae(path: str) -> str:
    if path in ("quant_conv", "post_quant_conv"):
        return path
    side, rest = path.split(".", 1)
    if rest in ("conv_in", "conv_out"):
        return path
    if rest == "conv_norm_out":
        return f"{side}.norm_out"
    if found := _MIDDLE.fullmatch(rest):
        kind, index, inner = found.groups()
        if kind == "attentions":
            return f"{side}.mid.attn_1.{_VAE_ATTENTION[inner]}"
        return f"{side}.mid.block_{int(index) + 1}.{_vae_resnet(inner)}"
    if found := _BLOCK.fullmatch(rest):
        direction, block, kind, index, inner = found.groups()
        place = f"{side}.down.{block}" if direction == "down" else f"{side}.up.{3 - int(block)}"
        if kind == "downsamplers":
            return f"{place}.downsample.conv"
        if kind == "upsamplers":
            return f"{place}.upsample.conv"
        return f"{place}.block.{index}.{_vae_resnet(inner)}"
    raise ValueError(f"no VAE tensor: {path}")


def _vae_resnet(inner: str) -> str:
    return "nin_shortcut" if inner == "conv_shortcut" else inner
