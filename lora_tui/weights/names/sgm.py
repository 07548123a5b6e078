"""What UNet layers are called in the original repositories of Stable Diffusion, from diffusers' names. Needs no torch.

The format is that of CompVis' and Stability's checkpoints (``input_blocks.4.1.``), which A1111, ComfyUI and sd-scripts
read and write; LoRA files of XL use these names, too.
"""

from __future__ import annotations

import re

_WHOLE = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
BLOCK = re.compile(r"(down|up)_blocks\.(\d)\.(resnets|attentions|downsamplers|upsamplers)\.(\d)\.(.+)")
MIDDLE = re.compile(r"mid_block\.(resnets|attentions)\.(\d)\.(.+)")


def sgm_path(path: str, *, top_attends: bool) -> str:
    """The original name of the layer that diffusers calls ``path`` (``down_blocks.1.attentions.0.proj_in``).

    ``top_attends``: whether the first block on the way up has transformers, as in XL; its upsampler is counted after
    them.

    Raises:
        ValueError: there is no such layer.
    """
    if path in _WHOLE:
        return _WHOLE[path]
    if found := MIDDLE.fullmatch(path):
        kind, index, inner = found.groups()
        return f"middle_block.{1 if kind == 'attentions' else 2 * int(index)}.{_RESNET.get(inner, inner)}"
    if found := BLOCK.fullmatch(path):
        direction, block, kind, index, inner = found.groups()
        b, i = int(block), int(index)
        inner = _RESNET.get(inner, inner) if kind == "resnets" else inner
        if kind == "downsamplers":
            return f"input_blocks.{3 * b + 3}.0.op"
        if kind == "upsamplers":
            return f"output_blocks.{3 * b + 2}.{1 if b == 0 and not top_attends else 2}.conv"
        place = f"input_blocks.{1 + 3 * b + i}" if direction == "down" else f"output_blocks.{3 * b + i}"
        return f"{place}.{0 if kind == 'resnets' else 1}.{inner}"
    raise ValueError(f"no UNet tensor: {path}")
