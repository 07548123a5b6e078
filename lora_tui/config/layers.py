"""Ranks and rates of single layers: rules such as ``unet.down_blocks.0.* rank=8 rate=0.5``, the last that fits holding.

A layer is named as in its model, with its part in front; ``*`` stands for anything. Knows no torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING

from lora_tui.errors import UserError
from lora_tui.text import _, plain

if TYPE_CHECKING:
    from lora_tui.config.schema import NetworkSection
    from lora_tui.families.protocol import TargetModule

PLACE = "network.layers"
MOST_RANK = 4096


@dataclass(frozen=True)
class LayerRule:
    """What holds for the layers that ``pattern`` fits; what is none stays as it is.

    ``rate`` multiplies the learning rate of the layer's part; at 0 the layer is not trained at all.
    """

    pattern: str
    rank: int | None = None
    alpha: float | None = None
    rate: float | None = None

    def fits(self, target: TargetModule) -> bool:
        return fnmatchcase(f"{target.part}.{target.path}", self.pattern)


@dataclass(frozen=True)
class LayerSize:
    """What is trained of one layer."""

    rank: int
    alpha: float
    rate: float = 1.0


def read_rules(texts: Iterable[str]) -> tuple[LayerRule, ...]:
    """The rules in ``texts``.

    Raises:
        UserError: one has no pattern, nothing to say, an unknown word, or a number out of range.
    """
    return tuple(_rule(text) for text in texts)


def _rule(text: str) -> LayerRule:
    pattern, *words = text.split()[:5] or [""]
    rule = LayerRule(pattern)
    try:
        if not pattern or "=" in pattern or not words:
            raise ValueError
        for word in words:
            name, _equals, value = word.partition("=")
            if name == "rank" and 1 <= int(value) <= MOST_RANK:
                rule = replace(rule, rank=int(value))
            elif name == "alpha" and 0 < float(value) <= MOST_RANK:
                rule = replace(rule, alpha=float(value))
            elif name == "rate" and 0 <= float(value) <= 1000:
                rule = replace(rule, rate=float(value))
            else:
                raise ValueError
    except ValueError:
        raise UserError(
            _("{text} is no rule for layers.").format(text=plain(text, limit=100)),
            place=PLACE,
            remedy=_("Write it like this: unet.down_blocks.0.* rank=8 alpha=8 rate=0.5"),
            code="network.layers",
        ) from None
    return rule


def layer_size(network: NetworkSection, target: TargetModule) -> LayerSize:
    """Rank, alpha and share of the learning rate of one layer; a rule that cannot be read counts for nothing."""
    rank, alpha = network.size_of(target.kernel)
    size = LayerSize(rank, alpha)
    for rule in _readable(tuple(network.layers)):
        if rule.fits(target):
            given = {name: getattr(rule, name) for name in ("rank", "alpha", "rate")}
            size = replace(size, **{name: value for name, value in given.items() if value is not None})
    return size


def trained(network: NetworkSection, targets: Iterable[TargetModule]) -> tuple[TargetModule, ...]:
    """Those of ``targets`` that no rule leaves out."""
    if not network.layers:
        return tuple(targets)
    return tuple(target for target in targets if layer_size(network, target).rate > 0)


@lru_cache(maxsize=64)
def _readable(texts: tuple[str, ...]) -> tuple[LayerRule, ...]:
    try:
        return read_rules(texts)
    except UserError:  # said by the check, and by the trainer before it begins
        return ()
