"""Ranks and rates of single layers: rules such as ``unet.down_blocks.0.* rank=8 rate=0.5``, the last that fits holding.

A layer is named as in its model, with its part in front; ``*`` stands for anything. Blocks may be named instead
(``IN04``, ``OUT03-OUT05``, ``SINGLE10-37``, ``JOINT0-5``), and ``blocks``, ``IN``, ``OUT``, ``DOUBLE``, ``SINGLE`` and
``JOINT`` take lists with a number for each block, see :mod:`lora_tui.config.slots`. Knows no torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from lora_tui.config.slots import listed_slots, named_slots, slots_of, sort_of, told_lengths
from lora_tui.errors import UserError
from lora_tui.text import _, plain
from lora_tui.weights.kinds import adapts

if TYPE_CHECKING:
    from lora_tui.config.schema import NetworkSection
    from lora_tui.families.protocol import TargetModule

PLACE = "network.layers"
MOST_RANK = 4096


@dataclass(frozen=True)
class LayerRule:
    """What holds for the layers that ``pattern`` fits; what is none stays as it is.

    ``rate`` multiplies the learning rate of the layer's part; at 0, and at a rank of 0, the layer is not trained at
    all. ``conv_rank`` and ``conv_alpha`` hold for wide convolutions in place of the others. ``blocks`` are those that
    the pattern names, if it names any, and ``listed`` is the length of the list that the rule stands in.
    """

    pattern: str
    rank: int | None = None
    alpha: float | None = None
    rate: float | None = None
    conv_rank: int | None = None
    conv_alpha: float | None = None
    blocks: frozenset[str] = frozenset()
    listed: int = 0

    def fits(self, target: TargetModule) -> bool:
        if self.blocks:
            return not self.blocks.isdisjoint(slots_of(target.part, target.path) | sort_of(target.path))
        return fnmatchcase(f"{target.part}.{target.path}", self.pattern)

    def changed(self, size: LayerSize, target: TargetModule) -> LayerSize:
        """``size`` with what the rule says of a layer that it fits."""
        wide = target.kernel > 1
        rank = self.conv_rank if wide and self.conv_rank is not None else self.rank
        alpha = self.conv_alpha if wide and self.conv_alpha is not None else self.alpha
        return LayerSize(
            size.rank if rank is None else rank,
            size.alpha if alpha is None else alpha,
            size.rate if self.rate is None else self.rate,
        )


@dataclass(frozen=True)
class LayerSize:
    """What is trained of one layer."""

    rank: int
    alpha: float
    rate: float = 1.0


#: A word of a rule -> how it is read, and its bounds; the lower one of an alpha is not among its values.
_WORDS: Mapping[str, tuple[type[int] | type[float], float]] = {
    "rank": (int, MOST_RANK),
    "alpha": (float, MOST_RANK),
    "rate": (float, 1000),
    "conv_rank": (int, MOST_RANK),
    "conv_alpha": (float, MOST_RANK),
}


def read_rules(texts: Iterable[str]) -> tuple[LayerRule, ...]:
    """The rules in ``texts``; a list gives one for each of its blocks.

    Raises:
        UserError: one has no pattern, nothing to say, an unknown word, a number out of range, or a list of no length.
    """
    return tuple(rule for text in texts for rule in _rules(text))


def _rules(text: str) -> Iterator[LayerRule]:
    pattern, *words = text.split() or [""]
    try:
        if not pattern or "=" in pattern or not 1 <= len(words) <= len(_WORDS):
            raise ValueError
        values = dict(_word(word) for word in words)
        counts = {len(numbers) for numbers in values.values()} - {1}
        if not counts:
            yield LayerRule(pattern, blocks=named_slots(pattern), **{name: n[0] for name, n in values.items()})  # type: ignore[arg-type]
            return
        (count,) = counts
        blocks = listed_slots(pattern, count)
        if not blocks and pattern == "blocks":
            raise UserError(
                _("A list of {count} numbers for blocks is none that is known.").format(count=count),
                place=PLACE,
                remedy=_(
                    "Known are lists of so many: {counts}. Or name kinds of blocks: IN, OUT, DOUBLE, SINGLE."
                ).format(counts=told_lengths()),
                code="network.layers",
            )
        if not blocks:
            raise ValueError
        for number, block in enumerate(blocks):
            own: dict[str, Any] = {name: n[number if len(n) > 1 else 0] for name, n in values.items()}
            yield LayerRule(pattern, blocks=frozenset((block,)), listed=count, **own)
    except ValueError:
        raise UserError(
            _("{text} is no rule for layers.").format(text=plain(text, limit=100)),
            place=PLACE,
            remedy=_("Write it like this: *.to_q rank=8 alpha=8 rate=0.5, or IN04-IN08 rate=0.5, or DOUBLE3 rate=0.5"),
            code="network.layers",
        ) from None


def _word(word: str) -> tuple[str, list[float]]:
    """A word of a rule and its numbers: ``rate=0.5`` or ``rate=1,0.5,0``.

    Raises:
        ValueError: it is unknown, or a number is out of range.
    """
    name, _equals, text = word.partition("=")
    if name not in _WORDS:
        raise ValueError(name)
    kind, most = _WORDS[name]
    numbers = [kind(number) for number in text.split(",")]
    if any(not 0 <= number <= most or (number == 0 and name.endswith("alpha")) for number in numbers):
        raise ValueError(word)
    return name, numbers


def layer_size(network: NetworkSection, target: TargetModule) -> LayerSize:
    """Rank, alpha and share of the learning rate of one layer; a rule that cannot be read counts for nothing."""
    rank, alpha = network.size_of(target.kernel)
    size = LayerSize(rank, alpha)
    for rule in _fitting(tuple(network.layers), target) if network.layers else ():
        size = rule.changed(size, target)
    return size


def trained(network: NetworkSection, targets: Iterable[TargetModule]) -> tuple[TargetModule, ...]:
    """Those of ``targets`` that the adapter has something for and no rule leaves out."""
    targets = [target for target in targets if adapts(network.type, target.path) and _chosen(network.targets, target)]
    if not network.layers:
        return tuple(targets)
    sizes = ((target, layer_size(network, target)) for target in targets)
    return tuple(target for target, size in sizes if size.rate > 0 and size.rank > 0)


_ATTENTION = re.compile(r"\.(?:attn\d?|self_attn|attention)\.")
_CONVOLVED = (".resnets.", ".downsamplers.", ".upsamplers.")


def _chosen(which: str, target: TargetModule) -> bool:
    """Whether the layer is one of those that LyCORIS' preset ``which`` names; those of ``all`` are the family's."""
    if which == "full-lin":
        return target.kernel == 1
    if which == "attn-only":
        return _ATTENTION.search(f".{target.path}") is not None
    convolved = any(name in f".{target.path}" for name in _CONVOLVED)
    return {"attn-mlp": not convolved, "convblock-only": convolved}.get(which, True)


@lru_cache(maxsize=4096)
def _fitting(texts: tuple[str, ...], target: TargetModule) -> tuple[LayerRule, ...]:
    """The rules that fit a layer; remembered, since checks and plans ask for every layer again and again."""
    return tuple(rule for rule in _readable(texts) if rule.fits(target))


@lru_cache(maxsize=64)
def _readable(texts: tuple[str, ...]) -> tuple[LayerRule, ...]:
    try:
        return read_rules(texts)
    except UserError:  # said by the check, and by the trainer before it begins
        return ()
