"""What a LoRA file says of itself: every key of sd-scripts and ModelSpec that readers look for, all of them texts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from config_samples import config_with, plan_of, squares
from safetensors import safe_open

from lora_tui.families import facts_for
from lora_tui.trainer.adapters.lora import LoraAdapter
from lora_tui.trainer.metadata import FileHashes, Ingredients, RunMetadata
from lora_tui.trainer.objectives.told import noise_metadata
from lora_tui.weights.lora_file import write_lora

#: library/train_util.py and train_network.py of sd-scripts 0.10, but for the hash of its own commit.
KEYS = """
session_id training_started_at training_finished_at output_name training_comment seed epoch steps num_epochs
max_train_steps learning_rate unet_lr text_encoder_lr optimizer lr_scheduler lr_warmup_steps max_grad_norm
gradient_accumulation_steps gradient_checkpointing network_module network_dim network_alpha network_dropout network_args
scale_weight_norms mixed_precision full_fp16 fp8_base fp8_base_unet lowram cache_latents v2 base_model_version
sd_model_name sd_model_hash new_sd_model_hash vae_name vae_hash new_vae_hash clip_skip max_token_length noise_offset
noise_offset_random_strength adaptive_noise_scale multires_noise_iterations multires_noise_discount ip_noise_gamma
ip_noise_gamma_random_strength zero_terminal_snr min_snr_gamma debiased_estimation prior_loss_weight loss_type
huber_schedule huber_scale huber_c datasets dataset_dirs reg_dataset_dirs tag_frequency bucket_info num_train_images
num_reg_images num_validation_images num_batches_per_epoch resize_interpolation resolution batch_size_per_device
total_batch_size color_aug flip_aug random_crop shuffle_caption enable_bucket bucket_no_upscale min_bucket_reso
max_bucket_reso keep_tokens validation_seed validation_split validate_every_n_epochs validate_every_n_steps
max_validation_steps caption_dropout_rate caption_dropout_every_n_epochs caption_tag_dropout_rate face_crop_aug_range
"""
FLOW = """
weighting_scheme logit_mean logit_std mode_scale timestep_sampling sigmoid_scale model_prediction_type
discrete_flow_shift apply_t5_attn_mask
"""
FLUX, SD3 = f"{FLOW} model_type guidance_scale", f"{FLOW} apply_lg_attn_mask"
SPEC = """
sai_model_spec architecture implementation title resolution description author date hash_sha256 license merged_from
trigger_phrase prediction_type timestep_range encoder_layer
"""


def _metadata(tmp_path: Path, family: str, prediction: str, **more: dict[str, Any]) -> dict[str, str]:
    base = tmp_path / "base.safetensors"
    base.write_bytes(b"x" * 0x110000)
    config = config_with(
        model={"family": family, "base": str(base), "vae": str(base), "loras": [f"{base} strength=0.5"]},
        saving={"author": "me", "comment": "a note", "trigger": "hat"},
        noise={"max_timestep": 900},
        **more,
    )
    facts = facts_for(family)
    model: Any = SimpleNamespace(
        prediction=prediction, scheduler_config=dict, facts=facts, shift=lambda width, height: 3.0
    )
    network = LoraAdapter(config.network).metadata()
    made_of = Ingredients(
        config, plan_of(config, squares(25)), facts, prediction, FileHashes.of(base), network, "torch.optim.AdamW",
        noise_metadata(model, config.noise), {},
    )  # fmt: skip
    path = tmp_path / "x.safetensors"
    write_lora(path, {"a": torch.ones(3)}, RunMetadata(made_of, "session", 1.0).at(5, 1, finished=True))
    with safe_open(path, framework="pt") as file:
        return dict(file.metadata())


@pytest.mark.parametrize(
    ("family", "prediction", "more"),
    [
        ("sd15", "epsilon", ""),
        ("sdxl", "v_prediction", ""),
        ("flux", "flow", FLUX),
        ("flux2", "flow", FLOW.replace("apply_t5_attn_mask", "")),
        ("sd3", "flow", SD3),
        ("chroma", "flow", FLUX),
        ("zimage", "flow", FLOW.replace("apply_t5_attn_mask", "")),
        ("qwen", "flow", FLOW.replace("apply_t5_attn_mask", "")),
    ],
)
def test_every_key_that_readers_know_is_there(tmp_path: Path, family: str, prediction: str, more: str) -> None:
    found = _metadata(tmp_path, family, prediction)
    assert [key for key in f"{KEYS} {more}".split() if f"ss_{key}" not in found] == []
    left = {"license"} | ({"prediction_type"} if prediction == "flow" else set())  # nothing is known of them
    assert [key for key in SPEC.split() if f"modelspec.{key}" not in found and key not in left] == []
    assert {"sshs_model_hash", "sshs_legacy_hash"} <= found.keys()
    assert found["modelspec.hash_sha256"] == f"0x{found['sshs_model_hash']}"
    modules = {"sd15": "", "sdxl": "", "flux2": "_flux_2", "chroma": "_flux", "qwen": "_qwen_image"}
    assert found["ss_network_module"] == f"networks.lora{modules.get(family, f'_{family}')}"
    assert found["ss_vae_hash"] == found["ss_sd_model_hash"] and len(found["ss_vae_hash"]) == 8
    assert found["modelspec.timestep_range"] == "0,900"


def test_rates_of_text_encoders_that_differ_are_listed_and_their_end_is_told(tmp_path: Path) -> None:
    learning = {"text_encoder_lr": 1e-5, "text_encoder_2_lr": 2e-5, "text_encoder_steps": 7}
    found = _metadata(tmp_path, "sdxl", "epsilon", learning=learning)
    assert (found["ss_text_encoder_lr"], found["ss_stop_text_encoder_training"]) == ("[1e-05, 2e-05]", "7")
    assert _metadata(tmp_path, "sd15", "epsilon", network={"text_encoder": False})["ss_text_encoder_lr"] == "None"
