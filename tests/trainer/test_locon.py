"""LoCon: convolutions are trained with a rank of their own, and other programs read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lives import live_here, micro_config, new_run
from safetensors.torch import load_file

from lora_tui.families import facts_for
from lora_tui.runs.folder import RunFolder
from lora_tui.weights.header.loras import lora_info

NETWORK = {"type": "locon", "rank": 4, "alpha": 2.0, "conv_rank": 2, "conv_alpha": 0.5, "text_encoder": False}
LAYER = "mid_block.resnets.0.conv1"


@pytest.fixture(scope="module")
def trained(base: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    changes: dict[str, Any] = {"network": NETWORK, "steps": {"epochs": 1}, "samples": [], "validation": {"mode": "off"}}
    run = new_run(tmp_path_factory.mktemp("runs"), micro_config(base, data, **changes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORA_TUI_HOME", str(tmp_path_factory.mktemp("home")))
        assert live_here(run) == 0
    return run


def test_the_file_says_its_ranks(trained: RunFolder, base: Path) -> None:
    targets = facts_for("sd15").targets(base, text_encoder=False, convolutions=True)
    large = sum(target.kernel > 1 for target in targets)
    info = lora_info(trained.checkpoints_dir / "blob.safetensors")
    assert (info.kind, info.modules) == ("locon", len(targets))
    assert dict(info.ranks) == {4: len(targets) - large, 2: large}
    assert dict(info.alphas) == {2.0: len(targets) - large, 0.5: large}
    assert json.loads(info.metadata["ss_network_args"]) == {"conv_dim": "2", "conv_alpha": "0.5"}


def test_diffusers_adds_the_same_to_every_layer(trained: RunFolder, base: Path) -> None:
    """What it fuses into the base is up after down, times alpha / rank, of each of our layers."""
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(
        base, local_files_only=True, safety_checker=None, torch_dtype=torch.float32
    )
    before = {name: value.clone() for name, value in pipe.unet.state_dict().items()}
    pipe.load_lora_weights(str(trained.checkpoints_dir), weight_name="blob.safetensors")
    pipe.fuse_lora()
    pipe.unload_lora_weights()
    after = pipe.unet.state_dict()
    tensors = load_file(trained.checkpoints_dir / "blob.safetensors")
    for target in facts_for("sd15").targets(base, text_encoder=False, convolutions=True):
        name = f"lora_unet_{target.path.replace('.', '_')}"
        down, up = (tensors[f"{name}.lora_{side}.weight"].float() for side in ("down", "up"))
        update = torch.einsum("or,ri...->oi...", up.flatten(1), down) * tensors[f"{name}.alpha"] / len(down)
        changed = after[f"{target.path}.weight"] - before[f"{target.path}.weight"]
        assert changed.abs().max() > 0, target.path
        assert torch.allclose(changed, update.reshape(changed.shape), atol=1e-6), target.path
