"""What is done when memory runs out, where it has no effect."""

from __future__ import annotations

from collections.abc import Iterator

from lora_tui.config.findings import Finding, warning
from lora_tui.config.schema import Config
from lora_tui.text import _


def packing(config: Config) -> Iterator[Finding]:
    """A base that may be packed in an emergency, but never will be."""
    if config.memory.when_full != "pack":
        return
    if config.network.decomposed:
        reason = _("The base is never packed in the middle of a run with DoRA, which reckons with its weights.")
    elif config.memory.base_weights != "full":
        reason = _("The base is packed from the start: when memory runs out, it is not packed again.")
    else:
        return
    yield warning("memory.when_full", reason, _("Set memory.when_full to adapt."), "memory.no_packing")


RULES = (packing,)
