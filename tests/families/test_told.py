"""Numbers in a model folder's configuration files that cannot be, and what is no file at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from model_headers import write_folder

from lora_tui.errors import UserError
from lora_tui.families import check_model, facts_for
from lora_tui.families.told import read_config
from lora_tui.weights.header.models import identify_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "base")


def say(folder: Path, part: str, **values: Any) -> None:
    path = folder / part / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def refused(path: Path) -> UserError:
    with pytest.raises(UserError) as caught:
        check_model("sd15", path)
    assert caught.value.remedy and caught.value.place
    return caught.value


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("unet", "cross_attention_dim", [64, 64, 64, 64]),
        ("unet", "cross_attention_dim", 10**12),
        ("unet", "block_out_channels", []),
        ("unet", "block_out_channels", "x"),
        ("unet", "block_out_channels", 320),
        ("unet", "block_out_channels", [32, 64]),
        ("unet", "block_out_channels", [10**9] * 4),
        ("unet", "attention_head_dim", 0),
        ("unet", "transformer_layers_per_block", 10**6),
        ("unet", "transformer_layers_per_block", [1, 1, 1, 10**6]),
        ("unet", "in_channels", True),
        ("vae", "layers_per_block", 10**7),
        ("vae", "block_out_channels", []),
        ("vae", "scaling_factor", 0),
        ("vae", "scaling_factor", float("nan")),
        ("vae", "scaling_factor", "0.18"),
        ("vae", "shift_factor", "x"),
        ("unet", "flip_sin_to_cos", False),
        ("unet", "act_fn", "nope"),
        ("vae", "mid_block_add_attention", False),
        ("text_encoder", "hidden_act", "nope"),
        ("text_encoder", "layer_norm_eps", "x"),
        ("text_encoder", "num_hidden_layers", 10**8),
        ("text_encoder", "hidden_size", 10**9),
        ("text_encoder", "vocab_size", 10**12),
    ],
)
def test_a_number_that_cannot_be_is_told_with_its_name_and_file_and_no_list_is_built_of_it(folder, part, name, value):
    check_model("sd15", folder)
    say(folder, part, **{name: value})
    told = refused(folder)
    assert (told.code, f"{part}/config.json says {name} = " in told.message) == ("model.folder", True)
    facts = facts_for("sd15")
    assert facts.targets(base=folder) == facts.targets()  # the published model's, as where nothing can be read


@pytest.mark.parametrize(
    ("name", "value"),
    [("attention_head_dim", [5, 10, 20, 20]), ("num_attention_heads", None), ("transformer_layers_per_block", [1] * 4)],
)
def test_what_published_models_say_is_said_well(folder, name, value):
    say(folder, "unet", **{name: value})
    check_model("sd15", folder)


@pytest.mark.parametrize("name", ["num_layers", "num_hidden_layers", "n_layers", "num_single_layers", "d_model"])
def test_the_other_families_numbers_are_bounded_too(tmp_path, name):
    path = tmp_path / "config.json"
    for value in (10**8, -1, "2", 2.0):
        path.write_text(json.dumps({name: value}))
        with pytest.raises(UserError) as caught:
            read_config(path)
        assert f"{name} = " in caught.value.message


@pytest.mark.parametrize("file", ["model_index.json", "unet/config.json", "text_encoder/config.json"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(folder, file):
    (folder / file).unlink()
    os.mkfifo(folder / file)
    with pytest.raises(UserError):
        check_model("sd15", folder)
    assert facts_for("sd15").targets(base=folder)
    if file == "model_index.json":
        with pytest.raises(UserError):
            identify_model(folder)


@pytest.mark.parametrize(("name", "value"), [("beta_start", "x"), ("beta_start", float("nan")), ("beta_end", 2.0)])
def test_noise_that_cannot_be_is_told(folder, name, value):
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps({"prediction_type": "epsilon", name: value}))
    assert f"scheduler/scheduler_config.json says {name} = " in refused(folder).message


@pytest.mark.parametrize("part", ["unet", "text_encoder", "vae"])
def test_weights_that_a_library_packed_are_no_numbers(folder: Path, part: str) -> None:
    say(folder, part, quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True})
    told = refused(folder)
    assert told.code == "model.packed" and f"{part}/config.json says quantization_config" in told.message
    assert "bitsandbytes" in told.message


def test_widths_that_the_weights_do_not_have_are_told_by_the_tensor(folder: Path) -> None:
    whole = {"hidden_size": 8, "intermediate_size": 32, "vocab_size": 100, "max_position_embeddings": 77}
    say(folder, "text_encoder", **whole)
    told = refused(folder)
    assert (told.code, "text_encoder" in told.place) == ("model.incomplete", True)
    say(folder, "text_encoder", hidden_size=None)
    say(folder, "vae", block_out_channels=[8, 8, 8, 8])
    told = refused(folder)
    assert (told.code, "vae" in told.place) == ("model.incomplete", True)


@pytest.mark.parametrize(
    ("name", "value"),
    [("class_embed_type", "timestep"), ("only_cross_attention", True), ("conv_in_kernel", [1, 2])],
)
def test_a_unet_that_is_built_otherwise_is_told(folder: Path, name: str, value: Any) -> None:
    say(folder, "unet", **{name: value})
    assert f"built otherwise ({name})" in refused(folder).message


@pytest.mark.parametrize("heads", [7, [8, 8, 8]])
def test_heads_that_do_not_share_the_widths_are_told(folder: Path, heads: Any) -> None:
    say(folder, "unet", block_out_channels=[32, 32, 64, 64], attention_head_dim=heads)
    assert "attention_head_dim = " in refused(folder).message
    say(folder, "unet", attention_head_dim=8, norm_num_groups=33)
    assert "norm_num_groups = 33" in refused(folder).message
