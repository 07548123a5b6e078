"""SD3's LoRA files in kohya's names: each layer adds what it does in the names of diffusers."""

from __future__ import annotations

from dataclasses import replace

import torch

from lora_tui.families.sd3.shape import SD35_MEDIUM
from lora_tui.families.sd3.targets import transformer_targets
from lora_tui.weights.fused import split
from lora_tui.weights.lora_file import file_tensors


def test_sd3_at_real_width_adds_the_same_in_kohyas_names_and_in_its_own() -> None:
    """A block with a second attention and the last one, as sd-scripts names them; diffusers reads none of these."""
    shape = replace(SD35_MEDIUM, blocks=2, dual=1)
    width = shape.width
    assert width == 1536
    generator = torch.Generator().manual_seed(3)
    layers = {
        ("transformer", target.path): {
            "lora_down.weight": torch.randn(4, target.inputs, generator=generator),
            "lora_up.weight": torch.randn(target.outputs, 4, generator=generator),
            "alpha": torch.tensor(1.5),
        }
        for target in transformer_targets(shape)
    }
    tensors = file_tensors("sd3", layers, dtype=torch.float32, layout="kohya")
    names = {name.rsplit(".", 2)[0] if name.endswith("weight") else name.removesuffix(".alpha") for name in tensors}
    block = {
        "x_block_adaLN_modulation_1", "context_block_adaLN_modulation_1", "x_block_attn_qkv", "context_block_attn_qkv",
        "x_block_attn_proj", "context_block_attn_proj", "x_block_attn2_qkv", "x_block_attn2_proj", "x_block_mlp_fc1",
        "x_block_mlp_fc2", "context_block_mlp_fc1", "context_block_mlp_fc2",
    }  # fmt: skip
    last = {name for name in block if "attn2" not in name and name.startswith("x_")} | {"context_block_attn_qkv"}
    assert names == {f"lora_unet_joint_blocks_0_{name}" for name in block} | {
        f"lora_unet_joint_blocks_1_{name}" for name in last
    }
    assert tensors["lora_unet_joint_blocks_0_x_block_attn_qkv.lora_down.weight"].shape == (12, width)
    back = {
        path: layer
        for name in names
        for path, layer in split(
            name,
            (
                tensors[f"{name}.lora_down.weight"],
                tensors[f"{name}.lora_up.weight"],
                float(tensors[f"{name}.alpha"]),
            ),
        ).items()
    }
    unused = back.pop("transformer_blocks.1.attn.add_q_proj")  # stands between the others, and decides nothing
    assert not unused[1].any()
    assert back.keys() == {path for _part, path in layers}
    for (_part, path), own in layers.items():
        down, up, alpha = back[path]
        probe = torch.randn(down.shape[1], 8, generator=generator)  # the products in full take seconds
        wanted = own["lora_up.weight"] @ (own["lora_down.weight"] @ probe) * (1.5 / 4)
        assert torch.allclose(up @ (down @ probe) * (alpha / down.shape[0]), wanted, rtol=1e-4, atol=1e-2), path


def test_the_text_modulation_of_sd3s_last_block_is_turned_round_and_no_other() -> None:
    down, up = torch.randn(2, 64), torch.arange(256.0).view(128, 2)
    (turned,) = split("lora_unet_joint_blocks_23_context_block_adaLN_modulation_1", (down, up, 2.0)).values()
    assert torch.equal(turned[1], torch.cat([up[64:], up[:64]]))
    whole = torch.arange(768.0).view(384, 2)
    (kept,) = split("lora_unet_joint_blocks_22_context_block_adaLN_modulation_1", (down, whole, 2.0)).values()
    assert torch.equal(kept[1], whole)
