"""The options of sd-scripts that need no thought: those that mean here what they mean there, and those of no effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lora_tui.exchange.key_table import COMPILED
from lora_tui.text import N_

#: option -> the setting with the same values
STRAIGHT: Mapping[str, str] = {
    "bucket_reso_steps": "data.bucket_step",
    "enable_bucket": "data.buckets",
    "min_bucket_reso": "data.bucket_min",
    "max_bucket_reso": "data.bucket_max",
    "flip_aug": "data.flip",
    "random_crop": "data.random_crop",
    "prior_loss_weight": "data.prior_loss_weight",
    "shuffle_caption": "captions.shuffle",
    "keep_tokens": "captions.keep_tokens",
    "keep_tokens_separator": "captions.keep_separator",
    "secondary_separator": "captions.secondary_separator",
    "caption_prefix": "captions.prefix",
    "caption_suffix": "captions.suffix",
    "caption_dropout_rate": "captions.dropout",
    "caption_tag_dropout_rate": "captions.tag_dropout",
    "caption_dropout_every_n_epochs": "captions.dropout_epochs",
    "token_warmup_min": "captions.tag_warmup_from",
    "weighted_captions": "captions.weighted",
    "network_dropout": "network.dropout",
    "scale_weight_norms": "network.max_norm",
    "lr_scheduler_power": "learning.power",
    "lr_scheduler_min_lr_ratio": "learning.final",
    "lr_scheduler_timescale": "learning.timescale",
    "max_grad_norm": "optimizer.max_grad_norm",
    "train_batch_size": "steps.batch_size",
    "gradient_accumulation_steps": "steps.gradient_accumulation",
    "seed": "steps.seed",
    "loss_type": "noise.loss",
    "huber_schedule": "noise.huber_schedule",
    "huber_c": "noise.huber_c",
    "huber_scale": "noise.huber_scale",
    "min_snr_gamma": "noise.min_snr_gamma",
    "debiased_estimation_loss": "noise.debiased",
    "scale_v_pred_loss_like_noise_pred": "noise.scale_v_pred",
    "v_pred_like_loss": "noise.v_pred_like",
    "noise_offset": "noise.noise_offset",
    "noise_offset_random_strength": "noise.offset_random",
    "adaptive_noise_scale": "noise.offset_adaptive",
    "multires_noise_iterations": "noise.pyramid_levels",
    "multires_noise_discount": "noise.pyramid_discount",
    "ip_noise_gamma": "noise.ip_noise_gamma",
    "ip_noise_gamma_random_strength": "noise.ip_noise_random",
    "min_timestep": "noise.min_timestep",
    "max_timestep": "noise.max_timestep",
    "gradient_checkpointing": "memory.gradient_checkpointing",
    "cache_latents": "memory.cache_latents",
    "vae_batch_size": "memory.cache_batch",
    "save_every_n_epochs": "saving.every_epochs",
    "save_every_n_steps": "saving.every_steps",
    "sample_every_n_epochs": "sampling.every_epochs",
    "sample_every_n_steps": "sampling.every_steps",
    "sample_at_first": "sampling.at_start",
    "output_name": "saving.name",
    "training_comment": "saving.comment",
    "metadata_title": "saving.title",
    "metadata_author": "saving.author",
    "log_tracker_name": "tracking.wandb_project",
    "validate_every_n_epochs": "validation.every_epochs",
    "validate_every_n_steps": "validation.every_steps",
    "t5xxl_max_token_length": "captions.t5_tokens",
    "apply_t5_attn_mask": "captions.t5_mask",
    "guidance_scale": "model.guidance",
}

_FOLDER = N_("a run has a folder of its own, with its files in it")
_ATTENTION = N_("torch chooses how attention is computed; memory.attention names a kernel")
_CACHED = N_("embeddings of captions are kept on disk wherever no text encoder learns")
_LATENTS = N_("latents are kept on disk")
_LOADING = N_("images are loaded ahead by themselves")
_MEMORY = N_("what is not needed leaves the memory of the device by itself")
_FULL = N_("the adapter is always kept in fp32")
_HUB = N_("a run publishes nothing; lora-tui runs publish does")
_SECRET = N_("never written to a file; give it in the environment or the keyring")
_LOGS = N_("a run keeps its own log")
_PROCESSES = N_("of another launcher; memory.processes says how many GPUs share a step")
_OTHER = N_("of another kind of training than a LoRA")
_STATE = N_("states of other programs cannot be resumed; network.start_from goes on from a LoRA file")
_SEEDED = N_("validation is always measured with the same noise, on all held out images")
_META = N_("the file's metadata are complete, and are changed by lora metadata")
_PRECISE = N_("VAE and text encoders are kept in a precision that does not overflow")
_FORM = N_("of the form of that program alone")
_OURS = N_("the file is always .safetensors")

#: option -> why it has no effect
IDLE: Mapping[str, str] = {
    **dict.fromkeys(("output_dir", "output_config", "no_config_save", "config_file"), _FOLDER),
    **dict.fromkeys(("xformers", "sdpa", "mem_eff_attn", "use_flash_attn", "attention_mode", "attn_mode"), _ATTENTION),
    **dict.fromkeys(
        (
            "torch_compile",
            "compile",
            "dynamo_backend",
            "dynamo_mode",
            "dynamo_use_fullgraph",
            "dynamo_use_dynamic",
        ),
        COMPILED,
    ),
    **dict.fromkeys(("cache_text_encoder_outputs", "cache_text_encoder_outputs_to_disk"), _CACHED),
    **dict.fromkeys(("text_encoder_batch_size", "weighted_captions_cache"), _CACHED),
    **dict.fromkeys(("cache_latents_to_disk", "skip_cache_check", "cache_info"), _LATENTS),
    **dict.fromkeys(
        ("max_data_loader_n_workers", "persistent_data_loader_workers", "resize_interpolation", "debug_dataset"),
        _LOADING,
    ),
    **dict.fromkeys(
        ("lowram", "highvram", "lowvram", "disable_mmap_load_safetensors", "cpu_offload_checkpointing", "t5xxl_device"),
        _MEMORY,
    ),
    **dict.fromkeys(("full_fp16", "full_bf16", "gradient_dtype"), _FULL),
    **dict.fromkeys(
        (
            "huggingface_repo_id",
            "huggingface_repo_type",
            "huggingface_path_in_repo",
            "huggingface_repo_visibility",
            "save_state_to_huggingface",
            "resume_from_huggingface",
            "async_upload",
        ),
        _HUB,
    ),
    **dict.fromkeys(("huggingface_token", "wandb_api_key"), _SECRET),
    **dict.fromkeys(
        (
            "log_prefix",
            "wandb_run_name",
            "log_tracker_config",
            "log_config",
            "console_log_level",
            "console_log_file",
            "console_log_simple",
        ),
        _LOGS,
    ),
    **dict.fromkeys(
        (
            "ddp_timeout",
            "ddp_gradient_as_bucket_view",
            "ddp_static_graph",
            "num_machines",
            "main_process_port",
            "extra_accelerate_launch_args",
            "num_cpu_threads_per_process",
            "deepspeed",
            "zero_stage",
            "offload_optimizer_device",
            "offload_optimizer_nvme_path",
            "offload_param_device",
            "offload_param_nvme_path",
            "zero3_init_flag",
            "zero3_save_16bit_model",
            "fp16_master_weights_and_gradients",
            "machine_rank",
            "main_process_ip",
            "dynamo",
        ),
        _PROCESSES,
    ),
    **dict.fromkeys(
        (
            "fused_backward_pass",
            "blockwise_fused_optimizers",
            "fused_optimizer_groups",
            "double_blocks_to_swap",
            "single_blocks_to_swap",
            "controlnet",
            "in_json",
            "dataset_repeats",
            "dataset_class",
            "no_token_padding",
            "block_lr",
            "learning_rate_te",
            "learning_rate_te1",
            "learning_rate_te2",
            "learning_rate_te3",
            "diffusers_xformers",
            "train_text_encoder_ti",
            "token_string",
            "init_word",
            "num_vectors_per_token",
            "save_clip",
            "save_t5xxl",
            "mem_eff_save",
            "use_safetensors",
            "enable_scaled_pos_embed",
        ),
        _OTHER,
    ),
    **dict.fromkeys(("resume", "skip_until_initial_step", "initial_epoch", "initial_step"), _STATE),
    **dict.fromkeys(("validation_seed", "max_validation_steps"), _SEEDED),
    **dict.fromkeys(("metadata_license", "metadata_tags", "no_metadata"), _META),
    **dict.fromkeys(("no_half_vae", "t5xxl_dtype", "text_encoder_dtype"), _PRECISE),
    **dict.fromkeys(("tokenizer_cache_dir", "save_n_epoch_ratio", "save_state_on_train_end", "metadata_reso"), _FOLDER),
    **dict.fromkeys(("dim_from_weights", "no_save_config"), N_("the check says which settings a file needs")),
    **dict.fromkeys(("save_model_as",), _OURS),
    "conditioning_data_dir": N_("masks are files beside the images, or in a folder called masks"),
    "system_prompt": N_("for a model that is not trained here"),
    **dict.fromkeys(
        ("gemma2", "cfg_trunc", "renorm_cfg", "qwen3", "text_encoder"), N_("for a model that is not trained here")
    ),
    **dict.fromkeys(
        (
            "clip_l_dropout_rate",
            "clip_g_dropout_rate",
            "t5_dropout_rate",
            "pos_emb_random_crop_rate",
            "apply_lg_attn_mask",
        ),
        N_("the encoders of a caption are never left out one by one; captions.dropout leaves it out whole"),
    ),
    "schedulefree_wrapper_args": N_("ScheduleFree optimizers are chosen by their names"),
    "optimizer_schedulefree_wrapper": N_("ScheduleFree optimizers are chosen by their names"),
}

#: keys that some function looks after
LOOKED_AFTER = frozenset({
    "pretrained_model_name_or_path", "v2", "v_parameterization", "vae", "ae", "clip_l", "clip_g", "t5xxl",
    "model_type", "base_weights", "base_weights_multiplier", "clip_skip", "max_token_length", "train_data_dir",
    "reg_data_dir", "dataset_config", "resolution", "bucket_no_upscale", "caption_extension", "caption_extention",
    "caption_separator", "enable_wildcard", "color_aug", "face_crop_aug_range", "alpha_mask", "masked_loss",
    "token_warmup_step", "network_module", "network_dim", "network_alpha", "network_args", "network_weights",
    "network_train_unet_only", "network_train_text_encoder_only", "learning_rate", "unet_lr", "text_encoder_lr",
    "text_encoder_lr1", "text_encoder_lr2", "lr_scheduler", "lr_scheduler_type", "lr_scheduler_args",
    "lr_warmup_steps", "lr_decay_steps", "lr_scheduler_num_cycles", "optimizer_type", "optimizer_args",
    "use_8bit_adam", "use_lion_optimizer", "max_train_steps", "max_train_epochs", "stop_text_encoder_training",
    "zero_terminal_snr", "timestep_sampling", "weighting_scheme", "logit_mean", "logit_std", "mode_scale",
    "sigmoid_scale", "discrete_flow_shift", "training_shift", "model_prediction_type", "mixed_precision",
    "save_precision", "fp8_base", "fp8_base_unet", "blocks_to_swap", "split_mode", "multi_gpu", "num_processes",
    "gpu_ids", "save_last_n_epochs", "save_last_n_steps", "save_last_n_epochs_state", "save_last_n_steps_state",
    "save_state", "sample_prompts", "sample_sampler", "validation_split", "log_with", "logging_dir",
    "metadata_description",
})  # fmt: skip

SD_SCRIPTS = frozenset({*STRAIGHT, *IDLE, *LOOKED_AFTER})
"""Every option of sd-scripts that is known."""

ONLY_LORA_SCRIPTS = frozenset({
    "model_train_type", "lycoris_algo", "lokr_factor", "dylora_unit", "enable_block_weights", "enable_base_weight",
    "network_args_custom", "optimizer_args_custom", "prodigy_d0", "prodigy_d_coef", "enable_preview",
    "randomly_choice_prompt", "prompt_file", "positive_prompts", "negative_prompts", "sample_width", "sample_height",
    "sample_cfg", "sample_seed", "sample_steps", "ui_custom_params", "train_t5xxl",
})  # fmt: skip
"""Keys of lora-scripts' forms that sd-scripts does not have."""

#: what sd-scripts takes where an option is not given
DEFAULTS: Mapping[str, Any] = {
    "resolution": None, "enable_bucket": False, "bucket_no_upscale": False, "caption_extension": ".caption",
    "network_module": "networks.lora", "network_dim": 4, "network_alpha": 1, "learning_rate": 2e-6,
    "lr_scheduler": "constant", "optimizer_type": "AdamW", "max_train_steps": 1600, "train_batch_size": 1,
    "max_token_length": 75, "mixed_precision": "no", "save_precision": "float", "save_every_n_epochs": 0,
    "sample_every_n_epochs": 0, "sample_at_first": False, "save_state": False, "validation_split": 0,
    "validate_every_n_epochs": 1, "clip_skip": 1, "zero_terminal_snr": False,
    "network_train_unet_only": False, "max_bucket_reso": 1024, "min_bucket_reso": 256,
}  # fmt: skip
FLOW_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "flux": {
        "timestep_sampling": "sigma", "weighting_scheme": "none", "discrete_flow_shift": 3.0, "guidance_scale": 3.5,
        "model_prediction_type": "sigma_scaled", "t5xxl_max_token_length": 512, "apply_t5_attn_mask": False,
    },
    "chroma": {"timestep_sampling": "sigma", "discrete_flow_shift": 3.0, "model_prediction_type": "sigma_scaled"},
    "sd3": {"weighting_scheme": "uniform", "training_shift": 1.0, "t5xxl_max_token_length": 256},
}  # fmt: skip
"""The same of its programs for models of flow matching."""
