"""Values of an optimizer's arguments against what its class has where nothing is said: kinds, lengths, ranges.

A class tells by its defaults what it takes: ``betas=(0.9, 0.999)`` two numbers, ``decouple=True`` a yes or no. Names
that mean the same everywhere have ranges. Knows no torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from lora_tui.text import _, ngettext


class _Range(NamedTuple):
    low: float = -math.inf
    below: float = math.inf
    above_low: bool = False

    def holds(self, number: float) -> bool:
        return (number > self.low if self.above_low else number >= self.low) and number < self.below


_SHARE, _POSITIVE, _NOT_BELOW_0 = _Range(0, 1), _Range(0, above_low=True), _Range(0)
_ANY = _Range()
#: argument -> what its numbers may be, in every optimizer that has it
RANGES: Mapping[str, _Range] = {
    **dict.fromkeys(("betas", "beta1", "beta2", "beta3", "momentum"), _SHARE),
    **dict.fromkeys(("d0", "d_coef", "growth_rate", "clip_threshold"), _POSITIVE),
    **dict.fromkeys(("eps", "eps1", "eps2", "weight_decay", "warmup_steps"), _NOT_BELOW_0),
}


def wanted(name: str, value: Any, default: Any) -> str:
    """What the argument ``name`` must be, in words, where ``value`` is not of the kind of its ``default``.

    Empty where nothing speaks against it, and where the default, none, tells nothing.
    """
    within = RANGES.get(name, _ANY)
    if isinstance(default, bool):
        return "" if value is None or value in (True, False) else _("true or false")
    if isinstance(default, int | float):
        return "" if _is_number(value, within) else _number_words(within)
    if isinstance(default, tuple) and all(isinstance(part, int | float) for part in default):
        fits = isinstance(value, tuple | list) and len(value) == len(default)
        return "" if fits and all(_is_number(part, within) for part in value) else _row_words(within, len(default))
    return _("a word") if isinstance(default, str) and not isinstance(value, str) else ""


def unfit(given: Mapping[str, Any], usual: Mapping[str, Any]) -> tuple[str, str]:
    """An argument that no training goes with, by what it does, and why; empty where there is none.

    Args:
        usual: what the optimizer is called with where nothing else is given.
    """
    arguments = {**usual, **given}
    if arguments.get("differentiable"):
        return "differentiable", _("nobody asks for the gradient of an update, and it cannot be made in place")
    if arguments.get("maximize"):
        return "maximize", _("it makes the loss grow instead of shrink")
    if arguments.get("foreach") and arguments.get("fused"):
        return "foreach", _("it does not go together with fused, which is on")
    if "relative_step" in usual and arguments["relative_step"]:
        return "relative_step", _("it would have a rate of its own in place of the learning rate")
    if "relative_step" in usual and arguments.get("warmup_init"):
        return "warmup_init", _("it needs relative_step, which is off")
    if "nesterov" in usual and arguments["nesterov"] and (not arguments["momentum"] or arguments.get("dampening")):
        blamed = "dampening" if arguments.get("dampening") else "momentum"
        return blamed, _("Nesterov's way needs a momentum, and no dampening")
    return "", ""


def _is_number(value: Any, within: _Range) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= _MOST and within.holds(value)


_MOST = 1e300  # neither infinite, nor a whole number that is no float


def _number_words(within: _Range) -> str:
    if within is _SHARE:
        return _("a number from 0 to below 1")
    if within is _POSITIVE:
        return _("a number above 0")
    return _("a number of 0 or more") if within is _NOT_BELOW_0 else _("a finite number")


def _row_words(within: _Range, length: int) -> str:
    if within is _SHARE:
        words = ngettext("{count} number from 0 to below 1", "{count} numbers from 0 to below 1", length)
    else:
        words = ngettext("{count} number of 0 or more", "{count} numbers of 0 or more", length)
    return words.format(count=length)
