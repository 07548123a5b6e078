"""What a check says of a LoRA file to go on from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from config_samples import config_with
from model_headers import write_safetensors

from lora_tui.config.validate import check_config


def test_a_lora_of_another_family_is_refused_wherever_it_is_named(tmp_path: Path) -> None:
    stem = "transformer.single_transformer_blocks.0.attn.to_q"
    file = write_safetensors(
        tmp_path / "flux.safetensors", {f"{stem}.lora_A.weight": (4, 3072), f"{stem}.lora_B.weight": (3072, 4)}
    )
    changes: dict[str, Any] = {
        "model": {"base": "owner/model", "family": "sd3", "loras": [str(file)]},
        "network": {"rank": 4},
    }
    changes["network"]["start_from"] = str(file)
    found = {finding.code: finding for finding in check_config(config_with(**changes))}
    for code in ("model.lora_family", "network.start_family"):
        assert "flux.safetensors is a LoRA of FLUX.1, but the base model is" in found[code].message
    changes["network"]["start_from"] = "nowhere.safetensors"
    found = {finding.code: finding for finding in check_config(config_with(**changes))}
    assert "those of --set from the current one" in found["network.start_missing"].remedy


def test_a_file_whose_layers_leave_the_family_open_is_taken_where_they_fit(tmp_path: Path) -> None:
    """Convolutions of SDXL alone look like those of SD1.5."""
    stem = "lora_unet_mid_block_resnets_0_conv1"
    file = write_safetensors(
        tmp_path / "conv.safetensors",
        {f"{stem}.lora_down.weight": (8, 1280, 3, 3), f"{stem}.lora_up.weight": (1280, 8, 1, 1)},
    )
    config = config_with(
        model={"base": "owner/model", "family": "sdxl"}, network={"type": "locon", "start_from": str(file)}
    )
    assert not [finding for finding in check_config(config) if finding.code.startswith("network.start")]
