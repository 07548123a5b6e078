"""kohya_ss: the fields of its form as options of sd-scripts, as its form makes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lora_tui.exchange.commands import options_of as options_of_command
from lora_tui.exchange.draft import is_empty, is_on
from lora_tui.exchange.lora_scripts import Options
from lora_tui.exchange.sd_network import float_of
from lora_tui.text import N_, _

#: LoRA_type -> module, algorithm of LyCORIS
TYPES: Mapping[str, tuple[str, str]] = {
    "Standard": ("networks.lora", ""), "Kohya LoCon": ("networks.lora", ""), "Kohya DyLoRA": ("networks.dylora", ""),
    "Kohya LoHa": ("lycoris.kohya", "loha"), "Kohya LoKr": ("lycoris.kohya", "lokr"), "LoRA-FA": ("networks.lora_fa",
    ""),
    "Flux1": ("networks.lora_flux", ""), "Flux1 OFT": ("networks.oft_flux", ""), "Lumina": ("networks.lora_lumina", ""),
    "Anima": ("networks.lora_anima", ""), "HunyuanImage": ("networks.lora_hunyuan_image", ""),
    "LyCORIS/iA3": ("lycoris.kohya", "ia3"), "LyCORIS/BOFT": ("lycoris.kohya", "boft"),
    "LyCORIS/Diag-OFT": ("lycoris.kohya", "diag-oft"), "LyCORIS/DyLoRA": ("lycoris.kohya", "dylora"),
    "LyCORIS/GLoRA": ("lycoris.kohya", "glora"), "LyCORIS/LoCon": ("lycoris.kohya", "locon"),
    "LyCORIS/LoHa": ("lycoris.kohya", "loha"), "LyCORIS/LoKr": ("lycoris.kohya", "lokr"),
    "LyCORIS/Native Fine-Tuning": ("lycoris.kohya", "full"),
}  # fmt: skip
RENAMED: Mapping[str, str] = {
    "max_resolution": "resolution", "optimizer": "optimizer_type", "lora_network_weights": "network_weights",
    "sdxl_cache_text_encoder_outputs": "cache_text_encoder_outputs", "sdxl_no_half_vae": "no_half_vae",
    "flux1_cache_text_encoder_outputs": "cache_text_encoder_outputs", "flux1_t5xxl": "t5xxl", "flux1_clip_l": "clip_l",
    "flux1_cache_text_encoder_outputs_to_disk": "cache_text_encoder_outputs_to_disk", "cpu_offload": "lowram",
    "sd3_cache_text_encoder_outputs": "cache_text_encoder_outputs", "sd3_clip_l": "clip_l", "sd3_clip_g": "clip_g",
    "sd3_cache_text_encoder_outputs_to_disk": "cache_text_encoder_outputs_to_disk", "sd3_t5xxl": "t5xxl",
    "sd3_text_encoder_batch_size": "text_encoder_batch_size", "caption_metadata_filename": "in_json",
    "sd3_fused_backward_pass": "fused_backward_pass", "flux_fused_backward_pass": "fused_backward_pass",
    "weighted_caption": "weighted_captions", "vae_path": "vae", "logging_folder": "logging_dir",
    "num_cpu_threads": "num_cpu_threads_per_process", "ip_noise_gamma_random": "ip_noise_gamma_random_strength",
}  # fmt: skip
_ARGS = (
    "conv_dim", "conv_alpha", "rank_dropout", "module_dropout", "unit", "factor", "decompose_both", "full_matrix",
    "constrain", "rescaled", "use_tucker", "use_cp", "use_scalar", "dora_wd", "train_norm", "bypass_mode",
    "rank_dropout_scale", "train_on_input", "loraplus_lr_ratio", "loraplus_unet_lr_ratio",
    "loraplus_text_encoder_lr_ratio", "down_lr_weight", "mid_lr_weight", "up_lr_weight", "block_lr_zero_threshold",
    "block_dims", "block_alphas", "conv_block_dims", "conv_block_alphas", "train_blocks", "train_double_block_indices",
    "train_single_block_indices", "split_qkv", "train_t5xxl", "img_attn_dim", "txt_attn_dim", "img_mlp_dim",
    "txt_mlp_dim", "img_mod_dim", "txt_mod_dim", "single_dim", "single_mod_dim", "in_dims", "ggpo_beta", "ggpo_sigma",
)  # fmt: skip
_BY_TYPE: Mapping[str, tuple[str, ...]] = {
    "lokr": ("factor", "decompose_both", "full_matrix"), "boft": ("constrain", "rescaled"),
    "diag-oft": ("constrain", "rescaled"), "ia3": ("train_on_input",),
}  # fmt: skip
FORM = (
    "model_list", "sdxl", "save_as_bool", "flux1_checkbox", "sd3_checkbox", "headless", "dreambooth_checkbox",
    "folder_list", "use_wandb", "noise_offset_type", "LoRA_type", "LyCORIS_preset", "epoch", "lr_warmup",
    "additional_parameters", "lumina_checkbox", "anima_checkbox", "hunyuan_image_checkbox", "finetuning", "v_pred",
    "max_data_loader_n_workers_gui", "train_dir", "image_folder", "gui_lang", "enable_all_linear",
    "skip_until_initial_step_gui",
)  # fmt: skip
_FORM_NOTE = N_("of the form alone")
_OFF = N_("the switch that it belongs to is off")


def options_of(data: Mapping[str, Any]) -> Options:
    """The options of sd-scripts that a JSON of kohya_ss stands for."""
    found, keys = Options(), dict(data)
    found.family = _family(keys)
    kind = str(keys.get("LoRA_type", "Standard"))
    module, algo = TYPES.get(kind, ("", ""))
    if module:
        keys["network_module"] = _for_family(module, found.family)
        found.names["network_module"] = "LoRA_type"
    elif not is_empty(keys.get("LoRA_type")):
        keys["network_module"], found.names["network_module"] = kind, "LoRA_type"
    for ours in ("LoRA_type",):
        keys.pop(ours, None)
    _rename(found, keys)
    _network(found, keys, kind, algo)
    _length(found, keys)
    _rates(found, keys)
    _noise(found, keys)
    _command(found, keys)
    if is_on(keys.pop("use_wandb", False)):
        keys["log_with"], found.names["log_with"] = "wandb", "use_wandb"
    for key in FORM:
        if key in keys:
            keys.pop(key)
        if key in data and key not in found.names.values():
            found.idle.setdefault(key, _(_FORM_NOTE))
    found.values.update(keys)
    return found


def _family(keys: Mapping[str, Any]) -> str:
    kind = str(keys.get("LoRA_type", ""))
    if is_on(keys.get("flux1_checkbox")) or kind.startswith("Flux1"):
        return "flux"
    if is_on(keys.get("sd3_checkbox")):
        return "sd3"
    if is_on(keys.get("sdxl")):
        return "sdxl"
    if is_on(keys.get("v2")):
        return "sd2"
    return "sd15" if "sdxl" in keys else ""


def _for_family(module: str, family: str) -> str:
    return "networks.lora_sd3" if module == "networks.lora" and family == "sd3" else module


def _rename(found: Options, keys: dict[str, Any]) -> None:
    """The form's own names; where an option stands there twice, the one of the family's own part counts."""
    for name, option in RENAMED.items():
        if name not in keys:
            continue
        value = keys.pop(name)
        if is_empty(keys.get(option)) and not is_empty(value):
            keys[option], found.names[option] = value, name
        elif is_empty(value):
            found.idle[name] = _("left empty")
        else:
            found.idle[name] = _("{key} says it").format(key=option)


def _network(found: Options, keys: dict[str, Any], kind: str, algo: str) -> None:
    args: list[str] = []
    if algo:
        args.append(f"algo={algo}")
        found.told["LoRA_type"] = "network_module"
        found.names["network_args.algo"] = "LoRA_type"
        if not is_empty(keys.get("LyCORIS_preset")):
            args.append(f"preset={keys['LyCORIS_preset']}")
            found.names["network_args.preset"] = "LyCORIS_preset"
    wide = kind in ("Kohya LoCon", "Kohya DyLoRA", "LoRA-FA") or bool(algo)
    for name in _ARGS:
        if name not in keys:
            continue
        value = keys.pop(name)
        others = {one for key, names in _BY_TYPE.items() if key != algo for one in names}
        others -= set(_BY_TYPE.get(algo, ()))
        off = (
            (name in ("conv_dim", "conv_alpha") and not wide)
            or name in others
            or (name == "unit" and "DyLoRA" not in kind)
        )
        off = off or (name.startswith(("train_blocks", "split_qkv")) and found.family != "flux")
        if off or value is False or is_empty(value) or str(value) in ("0", "0.0"):
            found.idle[name] = _(_OFF) if off else _("off")
        else:
            args.append(f"{name}={value}")
            found.names[f"network_args.{name}"] = name
    if args:
        keys["network_args"] = [*args, *_texts(keys.get("network_args", []))]


def _length(found: Options, keys: dict[str, Any]) -> None:
    """Epochs of the form where neither epochs nor steps are set; a warm-up in percent; a share of the text encoder."""
    epochs, steps = float_of(keys.get("max_train_epochs")), float_of(keys.get("max_train_steps"))
    if epochs <= 0 and steps <= 0 and not is_empty(keys.get("epoch")):
        for name in ("max_train_epochs", "max_train_steps"):
            if not is_empty(keys.pop(name, None)):
                found.idle[name] = _("{key} says it").format(key="epoch")
        keys["max_train_epochs"], found.names["max_train_epochs"] = keys["epoch"], "epoch"
    percent = float_of(keys.get("lr_warmup"))
    if float_of(keys.get("lr_warmup_steps")) <= 0 < percent < 100:
        keys["lr_warmup_steps"], found.names["lr_warmup_steps"] = percent / 100, "lr_warmup"
    stop = float_of(keys.get("stop_text_encoder_training"))
    if 0 < stop < 100:
        keys.pop("stop_text_encoder_training")
        keys["(share)"], found.names["(share)"] = stop / 100, "stop_text_encoder_training"
    lasts = ("save_last_n_steps", "save_last_n_steps_state", "save_last_n_epochs", "save_last_n_epochs_state")
    for name in (*lasts, "vae_batch_size"):
        if float_of(keys.get(name)) == 0:
            keys.pop(name)
            found.idle[name] = _("off")


def _rates(found: Options, keys: dict[str, Any]) -> None:
    """A rate of 0 beside another trains nothing of that part; both at 0 leave it to the general one."""
    unet, text = float_of(keys.get("unet_lr")), float_of(keys.get("text_encoder_lr"))
    if unet == 0 and text == 0:
        for name in ("unet_lr", "text_encoder_lr"):
            keys.pop(name)
            found.idle[name] = _("0 leaves it to the general rate")


def _noise(found: Options, keys: dict[str, Any]) -> None:
    """Noise offset or pyramid noise, as the form's choice says."""
    kind = str(keys.get("noise_offset_type", ""))
    off = {
        "Original": ("multires_noise_iterations", "multires_noise_discount"),
        "Multires": ("noise_offset", "noise_offset_random_strength", "adaptive_noise_scale"),
    }.get(kind, ())
    for name in off:
        if name in keys:
            keys.pop(name)
            found.idle[name] = _(_OFF)
    if float_of(keys.get("multires_noise_iterations")) == 0 and float_of(keys.get("multires_noise_discount")) == 0:
        keys.pop("multires_noise_discount")
        found.idle["multires_noise_discount"] = _("off")


def _command(found: Options, keys: dict[str, Any]) -> None:
    """More options of sd-scripts, typed as on a command line."""
    text = str(keys.pop("additional_parameters", "") or "").strip()
    if not text:
        return
    try:
        own, _script = options_of_command(f"x.py {text}")
    except ValueError:
        keys["additional_parameters."] = text
        return
    for name, value in own.items():
        if name in keys and not is_empty(keys[name]):
            found.idle[found.names.get(name, name)] = _("additional_parameters says otherwise")
        keys[name], found.names[name] = value, f"additional_parameters.{name}"


def _texts(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, (list, tuple)) else str(value).split()
