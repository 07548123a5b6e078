"""The keys of OneTrainer that need no thought, and its names for what has others here."""

from __future__ import annotations

from collections.abc import Mapping

from lora_tui.exchange.key_table import BY_ITSELF, COMPILED, FOLDER, NONE, KeyTable, why
from lora_tui.text import N_

_OTHER = N_("of another kind of training than a LoRA")
_NESTED = N_("folders within a folder are always read, too")
_AUGMENT = N_("images are varied by data.brightness, data.hue and data.gamma for all folders alike")
MODELS: Mapping[str, str] = {
    "STABLE_DIFFUSION_15": "sd15", "STABLE_DIFFUSION_20": "sd2", "STABLE_DIFFUSION_21": "sd2",
    "STABLE_DIFFUSION_20_BASE": "sd2", "STABLE_DIFFUSION_XL_10_BASE": "sdxl", "STABLE_DIFFUSION_3": "sd3",
    "STABLE_DIFFUSION_35": "sd3", "FLUX_DEV_1": "flux", "CHROMA_1": "chroma", "QWEN": "qwen", "Z_IMAGE": "zimage",
    "FLUX_2": "flux2",
}  # fmt: skip
PEFT = {"LORA": "lora", "LOHA": "loha", "LOKR": "lokr", "OFT_2": "oft", "OFT": "oft"}
PRECISIONS = {"FLOAT_32": "fp32", "TFLOAT_32": "fp32", "FLOAT_16": "fp16", "BFLOAT_16": "bf16"}
QUANTIZED = {
    "FLOAT_8": "fp8", "FLOAT_W8A8": "fp8", "INT_8": "int8", "INT_W8A8": "int8", "NFLOAT_4": "nf4", "GGUF": "nf4",
    "GGUF_A8_FLOAT": "nf4", "GGUF_A8_INT": "nf4",
}  # fmt: skip
MULTIPLIED = frozenset({"FLOAT_W8A8", "INT_W8A8"})
"""Types whose layers multiply in 8 bits, forward and back, and are not only kept so."""
SCHEDULES = {
    "CONSTANT": "constant", "LINEAR": "linear", "COSINE": "cosine", "COSINE_WITH_RESTARTS": "cosine_with_restarts",
    "COSINE_WITH_HARD_RESTARTS": "cosine_with_restarts", "REX": "rex", "ADAFACTOR": "constant",
}  # fmt: skip
OPTIMIZER_NAMES = {
    "SCHEDULE_FREE_ADAMW": "AdamWScheduleFree", "SCHEDULE_FREE_SGD": "SGDScheduleFree", "ADAM": "AdamW",
    "ADAM_8BIT": "AdamW8bit", "SGD_8BIT": "SGDNesterov8bit", "SGD": "SGDNesterov", "AdEMAMix": "AdEMAMix",
    "AdEMAMix_8BIT": "AdEMAMix8bit", "PRODIGY_PLUS_SCHEDULE_FREE": "ProdigyPlusScheduleFree",
}  # fmt: skip
#: distribution -> how levels of flow matching are drawn, and how timesteps of the others are; empty: in no such way
DISTRIBUTIONS = {
    "UNIFORM": ("uniform", "uniform"), "SIGMOID": ("sigmoid", "sigmoid"), "LOGIT_NORMAL": ("logit_normal", "sigmoid"),
    "HEAVY_TAIL": ("", ""), "COS_MAP": ("", ""), "INVERTED_PARABOLA": ("", ""), "BETA": ("", ""),
}  # fmt: skip
WHOLE = KeyTable(
    straight={
        "aspect_ratio_bucketing": "data.buckets", "image_caching": "memory.cache_latents",
        "latent_caching": "memory.cache_latents", "learning_rate_min_factor": "learning.final",
        "epochs": "steps.epochs", "batch_size": "steps.batch_size",
        "gradient_accumulation_steps": "steps.gradient_accumulation",
        "unmasked_probability": "masks.unmasked_probability", "unmasked_weight": "masks.unmasked_weight",
        "normalize_masked_area_loss": "masks.normalise", "lora_rank": "network.rank", "lora_alpha": "network.alpha",
        "lora_decompose": "network.dora", "dropout_probability": "network.dropout",
        "offset_noise_weight": "noise.noise_offset", "perturbation_noise_weight": "noise.ip_noise_gamma",
        "tensorboard": "tracking.tensorboard", "seed": "steps.seed",
    },
    idle=why(
        (
            FOLDER,
            "__version debug_mode debug_dir workspace_dir cache_dir tensorboard_expose tensorboard_always_on "
            "tensorboard_port continue_last_backup prevent_overwrites include_train_config save_filename_prefix "
            "backup_before_save rolling_backup save_skip_first clear_cache_before_training only_cache "
            "output_model_format cloud secrets",
        ),
        (COMPILED, "compile"),
        (
            BY_ITSELF,
            "gradient_reduce_precision fused_gradient_reduce async_gradient_reduce async_gradient_reduce_buffer "
            "async_offloading enable_async_offloading enable_activation_offloading layer_offload_fraction "
            "text_caching caching_threads dataloader_threads prefetch_next_batch temp_device fallback_train_dtype "
            "enable_autocast_cache attention_mechanism weight_dtype lora_weight_dtype embedding_weight_dtype "
            "sample_image_format sample_video_format sample_audio_format samples_to_tensorboard sample_skip_first "
            "optimizer_defaults ema_update_step_interval quantization unet prior transformer text_encoder "
            "text_encoder_2 vae frames oft_block_share gradient_checkpointing",
        ),
        (
            NONE,
            "force_circular_padding custom_learning_rate_scheduler scheduler_params vb_loss_strength loss_scaler "
            "learning_rate_scaler layer_filter_regex lora_layers_regex generalized_offset_noise cep_gamma "
            "masked_prior_preservation_weight lora_decompose_norm_epsilon lora_decompose_output_axis dora_oft "
            "oft_scaled oft_clipped_norm oft_cans oft_coft coft_eps lokr_dora_on_output lokr_vec_trick "
            "text_encoder_2_layer_skip text_encoder_2_sequence_length text_encoder_3_layer_skip "
            "text_encoder_4_layer_skip save_after_skip transformer_attention_mask",
        ),
        (
            _OTHER,
            "unconditional_transformer text_encoder_3 text_encoder_4 effnet_encoder decoder decoder_text_encoder "
            "decoder_vqgan custom_conditioning_image embedding_learning_rate preserve_embedding_norm embedding "
            "embeddings additional_embeddings bundle_additional_embeddings",
        ),
    ),
    elsewhere=frozenset({
        "backup_after", "backup_after_unit", "base_model_name", "clip_grad_norm", "concept_file_name", "concepts",
        "device_indexes", "dynamic_timestep_shifting", "ema", "ema_decay", "force_epsilon_prediction",
        "force_v_prediction", "huber_delta", "huber_strength", "layer_filter", "layer_filter_preset", "learning_rate",
        "learning_rate_cycles", "learning_rate_scheduler", "learning_rate_warmup_steps", "log_cosh_strength",
        "lokr_decompose_both", "lokr_decompose_factor", "lokr_dim", "lokr_full_matrix", "lokr_use_tucker",
        "lokr_weight_decompose", "lora_model_name", "loss_weight_fn", "loss_weight_strength", "mae_strength",
        "masked_training", "max_noising_strength", "min_noising_strength", "min_snr_gamma", "model_type",
        "mse_strength", "multi_gpu", "noising_bias", "noising_weight", "non_ema_sampling", "oft_block_size",
        "optimizer", "output_dtype", "output_model_destination", "peft_type",
        "rescale_noise_scheduler_to_zero_terminal_snr", "resolution", "rolling_backup_count", "sample_after",
        "sample_after_unit", "sample_definition_file_name", "samples", "save_after", "save_after_unit", "save_every",
        "save_every_unit", "text_encoder_layer_skip", "timestep_distribution", "timestep_shift", "train_device",
        "train_dtype", "training_method", "validate_after", "validate_after_unit", "validation",
    }),
    implied={
        "learning_rate": 3e-06, "learning_rate_scheduler": "CONSTANT", "learning_rate_warmup_steps": 200,
        "epochs": 100, "batch_size": 1, "lora_rank": 16, "lora_alpha": 1.0, "optimizer.optimizer": "ADAMW",
    },
)  # fmt: skip
"""The keys of the file; those of a part of the model stand under the part's name."""
CONCEPTS = KeyTable(
    straight={
        "path": "path", "balancing": "repeats", "repeats": "repeats", "enabled": "use", "loss_weight": "weight",
        "image.enable_random_flip": "flip", "text.enable_tag_shuffling": "shuffle",
        "text.keep_tags_count": "keep_tokens", "text.tag_dropout_probability": "tag_dropout",
        "text.tag_dropout_enable": "tag_dropout", "image.resolution_override": "resolution",
        "image.enable_resolution_override": "resolution", "validation_concept": "use", "type": "regularisation",
    },
    idle=why(
        (_NESTED, "include_subdirectories"),
        (
            BY_ITSELF,
            "name seed image_variations text_variations __version balancing_strategy "
            "text.prompt_source text.prompt_path text.tag_delimiter",
        ),
        (
            NONE,
            "text.tag_dropout_mode text.tag_dropout_special_tags_mode text.tag_dropout_special_tags "
            "text.tag_dropout_special_tags_regex text.caps_randomize_enable text.caps_randomize_probability "
            "text.caps_randomize_mode text.caps_randomize_lowercase image.enable_random_circular_mask_shrink "
            "image.enable_random_mask_rotate_crop concept_stats",
        ),
        (
            _AUGMENT,
            "image.enable_crop_jitter image.enable_fixed_flip image.enable_random_rotate image.enable_fixed_rotate "
            "image.random_rotate_max_angle image.enable_random_brightness image.enable_fixed_brightness "
            "image.random_brightness_max_strength image.enable_random_contrast image.enable_fixed_contrast "
            "image.random_contrast_max_strength image.enable_random_saturation image.enable_fixed_saturation "
            "image.random_saturation_max_strength image.enable_random_hue image.enable_fixed_hue "
            "image.random_hue_max_strength",
        ),
    ),
    usual={"text.prompt_source": ("sample",), "text.tag_delimiter": (",", ", ")},
)  # fmt: skip
"""The keys of a concept, and the fields of an entry that are the same."""
