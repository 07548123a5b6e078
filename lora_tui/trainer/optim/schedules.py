"""Learning-rate schedules as functions of the step, so that a resume needs no state of theirs."""

from __future__ import annotations

import functools
import math

import torch

from lora_tui.choices import chosen, part_at
from lora_tui.config.arguments import read_arguments
from lora_tui.config.schema import LearningSection
from lora_tui.errors import UserError
from lora_tui.text import _, plain

#: ``learning.schedule`` -> a function (section, updates done since the warm-up, updates after it, updates of it) ->
#: share left, which falls from 1 towards 0
SCHEDULES = {
    name: f"lora_tui.trainer.optim.schedules:{name}"
    for name in (
        "constant", "linear", "cosine", "cosine_with_restarts", "polynomial", "inverse_sqrt", "rex",
        "warmup_stable_decay", "other",
    )
}  # fmt: skip
#: Of the run, where neither a time scale nor a warm-up says it.
USUAL_TIMESCALE = 0.1
STEPS = "{steps}"
"""What stands for the updates after the warm-up in the arguments of a class."""
TRIAL_STEPS = 5


def rate_factor(learning: LearningSection, step: int, total: int) -> float:
    """The factor on the learning rate for update number ``step`` (from 0) of ``total``.

    The warm-up rises as (step + 1) / (warm-up + 1), so the first update already learns; after it the schedule
    runs over what is left and falls to ``learning.final`` instead of 0.
    """
    warmup = warmup_steps(learning, total)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    span = max(total - warmup, 1)
    rate = float(chosen(SCHEDULES, learning.schedule)(learning, min(max(step - warmup, 0), span), span, warmup))
    return rate if learning.schedule == "other" else rate + learning.final * (1.0 - rate)


def warmup_steps(learning: LearningSection, total: int) -> int:
    """The updates of the warm-up in a run of ``total``; one at least comes after it."""
    return min(learning.warmup or round(learning.warmup_share * total), max(total - 1, 0))


def constant(learning: LearningSection, done: int, span: int, warmup: int) -> float:
    return 1.0


def linear(learning: LearningSection, done: int, span: int, warmup: int) -> float:
    return 1.0 - done / span


def cosine(learning: LearningSection, done: int, span: int, warmup: int) -> float:
    return 0.5 * (1 + math.cos(math.pi * done / span))


def cosine_with_restarts(learning: LearningSection, done: int, span: int, warmup: int) -> float:
    if done >= span:
        return 0.0
    return 0.5 * (1 + math.cos(math.pi * ((done / span * learning.restarts) % 1.0)))


def polynomial(learning: LearningSection, done: int, span: int, warmup: int) -> float:
    return float((1.0 - done / span) ** learning.power)


def inverse_sqrt(learning: LearningSection, done: int, span: int, warmup: int) -> float:
    """1 / sqrt(1 + n / T) after n updates: transformers' ``get_inverse_sqrt_schedule``, whose T is the warm-up, too.

    Where there is none, T is a share of the run, so that short runs fall as well.
    """
    scale = learning.timescale or warmup or round(USUAL_TIMESCALE * span)
    return 1.0 / math.sqrt(1.0 + done / max(scale, 1))


def rex(learning: LearningSection, done: int, span: int, warmup: int) -> float:
    """(1 - p) / (1 - p / 2) at the share p of the run.

    Chen, Wolfe and Kyrillidis 2021, "REX: Revisiting Budgeted Training with an Improved Schedule", section 3.
    """
    share = done / span
    return (1.0 - share) / (1.0 - share / 2.0)


def warmup_stable_decay(learning: LearningSection, done: int, span: int, warmup: int) -> float:
    """1 until the decay begins, then falling in one of three shapes: transformers' ``get_wsd_schedule``."""
    decay = min(learning.decay or round(learning.decay_share * (span + warmup)), span)
    share = max(done - (span - decay), 0) / max(decay, 1)
    match learning.decay_shape:
        case "linear":
            return 1.0 - share
        case "sqrt":
            return 1.0 - math.sqrt(share)
    return 0.5 * (1.0 + math.cos(math.pi * share))


def other(learning: LearningSection, done: int, span: int, warmup: int) -> float:
    """What a class of anybody makes of a rate of 1 after so many of its steps."""
    return _course(learning.schedule_class.strip(), tuple(learning.schedule_args), span).at(done)


def try_schedule(learning: LearningSection) -> None:
    """Take a few steps of a schedule that is a class of anybody, before anything is loaded.

    Raises:
        UserError: it cannot be used like this.
    """
    if learning.schedule != "other":
        return
    try:
        _course(learning.schedule_class.strip(), tuple(learning.schedule_args), TRIAL_STEPS).at(TRIAL_STEPS - 1)
    except UserError:
        raise
    except Exception as error:  # whatever a class of anybody raises, it is not fit
        raise UserError(
            _("{name} cannot be used like this: {reason}").format(
                name=plain(learning.schedule_class, limit=100), reason=plain(str(error), limit=300)
            ),
            place="learning.schedule_class",
            remedy=_("Fix learning.schedule_args, or choose another schedule."),
            code="learning.unusable",
        ) from error


class _Course:
    """The rates of a torch scheduler, found one after the other, so that any step's can be asked for after a resume."""

    def __init__(self, kind: str, args: tuple[str, ...], span: int) -> None:
        module, _dot, name = kind.rpartition(".")
        values = read_arguments(args, "learning.schedule_args")
        given = {key: span if value == STEPS else value for key, value in values.items()}
        self._optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        self._scheduler = part_at(f"{module}:{name}", kind)(self._optimizer, **given)
        self._rates: list[float] = []

    def at(self, step: int) -> float:
        while len(self._rates) <= step:
            if self._rates:  # a step beyond the last that is asked for may be one too many
                self._optimizer.step()
                self._scheduler.step()
            self._rates.append(float(self._optimizer.param_groups[0]["lr"]))
        return self._rates[step]


@functools.lru_cache(maxsize=4)
def _course(kind: str, args: tuple[str, ...], span: int) -> _Course:
    return _Course(kind, args, span)
