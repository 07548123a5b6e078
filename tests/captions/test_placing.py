"""Adding many tags by a rule: at the same places as one after the other, at the cost of one."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.captions.operations.base import Context
from lora_tui.captions.operations.match import exactly
from lora_tui.captions.operations.naming import Rename
from lora_tui.captions.operations.order import Sort
from lora_tui.captions.operations.placing import Add, Position, put
from lora_tui.captions.profile import OURS, PROFILES
from lora_tui.captions.view import tags_of

NAMES = st.sampled_from(["a", "b", "c d", "e", "f (g)", "(h:1.2)", "It ends.", "i;;;j", "k|l", "。"])
GAPS = st.sampled_from([", ", ",", " , ", ",  ", ", , ", " ||| ", ";;;", "\n"])


@st.composite
def captions(draw: st.DrawFn) -> str:
    names = draw(st.lists(NAMES, max_size=6))
    return draw(st.sampled_from(["", " ", ","])) + "".join(name + draw(GAPS) for name in names)


@given(
    caption=captions(),
    tags=st.lists(NAMES, min_size=1, max_size=5, unique=True),
    rule=st.lists(NAMES, max_size=8),
    profile=st.sampled_from(list(PROFILES.values())),
)
def test_tags_come_to_the_places_that_they_find_one_after_the_other(caption, tags, rule, profile) -> None:  # type: ignore[no-untyped-def]
    position = Position("rule", rule=tuple(rule))
    context = Context(profile=profile)
    wanted = caption
    for tag in [tag for tag in tags if Add((tag,)).change(caption, context) != caption]:
        wanted = put(wanted, tag, position, profile)
    assert Add(tuple(tags), position).change(caption, context) == wanted


@pytest.mark.parametrize("operation", ["add", "sort"])
def test_a_long_rule_costs_no_more_with_every_caption(operation: str) -> None:
    rule = tuple(f"tag {number}" for number in range(20_000))
    tags = tuple(f"tag {number}" for number in range(0, 2_000, 2))
    work = Add(tags, Position("rule", rule=rule)) if operation == "add" else Sort("rule", rule=rule)
    caption = ", ".join(f"tag {number}" for number in range(1_999, 0, -2))
    context = Context(profile=OURS)
    begun = time.process_time()
    for _caption in range(20):
        changed = work.change(caption, context)
    assert time.process_time() - begun < 1.0
    assert len(tags_of(changed, OURS)) == (2_000 if operation == "add" else 1_000)


@given(captions(), NAMES, NAMES, st.sampled_from(list(PROFILES.values())))
def test_a_quick_rename_is_what_a_careful_one_is(caption: str, old: str, new: str, profile) -> None:  # type: ignore[no-untyped-def]
    context = Context(profile=profile)
    careful = Rename(exactly([old], ignore_case=True), new)  # never quick; no two names differ in case alone
    assert Rename(exactly([old]), new).change(caption, context) == careful.change(caption, context)
