"""What is exported is taken by sd-scripts: the kinds and choices of its options, and the pairs that it refuses.

The tables are those of its documentation (docs/train_network.md, docs/config_README-en.md).
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from config_samples import configs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lora_tui.config.family import with_family
from lora_tui.config.load import set_values
from lora_tui.config.schema import Config, DatasetEntry
from lora_tui.exchange.exporting import CONFIG, DATASET, SCRIPTS, export, write
from lora_tui.exchange.importing import import_file
from lora_tui.exchange.sd_learning import optimizer_named
from lora_tui.exchange.told import OURS


def words(text: str) -> list[str]:
    return text.split()


INT, FLOAT, FLAG, TEXT, TEXTS = int, (int, float), bool, str, list
OPTIONS: dict[str, Any] = {
    **dict.fromkeys(
        words(
            "network_dim max_train_epochs max_train_steps train_batch_size gradient_accumulation_steps seed "
            "vae_batch_size clip_skip keep_tokens min_bucket_reso max_bucket_reso bucket_reso_steps "
            "caption_dropout_every_n_epochs token_warmup_min save_every_n_epochs save_every_n_steps "
            "save_last_n_epochs save_last_n_steps save_last_n_epochs_state sample_every_n_epochs "
            "sample_every_n_steps validate_every_n_epochs validate_every_n_steps blocks_to_swap "
            "lr_scheduler_num_cycles lr_scheduler_timescale min_timestep max_timestep "
            "multires_noise_iterations max_token_length t5xxl_max_token_length"
        ),
        INT,
    ),
    **dict.fromkeys(
        words(
            "network_alpha network_dropout scale_weight_norms learning_rate unet_lr lr_scheduler_power "
            "noise_offset lr_scheduler_min_lr_ratio max_grad_norm min_snr_gamma v_pred_like_loss "
            "adaptive_noise_scale huber_c multires_noise_discount ip_noise_gamma huber_scale "
            "prior_loss_weight caption_dropout_rate validation_split caption_tag_dropout_rate guidance_scale "
            "logit_mean logit_std mode_scale training_shift discrete_flow_shift sigmoid_scale lr_warmup_steps "
            "lr_decay_steps token_warmup_step"
        ),
        FLOAT,
    ),
    **dict.fromkeys(
        words(
            "v2 v_parameterization enable_bucket flip_aug random_crop shuffle_caption weighted_captions "
            "enable_wildcard debiased_estimation_loss scale_v_pred_loss_like_noise_pred "
            "noise_offset_random_strength masked_loss fp8_base ip_noise_gamma_random_strength "
            "gradient_checkpointing cache_latents cache_latents_to_disk save_state sdpa "
            "cache_text_encoder_outputs network_train_unet_only sample_at_first zero_terminal_snr "
            "apply_t5_attn_mask"
        ),
        FLAG,
    ),
    **dict.fromkeys(
        words(
            "pretrained_model_name_or_path vae ae clip_l clip_g t5xxl network_module network_weights "
            "lr_scheduler_type optimizer_type keep_tokens_separator secondary_separator caption_prefix "
            "caption_suffix output_name output_dir training_comment metadata_title metadata_author "
            "log_tracker_name logging_dir dataset_config sample_prompts"
        ),
        TEXT,
    ),
    **dict.fromkeys(words("network_args optimizer_args lr_scheduler_args base_weights base_weights_multiplier"), TEXTS),
    "text_encoder_lr": (float, list),
    "lr_scheduler": set(
        words(
            "linear cosine cosine_with_restarts polynomial constant constant_with_warmup adafactor "
            "piecewise_constant inverse_sqrt cosine_with_min_lr warmup_stable_decay"
        )
    ),
    "loss_type": {"l1", "l2", "huber", "smooth_l1"},
    "huber_schedule": {"constant", "exponential", "snr"},
    "mixed_precision": {"no", "fp16", "bf16"},
    "save_precision": {"float", "fp16", "bf16"},
    "save_model_as": {"ckpt", "pt", "safetensors"},
    "log_with": {"tensorboard", "wandb", "all"},
    "model_type": {"flux", "chroma"},
    "timestep_sampling": {"sigma", "uniform", "sigmoid", "shift", "flux_shift"},
    "weighting_scheme": {"sigma_sqrt", "logit_normal", "mode", "cosmap", "none", "uniform"},
    "model_prediction_type": {"raw", "additive", "sigma_scaled"},
    "sample_sampler": set(
        words(
            "ddim pndm lms euler euler_a heun dpm_2 dpm_2_a dpmsolver dpmsolver++ dpmsingle k_lms k_euler "
            "k_euler_a k_dpm_2 k_dpm_2_a"
        )
    ),
}
_OF_UNETS = frozenset(
    words(
        "v_parameterization weighted_captions min_snr_gamma debiased_estimation_loss v_pred_like_loss clip_skip "
        "scale_v_pred_loss_like_noise_pred zero_terminal_snr max_token_length v2"
    )
)
_OF_FLOWS = frozenset(words("clip_l t5xxl t5xxl_max_token_length weighting_scheme logit_mean logit_std mode_scale"))
_OF_FLUX = frozenset(
    words(
        "ae model_type guidance_scale timestep_sampling sigmoid_scale discrete_flow_shift model_prediction_type "
        "apply_t5_attn_mask"
    )
)
NOT_OF = {
    "train_network.py": {*_OF_FLOWS, *_OF_FLUX, "clip_g", "training_shift", "blocks_to_swap"},
    "sdxl_train_network.py": {*_OF_FLOWS, *_OF_FLUX, "v2", "clip_g", "training_shift", "blocks_to_swap"},
    "flux_train_network.py": {*_OF_UNETS, "vae", "clip_g", "training_shift", "sample_sampler"},
    "sd3_train_network.py": {*_OF_UNETS, *_OF_FLUX, "sample_sampler"},
}
"""Names that mean nothing to a script, as the document of each of them says (docs/flux_train_network.md and others)."""
DATASETS: dict[str, Any] = dict.fromkeys(
    words("resolution batch_size min_bucket_reso max_bucket_reso bucket_reso_steps"), INT
) | dict.fromkeys(("enable_bucket", "bucket_no_upscale"), FLAG)
SUBSETS: dict[str, Any] = {
    **dict.fromkeys(("num_repeats", "keep_tokens"), INT),
    **dict.fromkeys(("caption_dropout_rate", "caption_tag_dropout_rate"), FLOAT),
    **dict.fromkeys(words("shuffle_caption flip_aug random_crop is_reg alpha_mask"), FLAG),
    **dict.fromkeys(
        words(
            "image_dir class_tokens caption_extension keep_tokens_separator secondary_separator "
            "caption_prefix caption_suffix"
        ),
        TEXT,
    ),
}


def fits(value: Any, kind: Any) -> bool:
    if isinstance(kind, set):
        return value in kind
    return isinstance(value, kind) and (kind is FLAG or not isinstance(value, bool))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images")
    Image.new("RGB", (64, 64)).save(root / "0.png")
    return root


def told(config: Config, family: str, images: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    config.model.family, config.model.loras = family, []  # type: ignore[assignment]
    for entry in config.datasets:
        entry.path = str(images)
    files = export(config, images / "out").files
    options = tomllib.loads(files[CONFIG])
    options.pop(OURS, None)
    return options, tomllib.loads(files[DATASET])


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=configs(places=st.just("")), family=st.sampled_from(list(SCRIPTS)))
def test_every_option_is_of_the_kind_that_it_takes(config: Config, family: str, images: Path) -> None:
    options, datasets = told(config, family, images)
    assert options.keys() <= OPTIONS.keys() - NOT_OF[SCRIPTS[family]]
    assert {key: value for key, value in options.items() if not fits(value, OPTIONS[key])} == {}
    for dataset in datasets.get("datasets", []):
        subsets = dataset.pop("subsets")
        assert {key: value for key, value in dataset.items() if not fits(value, DATASETS[key])} == {}
        for subset in subsets:
            assert {key: value for key, value in subset.items() if not fits(value, SUBSETS[key])} == {}
    assert all(options.get(f"{what}_every_n_epochs") != 0 for what in ("save", "sample", "validate"))
    assert options.get("max_token_length") in (None, 150, 225)
    assert "noise_offset" in options or "adaptive_noise_scale" not in options
    assert "noise_offset" not in options or "multires_noise_iterations" not in options
    assert "v_parameterization" in options or "scale_v_pred_loss_like_noise_pred" not in options
    assert "v_parameterization" not in options or "v_pred_like_loss" not in options
    assert not (options.get("cache_latents") and any(one["random_crop"] for one in _subsets(datasets)))
    name = options.get("optimizer_type", ".")  # nothing where no class is named
    assert "." in name or config.optimizer.type not in ("other", "came", "ademamix")


def _subsets(datasets: dict[str, Any]) -> list[dict[str, Any]]:
    return [subset for dataset in datasets.get("datasets", []) for subset in dataset.get("subsets", [])]


@pytest.mark.parametrize(
    ("value", "option"),
    [
        ("noise.loss=log_cosh", "loss_type"),
        ("learning.schedule=rex", "lr_scheduler"),
        ("noise.pyramid_levels=6", "multires_noise_iterations"),
    ],
)
def test_what_is_refused_is_left_out_named_and_comes_back(
    value: str, option: str, images: Path, tmp_path: Path
) -> None:
    begun = with_family(Config(), "sd15").model_copy(deep=True)
    begun.datasets = [DatasetEntry(path=str(images))]
    config = set_values(begun, [value, *(["noise.noise_offset=0.1"] if "pyramid" in value else [])])
    found = export(config, tmp_path)
    assert option not in tomllib.loads(found.files[CONFIG])
    assert value.partition("=")[0] in found.lost
    write(found, tmp_path)
    assert import_file(tmp_path / CONFIG).config == config


@pytest.mark.parametrize("kind", ["came", "ademamix", "ademamix8bit", "paged_ademamix8bit"])
def test_an_optimizer_that_it_has_no_name_for_is_told_by_its_class(kind: str, images: Path, tmp_path: Path) -> None:
    config = set_values(with_family(Config(), "sd15"), [f"optimizer.type={kind}"])
    name = tomllib.loads(export(config, tmp_path).files[CONFIG])["optimizer_type"]
    assert "." in name and optimizer_named(name) == (kind, "")
    assert optimizer_named("pytorch_optimizer.Muon") == ("other", "Muon")
