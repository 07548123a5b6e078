"""What makes a run fit into a device: the cheapest change of its settings, found by planning each. Knows no torch.

Only settings that leave what is learned as it is, or all but, are looked at: the share of blocks that is computed
again, fewer images at a time with as many for a step, blocks that are streamed, a base of fewer bits.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from lora_tui.config.estimate import memory_parts, step_activations, weight_bytes
from lora_tui.config.mistakes import validated
from lora_tui.config.schema import Config, as_plain

if TYPE_CHECKING:
    from lora_tui.dataset.batches import DataPlan

RECOMPUTED = 1 / 3
"""A forward pass more, of forward and backward that cost 1 : 2."""
HALVED = 0.1
"""What a step loses where half as many images are shown at a time: a GPU has less to do at once."""
PACKED: Mapping[str, float] = {"full": 0.0, "fp8": 0.12, "nf4": 0.3}
"""What unpacking costs, and that the base is a little further from the original."""
STREAMED: Mapping[int, float] = {0: 0.0, 10: 0.15, 1000: 0.45}
"""Blocks that are copied when it is their turn, and what a step loses; the last stands for all."""
SHARES = (0.25, 0.5, 0.75, 1.0)
SMALLER_BATCHES = 4
"""How often the batch is halved at most."""
ROOM_LEFT = 0.97
"""The share of a device that a plan may fill: the allocator leaves gaps."""


@dataclass(frozen=True)
class Change:
    """Settings that make a run fit.

    Attributes:
        values: dotted key to value, only what differs.
        memory: bytes of the largest step with them.
        slower: share of time that a step takes more, roughly.
    """

    values: Mapping[str, Any]
    memory: int
    slower: float

    def applied(self, config: Config) -> Config:
        """``config`` with the change."""
        return _with(config, self.values)


@dataclass(frozen=True)
class _Try:
    share: float
    halved: int
    weights: str
    streamed: int

    @property
    def cost(self) -> float:
        slower = (1 + RECOMPUTED * self.share) * (1 + HALVED) ** self.halved
        return slower * (1 + PACKED.get(self.weights, 0.0)) * (1 + STREAMED.get(self.streamed, 0.0))


def cheapest_fit(config: Config, data: DataPlan, there: int) -> Change | None:
    """The change that costs least time and makes the largest step fit into ``there`` bytes; none where none does.

    A configuration that fits needs none: then the change is empty.
    """
    now = sum(memory_parts(config, data).values())
    if now <= there:
        return Change({}, now, 0.0)
    before, bytes_of = _now(config), _counter(config, data)
    for one in sorted(_tries(config, data, before), key=lambda one: (one.cost, one.halved, one.streamed)):
        planned = bytes_of(one)
        if planned <= there * ROOM_LEFT:
            return Change(_values(config, one), planned, max(one.cost / before.cost - 1, 0.0))
    return None


def _counter(config: Config, data: DataPlan) -> Callable[[_Try], int]:
    """What a combination takes: weights and activations depend on different settings, and each is planned once."""
    parts = memory_parts(config, data)
    rest = sum(size for name, size in parts.items() if name not in ("weights", "activations"))

    @cache
    def weights(kind: str, streamed: int) -> int:
        values = {"memory.base_weights": kind, "memory.streamed_blocks": streamed}
        recomputed = {"memory.gradient_checkpointing": True} if streamed else {}
        return weight_bytes(_with(config, {**values, **recomputed}))

    @cache
    def activations(share: float, halved: int) -> int:
        values: dict[str, Any] = {"memory.gradient_checkpointing": share > 0}
        values |= {"memory.checkpointed_share": share} if share else {}
        return step_activations(_with(config, values), _with_batches(data, halved))

    def bytes_of(one: _Try) -> int:
        least, most = activations(1.0, one.halved), activations(0.0, one.halved)
        mixed = int(one.share * least + (1 - one.share) * most)
        return rest + weights(one.weights, one.streamed) + mixed

    return bytes_of


def _with(config: Config, values: Mapping[str, Any]) -> Config:
    data = as_plain(config)
    for key, value in values.items():
        section, _dot, name = key.partition(".")
        data[section][name] = value
    return validated(data, "")


def _now(config: Config) -> _Try:
    memory = config.memory
    share = memory.checkpointed_share if memory.gradient_checkpointing else 0.0
    return _Try(share, 0, memory.base_weights, memory.streamed_blocks if share else 0)


def _tries(config: Config, data: DataPlan, now: _Try) -> Iterator[_Try]:
    """All combinations that take no more than now."""
    largest = max(data.batch_sizes, default=1)
    own = any(entry.batch_size for entry in config.datasets)  # folders with batches of their own keep them
    halvings = 0 if own else min(int(math.log2(largest)), SMALLER_BATCHES)
    packs = now.weights == "full"
    shares = [now.share, *(share for share in SHARES if share > now.share)]
    weights = [now.weights, *(("fp8", "nf4") if packs else ())]
    streamed = [now.streamed, *(count for count in STREAMED if count > now.streamed)]
    for share, halved, kind, count in itertools.product(shares, range(halvings + 1), weights, streamed):
        one = _Try(share, halved, kind, count if share else 0)
        if one != now and (share or not count):
            yield one


def _values(config: Config, one: _Try) -> dict[str, Any]:
    memory, steps = config.memory, config.steps
    wanted: dict[str, Any] = {
        "memory.gradient_checkpointing": one.share > 0,
        "memory.base_weights": one.weights,
        "memory.streamed_blocks": one.streamed,
        "steps.batch_size": max(steps.batch_size >> one.halved, 1),
        "steps.gradient_accumulation": steps.gradient_accumulation
        * (steps.batch_size // max(steps.batch_size >> one.halved, 1)),
    }
    if one.share:
        wanted["memory.checkpointed_share"] = one.share
    now = {
        "memory.gradient_checkpointing": memory.gradient_checkpointing,
        "memory.checkpointed_share": memory.checkpointed_share,
        "memory.base_weights": memory.base_weights,
        "memory.streamed_blocks": memory.streamed_blocks,
        "steps.batch_size": steps.batch_size,
        "steps.gradient_accumulation": steps.gradient_accumulation,
    }
    return {key: value for key, value in wanted.items() if now[key] != value}


def _with_batches(data: DataPlan, halved: int) -> DataPlan:
    """The same images in smaller batches; which batch comes when does not matter here."""
    if not halved:
        return data
    entries = tuple(replace(entry, batch_size=max(entry.batch_size >> halved, 1)) for entry in data.entries)
    return replace(data, batch_size=max(data.batch_size >> halved, 1), entries=entries)
