"""The options of sd-scripts in our words. Other programs that are faces of it come through here as well.

Meanings and defaults are those of sd-scripts' documentation of its options (docs/train_network.md and its siblings).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lora_tui.config.family import family_by_name, family_of, with_family
from lora_tui.config.schema import FLOW, UNETS, Config
from lora_tui.exchange import sd_data, sd_flow, sd_learning, sd_network, sd_running
from lora_tui.exchange.draft import Draft, Given, is_on
from lora_tui.exchange.places import Places
from lora_tui.exchange.sd_keys import DEFAULTS, FLOW_DEFAULTS, IDLE, STRAIGHT
from lora_tui.text import _

_MODULES = (("flux", "flux"), ("sd3", "sd3"))
_SCRIPTS = (("sdxl", "sdxl"), ("flux", "flux"), ("sd3", "sd3"))


def translated(
    values: Mapping[str, Any], places: Places, *, family: str = "", complete: bool = True, onto: Config | None = None
) -> Draft:
    """The options ``values`` as a configuration.

    Args:
        family: what is known of it; empty where the options have to tell.
        complete: options that are not there have sd-scripts' defaults, not ours.
        onto: what the configuration begins as; a new one for the family else.
    """
    known = family or _family(values, places)
    begun = onto if onto is not None else with_family(Config(), known)
    implied = {**DEFAULTS, **FLOW_DEFAULTS.get(known, {})} if complete else {}
    if complete and known in FLOW:
        implied.pop("zero_terminal_snr")
    if str(values.get("lr_scheduler_type") or ""):
        implied.pop("lr_scheduler", None)
    draft = Draft(Given(values, implied), begun)
    _model(draft, places, known)
    draft.straight({key: setting for key, setting in STRAIGHT.items() if not _elsewhere(key, known)})
    sd_data.take(draft, places)
    sd_network.take(draft, places)
    sd_learning.take(draft)
    sd_flow.take(draft)
    sd_running.take(draft, places)
    for key, why in IDLE.items():
        if not draft.known(key):
            draft.idle(key, _(why))
    return draft


def family_of_script(name: str) -> str:
    """The family that a script of sd-scripts trains: ``sdxl_train_network.py``; empty for those of SD1 and SD2."""
    return next((family for start, family in _SCRIPTS if re.match(rf"(?:.*[/\\])?{start}_", name)), "")


def _family(values: Mapping[str, Any], places: Places) -> str:
    module = str(values.get("network_module") or "")
    if values.get("model_type") == "chroma":
        return "chroma"
    for word, family in _MODULES:
        if word in module:
            return family
    if is_on(values.get("v2")):
        return "sd2"
    if values.get("clip_g"):
        return "sd3"
    if values.get("ae") or values.get("t5xxl"):
        return "flux" if values.get("clip_l") or values.get("ae") else "sd3"
    base = str(values.get("pretrained_model_name_or_path") or "")
    found, _note = Places(places.folder).find(base, model=True) if base else ("", "")
    return (family_of(found) if found else "") or family_by_name(re.split(r"[\\/]", base)[-1]) or "sd15"


def _elsewhere(key: str, family: str) -> bool:
    """Whether a straight option means nothing in the family, or is told with others."""
    unet = {"weighted_captions", "min_snr_gamma", "debiased_estimation_loss", "v_pred_like_loss"}
    unet |= {"scale_v_pred_loss_like_noise_pred"}
    told = {
        "guidance_scale": ("flux",),
        "apply_t5_attn_mask": ("flux",),
        "t5xxl_max_token_length": ("flux", "sd3", "chroma"),
    }
    return (key in unet and family not in UNETS) or family not in told.get(key, (family,))


def _model(draft: Draft, places: Places, family: str) -> None:
    given = draft.given
    for key in ("model_type", "v2"):
        if key in given:
            draft.take(key, {"model.family": family})
    draft.put("model.family", family)
    parts = {"vae": "model.vae", "ae": "model.vae", "clip_l": "model.clip_l", "clip_g": "model.clip_g"}
    parts |= {"t5xxl": "model.t5xxl"}
    for key, setting in {"pretrained_model_name_or_path": "model.base", **parts}.items():
        if key in given:
            place, note = places.find(given.get(key), model=True)
            draft.take(key, {setting: place}, note)
            if setting == "model.base" and place.lower().endswith((".ckpt", ".pt", ".pth", ".bin")):
                draft.put("model.allow_pickle", True)
    if "v_parameterization" in given:
        settings = {"model.prediction": "v_prediction" if given.on("v_parameterization") else "auto"}
        draft.take("v_parameterization", settings)
    if family == "sd15":
        skip = given.get("clip_skip")
        draft.take("clip_skip", {"model.clip_skip": 1 if str(skip) == "0" else skip})
    else:
        draft.idle("clip_skip", _("only SD1.5 has it; the others are read as they were trained"))
    for key in ("guidance_scale", "apply_t5_attn_mask", "t5xxl_max_token_length", "weighted_captions", "min_snr_gamma"):
        if _elsewhere(key, family):
            draft.idle(key, _("the family has no such thing"))
    for key in ("debiased_estimation_loss", "v_pred_like_loss", "scale_v_pred_loss_like_noise_pred"):
        if _elsewhere(key, family):
            draft.idle(key, _("the family has no such thing"))
    if "base_weights" in given:
        _merged(draft, places)


def _merged(draft: Draft, places: Places) -> None:
    """LoRA files that are merged into the base, with their strengths."""
    given = draft.given
    files = texts_of(given.get("base_weights"))
    strengths = texts_of(given.get("base_weights_multiplier", []))
    told, notes = [], []
    for number, file in enumerate(files):
        place, note = places.find(file)
        strength = strengths[number] if number < len(strengths) else "1.0"
        told.append(f"{place} strength={strength}")
        notes.append(note)
    note = "; ".join(dict.fromkeys(one for one in notes if one))
    draft.take("base_weights", {"model.loras": told}, note)
    if "base_weights_multiplier" in given:
        draft.take("base_weights_multiplier", {"model.loras": told})


def texts_of(value: Any) -> list[str]:
    """A list as it may stand in a file: a list, lines, or words with blanks between."""
    if isinstance(value, (list, tuple)):
        return [str(one) for one in value if str(one).strip()]
    text = str(value).strip()
    return [one.strip() for one in (text.splitlines() if "\n" in text else text.split()) if one.strip()]
