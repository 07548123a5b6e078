"""The keys of ai-toolkit that need no thought, and its names for what has others here."""

from __future__ import annotations

from collections.abc import Mapping

from lora_tui.exchange.key_table import BY_ITSELF, COMPILED, FOLDER, NONE, KeyTable, why
from lora_tui.text import N_

_HUB = N_("a run publishes nothing; lora-tui runs publish does")
MODEL_FLAGS = {"is_flux": "flux", "is_xl": "sdxl", "is_v3": "sd3", "is_v2": "sd2", "is_v_pred": ""}
ARCHS: Mapping[str, str] = {
    "flux": "flux", "flex1": "", "sdxl": "sdxl", "sd1": "sd15", "sd15": "sd15", "sd2": "sd2", "sd3": "sd3",
    "chroma": "chroma", "qwen_image": "qwen", "zimage": "zimage", "flux2_klein_4b": "flux2", "flux2_klein_9b": "flux2",
}  # fmt: skip
QUANTIZED = {"qfloat8": "fp8", "float8": "fp8", "int8": "int8", "qint8": "int8", "uint8": "int8"}
LOSSES = {"mse": "l2", "mae": "l1", "l1": "l1", "pseudo-huber": "huber", "pseudo_huber": "huber"}
PROCESS = KeyTable(
    straight={
        "network.linear": "network.rank", "network.rank": "network.rank", "network.dropout": "network.dropout",
        "network.lokr_factor": "network.factor", "network.lokr_full_rank": "network.full_matrix",
        "save.save_every": "saving.every_steps", "save.max_step_saves_to_keep": "saving.keep_last",
        "train.batch_size": "steps.batch_size", "train.steps": "steps.max_steps", "train.seed": "steps.seed",
        "train.gradient_accumulation_steps": "steps.gradient_accumulation",
        "train.gradient_accumulation": "steps.gradient_accumulation",
        "train.max_grad_norm": "optimizer.max_grad_norm",
        "train.gradient_checkpointing": "memory.gradient_checkpointing", "train.noise_offset": "noise.noise_offset",
        "train.train_text_encoder": "network.text_encoder", "train.unet_lr": "learning.unet_lr",
        "train.text_encoder_lr": "learning.text_encoder_lr", "train.min_denoising_steps": "noise.min_timestep",
        "train.max_denoising_steps": "noise.max_timestep", "sample.sample_every": "sampling.every_steps",
        "logging.use_wandb": "tracking.wandb", "logging.project_name": "tracking.wandb_project",
        "name": "saving.name", "trigger_word": "saving.trigger",
    },
    idle=why(
        (FOLDER, "job type training_folder sqlite_db_path performance_log_every log_dir"),
        (_HUB, "save.push_to_hub save.hf_repo_id save.hf_private"),
        (COMPILED, "model.compile"),
        (
            BY_ITSELF,
            "train.xformers train.sdp train.attention_backend train.cache_text_embeddings train.unload_text_encoder "
            "model.low_vram model.quantize_te model.qtype_te model.dtype model.vae_dtype model.te_dtype "
            "model.text_encoder_bits model.quantize_kwargs model.layer_offloading "
            "model.layer_offloading_transformer_percent model.use_flux_cfg "
            "model.layer_offloading_text_encoder_percent model.split_model_over_gpus model.attn_masking "
            "train.disable_sampling_cache train.skip_first_batch logging.log_every logging.verbose "
            "logging.use_ui_logger logging.run_name sample.format sample.ext network.transformer_only "
            "network.split_multistage_loras train.noise_scheduler train.train_unet train.train_refiner "
            "sample.sample_start_step sample.extra_values train.do_paramiter_swapping "
            "train.paramiter_swapping_factor train.bypass_guidance_embedding is_new",
        ),
        (
            NONE,
            "train.weight_jitter train.linear_timesteps2 train.diff_output_preservation train.loss_target "
            "train.diff_output_preservation_class train.diff_output_preservation_multiplier train.start_step "
            "train.blank_prompt_preservation train.blank_prompt_preservation_multiplier train.do_cfg "
            "train.do_differential_guidance train.differential_guidance_scale train.max_loss_clip "
            "train.do_guidance_loss train.guidance_loss_target train.switch_boundary_every train.inverted_mask_prior "
            "train.inverted_mask_prior_multiplier train.embedding_lr train.adapter_lr train.refiner_lr "
            "train.short_and_long_captions train.single_item_batching train.noise_multiplier train.img_multiplier "
            "train.latent_multiplier train.free_u train.random_noise_shift train.random_noise_multiplier "
            "train.dynamic_noise_offset train.merge_network_on_save train.match_adapter_assist "
            "train.match_adapter_chance train.prompt_dropout_prob train.learnable_snr_gos train.correct_pred_norm "
            "train.cfg_scale train.force_consistent_noise train.content_or_style_reg "
            "train.adapter_assist_name_or_path train.show_turbo_outputs train.contrastive_loss_weight "
            "model.accuracy_recovery_adapter model.experimental_xl model.use_text_encoder_1 model.use_text_encoder_2 "
            "model.refiner_name_or_path model.inference_lora_path model.is_ssd model.is_vega model.is_pixart "
            "model.is_auraflow model.is_lumina2 model.is_pixart_sigma model.extras_name_or_path model.model_kwargs "
            "sample.guidance_rescale sample.adapter_conditioning_scale sample.refiner_start_at sample.num_frames "
            "sample.fps network.normalize network.lorm network.ignore_if_contains validation adapter embedding "
            "slider guidance decorator train.ema_config.use_feedback train.ema_config.param_multiplier "
            "model.unet_sample_size network.layer_offloading",
        ),
    ),
    elsewhere=frozenset({
        "datasets", "device", "model.arch", "model.assistant_lora_path", "model.is_flux", "model.is_v2",
        "model.is_v3", "model.is_v_pred", "model.is_xl", "model.lora_path", "model.name_or_path", "model.qtype",
        "model.quantize", "model.vae_path", "network.alpha", "network.conv", "network.conv_alpha",
        "network.linear_alpha", "network.network_kwargs.ignore_if_contains",
        "network.network_kwargs.only_if_contains", "network.pretrained_lora_path", "network.type",
        "sample.guidance_scale", "sample.height", "sample.neg", "sample.network_multiplier", "sample.prompts",
        "sample.sample_steps", "sample.sampler", "sample.samples", "sample.seed", "sample.walk_seed", "sample.width",
        "save.dtype", "save.save_dtype", "save.save_format", "train.content_or_style", "train.disable_sampling",
        "train.dtype", "train.ema_config.ema_decay", "train.ema_config.use_ema", "train.force_first_sample",
        "train.linear_timesteps", "train.loss_type", "train.lr", "train.lr_scheduler", "train.min_snr_gamma",
        "train.optimizer", "train.skip_first_sample", "train.snr_gamma", "train.timestep_type",
    }),
    implied={
        "train.steps": 1000, "train.batch_size": 1, "train.lr_scheduler": "constant", "train.optimizer": "adamw",
        "save.save_every": 1000, "save.max_step_saves_to_keep": 5, "save.dtype": "float16",
        "sample.sample_every": 100, "train.gradient_checkpointing": True, "train.dtype": "fp32", "train.lr": 1e-06,
    },
)  # fmt: skip
"""The keys of a process, tables within it dotted."""
DATASETS = KeyTable(
    straight={
        "caption_dropout_rate": "dropout", "token_dropout_rate": "tag_dropout", "default_caption": "missing",
        "num_repeats": "repeats", "network_weight": "weight", "loss_multiplier": "weight",
        "keep_tokens": "keep_tokens", "folder_path": "path", "dataset_path": "path", "caption_ext": "extensions",
        "caption_type": "extensions", "flip_x": "flip", "shuffle_tokens": "shuffle", "is_reg": "regularisation",
    },
    idle=why(
        (
            BY_ITSELF,
            "type cache_latents cache_latents_to_disk cache_text_embeddings num_workers prefetch_factor buckets "
            "enable_ar_bucket bucket_tolerance square_crop",
        ),
        (
            NONE,
            "flip_y random_scale scale augments augmentations shuffle_augmentations control_path poi random_triggers "
            "random_triggers_max clip_image_path clip_image_augmentations trigger_word num_frames "
            "shrink_video_to_frames fps do_i2v do_audio inpaint_path unconditional_path full_size_control_images "
            "prior_reg extra_values use_short_captions invert_mask standardize_images control_path_1 control_path_2 "
            "control_path_3 mask_invert fast_image_size replacements",
        ),
    ),
    elsewhere=frozenset({"alpha_mask", "mask_min_value", "mask_path", "random_crop", "resolution"}),
)  # fmt: skip
"""The keys of one of its datasets, and the fields of an entry that are the same."""
