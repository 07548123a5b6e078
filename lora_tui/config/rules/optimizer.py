"""The optimizer against what it is given, the rates it needs, and the machine it would run on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lora_tui.config.argument_values import unfit, wanted
from lora_tui.config.arguments import Parameters, full_place, installed, parameters_of, read_arguments
from lora_tui.config.findings import Finding, error, warning
from lora_tui.config.mistakes import shown
from lora_tui.config.optimizers import LIBRARY, OPTIMIZER_FACTS, OTHER, PACKAGES, OptimizerFacts
from lora_tui.config.schema import Config
from lora_tui.config.text_rates import text_rates_of
from lora_tui.errors import UserError
from lora_tui.text import _, plain, setting_number

#: An optimizer that finds its own step size learns nothing below the first and is not meant beyond the others.
LEAST_OWN_RATE, LOW_OWN_RATE, HIGH_OWN_RATE = 0.01, 0.1, 5.0
#: What the trainer itself says.
GIVEN = ("params", "lr")


def parts(config: Config) -> Iterator[Finding]:
    """Its library, its class, its arguments, the GPU it needs."""
    section = config.optimizer
    facts = OPTIMIZER_FACTS[section.type]
    if section.type == OTHER and not section.kind.strip():
        yield error(
            "optimizer.kind",
            _("It is not said which optimizer to take."),
            _("Give a name of pytorch-optimizer, such as ADOPT, or a class with dots, such as torch.optim.RAdam."),
            "optimizer.kind",
        )
        return
    place = facts.place or full_place(section.kind, LIBRARY)
    library = place.partition(":")[0].partition(".")[0] or LIBRARY
    if facts.cuda and (config.memory.device == "cpu" or not has_gpu()):
        yield error(
            "optimizer.type",
            _("{name} works on an NVIDIA GPU alone, and the run would not be on one.").format(name=facts.title),
            _("Set optimizer.type to adamw; where memory is short, to adafactor or lion."),
            "optimizer.needs_cuda",
        )
    elif library not in ("torch", "transformers") and not installed(library):
        yield error(
            "optimizer.type" if section.type != OTHER else "optimizer.kind",
            _("{name} needs the library {library}, which is not installed.").format(
                name=plain(section.kind or facts.title), library=plain(library)
            ),
            _("Install it: pip install {library}").format(
                library=plain(PACKAGES.get(library, library.replace("_", "-")))
            ),
            "library.missing",
        )
    elif not place:
        yield error(
            "optimizer.kind",
            _("pytorch-optimizer has no {name}.").format(name=shown(section.kind)),
            _("Give one of its names, such as ADOPT, or a class with dots, such as torch.optim.RAdam."),
            "optimizer.kind",
        )
    else:
        yield from _arguments(config, facts, place)


def _arguments(config: Config, facts: OptimizerFacts, place: str) -> Iterator[Finding]:
    try:
        given = read_arguments(config.optimizer.args)
    except UserError as problem:
        yield error("optimizer.args", problem.message, problem.remedy, problem.code)
        return
    known = parameters_of(place)
    name = place.rpartition(":")[2]
    if known is None:
        if config.optimizer.type == OTHER and installed(place.partition(".")[0]):
            yield error(
                "optimizer.kind",
                _("There is no class {name} to be found.").format(name=shown(config.optimizer.kind)),
                _("Give the whole path of the class, such as torch.optim.RAdam."),
                "optimizer.kind",
            )
        return
    yield from _against("optimizer.args", name, known, given, GIVEN, facts.arguments)
    if facts.place or "." not in config.optimizer.kind:  # of any other class nobody knows what its names mean
        yield from _values(name, known, given, facts.arguments)


def _values(name: str, known: Parameters, given: Mapping[str, Any], usual: Mapping[str, Any]) -> Iterator[Finding]:
    """Values that are none of the argument's kind, out of range, or that no training goes with."""
    odd = False
    for argument, value in given.items():
        default = known.defaults.get(argument)
        if what := wanted(argument, value, default):
            odd = True
            yield error(
                "optimizer.args",
                _("{argument} of {name} must be {what}, not {value}.").format(
                    argument=argument, name=name, what=what, value=shown(value)
                ),
                _("Write it like {example}, or leave it out.").format(example=f"{argument}={default}"),
                "optimizer.arg_value",
            )
    argument, why = unfit(given, usual)
    if argument in given and not odd:
        yield error(
            "optimizer.args",
            _("{name} cannot learn with {argument}: {why}.").format(
                name=name, argument=f"{argument}={shown(given[argument])}", why=why
            ),
            _("Leave it out."),
            "optimizer.arg_unfit",
        )


def _against(
    key: str,
    name: str,
    known: Parameters,
    given: Mapping[str, Any],
    trainers: tuple[str, ...] = (),
    usual: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[Finding]:
    """Arguments that a class does not take, or cannot do without; some are the ``trainers``', some ``usual``."""
    for argument in given:
        if argument in trainers or argument not in known.names:
            yield error(
                key,
                _("{name} takes no argument {argument}.").format(name=name, argument=shown(argument)),
                _("Set learning.unet_lr instead.")
                if argument == "lr"
                else _("It takes: {names}.").format(
                    names=", ".join(one for one in known.names[:20] if one not in trainers)
                ),
                key,
            )
    missing = [one for one in known.required if one not in given and one not in usual]
    if missing:
        yield error(
            key,
            _("{name} cannot do without {argument}.").format(name=name, argument=", ".join(missing)),
            _("Give it: {argument}=…").format(argument=missing[0]),
            key,
        )


def rates(config: Config) -> Iterator[Finding]:
    """Rates and schedule for those that find one of the two themselves."""
    learning, facts = config.learning, OPTIMIZER_FACTS[config.optimizer.type]
    if facts.averages and learning.schedule != "constant":
        yield error(
            "learning.schedule",
            _("{name} does without a schedule, and is spoilt by one.").format(name=facts.title),
            _("Set learning.schedule to constant; a warm-up may stay."),
            "optimizer.own_schedule",
        )
    if not facts.adaptive:
        return
    unet, texts = learning.unet_lr, text_rates_of(config)
    text = next((rate for rate in texts if rate not in (0.0, unet)), max(texts, default=0.0))
    rate = max(unet, *texts, 0.0)
    if 0 < rate < LEAST_OWN_RATE:
        yield error(
            "learning.unet_lr",
            _("{name} finds its step size itself and multiplies it with the rate: at {rate} it learns nothing.").format(
                name=facts.title, rate=setting_number(rate)
            ),
            _("Set learning.unet_lr and learning.text_encoder_lr to 1.")
            if config.trains_text
            else _("Set learning.unet_lr to 1."),
            "optimizer.needs_rate",
        )
    elif unet > 0 and text > 0 and unet != text:
        yield error(
            "learning.text_encoder_lr" if text == learning.text_encoder_lr else "learning.text_encoder_2_lr",
            _("{name} has one step size for all: the two rates must be the same.").format(name=facts.title),
            _("Set it to {rate}, or to 0.").format(rate=setting_number(unet)),
            "optimizer.one_rate",
        )
    elif 0 < rate < LOW_OWN_RATE or rate > HIGH_OWN_RATE:
        yield warning(
            "learning.unet_lr",
            _("{name} finds its step size itself; a rate of {rate} is hardly meant.").format(
                name=facts.title, rate=setting_number(rate)
            ),
            _("Set it to 1."),
            "optimizer.odd_rate",
        )


def schedule(config: Config) -> Iterator[Finding]:
    """A schedule that is a class of anybody, and what it is given."""
    learning = config.learning
    if learning.schedule != OTHER:
        return
    kind, place = learning.schedule_class.strip(), "learning.schedule_class"
    module, _dot, name = kind.rpartition(".")
    known = parameters_of(f"{module}:{name}") if module else None
    if module and not installed(module.partition(".")[0]):
        library = module.partition(".")[0]
        yield error(
            place,
            _("{name} needs the library {library}, which is not installed.").format(
                name=plain(kind), library=plain(library)
            ),
            _("Install it: pip install {library}").format(library=plain(library.replace("_", "-"))),
            "library.missing",
        )
        return
    if known is None:
        yield error(
            place,
            _("There is no class {name} to be found.").format(name=shown(kind)),
            _("Give the whole path of the class, such as torch.optim.lr_scheduler.StepLR."),
            place,
        )
        return
    try:
        given = read_arguments(learning.schedule_args, "learning.schedule_args")
    except UserError as problem:
        yield error("learning.schedule_args", problem.message, problem.remedy, problem.code)
        return
    yield from _against("learning.schedule_args", name, known, given)


_DRIVERS = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/kfd", "/dev/dxg")


@cache
def has_gpu() -> bool:
    """Whether this machine has a GPU with NVIDIA's driver, or AMD's, which CUDA's libraries are built for as well.

    In WSL, where the driver is that of Windows, any GPU counts.
    """
    return any(Path(place).exists() for place in _DRIVERS)


RULES = (parts, rates, schedule)
