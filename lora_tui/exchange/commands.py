"""Command lines and scripts that start sd-scripts, of sh and of PowerShell: read, never run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

LAUNCHER = ("num_processes", "multi_gpu", "gpu_ids", "mixed_precision", "num_cpu_threads_per_process")
_CONTINUED = re.compile(r"[ \t]*[\\`^][ \t]*\r?\n")
_SCRIPT = re.compile(r"\S*\.py\b")
_NUMBER = re.compile(r"-?\d")
_ASSIGNED = re.compile(r"^\s*(?:export\s+)?\$?(?:env:)?([A-Za-z_]\w*)\s*=\s*(.*)$", re.MULTILINE)
_USED = re.compile(r"\$\{?([A-Za-z_]\w*)\}?")
MOST_WORDS = 20_000
_LISTS = (
    "network_args",
    "optimizer_args",
    "lr_scheduler_args",
    "base_weights",
    "base_weights_multiplier",
    "text_encoder_lr",
)
"""Options that take several words."""

#: variable of train.sh and train.ps1 -> option
VARIABLES: Mapping[str, str] = {
    "pretrained_model": "pretrained_model_name_or_path", "is_v2_model": "v2", "parameterization": "v_parameterization",
    "train_data_dir": "train_data_dir", "reg_data_dir": "reg_data_dir", "network_module": "network_module",
    "network_weights": "network_weights", "network_dim": "network_dim", "network_alpha": "network_alpha",
    "resolution": "resolution", "batch_size": "train_batch_size", "max_train_epoches": "max_train_epochs",
    "save_every_n_epochs": "save_every_n_epochs", "train_unet_only": "network_train_unet_only",
    "train_text_encoder_only": "network_train_text_encoder_only",
    "stop_text_encoder_training": "stop_text_encoder_training", "noise_offset": "noise_offset",
    "keep_tokens": "keep_tokens", "min_snr_gamma": "min_snr_gamma", "lr": "learning_rate", "unet_lr": "unet_lr",
    "text_encoder_lr": "text_encoder_lr", "lr_scheduler": "lr_scheduler", "lr_warmup_steps": "lr_warmup_steps",
    "lr_restart_cycles": "lr_scheduler_num_cycles", "optimizer_type": "optimizer_type", "output_name": "output_name",
    "save_model_as": "save_model_as", "save_state": "save_state", "resume": "resume",
    "min_bucket_reso": "min_bucket_reso", "max_bucket_reso": "max_bucket_reso",
    "persistent_data_loader_workers": "persistent_data_loader_workers", "clip_skip": "clip_skip",
    "multi_gpu": "multi_gpu", "lowram": "lowram", "wandb_api_key": "wandb_api_key",
    "log_tracker_name": "log_tracker_name", "vae": "vae", "clip_l": "clip_l", "t5xxl": "t5xxl", "ae": "ae",
    "timestep_sampling": "timestep_sampling", "sigmoid_scale": "sigmoid_scale", "guidance_scale": "guidance_scale",
    "model_prediction_type": "model_prediction_type", "discrete_flow_shift": "discrete_flow_shift",
    "loss_type": "loss_type", "scale_weight_norms": "scale_weight_norms",
    "gradient_checkpointing": "gradient_checkpointing",
}  # fmt: skip
OF_LYCORIS = {"algo": "algo", "conv_dim": "conv_dim", "conv_alpha": "conv_alpha", "dropout": "dropout"}
OF_THE_SHELL = frozenset({
    "HF_HOME", "TF_CPP_MIN_LOG_LEVEL", "extArgs", "ext_args", "launchArgs", "launch_args", "PYTHONUTF8", "HF_ENDPOINT",
    "XFORMERS_FORCE_DISABLE_TRITON", "trainer_file", "extArg", "canny", "script", "python_args",
})  # fmt: skip
#: what the script says below its variables
FIXED: Mapping[str, Any] = {
    "enable_bucket": True, "mixed_precision": "fp16", "save_precision": "fp16", "seed": 1337, "cache_latents": True,
    "prior_loss_weight": 1, "max_token_length": 225, "caption_extension": ".txt", "shuffle_caption": True,
}  # fmt: skip
FAMILIES = {"sd1.5": "sd15", "sd2.0": "sd2", "sdxl": "sdxl", "flux": "flux"}


def options_of(text: str, twice: list[str] | None = None) -> tuple[dict[str, Any], str]:
    """The options of the last command in ``text`` that starts a script, by name, and the script.

    Variables of the text that the command uses are filled in. ``twice`` is given the options that stand in it more
    than once; the last of them counts, as in sd-scripts. What stands before the first option and is no script, and
    words behind an option that takes one, are told under the names ``(1)``, ``(2)`` and so on.

    Raises:
        ValueError: a quote is left open, or there are too many words.
    """
    joined = _CONTINUED.sub(" ", text.replace("\r\n", "\n"))
    given = variables_of(joined)
    lines = [line for line in joined.splitlines() if not line.lstrip().startswith(("#", "REM ", "::"))]
    command = next((line for line in reversed(lines) if _SCRIPT.search(line) and "--" in line), "")
    if not command:
        command = " ".join(line.strip() for line in lines if line.strip())
    command = _USED.sub(lambda found: given.get(found[1], found[0]), command)
    words = _words(command)
    if len(words) > MOST_WORDS:
        raise ValueError("words")
    script = next((word for word in words if word.endswith(".py")), "")
    return _parsed(words, script, [] if twice is None else twice), script


def _words(command: str) -> list[str]:
    """The words of a command; backslashes are those of Windows' places."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.escape, lexer.commenters = True, "", ""
    return list(lexer)


def _parsed(words: list[str], script: str, twice: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    after, name, loose = not script, "", 0
    for word in words:
        if word == script and not after:
            after, name = True, ""
            continue
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            name = name.replace("-", "_")
            if name in found and name not in _LISTS and (after or name in LAUNCHER):
                twice.append(name)
            found[name] = _one(name, value) if equals else ([] if name in _LISTS else True)
            if equals and name not in _LISTS:
                name = ""
            continue
        if name in _LISTS and isinstance(found.get(name), list):
            found[name].append(word)
        elif name and found.get(name) is True and (not word.startswith("-") or _NUMBER.match(word)):
            found[name] = word
            name = ""
        elif after and not word.startswith(("$", "@", "&", "|", ">", "<", "2>")):
            loose += 1
            found[f"({loose})"] = word
    return {key: value for key, value in found.items() if key not in ("module",)}


def _one(name: str, value: str) -> Any:
    return [value] if name in _LISTS else value


def variables_of(text: str) -> dict[str, str]:
    """The variables that a script of sh or PowerShell sets, without their remarks and quotes."""
    found: dict[str, str] = {}
    for name, value in _ASSIGNED.findall(text):
        found[name] = _bare(value.strip())
    return found


def _bare(value: str) -> str:
    if value[:1] in ("'", '"'):
        return value[1:].partition(value[0])[0]
    value = value.partition(" #")[0].partition("\t#")[0].strip().rstrip(";")
    return {"$true": "true", "$false": "false"}.get(value.lower(), value)


def options_of_variables(text: str) -> tuple[dict[str, Any], dict[str, str], str]:
    """What ``train.sh`` or ``train.ps1`` of lora-scripts says: options, the variable that each is from, the family."""
    options: dict[str, Any] = {}
    names: dict[str, str] = {}
    given = variables_of(_above(text))
    family = FAMILIES.get(given.get("model_type", ""), "")
    network = {}
    for name, value in given.items():
        if name in OF_THE_SHELL:
            continue
        if name == "use_wandb":
            options["log_with"] = "wandb" if value not in ("0", "false", "") else "tensorboard"
            names["log_with"] = name
        elif name in OF_LYCORIS:
            network[OF_LYCORIS[name]] = value
        elif name == "model_type":
            names["model_type"] = name
            options["model_type"] = value
        elif name in ("network_weights", "reg_data_dir", "resume", "wandb_api_key", "log_tracker_name") and not value:
            options[VARIABLES[name]], names[VARIABLES[name]] = "", name
        else:
            options[VARIABLES.get(name, name)] = value
            names[VARIABLES.get(name, name)] = name
    if network:
        options["network_args"] = [f"{name}={value}" for name, value in network.items()]
        names.update({f"network_args.{name}": name for name in network})
    return options, names, family


def _above(text: str) -> str:
    """A script without what stands behind the line that asks not to be changed."""
    return re.split(r"^#.*DO NOT MODIFY.*$", text, maxsplit=1, flags=re.MULTILINE)[0]
