"""How the base is multiplied where it cannot be, and what is done when memory runs out or is left where it has no
effect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from lora_tui.config.findings import Finding, error, warning
from lora_tui.config.rules.optimizer import has_gpu
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


def room(config: Config) -> Iterator[Finding]:
    """More activations that are to be kept, but never will be."""
    memory = config.memory
    if memory.when_room == "keep" or not memory.gradient_checkpointing:
        return
    remedy = _("Set memory.when_room to keep.")
    if memory.device == "cpu" or not has_gpu():
        reason = _("On a CPU nothing tells what a step takes: as many blocks are computed again as asked.")
    elif memory.streamed_blocks:
        reason = _("With streamed blocks as many blocks are computed again as asked.")
    elif memory.when_full == "stop":
        reason = _("Less is computed again only where a step that runs out of memory may be done again.")
        remedy = _("Set memory.when_full to adapt, or memory.when_room to keep.")
    else:
        return
    yield warning("memory.when_room", reason, remedy, "memory.no_room")


def products(config: Config) -> Iterator[Finding]:
    """Products in 8 bits of a base that is not kept so, or on a card that has none."""
    memory = config.memory
    if memory.products == "full":
        return
    capabilities = _capabilities()
    if memory.base_weights not in capabilities:
        text = _("Only a base that is kept as int8 or fp8 is multiplied in 8 bits, and memory.base_weights is {kind}.")
        yield error(
            "memory.products",
            text.format(kind=memory.base_weights),
            _("Set memory.base_weights to int8 or fp8, or memory.products to full."),
            "memory.products_weights",
        )
    elif (has := _capability(memory.device)) is not None and has < capabilities[memory.base_weights]:
        text = _("This card cannot multiply in 8 bits here; NVIDIA cards from 2020 on can.")
        remedy = _("Set memory.products to full.")
        if has >= capabilities["int8"]:
            text = _("This card cannot multiply in fp8; NVIDIA cards from RTX 40, L4 and H100 on can.")
            remedy = _("Set memory.base_weights to int8, or memory.products to full.")
        yield error("memory.products", text, remedy, "memory.products_card")


@cache
def _capability(device: str) -> tuple[int, int] | None:
    """Of a card, looked at once: it does not change."""
    from lora_tui.jobs.resources import capability_of

    return capability_of(device)


def _capabilities() -> Mapping[str, tuple[int, int]]:
    from lora_tui.jobs.resources import PRODUCT_CAPABILITIES

    return PRODUCT_CAPABILITIES


RULES = (packing, room, products)
