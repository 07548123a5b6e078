"""Noise levels: how sd-scripts draws them for models of flow matching, and zero-terminal SNR for the others."""

from __future__ import annotations

from typing import Any

from lora_tui.config.schema import FLOW
from lora_tui.exchange.draft import Draft
from lora_tui.text import _

KEYS = (
    "timestep_sampling", "weighting_scheme", "logit_mean", "logit_std", "mode_scale", "sigmoid_scale",
    "discrete_flow_shift", "training_shift", "model_prediction_type",
)  # fmt: skip
_WEIGHTS = {"sigma_sqrt": "sigma_sqrt", "cosmap": "cosmap", "none": "none", "uniform": "none", "logit_normal": "none"}
_WEIGHTS |= {"mode": "none"}


def take(draft: Draft) -> None:
    """Read how the levels of noise are drawn and weighed."""
    given, family = draft.given, draft.config.model.family
    if family in FLOW:
        draft.idle("zero_terminal_snr", _("the family has no such thing"))
        if family == "sd3":
            _by_scheme(draft, "training_shift")
            draft.idle(("discrete_flow_shift", "timestep_sampling", "sigmoid_scale"), _("of FLUX alone"))
        elif "timestep_sampling" in given or "timestep_sampling" in given.implied:
            _flux(draft)
        if "model_prediction_type" in given:
            _prediction(draft)
        draft.idle(_left(draft), _("the way in which noise levels are drawn does not ask for it"))
        return
    draft.idle(KEYS, _("the family has no such thing"))
    if "zero_terminal_snr" in given or "zero_terminal_snr" in given.implied:
        on = given.on("zero_terminal_snr")
        settings: dict[str, Any] = {"noise.zero_terminal_snr": "on" if on else "off"}
        if on:
            settings["noise.snr_before_zero"] = True  # its weights are those from before
        draft.take("zero_terminal_snr", settings)


def _left(draft: Draft) -> list[str]:
    """The keys of which nothing was told yet."""
    return [key for key in KEYS if not draft.known(key)]


def _flux(draft: Draft) -> None:
    given = draft.given
    way = str(given.get("timestep_sampling"))
    if way in ("sigma",):
        _by_scheme(draft, "discrete_flow_shift")
        return
    drawn = {"sigmoid": "sigmoid", "shift": "sigmoid", "flux_shift": "sigmoid", "uniform": "uniform"}
    drawn |= {"nextdit_shift": "sigmoid"}
    if way not in drawn:
        draft.unknown("timestep_sampling")
        return
    settings: dict[str, Any] = {"noise.flow_sampling": drawn[way]}
    if way in ("sigmoid", "uniform"):
        settings["noise.flow_shift"] = 1  # nothing moves them
    elif way != "shift":
        settings["noise.flow_shift"] = 0  # by the image's size
    draft.take("timestep_sampling", settings)
    if way == "shift":
        draft.take("discrete_flow_shift", {"noise.flow_shift": given.get("discrete_flow_shift", 3.0)})
    if way != "uniform":
        draft.take("sigmoid_scale", {"noise.flow_scale": given.get("sigmoid_scale", 1.0)})
    if given.get("model_prediction_type") == "sigma_scaled" and "weighting_scheme" in given:
        draft.take(
            "weighting_scheme", {"noise.flow_weighting": _WEIGHTS.get(str(given.get("weighting_scheme")), "none")}
        )


def _by_scheme(draft: Draft, shift: str) -> None:
    """Levels as the weighting scheme draws them, moved by ``shift``."""
    given = draft.given
    scheme = str(given.get("weighting_scheme", "none"))
    if scheme not in _WEIGHTS:
        draft.unknown("weighting_scheme")
        return
    drawn = scheme if scheme in ("logit_normal", "mode") else "uniform"
    settings = {"noise.flow_sampling": drawn, "noise.flow_weighting": _WEIGHTS[scheme]}
    draft.take("weighting_scheme", settings)
    draft.take("timestep_sampling", {"noise.flow_sampling": drawn})
    draft.take(shift, {"noise.flow_shift": given.get(shift, 3.0 if shift == "discrete_flow_shift" else 1.0)})
    if drawn == "logit_normal":
        for key, setting in (("logit_mean", "noise.flow_mean"), ("logit_std", "noise.flow_deviation")):
            if key in given:
                draft.take(key, {setting: given.get(key)})
    if drawn == "mode" and "mode_scale" in given:
        draft.take("mode_scale", {"noise.flow_scale": given.get("mode_scale")})


def _prediction(draft: Draft) -> None:
    raw = draft.given.get("model_prediction_type") == "raw"
    if raw:
        draft.take("model_prediction_type", {"noise.flow_weighting": draft.config.noise.flow_weighting})
    else:
        draft.idle("model_prediction_type", _("the loss is always on what the model predicts, as with raw"))
