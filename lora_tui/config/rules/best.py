"""Averages of the weights, the best of a run, and an end before the last step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lora_tui.config.findings import Finding, error, warning
from lora_tui.config.optimizers import OPTIMIZER_FACTS
from lora_tui.config.schema import Config
from lora_tui.text import _

if TYPE_CHECKING:
    from lora_tui.dataset.batches import DataPlan


def average(config: Config) -> Iterator[Finding]:
    """An average beside an optimizer that keeps one."""
    facts = OPTIMIZER_FACTS[config.optimizer.type]
    if config.learning.ema_decay > 0 and facts.averages:
        yield error(
            "learning.ema_decay",
            _("{name} averages the weights itself: a second average would be of the wrong ones.").format(
                name=facts.title
            ),
            _("Set learning.ema_decay to 0."),
            "learning.two_averages",
        )


def plan(config: Config, data: DataPlan) -> Iterator[Finding]:
    """What waits for a measurement in a run that measures nothing."""
    section = config.validation
    if data.validation or section.mode == "off":
        return
    for name, on in (("keep_best", section.keep_best), ("patience", section.patience > 0)):
        if on:
            yield warning(
                f"validation.{name}",
                _("No image is held out: nothing is measured, and nothing can be the best."),
                _("Set validation.mode to on, or add images."),
                "validation.nothing_measured",
            )


RULES = (average,)
