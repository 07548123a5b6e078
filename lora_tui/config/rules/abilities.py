"""What a family, a base model or this machine cannot do, whatever else is set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lora_tui.config.family import family_of
from lora_tui.config.fields import field_for
from lora_tui.config.findings import Finding, error, warning
from lora_tui.config.rules.optimizer import has_gpu
from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.families import facts_for, told_prediction
from lora_tui.families.flux.facts import FACTS as FLUX
from lora_tui.families.hub import local, on_hub
from lora_tui.text import _, count, plain

SCHNELL_TOKENS = 256
"""Tokens of T5 that FLUX.1 schnell learned with."""


def prediction(config: Config) -> Iterator[Finding]:
    """Noise or velocity, of a family that predicts neither."""
    spec = field_for("model.prediction")
    assert spec is not None
    wanted, families = config.model.prediction, spec.option.families
    if wanted != "auto" and families and config.model.family not in families:
        yield error(
            "model.prediction",
            _("{family} predicts the flow from image to noise and cannot be trained as {prediction}.").format(
                family=facts_for(config.model.family).title, prediction=wanted
            ),
            _("Set model.prediction to auto."),
            "model.prediction_family",
        )


def told_by_name(config: Config) -> Iterator[Finding]:
    """A model that is still on the hub, of another family by its name."""
    base, family = config.model.base, config.model.family
    told = family_of(base) if on_hub(base) and local(base) is None else ""
    if told and told != family:
        yield warning(
            "model.family",
            _("By its name {name} is a {found} model, but the family is set to {wanted}.").format(
                name=plain(base), found=facts_for(told).title, wanted=facts_for(family).title
            ),
            _("Set model.family to {found}.").format(found=told),
            "model.family_by_name",
        )


def last_timestep(config: Config) -> Iterator[Finding]:
    """Noise alone at the last timestep, for a model that is to find the noise in it."""
    if config.noise.zero_terminal_snr == "on" and _predicts(config) == "epsilon":
        yield error(
            "noise.zero_terminal_snr",
            _("With zero-terminal SNR a model that predicts noise has nothing to learn at the last timestep."),
            _("Set it to auto, or model.prediction to v_prediction if the base model predicts velocity."),
            "noise.zero_terminal",
        )


def _predicts(config: Config) -> str:
    """What the base model predicts, as far as its settings or its files tell; empty where they do not."""
    if config.model.prediction != "auto":
        return config.model.prediction
    base, facts = local(config.model.base), facts_for(config.model.family)
    if base is None:
        return ""
    try:
        told = told_prediction(config.model.family, base)
    except UserError:  # which is said of the base model
        return ""
    return told or ("epsilon" if getattr(facts, "tells_prediction", False) else "")


def tokens(config: Config) -> Iterator[Finding]:
    """More tokens than the model has learned to read."""
    if config.model.family == "flux" and config.captions.t5_tokens > SCHNELL_TOKENS and _is_schnell(config.model.base):
        yield warning(
            "captions.t5_tokens",
            _("FLUX.1 schnell learned with {count} tokens; more of them are strange to it and cost memory.").format(
                count=count(SCHNELL_TOKENS)
            ),
            _("Set captions.t5_tokens to {count}.").format(count=SCHNELL_TOKENS),
            "captions.too_many_tokens",
        )


def _is_schnell(base: str) -> bool:
    """Whether the model knows no strength of guidance; of one that is elsewhere, whether its name says so."""
    path: Path | None = local(base)
    return "schnell" in base.lower() if path is None else not FLUX.shape_of(path).guidance


def device(config: Config) -> Iterator[Finding]:
    """A GPU that is not there."""
    if config.memory.device.partition(":")[0] == "cuda" and not has_gpu():
        yield error(
            "memory.device",
            _("There is no GPU here that {device} could mean.").format(device=config.memory.device),
            _("Set memory.device to auto, which takes a GPU where one is, or to cpu."),
            "memory.no_gpu",
        )


RULES = (prediction, told_by_name, last_timestep, tokens, device)
