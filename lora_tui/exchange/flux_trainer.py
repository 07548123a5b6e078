"""ComfyUI-FluxTrainer: the nodes of a workflow as options of sd-scripts.

A workflow that was saved from the screen has the values of each node as a list, in the order in which the node
declares them; one that was exported for the API has them by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lora_tui.config.family import usual_sample
from lora_tui.exchange import sd_data
from lora_tui.exchange.commands import options_of
from lora_tui.exchange.draft import Draft, is_empty, is_on
from lora_tui.exchange.fate import Fate, Imported, Row, told_value
from lora_tui.exchange.places import Places
from lora_tui.exchange.reading import refused
from lora_tui.exchange.sd_network import float_of
from lora_tui.exchange.sd_scripts import translated
from lora_tui.text import N_, _

_SCHEDULE = ("max_grad_norm", "lr_scheduler", "lr_warmup_steps", "lr_scheduler_num_cycles", "lr_scheduler_power")
_INIT_END = (
    "highvram",
    "blocks_to_swap",
    "fp8_base",
    "gradient_dtype",
    "save_dtype",
    "attention_mode",
    "train_text_encoder",
)
_LOOP = ("steps",)
_SAVE = ("save_state", "copy_to_comfy_lora_folder")
_VALIDATE = (
    "steps",
    "width",
    "height",
    "guidance_scale",
    "seed",
    "control_after_generate",
    "shift",
    "base_shift",
    "max_shift",
)
#: node -> the names of its values, in their order
NODES: Mapping[str, tuple[str, ...]] = {
    "FluxTrainModelSelect": ("transformer", "vae", "clip_l", "t5", "lora_path"),
    "SD3ModelSelect": ("transformer", "clip_l", "clip_g", "t5", "lora_path"),
    "SDXLModelSelect": ("checkpoint", "lora_path"),
    "TrainDatasetGeneralConfig": (
        "color_aug", "flip_aug", "shuffle_caption", "caption_dropout_rate", "alpha_mask", "reset_on_queue",
        "caption_extension",
    ),
    "TrainDatasetAdd": (
        "width", "height", "batch_size", "dataset_path", "class_tokens", "enable_bucket", "bucket_no_upscale",
        "num_repeats",
        "min_bucket_reso", "max_bucket_reso",
    ),
    "TrainDatasetRegularization": ("dataset_path", "class_tokens", "num_repeats"),
    "OptimizerConfig": ("optimizer_type", *_SCHEDULE, "min_snr_gamma", "extra_optimizer_args"),
    "OptimizerConfigAdafactor": (
        *_SCHEDULE, "relative_step", "scale_parameter", "warmup_init", "clip_threshold", "min_snr_gamma",
        "extra_optimizer_args",
    ),
    "OptimizerConfigProdigy": (
        *_SCHEDULE, "weight_decay", "decouple", "use_bias_correction", "min_snr_gamma", "extra_optimizer_args",
    ),
    "OptimizerConfigProdigyPlusScheduleFree": (
        "lr", "max_grad_norm", "prodigy_steps", "d0", "d_coeff", "split_groups", "use_bias_correction", "min_snr_gamma",
        "use_stableadamw", "use_cautious", "use_adopt", "use_grams", "stochastic_rounding", "extra_optimizer_args",
    ),
    "FluxTrainerLossConfig": ("loss_type", "huber_schedule", "huber_c", "huber_scale"),
    "TrainNetworkConfig": ("network_type", "lycoris_preset", "factor", "extra_network_args"),
    "FluxTrainBlockSelect": ("include",),
    "InitFluxLoRATraining": (
        "output_name", "output_dir", "network_dim", "network_alpha", "learning_rate", "max_train_steps",
        "apply_t5_attn_mask", "cache_latents", "cache_text_encoder_outputs", "blocks_to_swap", "weighting_scheme",
        "logit_mean", "logit_std", "mode_scale", "timestep_sampling", "sigmoid_scale", "model_prediction_type",
        "guidance_scale", "discrete_flow_shift", "highvram", "fp8_base", "gradient_dtype", "save_dtype",
        "attention_mode",
        "sample_prompts", "additional_args", "train_text_encoder", "clip_l_lr", "T5_lr", "gradient_checkpointing",
    ),
    "InitSD3LoRATraining": (
        "output_name", "output_dir", "network_dim", "network_alpha", "learning_rate", "max_train_steps",
        "cache_latents",
        "cache_text_encoder_outputs", "training_shift", *_INIT_END, "clip_l_lr", "clip_g_lr", "T5_lr", "sample_prompts",
        "gradient_checkpointing", "additional_args",
    ),
    "InitSDXLLoRATraining": (
        "output_name", "output_dir", "network_dim", "network_alpha", "learning_rate", "max_train_steps",
        "cache_latents",
        "cache_text_encoder_outputs", *_INIT_END, "clip_l_lr", "clip_g_lr", "sample_prompts_pos", "sample_prompts_neg",
        "gradient_checkpointing", "additional_args",
    ),
    "FluxTrainLoop": _LOOP, "SD3TrainLoop": _LOOP, "SDXLTrainLoop": _LOOP,
    "FluxTrainAndValidateLoop": ("validate_at_steps", "save_at_steps"),
    "FluxTrainSave": _SAVE, "SD3TrainLoRASave": _SAVE, "SDXLTrainLoRASave": _SAVE,
    "FluxTrainSaveModel": ("copy_to_comfy_model_folder", "end_training"),
    "FluxTrainEnd": ("save_state",), "SD3TrainEnd": ("save_state",), "SDXLTrainEnd": ("save_state",),
    "FluxTrainResume": ("load_state_path", "skip_until_initial_step"),
    "FluxTrainValidationSettings": _VALIDATE, "SD3TrainValidationSettings": _VALIDATE,
    "SDXLTrainValidationSettings": _VALIDATE,
    "FluxTrainValidate": (), "SD3TrainValidate": (), "SDXLTrainValidate": (),
    "VisualizeLoss": ("plot_style", "window_size", "normalize_y", "width", "height", "log_scale"),
}  # fmt: skip
_INITS = {"InitFluxLoRATraining": "flux", "InitSD3LoRATraining": "sd3", "InitSDXLLoRATraining": "sdxl"}
_PARTS = {
    "transformer": "pretrained_model_name_or_path",
    "checkpoint": "pretrained_model_name_or_path",
    "t5": "t5xxl",
} | {"lora_path": "network_weights", "clip_l": "clip_l", "clip_g": "clip_g"}
_TYPES = {"lora": ("", ""), "LyCORIS/LoKr": ("lycoris.kohya", "lokr"), "LyCORIS/Locon": ("lycoris.kohya", "locon")} | {
    "LyCORIS/LoHa": ("lycoris.kohya", "loha")
}
_PLUS = (
    "prodigy_steps",
    "d0",
    "split_groups",
    "use_stableadamw",
    "use_cautious",
    "use_adopt",
    "use_grams",
    "stochastic_rounding",
)
_DESCRIBED = {
    "dataset_path": "subsets.0.image_dir", "num_repeats": "subsets.0.num_repeats", "width": "resolution",
    "class_tokens": "subsets.0.class_tokens", "height": "resolution",
}  # fmt: skip
"""Values of a node of images -> where they stand in the description of a dataset of sd-scripts."""
_PLUS_NOTE = N_("the node never hands it on, so it had no effect there either")
_LATER = N_("a later node says it")
_SHOWN = N_("of the workflow alone")
_DRAWN = N_("of every prompt in samples")


@dataclass
class _Node:
    name: str
    number: str
    values: dict[str, Any]

    def key(self, name: str) -> str:
        return f"{self.name}#{self.number}.{name}"


@dataclass
class _Work:
    """What is gathered.

    Attributes:
        options: of sd-scripts.
        keys: option -> the key of a node that it is from.
        rows: what is told already.
        described: key of a node -> where it stands in the description of the datasets.
    """

    options: dict[str, Any]
    keys: dict[str, str] = field(default_factory=dict)
    rows: dict[str, Row] = field(default_factory=dict)
    described: dict[str, str] = field(default_factory=dict)

    def option(self, node: _Node, name: str, option: str, value: Any = None) -> None:
        told = node.values.get(name) if value is None else value
        if not is_empty(told):
            if before := self.keys.get(option):
                self.rows[before] = Row(before, told_value(before, self.options[option]), Fate.IDLE, {}, _(_LATER))
            self.options[option] = told
            self.keys[option] = node.key(name)

    def tell(self, node: _Node, name: str, fate: Fate, note: str = "", **settings: Any) -> None:
        key = node.key(name)
        self.rows[key] = Row(key, told_value(name, node.values.get(name)), fate, settings, note)


def imported(path: Path, data: Mapping[str, Any], places: Places) -> Imported:
    """What the training nodes of a workflow say.

    Raises:
        UserError: there is none.
    """
    nodes = list(_nodes(data))
    start = next((node for node in nodes if node.name in _INITS), None)
    if start is None:
        raise refused(path, _("The workflow has no node that starts the training of a LoRA."))
    work = _Work({"seed": 42, "mixed_precision": "bf16"})
    for node in nodes:
        _gather(node, work)
    _loops(nodes, work)
    described = _datasets(nodes, work)
    draft = translated(work.options, places, family=_INITS[start.name])
    before = {row.key for row in draft.finished("").rows}
    sd_data.take_described(draft, described, places)
    _samples(nodes, draft)
    found = draft.finished("flux-trainer")
    rows = {work.keys.get(row.key, row.key): row for row in found.rows if row.key in before and row.key in work.keys}
    of_datasets = {row.key: row for row in found.rows}
    rows |= {key: of_datasets[place] for key, place in work.described.items() if place in of_datasets}
    told = []
    for node in nodes:
        for name in node.values:
            key = node.key(name)
            if key in rows:
                told.append(replace(rows[key], key=key, value=told_value(name, node.values[name])))
            elif key in work.rows:
                told.append(work.rows[key])
            elif is_empty(node.values[name]):
                told.append(Row(key, "", Fate.TAKEN, {}, _("left empty")))
            else:
                told.append(Row(key, told_value(name, node.values[name]), Fate.UNKNOWN))
    notes = list(found.notes)
    if sum(node.name in _INITS for node in nodes) > 1:
        notes.append(_("Several nodes start a training; the first counts."))
    return replace(found, rows=tuple(told), notes=tuple(notes))


def _nodes(data: Mapping[str, Any]) -> Iterator[_Node]:
    """The nodes that speak of training, in the order of the file; switched-off ones are left out."""
    listed = data.get("nodes")
    if isinstance(listed, list):
        for node in listed:
            name = node.get("type") if isinstance(node, dict) else None
            if not isinstance(name, str) or name not in NODES or node.get("mode") in (2, 4):
                continue
            values = node.get("widgets_values") or []
            names = NODES[name]
            if not isinstance(values, (dict, list)):
                values = [values]
            if isinstance(values, dict):
                own = {str(key): value for key, value in values.items() if key != "videopreview"}
            else:
                own = dict(zip(names, values, strict=False))
                own |= {f"({place})": value for place, value in enumerate(values[len(names) :], start=len(names) + 1)}
            yield _Node(name, str(node.get("id", "")), own)
        return
    for number, node in data.items():
        if isinstance(node, dict) and node.get("class_type") in NODES:
            inputs = node.get("inputs")
            own = {
                str(k).strip(): v
                for k, v in (inputs if isinstance(inputs, dict) else {}).items()
                if not isinstance(v, list)
            }
            yield _Node(node["class_type"], str(number), own)


def _gather(node: _Node, work: _Work) -> None:
    if node.name.endswith("ModelSelect"):
        for name in node.values:
            work.option(node, name, "ae" if name == "vae" and node.name.startswith("Flux") else _PARTS.get(name, name))
    elif node.name in _INITS:
        _init(node, work)
    elif node.name.startswith("OptimizerConfig"):
        _optimizer(node, work)
    elif node.name == "FluxTrainerLossConfig":
        for name in node.values:
            work.option(node, name, name)
    elif node.name == "TrainNetworkConfig":
        _network(node, work)
    elif node.name == "FluxTrainBlockSelect":
        work.tell(node, "include", Fate.IDLE, _("rules for layers are written in network.layers"))
    elif node.name.endswith("ValidationSettings"):
        for name in node.values:
            drawn = name in ("steps", "width", "height", "guidance_scale", "seed")
            work.tell(node, name, Fate.TRANSLATED if drawn else Fate.IDLE, _(_DRAWN) if drawn else _(_SHOWN))
    elif node.name.endswith("Resume"):
        for name in node.values:
            why = _("states of other programs cannot be resumed; network.start_from goes on from a LoRA file")
            work.tell(node, name, Fate.IDLE, why)
    elif node.name.endswith(("Save", "SaveModel", "End")) or node.name == "VisualizeLoss":
        for name in node.values:
            work.tell(node, name, Fate.IDLE, _(_SHOWN))


def _init(node: _Node, work: _Work) -> None:
    given = node.values
    renamed = {"save_dtype": "save_precision", "clip_l_lr": "", "clip_g_lr": "", "T5_lr": "", "train_text_encoder": ""}
    renamed |= {"sample_prompts": "", "sample_prompts_pos": "", "sample_prompts_neg": "", "additional_args": ""}
    for name, value in given.items():
        option = renamed.get(name, name)
        if name in ("cache_latents", "cache_text_encoder_outputs") or name == "gradient_checkpointing":
            work.option(node, name, option, str(value) != "disabled")
        elif name == "save_dtype" and str(value).startswith("fp8"):
            work.tell(node, name, Fate.UNKNOWN, _("a file of 8 bits is not written"))
        elif option:
            work.option(node, name, option)
    kind = str(given.get("train_text_encoder", "disabled"))
    work.option(node, "train_text_encoder", "network_train_unet_only", kind == "disabled")
    if kind != "disabled":
        rates = [given.get(name, 0) for name in ("clip_l_lr", "clip_g_lr") if name in given]
        work.option(node, "clip_l_lr", "text_encoder_lr", rates)
        for name in ("clip_g_lr",):
            work.tell(node, name, Fate.TRANSLATED, "", **{"learning.text_encoder_2_lr": given.get(name)})
    for name in ("sample_prompts", "sample_prompts_pos", "sample_prompts_neg"):
        if not is_empty(given.get(name)):
            work.tell(node, name, Fate.TRANSLATED, _("one entry of samples for each prompt"))
    for name in ("clip_l_lr", "clip_g_lr", "T5_lr"):
        if name in given and node.key(name) not in work.keys.values() and node.key(name) not in work.rows:
            why = _("T5 is not trained") if name == "T5_lr" else _("no text encoder is trained")
            work.tell(node, name, Fate.IDLE, why)
    if not is_empty(given.get("additional_args")):
        try:
            own, _script = options_of(f"x.py {given['additional_args']}")
        except ValueError:
            work.tell(
                node, "additional_args", Fate.UNKNOWN, _("The command line cannot be read: a quote is left open.")
            )
            return
        for name, value in own.items():
            if name not in work.options:
                node.values[f"additional_args.{name}"] = value
                work.option(node, f"additional_args.{name}", name, value)
        work.tell(node, "additional_args", Fate.TRANSLATED)


def _optimizer(node: _Node, work: _Work) -> None:
    fixed = {"OptimizerConfigAdafactor": "adafactor", "OptimizerConfigProdigy": "prodigy"}
    fixed |= {"OptimizerConfigProdigyPlusScheduleFree": "ProdigyPlusScheduleFree"}
    if node.name in fixed:
        work.options["optimizer_type"] = fixed[node.name]
        work.options.setdefault("lr_scheduler", "constant")
    args: list[str] = []
    for name, value in node.values.items():
        if name in _SCHEDULE or name in ("optimizer_type",):
            work.option(node, name, name)
        elif name == "min_snr_gamma":
            work.option(node, name, name, value)
        elif name == "extra_optimizer_args":
            found = [one.strip() for one in str(value).split("|") if one.strip()]
            args += found
            if found:
                work.tell(node, name, Fate.TRANSLATED, "", **{"optimizer.args": found})
        elif node.name.endswith("ScheduleFree") and name in (*_PLUS, "lr", "d_coeff"):
            work.tell(node, name, Fate.IDLE, _(_PLUS_NOTE))
        elif not name.startswith("("):
            args.append(f"{name}={value}")
            work.keys[f"optimizer_args.{name}"] = node.key(name)
    if args:
        work.options["optimizer_args"] = args


def _network(node: _Node, work: _Work) -> None:
    module, algo = _TYPES.get(str(node.values.get("network_type")), ("", ""))
    extra = [one.strip() for one in str(node.values.get("extra_network_args", "")).split("|") if one.strip()]
    args = list(extra)
    if module:
        work.option(node, "network_type", "network_module", module)
        args = [f"algo={algo}", f"preset={node.values.get('lycoris_preset', 'full')}", *args]
        args += [f"factor={node.values['factor']}"] if algo == "lokr" and "factor" in node.values else []
        work.keys["network_args.preset"] = node.key("lycoris_preset")
        work.keys["network_args.factor"] = node.key("factor")
    else:
        fate = Fate.TAKEN if node.values.get("network_type") == "lora" else Fate.UNKNOWN
        work.tell(node, "network_type", fate)
    for name in ("lycoris_preset", "factor"):
        if name in node.values and not (module and (name != "factor" or algo == "lokr")):
            work.tell(node, name, Fate.IDLE, _("of LyCORIS alone") if not module else _("of another type of network"))
    if extra:
        work.tell(node, "extra_network_args", Fate.TRANSLATED)
    if args:
        work.options["network_args"] = args


def _loops(nodes: list[_Node], work: _Work) -> None:
    """Loops of so many steps each: a file and samples after each of them."""
    for node in nodes:
        if node.name == "FluxTrainAndValidateLoop":
            work.option(node, "validate_at_steps", "sample_every_n_steps")
            work.option(node, "save_at_steps", "save_every_n_steps")
    loops = [node for node in nodes if node.name.endswith("TrainLoop")]
    steps = [int(float_of(node.values.get("steps"))) for node in loops]
    if steps and max(steps) > 0:
        work.options.setdefault("save_every_n_steps", max(steps))
        work.options.setdefault("sample_every_n_steps", max(steps))
    for node in loops:
        every = work.options.get("save_every_n_steps", 0)
        work.tell(node, "steps", Fate.TRANSLATED, "", **{"saving.every_steps": every, "sampling.every_steps": every})


def _datasets(nodes: list[_Node], work: _Work) -> dict[str, Any]:
    """The nodes of datasets as sd-scripts' description of them."""
    general: dict[str, Any] = {"keep_tokens_separator": "|||"}
    datasets: list[dict[str, Any]] = []
    for node in nodes:
        if node.name == "TrainDatasetGeneralConfig":
            for name, value in node.values.items():
                if name == "reset_on_queue" or name.startswith("("):
                    work.tell(node, name, Fate.IDLE if name == "reset_on_queue" else Fate.UNKNOWN, _(_SHOWN))
                else:
                    general[name] = value
                    work.tell(node, name, Fate.TRANSLATED)
                    work.described[node.key(name)] = f"general.{name}"
        elif node.name in ("TrainDatasetAdd", "TrainDatasetRegularization"):
            of_class = node.name != "TrainDatasetAdd"
            own = {key: value for key, value in node.values.items() if key in NODES[node.name]}
            subset = {"image_dir": own.pop("dataset_path", ""), "num_repeats": own.pop("num_repeats", 1)}
            if not is_empty(own.get("class_tokens")):
                subset["class_tokens"] = own["class_tokens"]
            own.pop("class_tokens", None)
            if of_class:
                subset["is_reg"] = True
            sides = [own.pop(name) for name in ("width", "height") if name in own]
            datasets.append({**({"resolution": sides} if sides else {}), **own, "subsets": [subset]})
            for name in node.values:
                known = name in NODES[node.name]
                work.tell(node, name, Fate.TRANSLATED if known else Fate.UNKNOWN)
                work.described[node.key(name)] = f"datasets.{len(datasets) - 1}.{_DESCRIBED.get(name, name)}"
    if datasets and not is_on(general.get("alpha_mask")):
        general.pop("alpha_mask", None)
    return {"general": general, "datasets": datasets}


def _samples(nodes: list[_Node], draft: Draft) -> None:
    """Prompts of the node that starts, drawn as the settings of validation say."""
    own: dict[str, Any] = {}
    for node in nodes:
        if node.name.endswith("ValidationSettings"):
            names = {
                "steps": "steps",
                "width": "width",
                "height": "height",
                "guidance_scale": "guidance",
                "seed": "seed",
            }
            own = {names[key]: value for key, value in node.values.items() if key in names}
    for node in nodes:
        if node.name not in _INITS:
            continue
        prompts = str(node.values.get("sample_prompts", node.values.get("sample_prompts_pos", ""))).split("|")
        negatives = str(node.values.get("sample_prompts_neg", "")).split("|")
        for number, prompt in enumerate(one.strip() for one in prompts if one.strip()):
            negative = negatives[min(number, len(negatives) - 1)].strip()
            draft.entry("samples", "", {**usual_sample(draft.config), **own, "prompt": prompt, "negative": negative})
        return
