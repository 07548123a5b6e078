"""What other programs make of the file: diffusers reads every module, and strength 0 is the base itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lora_tui.families import facts_for
from lora_tui.runs.folder import RunFolder


@pytest.fixture(scope="module")
def pipeline(base: Path) -> Any:
    import torch
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(
        base, local_files_only=True, safety_checker=None, torch_dtype=torch.float32
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _draw(pipe: Any, **options: Any) -> Any:
    import torch

    generator = torch.Generator().manual_seed(3)
    return pipe(
        "blob, disc", num_inference_steps=2, height=64, width=64, generator=generator, output_type="np", **options
    ).images[0]


def test_diffusers_loads_every_module(pipeline: Any, finished: RunFolder, base: Path) -> None:
    before = _draw(pipeline)
    pipeline.load_lora_weights(str(finished.checkpoints_dir), weight_name="blob.safetensors", adapter_name="blob")
    try:
        attached = sum(
            hasattr(module, "lora_A") and "blob" in module.lora_A
            for part in (pipeline.unet, pipeline.text_encoder)
            for module in part.modules()
        )
        assert attached == len(facts_for("sd15").targets(base))
        pipeline.set_adapters("blob", 1.0)
        assert np.abs(_draw(pipeline) - before).max() > 1e-3
        pipeline.set_adapters("blob", 0.0)
        assert np.array_equal(_draw(pipeline), before)
    finally:
        pipeline.unload_lora_weights()


def test_diffusers_applies_the_true_alpha(pipeline: Any, finished: RunFolder) -> None:
    """The update that diffusers adds is up @ down * alpha / rank of our file."""
    import torch
    from safetensors.torch import load

    tensors = load((finished.checkpoints_dir / "blob.safetensors").read_bytes())
    name = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    expected = (tensors[f"{name}.lora_up.weight"].float() @ tensors[f"{name}.lora_down.weight"].float()) * (2.0 / 4.0)
    layer = pipeline.unet.mid_block.attentions[0].transformer_blocks[0].attn1
    before = layer.to_q.weight.detach().clone()
    pipeline.load_lora_weights(str(finished.checkpoints_dir), weight_name="blob.safetensors", adapter_name="blob")
    try:
        pipeline.fuse_lora()
        fused = layer.to_q.base_layer.weight.detach()
        assert torch.allclose(fused - before, expected, atol=1e-6)
        pipeline.unfuse_lora()
    finally:
        pipeline.unload_lora_weights()
