"""The order of tags and how many there are: sort, shuffle, dedupe, truncate. The fixed front and end stay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from lora_tui.captions.edits import with_order, without
from lora_tui.captions.operations.base import Context, EachCaption
from lora_tui.captions.operations.tables import rank
from lora_tui.captions.view import View, caption_view, without_marks
from lora_tui.errors import UserError
from lora_tui.keyed import keyed_random
from lora_tui.text import _


def _ordered(caption: str, seen: View, first: int, arrange: Callable[[list[int]], list[int]]) -> str:
    """The caption with the tags that may move in another order; the ``first`` of them stay, too."""
    free = [index for index, item in enumerate(seen.items) if item.zone == "free" and index >= first]
    units = {seen.items[index].unit for index in range(min(first, len(seen.items)))}
    free = [index for index in free if seen.items[index].unit not in units]
    wanted = iter(_units_together(seen, arrange(free)))
    moving = set(free)
    order = [next(wanted) if index in moving else index for index in range(len(seen.items))]
    return caption if order == sorted(order) else with_order(caption, seen, order)


def _units_together(seen: View, order: list[int]) -> list[int]:
    units: dict[int, list[int]] = {}
    for index in order:
        units.setdefault(seen.items[index].unit, []).append(index)
    return [index for members in units.values() for index in sorted(members)]


@dataclass(frozen=True, slots=True)
class Sort(EachCaption):
    """Sort tags; those that compare equal keep their order.

    Attributes:
        by: ``alpha``; ``frequency``, common ones first; ``length``; ``category``; ``order``, the dataset's own;
            ``rule``, by a list of tags or categories, what it does not name last.
        first: this many tags in front stay.
    """

    by: Literal["alpha", "frequency", "length", "category", "order", "rule"]
    first: int = 0
    reverse: bool = False
    rule: tuple[str, ...] = ()
    _ranks: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._ranks.update((name, rank) for rank, name in enumerate(self.rule))

    def change(self, caption: str, context: Context) -> str:
        if self.by == "category" and context.category is None:
            raise UserError(
                _("There is no list of tags that says their categories."),
                remedy=_("Put one (CSV: name, type, count, aliases) into the folder “tags” of the program's data."),
                code="captions.categories",
            )
        category = context.category or (lambda _tag: "")
        seen = caption_view(caption, context.profile)
        ranks = self._ranks

        def key(index: int) -> tuple[int | str, ...]:
            name = seen.items[index].text
            match self.by:
                case "alpha":
                    return (name.casefold(), name)
                case "frequency":
                    return (-context.count(name),)
                case "length":
                    return (len(name),)
                case "category":
                    return (category(name) or "\U0010ffff",)
                case "order":
                    return (rank(context, name),)
            return (ranks.get(name, ranks.get(category(name), len(ranks))),)

        return _ordered(caption, seen, self.first, lambda free: sorted(free, key=key, reverse=self.reverse))


@dataclass(frozen=True, slots=True)
class Shuffle(EachCaption):
    """Another order, the same one each time for the same seed and image."""

    seed: int = 0
    first: int = 0

    def change(self, caption: str, context: Context) -> str:
        def arrange(free: list[int]) -> list[int]:
            keyed_random("shuffle captions", self.seed, context.name).shuffle(free)
            return free

        return _ordered(caption, caption_view(caption, context.profile), self.first, arrange)


@dataclass(frozen=True, slots=True)
class Dedupe(EachCaption):
    """Keep the first of tags that are equal; ``loosely`` counts case, and underscores for blanks, as equal."""

    loosely: bool = False

    def change(self, caption: str, context: Context) -> str:
        seen = caption_view(caption, context.profile)
        known: set[str] = set()
        gone = []
        for index, item in enumerate(seen.items):
            name = item.text.casefold().replace("_", " ") if self.loosely else item.text
            if name in known:
                gone.append(index)
            known.add(name)
        return without(caption, seen, gone, context.profile)


@dataclass(frozen=True, slots=True)
class Truncate(EachCaption):
    """Drop whole tags from the end of what may move until at most ``limit`` tags or tokens are left.

    A caption that is too long although only its fixed tags are left stays so.
    """

    limit: int
    unit: Literal["tags", "tokens"]

    def change(self, caption: str, context: Context) -> str:
        seen = caption_view(caption, context.profile)
        free = [index for index, item in enumerate(seen.items) if item.zone == "free"]
        if self.unit == "tags":
            excess = min(max(len(seen.items) - self.limit, 0), len(free))
            return without(caption, seen, free[len(free) - excess :], context.profile)
        if context.tokens is None:
            raise UserError(_("Tokens cannot be counted: there is no tokenizer."), code="captions.tokenizer")
        tokens, profile = context.tokens, context.profile
        if tokens(without_marks(caption, profile)) <= self.limit:
            return caption
        low, high = 0, len(free)  # how many stay; the fewest tags have the fewest tokens
        while low < high:
            middle = (low + high + 1) // 2
            shorter = without(caption, seen, free[middle:], profile)
            if tokens(without_marks(shorter, profile)) <= self.limit:
                low = middle
            else:
                high = middle - 1
        return without(caption, seen, free[low:], context.profile)
