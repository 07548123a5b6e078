"""Names of a model's tensors in the original single-file layout (LDM, SGM), from diffusers' names. Knows no torch.

The format is that of CompVis' and Stability's checkpoints, which A1111, ComfyUI and sd-scripts read and write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lora_tui.families.unet.shape import UNET_PREFIX, VAE_PREFIX
from lora_tui.weights.names.sgm import BLOCK, MIDDLE, sgm_path

if TYPE_CHECKING:
    from lora_tui.families.unet.facts import UnetFacts

_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def file_name(facts: UnetFacts, part: str, name: str) -> str:
    """The single-file name of the tensor that holds ``name`` of ``part`` (``unet``, ``vae``, a text encoder).

    Raises:
        KeyError: the part is unknown.
        ValueError: the part has no such tensor.
    """
    if part in ("unet", "vae"):
        path, kind = name.rsplit(".", 1)
        if part == "unet":
            return f"{UNET_PREFIX}{sgm_path(path, top_attends=facts.full.depths[-1] > 0)}.{kind}"
        return f"{VAE_PREFIX}{_vae(path)}.{kind}"
    return facts.encoder(part).file_name(name)


def is_vae_attention(name: str) -> bool:
    """Whether a VAE tensor is a matrix in diffusers and a 1x1 convolution in the single file."""
    return ".attentions." in name and name.endswith(".weight") and "group_norm" not in name


def _vae(path: str) -> str:
    if path in ("quant_conv", "post_quant_conv"):
        return path
    side, rest = path.split(".", 1)
    if rest in ("conv_in", "conv_out"):
        return path
    if rest == "conv_norm_out":
        return f"{side}.norm_out"
    if found := MIDDLE.fullmatch(rest):
        kind, index, inner = found.groups()
        if kind == "attentions":
            return f"{side}.mid.attn_1.{_VAE_ATTENTION[inner]}"
        return f"{side}.mid.block_{int(index) + 1}.{_vae_resnet(inner)}"
    if found := BLOCK.fullmatch(rest):
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
