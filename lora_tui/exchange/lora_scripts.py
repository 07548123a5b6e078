"""lora-scripts: the keys of its forms as options of sd-scripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lora_tui.exchange.draft import is_empty, is_on
from lora_tui.exchange.kinds import one_level
from lora_tui.text import N_, _
from lora_tui.toml_files import TomlError, parse_toml

FAMILIES: Mapping[str, str] = {
    "sd-lora": "", "sdxl-lora": "sdxl", "flux-lora": "flux", "sd3-lora": "sd3", "lora": "",
}  # fmt: skip
_OTHERS = {
    "sd-dreambooth": "",
    "sdxl-finetune": "sdxl",
    "flux-finetune": "flux",
    "lumina2-lora": "",
    "lumina2-finetune": "",
}
_ARGS = {"conv_dim": "conv_dim", "conv_alpha": "conv_alpha", "dropout": "dropout", "train_norm": "train_norm"} | {
    "lycoris_algo": "algo", "lokr_factor": "factor"
}  # fmt: skip
_BLOCKS = ("down_lr_weight", "mid_lr_weight", "up_lr_weight", "block_lr_zero_threshold")
_PREVIEW = {
    "negative_prompts": "--n", "sample_width": "--w", "sample_height": "--h", "sample_cfg": "--l", "sample_seed": "--d",
    "sample_steps": "--s",
}  # fmt: skip
_OFF = N_("the switch that it belongs to is off")


@dataclass
class Options:
    """A face's file as options of sd-scripts.

    Attributes:
        values: option -> value.
        names: option -> the key that the file has for it, where that is another.
        idle: key of the file -> why it has no effect.
        told: key of the file -> the option that tells what became of it.
        family: of the model, empty where the options have to tell.
        notes: what else is to be known.
    """

    values: dict[str, Any] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    idle: dict[str, str] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    family: str = ""
    notes: list[str] = field(default_factory=list)


def options_of(data: Mapping[str, Any]) -> Options:
    """The options that a TOML of lora-scripts stands for, as its form makes them."""
    found = Options()
    if isinstance(data.get("metadata"), dict) and isinstance(data.get("data"), dict):
        found.idle.update({f"metadata.{key}": _("of the preset's list alone") for key in data["metadata"]})
        data = data["data"]
    keys = one_level(data)
    if not is_empty(keys.get("ui_custom_params")):
        _override(found, keys)
    kind = str(keys.pop("model_train_type", ""))
    if kind:
        found.told["model_train_type"] = kind
        found.family = FAMILIES.get(kind, _OTHERS.get(kind, ""))
        if kind in _OTHERS:
            found.notes.append(_("It trained another thing than a LoRA; here a LoRA is trained with its settings."))
        if kind == "sd-lora":
            found.family = "sd2" if is_on(keys.get("v2")) else "sd15"
    if keys.get("model_type") == "chroma":
        found.family = "chroma"
    _network(found, keys)
    _optimizer(found, keys)
    _preview(found, keys)
    if "train_t5xxl" in keys:
        keys.pop("train_t5xxl")
        found.idle["train_t5xxl"] = _("T5 is not trained")
    if not is_on(keys.pop("enable_base_weight", bool(keys.get("base_weights")))):
        for key in ("base_weights", "base_weights_multiplier"):
            if key in keys:
                keys.pop(key)
                found.idle[key] = _(_OFF)
    found.idle.update(
        {key: _("of the form alone") for key in ("enable_base_weight", "enable_preview") if key in one_level(data)}
    )
    found.values.update(keys)
    return found


def _override(found: Options, keys: dict[str, Any]) -> None:
    text = str(keys.pop("ui_custom_params"))
    try:
        own = one_level(parse_toml(text))
    except TomlError:
        found.values["ui_custom_params"] = text  # nobody understands it
        return
    for name, value in own.items():
        if name in keys:
            found.idle[name] = _("ui_custom_params says otherwise")
        keys[name] = value
        found.names[name] = f"ui_custom_params.{name}"


def _network(found: Options, keys: dict[str, Any]) -> None:
    """LyCORIS' fields, DyLoRA's unit and the blocks' weights as arguments of the network."""
    lycoris = keys.get("network_module") == "lycoris.kohya"
    args: list[str] = _texts(keys.pop("network_args", []))
    custom = _texts(keys.pop("network_args_custom", []))
    for text in custom:
        found.names[f"network_args.{text.partition('=')[0]}"] = f"network_args_custom.{text.partition('=')[0]}"
    given = {text.partition("=")[0] for text in (*args, *custom)}
    fields = (
        dict(_ARGS) if lycoris else {"dylora_unit": "unit"} if keys.get("network_module") == "networks.dylora" else {}
    )
    blocks = is_on(keys.get("enable_block_weights"))
    if "enable_block_weights" in keys:
        keys.pop("enable_block_weights")
        found.idle["enable_block_weights"] = _("of the form alone")
    fields |= {name: name for name in _BLOCKS} if blocks else {}
    for name in (*_ARGS, "dylora_unit", *_BLOCKS):
        if name not in keys:
            continue
        value = keys.pop(name)
        if name in fields and fields[name] not in given and not is_empty(value):
            args.append(f"{fields[name]}={value}")
            found.names[f"network_args.{fields[name]}"] = name
        else:
            found.idle[name] = _(_OFF) if name not in fields else _("the arguments say it")
    if args or custom:
        keys["network_args"] = [*args, *custom]


def _optimizer(found: Options, keys: dict[str, Any]) -> None:
    """The form's arguments of optimizers."""
    args = _texts(keys.pop("optimizer_args", []))
    custom = _texts(keys.pop("optimizer_args_custom", []))
    for text in custom:
        found.names[f"optimizer_args.{text.partition('=')[0]}"] = f"optimizer_args_custom.{text.partition('=')[0]}"
    prodigy = str(keys.get("optimizer_type", "")).lower() == "prodigy"
    for name, argument in (("prodigy_d0", "d0"), ("prodigy_d_coef", "d_coef")):
        if name not in keys:
            continue
        value = keys.pop(name)
        if prodigy and not is_empty(value):
            args.append(f"{argument}={value}")
            found.names[f"optimizer_args.{argument}"] = name
        else:
            found.idle[name] = _(_OFF)
    if args or custom:
        keys["optimizer_args"] = list({text.partition("=")[0]: text for text in (*args, *custom)}.values())


def _preview(found: Options, keys: dict[str, Any]) -> None:
    """The form's one prompt, or a file of prompts, where previews are on."""
    on = is_on(keys.pop("enable_preview", bool(keys.get("sample_prompts"))))
    file, prompt = keys.pop("prompt_file", ""), keys.pop("positive_prompts", "")
    told = {"prompt_file": file, "positive_prompts": prompt}
    flags = {name: keys.pop(name) for name in _PREVIEW if name in keys}
    random = keys.pop("randomly_choice_prompt", None)
    if random is not None:
        found.idle["randomly_choice_prompt"] = _("samples have prompts of their own")
    if not on:
        off = {*flags, *(name for name, value in told.items() if value)}
        off |= {name for name in ("sample_prompts", "sample_sampler", "sample_every_n_epochs") if name in keys}
        found.idle.update(dict.fromkeys(off, _(_OFF)))
        for name in off:
            keys.pop(name, None)
        return
    if not is_empty(file):
        keys["sample_prompts"], found.names["sample_prompts"] = file, "prompt_file"
        found.idle.update(
            dict.fromkeys((*flags, *(["positive_prompts"] if prompt else [])), _("the file of prompts says it"))
        )
    elif not is_empty(prompt) and is_empty(keys.get("sample_prompts")):
        parts = [f"{_PREVIEW[name]} {value}" for name, value in flags.items() if not is_empty(value)]
        keys["sample_prompts"] = [" ".join([str(prompt).replace("\n", " "), *parts])]
        found.names["sample_prompts"] = "positive_prompts"
        found.told.update(dict.fromkeys(flags, "sample_prompts"))
    else:
        found.idle.update(dict.fromkeys(flags, _("the prompts have flags of their own")))


def _texts(value: Any) -> list[str]:
    if isinstance(value, (list, tuple)):
        return [str(one) for one in value if str(one).strip()]
    return str(value).split() if str(value).strip() else []
