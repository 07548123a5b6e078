"""Every key that the formats document has a fate, and none of them is "not understood"."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import tomli_w
import yaml

from lora_tui.exchange import ai_toolkit_keys, flux_trainer, kohya_ss, metadata, one_trainer_keys
from lora_tui.exchange.commands import OF_LYCORIS, VARIABLES
from lora_tui.exchange.fate import Fate, Imported
from lora_tui.exchange.importing import import_file
from lora_tui.exchange.sd_data import GENERAL, OWN, SUBSET
from lora_tui.exchange.sd_keys import ONLY_LORA_SCRIPTS, SD_SCRIPTS
from lora_tui.exchange.sd_network import ALL_ARGS

#: option -> a value that its documentation gives, where 1 is none
VALUES: Mapping[str, Any] = {
    "pretrained_model_name_or_path": "model.safetensors", "resolution": "512,768", "network_module": "networks.lora",
    "lr_scheduler": "cosine", "optimizer_type": "AdamW", "mixed_precision": "bf16", "save_precision": "bf16",
    "loss_type": "huber", "huber_schedule": "snr", "caption_separator": ",", "caption_extension": ".txt",
    "caption_extention": ".txt", "timestep_sampling": "shift", "weighting_scheme": "none", "log_with": "tensorboard",
    "model_prediction_type": "raw", "sample_prompts": "a cat --w 512", "sample_sampler": "euler_a",
    "bucket_reso_steps": 64,
    "min_bucket_reso": 256, "max_bucket_reso": 1024, "huber_c": 0.1, "network_args": ["conv_dim=4"],
    "optimizer_args": ["weight_decay=0.1"], "lr_scheduler_args": ["x=1"], "t5xxl_max_token_length": 256,
    "face_crop_aug_range": "2,4", "vae": "vae.safetensors", "model_type": "flux", "network_dropout": 0.1,
    "noise_offset": 0.1, "max_token_length": 225, "save_last_n_epochs": 3, "save_last_n_steps": 3,
    "save_last_n_epochs_state": 3, "save_last_n_steps_state": 3, "validation_split": 0.1, "blocks_to_swap": 4,
    "gpu_ids": "0",
    "lr_scheduler_type": "", "dataset_config": "", "network_train_text_encoder_only": False, "clip_skip": 2,
    "prompt_file": "",
    "model_train_type": "sd-lora", "lycoris_algo": "locon", "ui_custom_params": "", "positive_prompts": "a cat",
    "network_args_custom": [], "optimizer_args_custom": [], "image_dir": ".", "metadata_file": "",
    "class_tokens": "cat",
    "min_timestep": 0, "max_timestep": 1000, "caption_dropout_rate": 0.1, "caption_tag_dropout_rate": 0.1,
}  # fmt: skip


def strangers(found: Imported) -> list[str]:
    return [row.line for row in found.rows if row.fate is Fate.UNKNOWN]


def imported(tmp_path: Path, name: str, text: str) -> Imported:
    (tmp_path / name).write_text(text)
    return import_file(tmp_path / name)


@pytest.mark.parametrize("module", ["networks.lora", "networks.lora_flux", "networks.lora_sd3", "lycoris.kohya"])
def test_every_option_of_sd_scripts_has_a_fate(tmp_path: Path, module: str) -> None:
    values = {key: VALUES.get(key, 1) for key in sorted(SD_SCRIPTS)} | {"network_module": module}
    found = imported(tmp_path, "a.toml", tomli_w.dumps(values))
    assert found.format == "sd-scripts"
    assert strangers(found) == []
    told = {row.key.partition(".")[0] for row in found.rows}
    assert {key for key in values if values[key] not in ("", [])} <= told  # nothing is dropped


def test_an_unknown_key_is_told(tmp_path: Path) -> None:
    found = imported(tmp_path, "a.toml", 'network_dim = 8\nnetwork_dimm = 9\nlr_scheduler = "wobble"\n')
    assert sorted(row.key for row in found.rows if row.fate is Fate.UNKNOWN) == ["lr_scheduler", "network_dimm"]
    assert found.config.network.rank == 8


def test_every_argument_of_a_network_has_a_fate(tmp_path: Path) -> None:
    lists = {"block_dims": "8," * 24 + "8", "block_alphas": "8," * 24 + "8", "conv_block_dims": "8," * 24 + "8"}
    lists |= {"conv_block_alphas": "8," * 24 + "8", "down_lr_weight": "1," * 11 + "1", "up_lr_weight": "1," * 11 + "1"}
    words = {"algo": "lokr", "preset": "attn-mlp", "train_blocks": "all", "train_double_block_indices": "0-3,5"}
    words |= {
        "train_single_block_indices": "all",
        "train_block_indices": "none",
        "rank_dropout": "0.1",
        "constraint": "0",
    }
    words |= {"module_dropout": "0.1", "dropout": "0.1", "constrain": "0"}
    args = [f"{name}={(lists | words).get(name, '1')}" for name in sorted(ALL_ARGS)]
    found = imported(tmp_path, "a.toml", tomli_w.dumps({"network_module": "lycoris.kohya", "network_args": args}))
    assert strangers(found) == []
    assert {row.key for row in found.rows} >= {f"network_args.{name}" for name in ALL_ARGS}
    assert "DOUBLE0-3 rate=1" in found.config.network.layers


def test_every_key_of_a_dataset_has_a_fate(tmp_path: Path) -> None:
    subset = {key: VALUES.get(key, 1) for key in SUBSET if key not in ("metadata_file", "custom_attributes")}
    general = {key: VALUES.get(key, 1) for key in (*GENERAL, *OWN) if key not in ("resolution", "batch_size")}
    data = {"general": general, "datasets": [{"resolution": [512, 512], "batch_size": 2, "subsets": [subset]}]}
    found = imported(tmp_path, "d.toml", tomli_w.dumps(data))
    assert found.format == "sd-scripts-dataset"
    assert strangers(found) == []
    (entry,) = found.config.datasets
    assert (entry.path, entry.missing, entry.repeats) == (str(tmp_path), "cat", 1)
    assert (found.config.steps.batch_size, found.config.data.resolution) == (2, 512)


def test_every_field_of_lora_scripts_has_a_fate(tmp_path: Path) -> None:
    values = {
        key: VALUES.get(key, 1) for key in sorted({*ONLY_LORA_SCRIPTS, "pretrained_model_name_or_path", "conv_dim"})
    }
    found = imported(tmp_path, "a.toml", tomli_w.dumps(values))
    assert found.format == "lora-scripts"
    assert strangers(found) == []
    assert {key for key in values if values[key] not in ("", [])} <= {row.key for row in found.rows}


@pytest.mark.parametrize("sign", ["", "$"])
def test_every_variable_of_the_scripts_has_a_fate(tmp_path: Path, sign: str) -> None:
    values = {name: VALUES.get(option, 1) for name, option in VARIABLES.items()} | dict.fromkeys(OF_LYCORIS, 0)
    values |= {"network_module": "networks.lora", "use_wandb": 0, "max_train_epoches": 7}
    lines = [
        f'{sign}{name} = "{value}" # a remark' if sign else f'{name}="{value}" # a remark'
        for name, value in values.items()
    ]
    text = "#!/bin/sh\n" + "\n".join(lines) + "\n# ===== DO NOT MODIFY CONTENTS BELOW =====\nlaunchArgs=()\n"
    found = imported(tmp_path, "train", text)
    assert found.format == "lora-scripts-script"
    assert strangers(found) == []
    assert found.config.steps.epochs == 7
    assert found.config.captions.shuffle  # as the script has it below its variables


@pytest.mark.parametrize(
    "kind", sorted(kind for kind, (module, _algo) in kohya_ss.TYPES.items() if "lora_" not in module[:14])
)
def test_every_field_of_kohya_ss_has_a_fate(tmp_path: Path, kind: str) -> None:
    values = {key: VALUES.get(key, 1) for key in (*SD_SCRIPTS, *kohya_ss.RENAMED, *kohya_ss.FORM, *kohya_ss._ARGS)}
    values |= {"LoRA_type": kind, "LyCORIS_preset": "full", "optimizer": "AdamW", "max_resolution": "512,512"}
    values |= {
        "noise_offset_type": "Original",
        "additional_parameters": "--seed 7",
        "flux1_checkbox": False,
        "v2": False,
    }
    values |= {name: "" for name in kohya_ss._ARGS if name.endswith(("_dims", "_alphas", "indices", "_weight"))}
    values |= {"train_blocks": "all", "rank_dropout": 0.1, "module_dropout": 0.1, "network_args": ""}
    values |= {name: "" for name in kohya_ss.RENAMED if name not in ("optimizer", "max_resolution")}
    found = imported(tmp_path, "a.json", json.dumps(values))
    assert found.format == "kohya-ss"
    assert strangers(found) == []
    assert found.config.steps.seed == 7
    assert {row.key: row.value for row in found.rows}["LoRA_type"] == kind


def test_every_key_of_ai_toolkit_has_a_fate(tmp_path: Path) -> None:
    own = {
        "network.type": "lora", "save.dtype": "bf16", "train.dtype": "bf16", "train.optimizer": "adamw8bit",
        "train.lr_scheduler": "constant", "train.timestep_type": "sigmoid", "train.content_or_style": "balanced",
        "train.loss_type": "mse", "model.name_or_path": "black-forest-labs/FLUX.1-dev", "model.arch": "flux",
        "sample.prompts": ["[trigger] sits"], "sample.samples": [{"prompt": "b", "seed": 3}], "name": "mine",
        "network.network_kwargs.only_if_contains": ["attn"], "network.network_kwargs.ignore_if_contains": ["norm"],
        "save.save_format": "safetensors", "device": "cuda:0", "trigger_word": "sks",
        "train.ema_config.ema_decay": 0.99,
        "network.dropout": 0.1, "save.save_dtype": "bf16", "train.noise_offset": 0.1, "sample.width": 512,
        "sample.height": 512,
    }  # fmt: skip
    process: dict[str, Any] = {}
    for key in sorted(ai_toolkit_keys.PROCESS.known - {"datasets", "job", "name"}):
        table = process
        *parts, last = key.split(".")
        for part in parts:
            table = table.setdefault(part, {})
        table[last] = own.get(key, 1)
    sets = dict.fromkeys(ai_toolkit_keys.DATASETS.known, 1) | {
        "folder_path": ".",
        "resolution": [512, 768],
        "caption_ext": "txt",
    }
    sets |= {"mask_path": "masks", "default_caption": "a", "mask_min_value": 0.1}
    process["datasets"] = [sets]
    config = {"job": "extension", "config": {"name": "mine", "process": [process]}, "meta": {"name": "[name]"}}
    found = imported(tmp_path, "a.yaml", yaml.safe_dump(config))
    assert found.format == "ai-toolkit"
    assert strangers(found) == []
    assert found.config.model.family == "flux"
    assert (found.config.data.resolution, found.config.data.more_resolutions) == (512, ["768"])
    assert found.config.samples[0].prompt == "sks sits"


def test_every_key_of_onetrainer_has_a_fate(tmp_path: Path) -> None:
    own = {
        "training_method": "LORA", "model_type": "STABLE_DIFFUSION_XL_10_BASE", "output_dtype": "BFLOAT_16",
        "train_dtype": "BFLOAT_16", "learning_rate_scheduler": "COSINE", "ema": "GPU", "ema_decay": 0.99,
        "resolution": "512,768", "loss_weight_fn": "MIN_SNR_GAMMA", "timestep_distribution": "LOGIT_NORMAL",
        "peft_type": "LORA", "layer_filter": "attn", "layer_filter_preset": "custom", "sample_after_unit": "EPOCH",
        "backup_after_unit": "STEP", "save_every_unit": "MINUTE", "validate_after_unit": "EPOCH",
        "save_after_unit": "EPOCH",
        "output_model_destination": "models/mine.safetensors", "train_device": "cuda", "min_noising_strength": 0.0,
        "concept_file_name": "", "sample_definition_file_name": "", "dropout_probability": 0.1,
        "offset_noise_weight": 0.1,
        "base_model_name": "stabilityai/stable-diffusion-xl-base-1.0", "device_indexes": "0,1", "huber_delta": 0.1,
    }  # fmt: skip
    values = {key: own.get(key, 1) for key in one_trainer_keys.WHOLE.known}
    part = {"model_name": "", "train": True, "learning_rate": 1e-4, "weight_dtype": "FLOAT_8", "include": True}
    values |= dict.fromkeys(("unet", "prior", "transformer", "text_encoder", "text_encoder_2", "vae"), part)
    values["optimizer"] = {"optimizer": "ADAMW_8BIT", "weight_decay": 0.02, "fused": False, "beta1": 0.9}
    concept = {"name": "a", "path": ".", "balancing": 3, "text": {"enable_tag_shuffling": True, "keep_tags_count": 1}}
    values |= {"concepts": [concept], "samples": [{"prompt": "a cat", "width": 512, "height": 512, "enabled": True}]}
    found = imported(tmp_path, "a.json", json.dumps(values))
    assert found.format == "onetrainer"
    assert strangers(found) == []
    (entry,) = found.config.datasets
    assert (entry.repeats, entry.shuffle, entry.keep_tokens) == (3, "on", 1)
    assert found.config.saving.name == "mine"
    assert found.config.optimizer.type == "adamw8bit"


@pytest.mark.parametrize(
    ("kind", "memory"),
    [
        ("INT_W8A8", ("int8", "8bit")), ("FLOAT_W8A8", ("fp8", "8bit")), ("FLOAT_8", ("fp8", "full")),
        ("NFLOAT_4", ("nf4", "full")), ("BFLOAT_16", ("full", "full")),
    ],
)  # fmt: skip
def test_layers_that_multiply_in_8_bits_in_onetrainer_do_so_here(
    kind: str, memory: tuple[str, str], tmp_path: Path
) -> None:
    values = {"training_method": "LORA", "model_type": "FLUX_DEV_1", "transformer": {"weight_dtype": kind}}
    found = imported(tmp_path, "a.json", json.dumps({"peft_type": "LORA", "concepts": [], **values}))
    assert found.format == "onetrainer"
    assert (found.config.memory.base_weights, found.config.memory.products) == memory


@pytest.mark.parametrize("shape", ["screen", "api"])
def test_every_value_of_the_nodes_of_fluxtrainer_has_a_fate(tmp_path: Path, shape: str) -> None:
    own: dict[str, Any] = {
        "optimizer_type": "adamw8bit", "lr_scheduler": "constant", "loss_type": "l2", "huber_schedule": "snr",
        "network_type": "LyCORIS/LoKr", "lycoris_preset": "full", "factor": 8, "cache_latents": "disk",
        "output_dir": "out",
        "cache_text_encoder_outputs": "disk", "weighting_scheme": "none", "timestep_sampling": "shift",
        "model_prediction_type": "raw", "gradient_dtype": "fp32", "save_dtype": "bf16", "attention_mode": "sdpa",
        "sample_prompts": "a cat | a dog", "additional_args": "--save_state", "train_text_encoder": "disabled",
        "gradient_checkpointing": "enabled", "dataset_path": "images", "caption_extension": ".txt",
        "width": 768, "height": 768,
        "class_tokens": "cat", "extra_optimizer_args": "", "extra_network_args": "", "caption_dropout_rate": 0.1,
        "min_bucket_reso": 256, "max_bucket_reso": 1024, "guidance_scale": 1.0, "steps": 20,
    }  # fmt: skip
    names = [name for name in flux_trainer.NODES if "SD3" not in name and "SDXL" not in name and "Prodigy" not in name]
    nodes = {name: {key: own.get(key, 1) for key in flux_trainer.NODES[name]} for name in names}
    if shape == "screen":
        listed = [
            {"id": n, "type": name, "mode": 0, "widgets_values": list(nodes[name].values())}
            for n, name in enumerate(names)
        ]
        data: dict[str, Any] = {"nodes": [*listed, {"id": 99, "type": "PreviewImage"}], "links": []}
    else:
        data = {str(n): {"class_type": name, "inputs": nodes[name]} for n, name in enumerate(names)}
    found = imported(tmp_path, "w.json", json.dumps(data))
    assert found.format == "flux-trainer"
    assert strangers(found) == []
    assert {row.key for row in found.rows} >= {
        f"{name}#{n}.{key}" for n, name in enumerate(names) for key in nodes[name]
    }
    assert found.config.model.family == "flux"
    assert [one.prompt for one in found.config.samples] == ["a cat", "a dog"]
    assert found.config.data.resolution == 768


def test_every_key_of_the_metadata_has_a_fate(tmp_path: Path) -> None:
    told = {
        "ss_network_dim": "16", "ss_network_alpha": "8.0", "ss_network_module": "networks.lora",
        "ss_unet_lr": "0.0002",
        "ss_network_args": '{"conv_dim": "4"}',
        "ss_optimizer": "bitsandbytes.optim.adamw.AdamW8bit(weight_decay=0.1)",
        "ss_base_model_version": "sdxl_base_v1-0", "ss_num_epochs": "5", "ss_max_train_steps": "100", "ss_seed": "7",
        "ss_resolution": "(1024, 1024)", "ss_gradient_checkpointing": "True", "ss_clip_skip": "None",
        "ss_lr_scheduler": "cosine",
        "ss_mixed_precision": "bf16", "ss_cache_latents": "True", "ss_enable_bucket": "True", "ss_loss_type": "l2",
        "ss_datasets": "[]", "ss_dataset_dirs": '{"10_cat": {"n_repeats": 10, "img_count": 5}}',
        "modelspec.title": "x",
    }  # fmt: skip
    values = {**dict.fromkeys(metadata.RECORDS, "1"), **told}
    header = json.dumps({"__metadata__": values}).encode()
    (tmp_path / "a.bin").write_bytes(len(header).to_bytes(8, "little") + header)
    found = import_file(tmp_path / "a.bin")
    assert found.format == "lora-file"
    assert strangers(found) == []
    assert set(values) <= {row.key.partition(".conv")[0].partition("args.")[0] for row in found.rows} | {
        "ss_network_args", "ss_optimizer", "modelspec.title"
    }  # fmt: skip
    config = found.config
    assert (config.model.family, config.network.rank, config.network.alpha, config.steps.epochs) == ("sdxl", 16, 8.0, 5)
    assert (config.optimizer.type, config.optimizer.weight_decay, config.data.resolution) == ("adamw8bit", 0.1, 1024)


def test_a_form_whose_length_stands_in_epochs_drops_no_other_key(tmp_path: Path) -> None:
    values = {"LoRA_type": "Standard", "sdxl": True, "epoch": 7, "max_train_epochs": 0, "max_train_steps": 0}
    found = imported(tmp_path, "a.json", json.dumps(values))
    fates = {row.key: row.fate for row in found.rows}
    assert fates.keys() >= values.keys()
    assert (fates["epoch"], fates["max_train_steps"]) == (Fate.TAKEN, Fate.IDLE)


def test_a_default_that_a_file_of_datasets_overrules_is_none(tmp_path: Path) -> None:
    dataset = {"resolution": 512, "batch_size": 3, "enable_bucket": True, "subsets": [{"image_dir": "."}]}
    (tmp_path / "d.toml").write_text(tomli_w.dumps({"datasets": [dataset]}))
    found = imported(tmp_path, "a.toml", tomli_w.dumps({"network_dim": 8, "dataset_config": "d.toml"}))
    assert found.config.steps.batch_size == 3
    assert not found.implied.keys() & {"steps.batch_size", "data.buckets"}
    assert "sampling.every_epochs" in found.implied


def test_a_part_that_is_not_trained_there_is_not_trained_here(tmp_path: Path) -> None:
    one = {"training_method": "LORA", "model_type": "STABLE_DIFFUSION_15", "unet": {"train": False}}
    process = {"train": {"train_unet": False, "train_text_encoder": True, "lr": 1e-4}, "model": {"arch": "sd1"}}
    two = {"job": "extension", "config": {"process": [process]}}
    for data in (one, two):
        assert imported(tmp_path, "a.json", json.dumps(data)).config.learning.unet_lr == 0


def test_compiling_is_told_with_the_setting_that_asks_for_it(tmp_path: Path) -> None:
    process = {"model": {"arch": "flux", "compile": True}, "train": {"lr": 1e-4}}
    for key, data in (
        ("torch_compile", {"network_dim": 8, "network_module": "networks.lora", "torch_compile": True}),
        ("compile", {"training_method": "LORA", "model_type": "FLUX_DEV_1", "compile": True}),
        ("model.compile", {"job": "extension", "config": {"process": [process]}}),
    ):
        found = imported(tmp_path, "a.json", json.dumps(data))
        (row,) = (row for row in found.rows if row.key.endswith(key))
        assert row.fate is Fate.IDLE and "memory.compile" in row.note


def test_what_an_entry_is_not_made_of_has_no_setting(tmp_path: Path) -> None:
    image = {"enable_resolution_override": False, "resolution_override": "512"}
    text = {"prompt_source": "filename", "tag_delimiter": ","}
    concepts = [{"path": ".", "type": "WOBBLE", "image": image, "text": text}]
    found = imported(tmp_path, "a.json", json.dumps({"training_method": "LORA", "concepts": concepts}))
    rows = {row.key.removeprefix("concepts.0."): row for row in found.rows}
    assert rows["image.resolution_override"].fate is Fate.IDLE and not rows["image.resolution_override"].settings
    assert [rows[key].fate for key in ("type", "text.prompt_source", "text.tag_delimiter")] == [
        Fate.UNKNOWN, Fate.UNKNOWN, Fate.IDLE
    ]  # fmt: skip


def test_a_node_of_images_says_what_its_values_became(tmp_path: Path) -> None:
    values = dict(zip(flux_trainer.NODES["TrainDatasetAdd"], [768, 768, 2, ".", "cat", True, False, 3], strict=False))
    nodes = {"1": {"class_type": "InitFluxLoRATraining", "inputs": {"network_dim": 8}}}
    data = nodes | {"2": {"class_type": "TrainDatasetAdd", "inputs": values}}
    rows = {row.key: row for row in imported(tmp_path, "w.json", json.dumps(data)).rows}
    assert rows["TrainDatasetAdd#2.width"].settings == {"data.resolution": 768}
    assert rows["TrainDatasetAdd#2.num_repeats"].settings == {"datasets.0.repeats": 3}
