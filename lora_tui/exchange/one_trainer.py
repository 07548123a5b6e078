"""OneTrainer: its JSON of a training, key by key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lora_tui.config.family import family_by_name, usual_sample, with_family
from lora_tui.config.schema import FLOW, TEXT_AS_IT_IS, Config
from lora_tui.errors import UserError
from lora_tui.exchange.draft import Draft, Given, is_on
from lora_tui.exchange.fate import Fate, Imported
from lora_tui.exchange.one_trainer_keys import (
    CONCEPTS,
    DISTRIBUTIONS,
    MODELS,
    MULTIPLIED,
    OPTIMIZER_NAMES,
    PEFT,
    PRECISIONS,
    QUANTIZED,
    SCHEDULES,
    WHOLE,
)
from lora_tui.exchange.places import Places
from lora_tui.exchange.reading import flat, read_bytes, text_of
from lora_tui.exchange.sd_learning import DECAYS, optimizer_named
from lora_tui.exchange.sd_network import float_of
from lora_tui.places import is_file
from lora_tui.text import _

DENOISERS = ("unet", "prior", "transformer")
CONCEPT_TYPES = ("STANDARD", "VALIDATION", "PRIOR_PREDICTION")


def imported(data: Mapping[str, Any], places: Places) -> Imported:
    """What the file says, as a configuration."""
    concepts, samples = data.get("concepts"), data.get("samples")
    values = flat(
        {key: value for key, value in data.items() if key not in ("concepts", "samples", "optimizer_defaults")}
    )
    if isinstance(data.get("optimizer"), str):
        values["optimizer.optimizer"] = values.pop("optimizer")
    values |= {
        key: f"{len(one)}" for key, one in (("concepts", concepts), ("samples", samples)) if isinstance(one, list)
    }
    if "optimizer_defaults" in data:
        values["optimizer_defaults"] = "{…}"
    kind = str(values.get("model_type") or "")
    family = MODELS.get(kind, "") or family_by_name(str(values.get("base_model_name") or "")) or "sd15"
    draft = Draft(Given(values, WHOLE.implied), with_family(Config(), family))
    if "model_type" in draft.given:
        if MODELS.get(kind):
            draft.take("model_type", {"model.family": family})
        else:
            draft.unknown("model_type", _("for a model that is not trained here"))
    WHOLE.take(draft)
    _model(draft, places)
    _network(draft)
    _optimizer(draft)
    _learning(draft)
    _noise(draft)
    _times(draft)
    _samples(draft, samples, places)
    _concepts(draft, concepts, places)
    WHOLE.tell_rest(draft)
    return draft.finished("onetrainer")


def _model(draft: Draft, places: Places) -> None:
    given = draft.given
    for key, setting in (
        ("base_model_name", "model.base"),
        ("vae.model_name", "model.vae"),
        ("lora_model_name", "network.start_from"),
    ):
        if key in given:
            place, note = places.find(given.get(key), model=True)
            draft.take(key, {setting: place}, note)
    if "training_method" in given:
        if given.get("training_method") == "LORA":
            draft.tell("training_method", Fate.TAKEN, {})
        else:
            draft.idle("training_method", _("here a LoRA is trained with its settings"))
    for key, setting in (("train_dtype", "memory.precision"), ("output_dtype", "saving.precision")):
        if key in given:
            draft.take(key, {setting: PRECISIONS.get(str(given.get(key)), given.get(key))})
    for part in DENOISERS:
        if f"{part}.weight_dtype" in given:
            kind = str(given.get(f"{part}.weight_dtype"))
            products = {"memory.products": "8bit"} if kind in MULTIPLIED else {}
            draft.take(f"{part}.weight_dtype", {"memory.base_weights": QUANTIZED.get(kind, "full"), **products})
    checkpoint = given.first("gradient_checkpointing", *(f"{part}.gradient_checkpointing" for part in DENOISERS))
    if checkpoint in given:
        on = is_on(given.get(checkpoint)) and str(given.get(checkpoint)) != "OFF"
        draft.take(checkpoint, {"memory.gradient_checkpointing": on})
    else:
        draft.put("memory.gradient_checkpointing", True)
    skip = float_of(given.get("text_encoder_layer_skip"))
    if "text_encoder_layer_skip" in given and draft.config.model.family == "sd15":
        draft.take("text_encoder_layer_skip", {"model.clip_skip": skip + 1})
    else:
        draft.idle("text_encoder_layer_skip", _("only SD1.5 has it; the others are read as they were trained"))
    if "output_model_destination" in given:
        stem = Path(str(given.get("output_model_destination")).replace("\\", "/")).stem
        draft.take("output_model_destination", {"saving.name": stem or "lora"})
    if "train_device" in given:
        device = str(given.get("train_device"))
        draft.take("train_device", {"memory.device": "auto" if device == "cuda" else device})
    ids = [one for one in str(given.get("device_indexes", "")).split(",") if one.strip()]
    if given.on("multi_gpu"):
        draft.take("multi_gpu", {"memory.processes": max(len(ids), 1)})
        draft.take("device_indexes", {"memory.processes": max(len(ids), 1)})
    else:
        draft.idle(("multi_gpu", "device_indexes"), _("off"))
    if "masked_training" in given:
        draft.take("masked_training", {"masks.source": "file" if given.on("masked_training") else "off"})


def _network(draft: Draft) -> None:
    given = draft.given
    kind = str(given.get("peft_type", "LORA"))
    if kind in PEFT:
        draft.take("peft_type", {"network.type": PEFT[kind]})
    else:
        draft.unknown("peft_type")
    lokr = PEFT.get(kind) == "lokr"
    for key, setting in (
        ("lokr_dim", "network.rank"), ("lokr_decompose_both", "network.decompose_both"),
        ("lokr_decompose_factor", "network.factor"), ("lokr_use_tucker", "network.tucker"),
        ("lokr_weight_decompose", "network.dora"), ("lokr_full_matrix", "network.full_matrix"),
    ):  # fmt: skip
        if lokr and key in given and not (key == "lokr_dim" and float_of(given.get(key)) <= 0):
            draft.take(key, {setting: given.get(key)})
        else:
            draft.idle(key, _("of another type of network"))
    if PEFT.get(kind) == "oft" and "oft_block_size" in given:
        draft.take("oft_block_size", {"network.rank": given.get("oft_block_size")})
    draft.idle([key for key in ("oft_block_size",) if not draft.known(key)], _("of another type of network"))
    preset = str(given.get(given.first("layer_filter_preset", "lora_layer_preset"), ""))
    for key in ("layer_filter_preset", "lora_layer_preset"):
        targets = {"full": "all", "attn-mlp": "attn-mlp", "attn-only": "attn-only"}.get(preset)
        if key in given and targets:
            draft.take(key, {"network.targets": targets})
        else:
            draft.idle(key, _("rules for layers are written in network.layers"))
    text = str(given.get(given.first("layer_filter", "lora_layers"), ""))
    parts = [one.strip() for one in text.split(",") if one.strip()]
    chosen = preset not in ("full", "attn-mlp", "attn-only") and not given.on("layer_filter_regex")
    for key in ("layer_filter", "lora_layers"):
        if key in given and parts and chosen and all(" " not in one for one in parts):
            draft.take(key, {"network.layers": ["* rate=0", *(f"*{one}* rate=1" for one in parts)]})
        else:
            draft.idle(key, _("rules for layers are written in network.layers"))


def _optimizer(draft: Draft) -> None:
    given = draft.given
    name = str(given.get("optimizer.optimizer", ""))
    kind, place = optimizer_named(OPTIMIZER_NAMES.get(name, name)) if name else ("", "")
    if kind or name.replace("_", "").isidentifier():
        settings = {"optimizer.type": kind or "other"}
        if place or not kind:
            settings["optimizer.kind"] = place or name.replace("_", "")
        draft.take("optimizer.optimizer", settings)
    elif name:
        draft.unknown("optimizer.optimizer")
    if draft.config.optimizer.type not in DECAYS:
        draft.put("optimizer.weight_decay", 0)
    listed: list[str] = []
    for key in [
        one for one in given.told if one.startswith("optimizer.") and one != "optimizer.optimizer" and one in given
    ]:
        short = key.partition(".")[2]
        if short in ("weight_decay", "eps", "beta1", "beta2"):
            draft.take(key, {f"optimizer.{short}": given.get(key)})
        elif short in (
            "d_coef",
            "d0",
            "momentum",
            "use_bias_correction",
            "decouple",
            "safeguard_warmup",
            "growth_rate",
        ):
            listed.append(f"{short}={given.get(key)}")
            draft.take(key, {"optimizer.args": list(listed)})
        else:
            draft.idle(key, _("the optimizer does as its authors meant; optimizer.args says otherwise"))
    if "clip_grad_norm" in given:
        draft.take("clip_grad_norm", {"optimizer.max_grad_norm": given.get("clip_grad_norm")})


def _learning(draft: Draft) -> None:
    given = draft.given
    general = given.get("learning_rate")
    if general is not None:
        draft.take("learning_rate", {"learning.unet_lr": general, "learning.text_encoder_lr": general})
    for part in DENOISERS:
        if f"{part}.learning_rate" in given:
            draft.take(f"{part}.learning_rate", {"learning.unet_lr": given.get(f"{part}.learning_rate")})
        if f"{part}.train" in given and not given.on(f"{part}.train"):
            draft.take(f"{part}.train", {"learning.unet_lr": 0}, _("a rate of 0 trains nothing"))
    family = draft.config.model.family
    trains = "text_encoder.train" in given and given.on("text_encoder.train")
    if family not in TEXT_AS_IT_IS and "text_encoder.train" in given:
        draft.take("text_encoder.train", {"network.text_encoder": trains})
    if family not in TEXT_AS_IT_IS and "text_encoder.learning_rate" in given:
        draft.take("text_encoder.learning_rate", {"learning.text_encoder_lr": given.get("text_encoder.learning_rate")})
    if family in ("sdxl", "sd3"):
        if "text_encoder_2.learning_rate" in given:
            draft.take(
                "text_encoder_2.learning_rate",
                {"learning.text_encoder_2_lr": given.get("text_encoder_2.learning_rate")},
            )
        if "text_encoder_2.train" in given and trains and not given.on("text_encoder_2.train"):
            draft.take("text_encoder_2.train", {"learning.text_encoder_2_lr": 0})
    name = str(given.get("learning_rate_scheduler", ""))
    if name in SCHEDULES:
        draft.take("learning_rate_scheduler", {"learning.schedule": SCHEDULES[name]})
    elif name == "CUSTOM" and "custom_learning_rate_scheduler" in given:
        place = str(given.get("custom_learning_rate_scheduler"))
        draft.take("custom_learning_rate_scheduler", {"learning.schedule": "other", "learning.schedule_class": place})
        draft.take("learning_rate_scheduler", {"learning.schedule": "other"})
    elif name:
        draft.unknown("learning_rate_scheduler")
    warm = float_of(given.get("learning_rate_warmup_steps"))
    if warm >= 0:
        setting = "learning.warmup_share" if 0 < warm < 1 else "learning.warmup"
        draft.take("learning_rate_warmup_steps", {setting: warm})
    if SCHEDULES.get(name) == "cosine_with_restarts":
        draft.take(
            "learning_rate_cycles", {"learning.restarts": max(round(float_of(given.get("learning_rate_cycles"))), 1)}
        )
    else:
        draft.idle("learning_rate_cycles", _("the schedule has none"))
    if str(given.get("ema", "OFF")) != "OFF" and "ema_decay" in given:
        for key in ("ema", "ema_decay"):
            draft.take(key, {"learning.ema_decay": given.get("ema_decay")})
        if "non_ema_sampling" in given:
            draft.take("non_ema_sampling", {"learning.ema_in_use": not given.on("non_ema_sampling")})
    else:
        draft.idle(("ema", "ema_decay", "non_ema_sampling"), _("off"))
    _ends_early(draft)


def _ends_early(draft: Draft) -> None:
    """After how much of the run the text encoder learns no more."""
    given = draft.given
    stop, unit = (
        given.get("text_encoder.stop_training_after"),
        str(given.get("text_encoder.stop_training_after_unit", "NEVER")),
    )
    if unit == "STEP" and stop is not None:
        draft.take("text_encoder.stop_training_after", {"learning.text_encoder_steps": stop})
        draft.take("text_encoder.stop_training_after_unit", {"learning.text_encoder_steps": stop})
    elif unit == "EPOCH" and float_of(stop) > 0:
        share = min(float_of(stop) / max(float_of(given.get("epochs", 100)), 1), 1)
        for key in ("text_encoder.stop_training_after", "text_encoder.stop_training_after_unit"):
            draft.take(key, {"learning.text_encoder_share": share})


def _noise(draft: Draft) -> None:
    given, flow = draft.given, draft.config.model.family in FLOW
    strengths = {key: float_of(given.get(f"{key}_strength")) for key in ("mse", "mae", "log_cosh", "huber")}
    told = {key: value for key, value in strengths.items() if f"{key}_strength" in given}
    if told:
        best = max(told, key=lambda key: told[key])
        loss = {"mse": "l2", "mae": "l1", "log_cosh": "log_cosh", "huber": "huber"}[best]
        for key in told:
            if key == best:
                note = (
                    _("losses are not mixed: the strongest counts") if sum(one > 0 for one in told.values()) > 1 else ""
                )
                draft.take(f"{key}_strength", {"noise.loss": loss}, note)
            else:
                draft.idle(f"{key}_strength", _("losses are not mixed: the strongest counts"))
    if "huber_delta" in given:
        draft.take("huber_delta", {"noise.huber_c": given.get("huber_delta")})
    weights, strength = str(given.get("loss_weight_fn", "CONSTANT")), given.get("loss_weight_strength", 5)
    ways: dict[str, dict[str, Any]] = {
        "MIN_SNR_GAMMA": {"noise.min_snr_gamma": strength},
        "P2": {"noise.p2_gamma": strength},
    }
    ways |= {"DEBIASED_ESTIMATION": {"noise.debiased": True}, "SIGMA": {"noise.flow_weighting": "sigma_sqrt"}}
    if weights in ways and flow == (weights == "SIGMA"):
        draft.take("loss_weight_fn", ways[weights])
        if weights in ("MIN_SNR_GAMMA", "P2"):
            draft.take("loss_weight_strength", ways[weights])
    elif weights == "CONSTANT" and "loss_weight_fn" in given:
        draft.tell("loss_weight_fn", Fate.TAKEN, {})
    else:
        draft.idle("loss_weight_fn", _("the family has no such thing"))
    if "min_snr_gamma" in given and not flow:
        draft.take("min_snr_gamma", {"noise.min_snr_gamma": given.get("min_snr_gamma")})
    draft.idle([key for key in ("loss_weight_strength", "min_snr_gamma") if not draft.known(key)], _("off"))
    for key, setting in (
        ("min_noising_strength", "noise.min_timestep"),
        ("max_noising_strength", "noise.max_timestep"),
    ):
        if key in given:
            draft.take(key, {setting: round(float_of(given.get(key)) * 1000)})
    if given.on("rescale_noise_scheduler_to_zero_terminal_snr") and not flow:
        draft.take("rescale_noise_scheduler_to_zero_terminal_snr", {"noise.zero_terminal_snr": "on"})
    for key, word in (("force_v_prediction", "v_prediction"), ("force_epsilon_prediction", "epsilon")):
        if given.on(key) and not flow:
            draft.take(key, {"model.prediction": word})
    off = ("force_v_prediction", "force_epsilon_prediction", "rescale_noise_scheduler_to_zero_terminal_snr")
    draft.idle([key for key in off if not draft.known(key)], _("off"))
    _levels(draft, flow)


def _levels(draft: Draft, flow: bool) -> None:
    given = draft.given
    name = str(given.get("timestep_distribution", ""))
    flowing, others = DISTRIBUTIONS.get(name, ("", ""))
    if name and not (flowing if flow else others):
        draft.idle("timestep_distribution", _("levels are not drawn in this way here; noise.flow_sampling says how"))
    elif name:
        draft.take("timestep_distribution", {"noise.flow_sampling": flowing} if flow else {"noise.timesteps": others})
    if flow and given.on("dynamic_timestep_shifting"):
        draft.take("dynamic_timestep_shifting", {"noise.flow_shift": 0})
        draft.idle("timestep_shift", _("dynamic_timestep_shifting says it"))
    elif flow and "timestep_shift" in given:
        draft.take("timestep_shift", {"noise.flow_shift": given.get("timestep_shift")})
    if flow and flowing == "logit_normal":
        if "noising_bias" in given:
            draft.take("noising_bias", {"noise.flow_mean": given.get("noising_bias")})
        if "noising_weight" in given:
            draft.take("noising_weight", {"noise.flow_deviation": float_of(given.get("noising_weight")) + 1})
    left = ("timestep_shift", "dynamic_timestep_shifting", "noising_bias", "noising_weight")
    why = _("the way in which noise levels are drawn does not ask for it")
    draft.idle([key for key in left if not draft.known(key)], why)


def _times(draft: Draft) -> None:
    """Sizes, and how often things are done: in epochs or steps; other units have no like here."""
    given = draft.given
    if "resolution" in given:
        sides = [
            round(float_of(one)) for one in str(given.get("resolution")).replace("x", ",").split(",") if one.strip()
        ]
        several = "x" not in str(given.get("resolution"))
        if sides and all(64 <= side <= 4096 for side in sides):
            side = sides[0] if several else round((sides[0] * sides[-1]) ** 0.5)
            more = [str(one) for one in sides[1:]] if several else []
            draft.take("resolution", {"data.resolution": side, **({"data.more_resolutions": more} if more else {})})
            draft.put("data.bucket_min", max(side // 2, 64))
            draft.put("data.bucket_max", side * 2)
        else:
            draft.unknown("resolution")
    for key, unit_key, epochs, steps in (
        ("sample_after", "sample_after_unit", "sampling.every_epochs", "sampling.every_steps"),
        ("save_every", "save_every_unit", "saving.every_epochs", "saving.every_steps"),
        ("save_after", "save_after_unit", "saving.every_epochs", "saving.every_steps"),
        ("validate_after", "validate_after_unit", "validation.every_epochs", "validation.every_steps"),
        ("backup_after", "backup_after_unit", "saving.state_every_epochs", "saving.state_every_steps"),
    ):
        if key not in given and unit_key not in given:
            continue
        unit, number = str(given.get(unit_key, "EPOCH")), given.get(key, 1)
        if unit in ("EPOCH", "STEP", "NEVER"):
            settings = {epochs: number if unit == "EPOCH" else 0, steps: number if unit == "STEP" else 0}
            for one in (key, unit_key):
                if one in given:
                    draft.take(one, settings)
        else:
            draft.idle((key, unit_key), _("intervals are epochs or steps here"))
    draft.put("validation.mode", "on" if given.on("validation") else "off")
    if "validation" in given:
        draft.take("validation", {"validation.mode": "on" if given.on("validation") else "off"})
    if "rolling_backup_count" in given:
        draft.take("rolling_backup_count", {"saving.keep_states": max(float_of(given.get("rolling_backup_count")), 1)})


def _listed(draft: Draft, key: str, listed: Any, name: str, places: Places) -> list[Mapping[str, Any]]:
    """The tables of a list in the file, or in the file that it names."""
    if isinstance(listed, list):
        draft.idle(name, _("the file itself has them"))
        return [one for one in listed if isinstance(one, dict)]
    if name not in draft.given:
        return []
    place, note = places.find(draft.given.get(name))
    try:
        if not is_file(Path(place)):
            raise ValueError(note)
        found = json.loads(text_of(Path(place), read_bytes(Path(place))))
        if not isinstance(found, list):
            raise ValueError(place)
    except (ValueError, UserError, RecursionError):
        draft.unknown(name, note or _("the file cannot be read"))
        return []
    draft.tell(name, Fate.TRANSLATED, {key: len(found)})
    return [one for one in found if isinstance(one, dict)]


def _samples(draft: Draft, listed: Any, places: Places) -> None:
    names = {
        "prompt": "prompt", "negative_prompt": "negative", "width": "width", "height": "height", "seed": "seed",
        "diffusion_steps": "steps", "cfg_scale": "guidance",
    }  # fmt: skip
    tables = _listed(draft, "samples", listed, "sample_definition_file_name", places)
    for table in tables:
        if is_on(table.get("enabled", True)):
            own = {names[key]: value for key, value in table.items() if key in names}
            draft.entry("samples", "", {**usual_sample(draft.config), **own})
    if isinstance(listed, list):
        draft.tell("samples", Fate.TRANSLATED, {"samples": len(draft.config.samples)})


def _concepts(draft: Draft, listed: Any, places: Places) -> None:
    tables = _listed(draft, "datasets", listed, "concept_file_name", places)
    if isinstance(listed, list):
        draft.tell("concepts", Fate.TRANSLATED, {"datasets": len(tables)})
    for number, table in enumerate(tables):
        inner = flat(dict(table))
        place, note = places.find(inner.get("path", ""))
        repeats = float_of(inner.get("balancing", inner.get("repeats", 1)))
        by_samples = inner.get("balancing_strategy") == "SAMPLES"
        shuffles, keeps = is_on(inner.get("text.enable_tag_shuffling")), inner.get("text.keep_tags_count", 1)
        drops = inner.get("text.tag_dropout_probability", 0) if is_on(inner.get("text.tag_dropout_enable")) else 0
        values: dict[str, Any] = {
            "path": place, "repeats": 1 if by_samples else max(round(repeats), 1), "use": is_on(inner.get("enabled",
            True)),
            "flip": "on" if is_on(inner.get("image.enable_random_flip", True)) else "off",
            "shuffle": "on" if shuffles else "off", "keep_tokens": keeps, "tag_dropout": drops,
            "weight": inner.get("loss_weight", 1), "regularisation": inner.get("type") == "PRIOR_PREDICTION",
        }  # fmt: skip
        if is_on(inner.get("image.enable_resolution_override")):
            values["resolution"] = inner.get("image.resolution_override")
        kind = str(inner.get("type", "STANDARD"))
        if kind == "VALIDATION" or is_on(inner.get("validation_concept")):
            values["use"] = False
            draft.notes.append(_("A concept for validation is left out: images are held out by validation.share."))
        draft.entry("datasets", "", values)
        for key, value in inner.items():
            shown = f"concepts.{number}.{key}"
            draft.given.told[shown] = value
            if key == "type" and kind not in CONCEPT_TYPES:
                draft.tell(shown, Fate.UNKNOWN, {})
            else:
                CONCEPTS.tell_entry(draft, shown, key, value, f"datasets.{number}", values, note)
