"""ai-toolkit: its YAML of a training, key by key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lora_tui.config.family import family_by_name, family_of, usual_sample, with_family
from lora_tui.config.schema import FLOW, UNETS, Config
from lora_tui.exchange.ai_toolkit_keys import ARCHS, DATASETS, LOSSES, MODEL_FLAGS, PROCESS, QUANTIZED
from lora_tui.exchange.draft import Draft, Given, is_empty, is_on
from lora_tui.exchange.fate import Fate, Imported
from lora_tui.exchange.key_table import NONE, OFF
from lora_tui.exchange.places import Places
from lora_tui.exchange.reading import flat
from lora_tui.exchange.sd_learning import DECAYS, SCHEDULES, optimizer_named
from lora_tui.exchange.sd_network import float_of
from lora_tui.exchange.sd_running import PRECISIONS
from lora_tui.text import _

NUMBERS = (
    "caption_dropout_rate", "token_dropout_rate", "default_caption", "num_repeats", "network_weight",
    "loss_multiplier", "keep_tokens",
)  # fmt: skip
"""Keys of a dataset whose values are those of an entry."""


def imported(data: Mapping[str, Any], places: Places) -> Imported:
    """The first process of the file as a configuration."""
    inner = data["config"]
    processes = [one for one in listed(inner.get("process")) if isinstance(one, dict)]
    process = dict(processes[0]) if processes else {}
    described = process.pop("datasets", [])
    datasets = listed(described)
    values = {**flat(process), **{key: value for key, value in inner.items() if key != "process"}}
    values |= flat({"meta": data["meta"]}) if data.get("meta") else {}
    values |= {key: value for key, value in data.items() if key not in ("config", "meta")}
    if datasets or not is_empty(described):
        values["datasets"] = f"{len(datasets)}" if datasets else described
    family = _family(values, places)
    draft = Draft(Given(values, PROCESS.implied), with_family(Config(), family))
    if len(processes) > 1:
        draft.notes.append(_("Only the first of its {count} processes is taken.").format(count=len(processes)))
    _model(draft, places, family)
    if "network.linear" in draft.given:
        draft.idle("network.rank", _("network.linear says it"))
    PROCESS.take(draft)
    _network(draft, places)
    _train(draft)
    _noise(draft)
    draft.put("saving.every_epochs", 0)
    draft.put("sampling.every_epochs", 0)
    draft.put("validation.mode", "off")
    _samples(draft)
    _datasets(draft, datasets, places)
    if draft.config.saving.trigger:
        draft.put("captions.placeholder", "[trigger]")
    PROCESS.tell_rest(draft)
    draft.idle([one for one in values if one.startswith("meta.")], _("of the file's own record"))
    return draft.finished("ai-toolkit")


def _family(values: Mapping[str, Any], places: Places) -> str:
    arch = str(values.get("model.arch") or "").partition(":")[0]
    if ARCHS.get(arch):
        return ARCHS[arch]
    for flag, family in MODEL_FLAGS.items():
        if family and is_on(values.get(f"model.{flag}")):
            return family
    base = str(values.get("model.name_or_path") or "")
    found, _note = Places(places.folder).find(base, model=True) if base else ("", "")
    return (family_of(found) if found else "") or family_by_name(base) or "sd15"


def _model(draft: Draft, places: Places, family: str) -> None:
    given = draft.given
    if "model.arch" in given:
        arch = str(given.get("model.arch")).partition(":")[0]
        if ARCHS.get(arch):
            draft.take("model.arch", {"model.family": family})
        else:
            draft.unknown("model.arch", _("for a model that is not trained here"))
    for flag, its in MODEL_FLAGS.items():
        if f"model.{flag}" in given:
            velocity = flag == "is_v_pred" and given.on("model.is_v_pred")
            settings = {"model.prediction": "v_prediction"} if velocity else {"model.family": family}
            draft.tell(f"model.{flag}", Fate.TRANSLATED, settings)
            if velocity:
                draft.put("model.prediction", "v_prediction")
            del its
    for key, setting in (("model.name_or_path", "model.base"), ("model.vae_path", "model.vae")):
        if key in given:
            place, note = places.find(given.get(key), model=True)
            draft.take(key, {setting: place}, note)
    loras = []
    for key in ("model.assistant_lora_path", "model.lora_path"):
        if key in given:
            place, note = places.find(given.get(key), model=True)
            loras.append(place)
            draft.take(key, {"model.loras": loras}, note)
    if given.on("model.quantize"):
        kind = str(given.get("model.qtype", "qfloat8")).partition("|")[0]
        bits = QUANTIZED.get(kind, "nf4" if "4" in kind else "fp8")
        draft.take("model.quantize", {"memory.base_weights": bits})
        draft.take("model.qtype", {"memory.base_weights": bits})
    else:
        draft.idle(("model.quantize", "model.qtype"), _("off"))
    device = str(given.get("device", ""))
    if device:
        draft.take("device", {"memory.device": "auto" if device == "cuda" else device})


def _network(draft: Draft, places: Places) -> None:
    given, family = draft.given, draft.config.model.family
    kind = str(given.get("network.type", "lora")).lower()
    wide = float_of(given.get("network.conv")) > 0 and family in UNETS
    if kind in ("lora", "locon", "lokr"):
        draft.take("network.type", {"network.type": "lokr" if kind == "lokr" else "locon" if wide else "lora"})
    else:
        draft.unknown("network.type")
    key = "network.linear_alpha" if "network.linear_alpha" in given else "network.alpha"
    if family in FLOW:
        draft.put("network.alpha", draft.config.network.rank)
        for name in ("network.linear_alpha", "network.alpha"):
            if name in given:
                note = _("ai-toolkit takes the rank for these models, whatever is set")
                draft.take(name, {"network.alpha": draft.config.network.rank}, note)
    elif key in given:
        draft.take(key, {"network.alpha": given.get(key)})
        draft.idle([one for one in ("network.alpha",) if not draft.known(one)], _("network.linear_alpha says it"))
    for name, setting in (("network.conv", "network.conv_rank"), ("network.conv_alpha", "network.conv_alpha")):
        if wide and name in given:
            draft.take(name, {setting: given.get(name)})
        else:
            draft.idle(name, _("the family has no such thing"))
    if "network.pretrained_lora_path" in given:
        place, note = places.find(given.get("network.pretrained_lora_path"))
        draft.take("network.pretrained_lora_path", {"network.start_from": place}, note)
    rules: list[str] = []
    for name, rate in (("only_if_contains", 1), ("ignore_if_contains", 0)):
        words = listed(given.get(f"network.network_kwargs.{name}"))
        found = [f"*{str(one).removeprefix('transformer.')}* rate={rate}" for one in words if str(one).strip()]
        if found and all(" " not in one.removesuffix(f" rate={rate}") for one in found):
            rules += [*(["* rate=0"] if rate else []), *found]
            draft.take(f"network.network_kwargs.{name}", {"network.layers": rules})


def _train(draft: Draft) -> None:
    given = draft.given
    rate = given.get("train.lr")
    used = [key for key in ("train.unet_lr", "train.text_encoder_lr") if key not in given]
    settings = {"learning.unet_lr": rate} if "train.unet_lr" in used else {}
    if "train.text_encoder_lr" in used:
        settings["learning.text_encoder_lr"] = rate
    if settings:
        draft.take("train.lr", settings)
    draft.idle([key for key in ("train.lr",) if not settings], _("both parts have rates of their own"))
    if "train.train_unet" in given and not given.on("train.train_unet"):
        draft.take("train.train_unet", {"learning.unet_lr": 0}, _("a rate of 0 trains nothing"))
    if "train.train_text_encoder" not in given:
        draft.put("network.text_encoder", draft.config.model.family in UNETS)
    name = str(given.get("train.optimizer"))
    kind, place = optimizer_named(name)
    if kind or name.isidentifier():
        chosen = {"optimizer.type": kind or "other"}
        draft.take("train.optimizer", {**chosen, **({"optimizer.kind": place or name} if not kind or place else {})})
    else:
        draft.unknown("train.optimizer")
    params = {key: value for key, value in given.told.items() if key.startswith("train.optimizer_params.")}
    arguments: list[str] = []
    if draft.config.optimizer.type not in DECAYS:
        draft.put("optimizer.weight_decay", 0)
    for key, value in params.items():
        short = key.rpartition(".")[2]
        if short in ("weight_decay", "eps"):
            draft.take(key, {f"optimizer.{short}": value})
        elif short == "betas" and isinstance(value, list) and len(value) == 2:
            draft.take(key, {"optimizer.beta1": value[0], "optimizer.beta2": value[1]})
        else:
            arguments.append(f"{short}={value}")
            draft.take(key, {"optimizer.args": list(arguments)})
    schedule = str(given.get("train.lr_scheduler"))
    if schedule in SCHEDULES:
        draft.take("train.lr_scheduler", {"learning.schedule": SCHEDULES[schedule]})
    else:
        draft.unknown("train.lr_scheduler")
    for key in [one for one in given.told if one.startswith("train.lr_scheduler_params")]:
        if key.endswith(("num_warmup_steps", "warmup_steps")):
            draft.take(key, {"learning.warmup": given.get(key)})
        else:
            draft.idle(key, _("the schedule takes none"))
    for key, setting in (("train.dtype", "memory.precision"), ("save.dtype", "saving.precision")):
        told = str(given.get(key))
        draft.take(key, {setting: PRECISIONS.get(told, told)})
    draft.idle("save.save_dtype", _("save.dtype says it"))
    if "save.save_format" in given:
        layout = {"safetensors": "auto", "diffusers": "diffusers"}.get(str(given.get("save.save_format")), "")
        draft.take("save.save_format", {"saving.layout": layout})
    if given.on("train.ema_config.use_ema"):
        decay = given.get("train.ema_config.ema_decay", 0.999)
        for key in ("train.ema_config.use_ema", "train.ema_config.ema_decay"):
            draft.take(key, {"learning.ema_decay": decay})
    else:
        draft.idle(("train.ema_config.use_ema", "train.ema_config.ema_decay"), _("off"))


def _noise(draft: Draft) -> None:
    given, flow = draft.given, draft.config.model.family in FLOW
    way = str(given.get("train.timestep_type", ""))
    drawn = {"sigmoid": ("sigmoid", "none", 1), "linear": ("uniform", "none", 1), "weighted": ("uniform", "bell", 1)}
    drawn |= {
        "flux_shift": ("uniform", "none", 0),
        "shift": ("uniform", "none", 0),
        "lumina2_shift": ("uniform", "none", 0),
    }
    if given.on("train.linear_timesteps") and flow:
        draft.take("train.linear_timesteps", {"noise.flow_sampling": "uniform", "noise.flow_weighting": "bell"})
    draft.idle([key for key in ("train.linear_timesteps",) if not draft.known(key)], _("off"))
    if flow and (way in drawn or not way):
        sampling, weights, shift = drawn.get(way, ("sigmoid", "none", 1))
        settings = {"noise.flow_sampling": sampling, "noise.flow_weighting": weights, "noise.flow_shift": shift}
        if way:
            draft.take("train.timestep_type", settings)
    elif flow:
        draft.unknown("train.timestep_type")
    else:
        draft.idle("train.timestep_type", _("the family has no such thing"))
    kind = str(given.get("train.content_or_style", "balanced"))
    if flow:
        draft.idle("train.content_or_style", _("the family has no such thing"))
    else:
        draft.take("train.content_or_style", {"noise.timesteps": {"balanced": "uniform"}.get(kind, kind)})
    for key in ("train.min_snr_gamma", "train.snr_gamma"):
        if flow:
            draft.idle(key, _("the family has no such thing"))
        elif key in given:
            draft.take(key, {"noise.min_snr_gamma": given.get(key)})
    if "train.loss_type" in given:
        loss = LOSSES.get(str(given.get("train.loss_type")), "")
        if loss:
            draft.take("train.loss_type", {"noise.loss": loss})
        else:
            draft.idle("train.loss_type", _(NONE))


def _samples(draft: Draft) -> None:
    given = draft.given
    off = given.on("train.disable_sampling")
    draft.put("sampling.at_start", not given.on("train.skip_first_sample"))
    for key, settings in (
        ("train.skip_first_sample", {"sampling.at_start": not given.on("train.skip_first_sample")}),
        ("train.force_first_sample", {"sampling.at_start": True}),
        ("train.disable_sampling", {"sampling.every_steps": 0, "sampling.at_start": False} if off else {}),
    ):
        if key in given and (settings and (given.on(key) or key.endswith("skip_first_sample"))):
            draft.take(key, settings)
        else:
            draft.idle(key, _("off"))
    usual = usual_sample(draft.config)
    common = {
        "width": given.get("sample.width", 512), "height": given.get("sample.height", 512),
        "guidance": given.get("sample.guidance_scale", 7), "steps": given.get("sample.sample_steps", 20),
        "strength": given.get("sample.network_multiplier", 1), "sampler": usual["sampler"],
    }  # fmt: skip
    negative = given.get("sample.neg", "")
    if isinstance(negative, str) and negative:
        common["negative"] = negative
    seed = int(max(float_of(given.get("sample.seed", 42)), 0))
    walks = given.on("sample.walk_seed")
    prompts = [{"prompt": one} for one in listed(given.get("sample.prompts")) if isinstance(one, str)]
    prompts += [one for one in listed(given.get("sample.samples")) if isinstance(one, dict)]
    names = {"prompt": "prompt", "width": "width", "height": "height", "neg": "negative", "seed": "seed"}
    names |= {"guidance_scale": "guidance", "sample_steps": "steps", "network_multiplier": "strength"}
    good = True
    for number, one in enumerate(prompts):
        own = {names[key]: value for key, value in one.items() if key in names and not is_empty(value)}
        own["prompt"] = str(own.get("prompt", "")).replace("[trigger]", str(given.get("trigger_word", "[trigger]")))
        good = draft.entry("samples", "", {**common, "seed": seed + (number if walks else 0), **own}) and good
    for key in ("prompts", "samples"):
        if f"sample.{key}" in given:
            fate = Fate.TRANSLATED if good else Fate.UNKNOWN
            draft.tell(f"sample.{key}", fate, {"samples": len(draft.config.samples)})
    for key in ("width", "height", "guidance_scale", "sample_steps", "network_multiplier", "seed", "walk_seed", "neg"):
        if f"sample.{key}" in given:
            draft.tell(f"sample.{key}", Fate.TRANSLATED, {"samples": len(draft.config.samples)})
    draft.idle("sample.sampler", _("samples have the method that is usual for the family"))


def _datasets(draft: Draft, datasets: list[Any], places: Places) -> None:
    if not datasets:
        return
    draft.tell("datasets", Fate.TRANSLATED, {"datasets": len(datasets)})
    tables = [one for one in datasets if isinstance(one, dict)]
    sizes = [_sides(one.get("resolution", 512)) for one in tables]
    alike = all(one == sizes[0] for one in sizes) and bool(sizes) and bool(sizes[0])
    if alike:
        draft.put("data.resolution", sizes[0][0])
        draft.put("data.more_resolutions", sizes[0][1:])
    draft.put("data.upscale", False)  # it never enlarges
    for number, table in enumerate(tables):
        place, note = places.find(table.get("folder_path") or table.get("dataset_path") or "")
        values: dict[str, Any] = {"path": place, "repeats": 1}
        for key in NUMBERS:
            if not is_empty(table.get(key)):
                values[DATASETS.straight[key]] = table[key]
        ending = table.get("caption_ext") or table.get("caption_type")
        if ending:
            values["extensions"] = [f".{str(ending).lstrip('.')}"]
        for key, ours in (("flip_x", "flip"), ("shuffle_tokens", "shuffle")):
            if key in table:
                values[ours] = "on" if is_on(table[key]) else "off"
        if is_on(table.get("is_reg")):
            values["regularisation"] = True
        for size in [0] if alike else sizes[number]:
            draft.entry("datasets", "", {**values, **({"resolution": size} if size else {})})
        _told(draft, number, table, values, note)


def _told(draft: Draft, number: int, table: Mapping[str, Any], values: Mapping[str, Any], note: str) -> None:
    entry = f"datasets.{len(draft.config.datasets) - 1}"
    for key, value in table.items():
        shown = f"datasets.{number}.{key}"
        draft.given.told[shown] = value
        if key == "resolution":
            draft.tell(shown, Fate.TRANSLATED if _sides(value) else Fate.UNKNOWN, {"data.resolution": str(value)})
        elif key in ("alpha_mask", "mask_path"):
            if is_on(value):
                draft.put("masks.source", "alpha" if key == "alpha_mask" else "file")
                draft.tell(shown, Fate.TRANSLATED, {"masks.source": draft.config.masks.source})
            else:
                draft.idle(shown, _(OFF))
        elif key == "mask_min_value":
            draft.take(shown, {"masks.unmasked_weight": value})
        elif key == "random_crop":
            draft.take(shown, {"data.random_crop": is_on(value)})
        else:
            DATASETS.tell_entry(draft, shown, key, value, entry, values, note)


def listed(value: Any) -> list[Any]:
    """A list, where it is one."""
    return value if isinstance(value, list) else []


def _sides(value: Any) -> list[int]:
    """The resolutions of a dataset, px; none where one of them is none."""
    numbers = [float_of(one) for one in (value if isinstance(value, list) else [value])]
    return [int(one) for one in numbers] if numbers and all(64 <= one <= 4096 for one in numbers) else []
