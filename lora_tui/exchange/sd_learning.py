"""Optimizer and schedule of sd-scripts: their names, their arguments, and what each does where nothing is said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lora_tui.config.optimizers import LIBRARY, OPTIMIZER_FACTS
from lora_tui.exchange.draft import Draft
from lora_tui.exchange.fate import Fate
from lora_tui.exchange.sd_network import float_of, pairs
from lora_tui.exchange.sd_refusals import CLASSES
from lora_tui.text import _

ARGS = "optimizer_args"
#: names in small letters that are not the titles of ours
_NAMES: Mapping[str, str] = {
    "dadaptation": "dadapt_adam", "dadaptadampreprint": "dadapt_adam", "dadaptadan": "dadapt_adan",
    "adamwschedulefree": "adamw_schedulefree", "radamschedulefree": "radam_schedulefree",
    "sgdschedulefree": "sgd_schedulefree", "pagedadamw32bit": "paged_adamw", "adam": "adamw", "sgd": "sgd",
    "adam8bit": "adamw8bit",
}  # fmt: skip
#: names of classes that are none of ours
_CLASSES: Mapping[str, str] = {
    "prodigyplusschedulefree": "prodigyplus.ProdigyPlusScheduleFree",
    "dadaptadanip": "dadaptation.experimental.DAdaptAdanIP",
}  # fmt: skip
DECAYS = ("adamw", "adamw8bit", "paged_adamw8bit", "paged_adamw", "ademamix", "ademamix8bit", "paged_ademamix8bit")
"""Optimizers whose own weight decay is 0.01; that of the others is 0."""
#: schedule there -> schedule here
SCHEDULES: Mapping[str, str] = {
    "constant": "constant", "constant_with_warmup": "constant", "linear": "linear", "cosine": "cosine",
    "cosine_with_restarts": "cosine_with_restarts", "polynomial": "polynomial", "inverse_sqrt": "inverse_sqrt",
    "cosine_with_min_lr": "cosine", "warmup_stable_decay": "warmup_stable_decay", "rex": "rex", "adafactor": "constant",
}  # fmt: skip
_SETTINGS: Mapping[str, str] = {"weight_decay": "optimizer.weight_decay", "eps": "optimizer.eps"}


def take(draft: Draft) -> None:
    """Read everything about optimizer and schedule."""
    args = dict(pairs(draft.given.get(ARGS, [])))
    draft.given.unfold(ARGS, args)
    _optimizer(draft, args)
    _schedule(draft)
    _warmup(draft)


def optimizer_named(name: str) -> tuple[str, str]:
    """Our name of an optimizer, and the class where it is none of ours; both empty where neither is known."""
    short = name.strip().replace("_", "").replace("-", "").lower()
    for kind, facts in OPTIMIZER_FACTS.items():
        if short in (facts.title.lower(), kind.replace("_", "")) and kind != "other":
            return kind, ""
    if short in _NAMES:
        return _NAMES[short], ""
    if short in _CLASSES:
        return "other", _CLASSES[short]
    named = next((kind for kind, place in CLASSES.items() if place == name.strip()), "")
    if named:
        return named, ""
    return ("other", name.strip().removeprefix(f"{LIBRARY}.")) if "." in name.strip(".") else ("", "")


def _optimizer(draft: Draft, args: dict[str, str]) -> None:
    given = draft.given
    for key, name in (("use_8bit_adam", "AdamW8bit"), ("use_lion_optimizer", "Lion")):
        if given.on(key):
            draft.take(key, {"optimizer.type": optimizer_named(name)[0]})
    name = str(given.get("optimizer_type", ""))
    kind, place = optimizer_named(name)
    if not kind and name:
        if name.isidentifier():  # a class of the library that has most of them
            kind, place = "other", name
        else:
            draft.unknown("optimizer_type")
    if kind and not (given.on("use_8bit_adam") or given.on("use_lion_optimizer")):
        draft.take("optimizer_type", {"optimizer.type": kind, **({"optimizer.kind": place} if place else {})})
    elif "optimizer_type" in given:
        draft.idle("optimizer_type", _("another switch says which optimizer it is"))
    if name or given.on("use_8bit_adam") or given.on("use_lion_optimizer"):
        _arguments(draft, args)


def _arguments(draft: Draft, args: Mapping[str, str]) -> None:
    kind = draft.config.optimizer.type
    facts = OPTIMIZER_FACTS[kind]
    if "weight_decay" not in args and facts.decay and kind not in DECAYS:
        draft.put("optimizer.weight_decay", 0)
    rest: list[str] = []
    for name, value in args.items():
        key = f"{ARGS}.{name}"
        if name == "betas" and facts.betas and len(numbers := value.strip("()[] ").split(",")) == 2:
            draft.take(key, {"optimizer.beta1": numbers[0], "optimizer.beta2": numbers[1]})
        elif name in _SETTINGS and (facts.decay if name == "weight_decay" else facts.eps):
            draft.take(key, {_SETTINGS[name]: value})
        elif kind == "adafactor" and name in ("relative_step", "warmup_init", "scale_parameter"):
            note = _("Adafactor keeps to the learning rate here, as with relative_step=False")
            if value.lower() in ("false", "0"):
                draft.tell(key, Fate.TAKEN, {})
            else:
                draft.idle(key, note)
        else:
            rest.append(f"{name}={value}")
            if draft.try_to_put("optimizer.args", rest):
                draft.tell(key, Fate.TAKEN, {"optimizer.args": rest[-1:]})
            else:  # no text that can be written
                rest.pop()
                draft.unknown(key)


def _schedule(draft: Draft) -> None:
    given = draft.given
    place = str(given.get("lr_scheduler_type", ""))
    if place:
        whole = place if "." in place else f"torch.optim.lr_scheduler.{place}"
        draft.take("lr_scheduler_type", {"learning.schedule": "other", "learning.schedule_class": whole})
        listed = [f"{name}={value}" for name, value in pairs(given.get("lr_scheduler_args", []))]
        draft.take("lr_scheduler_args", {"learning.schedule_args": listed})
        draft.idle("lr_scheduler", _("lr_scheduler_type names a class of its own"))
        draft.idle("lr_scheduler_num_cycles", _("the schedule has none"))
        return
    name = str(given.get("lr_scheduler", "")).lower()
    if name in SCHEDULES:
        note = (
            _("Adafactor keeps to the learning rate here, as with relative_step=False") if name == "adafactor" else ""
        )
        draft.take("lr_scheduler", {"learning.schedule": SCHEDULES[name]}, note)
    elif name:
        draft.unknown("lr_scheduler")
    if dict(pairs(given.get("lr_scheduler_args", []))):
        draft.idle("lr_scheduler_args", _("the schedule takes none"))
    cycles = given.get("lr_scheduler_num_cycles")
    if "lr_scheduler_num_cycles" not in given:
        return
    if name == "cosine_with_restarts":
        draft.take("lr_scheduler_num_cycles", {"learning.restarts": max(float_of(cycles), 1)})
    else:
        draft.idle("lr_scheduler_num_cycles", _("the schedule has none"))


def _warmup(draft: Draft) -> None:
    """Warm-up and decay: steps, or a share of the run where the number is below 1."""
    for key, steps, share in (
        ("lr_warmup_steps", "learning.warmup", "learning.warmup_share"),
        ("lr_decay_steps", "learning.decay", "learning.decay_share"),
    ):
        if key not in draft.given:
            continue
        number: Any = draft.given.get(key)
        settings = {share: number} if 0 < float_of(number) < 1 else {steps: number}
        draft.take(key, settings)
