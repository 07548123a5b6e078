"""Cutting a DyLoRA: what is wrong is said before anything is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from lora_tui.cli.main import run

STEM = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"


def _file(path: Path, *, up: int = 8, **metadata: str) -> Path:
    tensors = {f"{STEM}.lora_down.weight": torch.ones(8, 6), f"{STEM}.lora_up.weight": torch.ones(5, up)}
    own = {"ss_network_module": "networks.dylora", "ss_network_args": json.dumps({"unit": 2}), "ss_network_alpha": "4"}
    save_file({**tensors, f"{STEM}.alpha": torch.tensor(4.0)}, path, {**own, **metadata})
    return path


@pytest.mark.parametrize(
    ("options", "metadata", "up"),
    [
        (["--ranks", "2,5"], {}, 8),
        (["--ranks", "2," + "9" * 4000], {}, 8),
        ([], {"ss_network_args": '{"unit": 1e999}'}, 8),
        ([], {"ss_network_args": "[" * 100_000}, 8),
        ([], {"ss_network_args": '{"unit": 1000}'}, 8),
        ([], {}, 4),
    ],
)
def test_nothing_is_written_where_something_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], metadata: dict[str, str], up: int
) -> None:
    path = _file(tmp_path / "a.safetensors", up=up, **metadata)
    assert run(["lora", "split", str(path), "--to", str(tmp_path / "out"), *options]) == 2
    assert not (tmp_path / "out").exists()
    told = capsys.readouterr().err
    assert str(path) in told and "inside lora-tui" not in told


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _file(tmp_path / "a.safetensors")
    for place in (str(path), "/proc/x"):
        assert run(["lora", "split", str(path), "--to", place]) == 2
        told = capsys.readouterr().err
        assert place in told and "inside lora-tui" not in told


def test_an_alpha_in_the_metadata_that_is_none_is_left_out(tmp_path: Path) -> None:
    path = _file(tmp_path / "a.safetensors", ss_network_alpha="abc")
    assert run(["lora", "split", str(path), "--ranks", "2,2"]) == 0
    with safe_open(tmp_path / "a-rank02.safetensors", framework="pt") as file:
        assert "ss_network_alpha" not in file.metadata()
        assert float(file.get_tensor(f"{STEM}.alpha")) == 1.0
