"""Weights that hold other blocks than their configuration counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from model_headers import DIFFUSERS, TRANSFORMERS, text_shapes, unet_shapes, write_folder, write_safetensors

from lora_tui.errors import UserError
from lora_tui.families import check_model
from lora_tui.families.blocks import check_blocks


def refused(path: Path) -> UserError:
    with pytest.raises(UserError) as caught:
        check_model("sd15", path)
    return caught.value


def test_a_configuration_that_counts_fewer_blocks_than_the_weights_hold_is_refused(tmp_path):
    folder = write_folder(tmp_path / "base")
    config = folder / "text_encoder" / "config.json"
    config.write_text(json.dumps({"num_hidden_layers": 1}))
    told = refused(folder)
    assert told.code == "model.folder"
    assert told.message == (
        "text_encoder/config.json says num_hidden_layers = 1, but its weights hold encoder.layers.1 too."
    )
    config.write_text(json.dumps({"num_hidden_layers": 2}))
    write_safetensors(folder / "text_encoder" / TRANSFORMERS, text_shapes())
    more = "down_blocks.0.attentions.0.transformer_blocks.1"
    write_safetensors(folder / "unet" / DIFFUSERS, {**unet_shapes(), f"{more}.attn1.to_q.weight": (8, 8)})
    assert f"{more} too" in refused(folder).message


@pytest.mark.parametrize(
    ("setting", "start"),
    [
        ("num_layers", "transformer_blocks."),
        ("num_layers", "encoder.block."),
        ("num_single_layers", "single_transformer_blocks."),
        ("n_layers", "layers."),
        ("n_refiner_layers", "context_refiner."),
        ("num_hidden_layers", "text_model.encoder.layers."),
    ],
)
def test_blocks_of_every_family_are_counted(tmp_path, setting, start):
    names = [f"{start}{number}.weight" for number in range(3)]
    check_blocks({setting: 3}, names, tmp_path)
    with pytest.raises(UserError, match="hold"):
        check_blocks({setting: 2}, names, tmp_path)
    with pytest.raises(UserError, match="missing"):
        check_blocks({setting: 4}, names, tmp_path)


def test_a_language_model_may_lack_the_layers_that_are_never_read(tmp_path):
    check_blocks({"num_hidden_layers": 36}, ["model.layers.0.mlp.weight"], tmp_path)
    with pytest.raises(UserError):
        check_blocks({"num_hidden_layers": 1}, ["model.layers.1.mlp.weight"], tmp_path)
