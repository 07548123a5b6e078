"""The prune assistant: which tags a LoRA should absorb into its trigger word, and which should stay to be prompted.

What stands in most captions and belongs to what is trained (a character's hair and eyes) is best removed: the model
then learns it with the trigger word. What varies (expression, pose, view, background) is best named, so that it does
not stick to the trigger word. This proposes and changes nothing; :meth:`Plan.operation` is what to preview.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from lora_tui.captions.index import Index
from lora_tui.captions.quoting import quoted
from lora_tui.captions.traits import GROUPS, trait
from lora_tui.captions.vocabulary import folded
from lora_tui.errors import UserError
from lora_tui.text import N_, _, plain

Advice = Literal["absorb", "perhaps", "keep"]

MEANINGS: dict[Advice, str] = {
    "absorb": N_("Remove it: it becomes part of the trigger word, is always drawn, and need not be prompted."),
    "perhaps": N_("Remove it if it should always be drawn; keep it if it should be changed by the prompt."),
    "keep": N_("Keep it: it stays apart from the trigger word and can be prompted or left out."),
}
"""What each advice means for the LoRA."""

_ABSORBED: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "character": (frozenset({"hair", "eyes", "skin", "body"}), frozenset({"clothing", "accessories", "other"})),
    "object": (frozenset({"other", "accessories", "body", "skin"}), frozenset({"clothing", "light"})),
    "clothing": (frozenset({"clothing", "accessories"}), frozenset({"other"})),
    "pose": (frozenset({"pose"}), frozenset({"view", "other"})),
    "element": (frozenset({"eyes", "body", "skin"}), frozenset({"hair", "accessories", "other"})),
    "style": (frozenset({"style", "quality"}), frozenset({"light", "blur"})),
    "scene": (frozenset({"background"}), frozenset({"light", "other"})),
    "colour": (frozenset({"light", "style"}), frozenset({"blur", "other"})),
    "lighting": (frozenset({"light"}), frozenset({"background", "blur", "other"})),
    "concept-concrete": (frozenset({"other"}), frozenset({"accessories", "clothing", "body", "pose"})),
    "concept-general": (frozenset({"style", "light"}), frozenset({"background", "other"})),
}
"""For each purpose of a project: the groups to absorb, and those to ask about; the others stay."""

PURPOSES = tuple(_ABSORBED)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One tag.

    Attributes:
        group: a key of :data:`lora_tui.captions.traits.GROUPS`.
        captions: how many captions in scope have it; ``share`` of them, 0 to 1.
        advice: what is proposed; its meaning is in :data:`MEANINGS`.
    """

    tag: str
    group: str
    captions: int
    share: float
    advice: Advice


@dataclass(frozen=True)
class Plan:
    """What is proposed for the tags of some captions.

    Attributes:
        purpose: what the LoRA is for.
        captions: how many captions were looked at.
        candidates: all tags, those to absorb first, by group, the most frequent first.
    """

    purpose: str
    captions: int
    candidates: tuple[Candidate, ...]

    def chosen(self) -> tuple[str, ...]:
        """The tags to absorb."""
        return tuple(one.tag for one in self.candidates if one.advice == "absorb")

    def groups(self, advice: Advice) -> dict[str, list[Candidate]]:
        """The tags with this advice by group, in the order of the groups."""
        found: dict[str, list[Candidate]] = {group: [] for group in GROUPS}
        for one in self.candidates:
            if one.advice == advice:
                found[one.group].append(one)
        return {group: members for group, members in found.items() if members}

    def operation(self, tags: Iterable[str] | None = None) -> str:
        """The operation that removes ``tags``, by default those to absorb; empty when there are none."""
        wanted = list(self.chosen() if tags is None else tags)
        return "remove " + ", ".join(map(quoted, wanted)) if wanted else ""


def prune_plan(
    index: Index,
    purpose: str,
    *,
    trigger: str = "",
    numbers: Collection[int] | None = None,
    total: int | None = None,
    least_share: float = 0.5,
) -> Plan:
    """What to absorb and what to keep.

    Args:
        purpose: one of :data:`PURPOSES`.
        trigger: never proposed.
        numbers: the captions in scope; all that have tags by default.
        total: how many captions are in scope, where some of them have no tags.
        least_share: a tag is proposed for removal when at least this share of the captions has it, 0 to 1.

    Raises:
        UserError: there is no such purpose.
    """
    if purpose not in _ABSORBED:
        raise UserError(
            _("This purpose is not known."),
            place=plain(purpose),
            remedy=_("Choose one of: {names}.").format(names=", ".join(PURPOSES)),
            code="prune.purpose",
        )
    counts = index.counts() if numbers is None else index.counts_in(numbers)
    captions = total or (len(numbers) if numbers is not None else index.captions)
    absorbed, perhaps = _ABSORBED[purpose]
    own = folded(trigger) if trigger else None
    candidates = []
    for tag, count in counts.items():
        if folded(tag) == own:
            continue
        group, share = trait(tag), count / max(captions, 1)
        advice: Advice = "keep"
        if share >= least_share and group in absorbed | perhaps:
            advice = "absorb" if group in absorbed else "perhaps"
        candidates.append(Candidate(tag, group, count, share, advice))
    order = {group: place for place, group in enumerate(GROUPS)}
    rank = {"absorb": 0, "perhaps": 1, "keep": 2}
    candidates.sort(key=lambda one: (rank[one.advice], order[one.group], -one.captions, one.tag))
    return Plan(purpose, captions, tuple(candidates))
