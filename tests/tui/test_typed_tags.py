"""Tags as they are typed: aliases and translations become their tags, new ones are named."""

from __future__ import annotations

import pytest

from lora_tui.captions.complete import Completer, Named, TagList
from lora_tui.captions.index import Index
from lora_tui.tui.tags.typed_tags import TypedTags

LISTS = TagList(
    [Named("twintails", "general", 90, ("pigtails",)), Named("hatsune miku", "character", 80), Named("hat")],
    {"twintails": "双马尾", "hat": "帽子"},
)


@pytest.fixture
def tags() -> TypedTags:
    index = Index()
    index.add(0, ("ohwx", "blue eyes", "hat"))
    return TypedTags(Completer(index, LISTS))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("双马尾", "twintails"),
        ("双马", "twintails"),
        ("pigt", "twintails"),
        ("smile, 帽子", "smile, hat"),
        ("帽子, 双", "hat, twintails"),
        ("帽, 双", "帽, twintails"),  # what has a comma behind it is done: only the whole of a name is one
        ("pigt, x", "pigt, x"),
        ("双马尾,", "twintails,"),
        ("hatsune", "hatsune"),
        ("ohwx", "ohwx"),
        ("", ""),
    ],
)
def test_other_names_of_a_tag_become_it(tags: TypedTags, typed: str, meant: str) -> None:
    assert tags.meant(typed) == meant
    assert tags.takes_first(typed) == (meant.rpartition(",")[2] != typed.rpartition(",")[2])


def test_the_end_of_a_line_can_stay_as_it_is_typed(tags: TypedTags) -> None:
    assert tags.meant("帽子, 双马尾", taking=False) == "hat, 双马尾"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("hatsune", "new tag: hatsune"),
        ("one, two, hat", "new tags: one, two"),
        ("a, b, c, d", "new tags: a, b, c …"),
        ("blue_eyes", "here spelled blue eyes"),
        ("twintails, ohwx, 帽子", ""),
        ("smile, Blue Eyes", "new tag: smile  here spelled blue eyes"),
    ],
)
def test_what_nobody_knows_is_named(tags: TypedTags, typed: str, said: str) -> None:
    assert tags.remark(typed) == said
