"""What Qwen-Image's VAE is called tensor by tensor in ComfyUI's files: by the names of Wan's, of which it was made.

Its transformer has the names of diffusers in all files. Source: diffusers' conversion of Wan's VAE
(``convert_wan_vae_to_diffusers``). Knows no torch.
"""

from __future__ import annotations

#: Paths of the VAE's parts outside its levels in Wan's names -> those of diffusers, in encoder and decoder.
_HALF = {
    "conv1": "conv_in",
    "middle.0": "mid_block.resnets.0",
    "middle.1": "mid_block.attentions.0",
    "middle.2": "mid_block.resnets.1",
    "head.0": "norm_out",
    "head.2": "conv_out",
}
_RESNET = {
    "residual.0": "norm1", "residual.2": "conv1", "residual.3": "norm2", "residual.6": "conv2",
    "shortcut": "conv_shortcut",
}  # fmt: skip
WAN_SIGN = "decoder.middle.0.residual.0.gamma"
"""A tensor that a VAE in Wan's names has."""
SIGN = "decoder.mid_block.resnets.0.norm1.gamma"
"""The same in those of diffusers."""


def vae_name(name: str) -> str:
    """What diffusers calls the tensor ``name`` of a VAE, if that is one of Wan's names; any other stays as it is."""
    path, _dot, kind = name.rpartition(".")
    if path in ("conv1", "conv2"):
        return f"{'quant_conv' if path == 'conv1' else 'post_quant_conv'}.{kind}"
    half, _dot, inner = path.partition(".")
    for wan, ours in _HALF.items():
        if inner == wan or inner.startswith(f"{wan}."):
            return f"{half}.{ours}{_in_resnet(inner.removeprefix(wan))}.{kind}"
    levels, _dot, rest = inner.partition(".")
    number, _dot, layer = rest.partition(".")
    if levels == "downsamples":
        return f"{half}.down_blocks.{number}{_in_resnet(f'.{layer}')}.{kind}"
    if levels == "upsamples" and number.isdecimal():
        level, place = divmod(int(number), 4)  # three of the one kind and what doubles the sides
        inside = f"resnets.{place}" if place < 3 else "upsamplers.0"
        return f"{half}.up_blocks.{level}.{inside}{_in_resnet(f'.{layer}')}.{kind}"
    return name


def _in_resnet(path: str) -> str:
    """``path`` below a part, which begins with a dot where there is one."""
    found = path.removeprefix(".")
    return f".{_RESNET.get(found, found)}" if found else ""
