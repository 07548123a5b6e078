"""The tags of a caption are a view: they stand where they are said to, and an edit touches nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.captions.edits import with_inserted, with_order, with_replaced, without
from lora_tui.captions.profile import OURS, PROFILES
from lora_tui.captions.view import tags_of, view

PIECES = [
    "a",
    "b c",
    ", ",
    ",",
    " ",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "|",
    "|||",
    ";;;",
    "\\(",
    "\n",
    "\r\n",
    ":1.2",
    ":(",
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=24).map("".join)
OTHERS = [replace(OURS, lines="one_random"), replace(OURS, keep_tokens=2), replace(OURS, line=2)]
PROFILE = st.sampled_from([*PROFILES.values(), *OTHERS])


@given(TEXTS, PROFILE)
def test_every_tag_stands_where_it_is_said_to(text: str, profile) -> None:
    position = 0
    for item in view(text, profile).items:
        assert text[item.name_start : item.name_end] == item.text == item.text.strip() != ""
        assert position <= item.start <= item.name_start < item.name_end <= item.end
        position = item.end


@given(TEXTS, PROFILE)
def test_the_quick_way_to_the_tags_gives_those_of_the_view(text: str, profile) -> None:
    assert tags_of(text, profile) == tuple(item.text for item in view(text, profile).items)


@given(TEXTS, PROFILE)
def test_edits_that_change_nothing_change_no_character(text: str, profile) -> None:
    seen = view(text, profile)
    assert with_order(text, seen, range(len(seen.items))) == text
    assert without(text, seen, [], profile) == text
    for index, item in enumerate(seen.items):
        assert with_replaced(text, seen, index, item.text) == text


SIMPLE = st.lists(st.sampled_from(["a", "b c", "(d:1.2)", ":(", "e (f)", "{g|h, i}"]), min_size=1, max_size=8)
JOINTS = st.sampled_from([", ", ",", " , ", "  ,"])


@given(SIMPLE, JOINTS, st.data())
def test_removing_leaves_exactly_the_others(tags: list[str], joint: str, data: st.DataObject) -> None:
    text = joint.join(tags)
    gone = data.draw(st.sets(st.integers(0, len(tags) - 1)))
    names = tags_of(text, OURS)
    left = without(text, view(text, OURS), gone, OURS)
    assert left == joint.join(tag for index, tag in enumerate(tags) if index not in gone)
    assert tags_of(left, OURS) == tuple(name for index, name in enumerate(names) if index not in gone)


@given(SIMPLE, JOINTS, st.data())
def test_inserting_and_removing_again_is_nothing(tags: list[str], joint: str, data: st.DataObject) -> None:
    text = joint.join(tags)
    index = data.draw(st.integers(0, len(tags)))
    more = with_inserted(text, view(text, OURS), index, "new", OURS)
    assert tags_of(more, OURS)[index] == "new"
    assert tags_of(without(more, view(more, OURS), [index], OURS), OURS) == tags_of(text, OURS)


@given(TEXTS, PROFILE, st.randoms())
def test_another_order_has_the_same_characters(text: str, profile, chance) -> None:
    seen = view(text, profile)
    order = list(range(len(seen.items)))
    chance.shuffle(order)
    assert sorted(with_order(text, seen, order)) == sorted(text)


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("a, b,c", ("a", "b", "c")),
        ("nero claudius (fate/extra), solo", ("nero claudius (fate/extra)", "solo")),
        ("photo \\(medium\\), x", ("photo \\(medium\\)", "x")),
        (":(, smile, :)", (":(", "smile", ":)")),
        ("(o)_(o), ^_^", ("(o)_(o)", "^_^")),
        ("(smile:1.2), (a, b:1.1), ((c, d)), [e, f]", ("smile", "(a, b:1.1)", "((c, d))", "[e, f]")),
        ("{red|blue, green} hat, x", ("{red|blue, green} hat", "x")),
        ("t ||| a;;;b, c ||| z", ("t", "a", "b", "c", "z")),
        ("(a, b", ("(a", "b")),
        ("A_B, a_b", ("A_B", "a_b")),
        (" , ,", ()),
        ("first, line\nsecond", ("first", "line")),
    ],
)
def test_what_is_a_tag(text: str, tags: tuple[str, ...]) -> None:
    assert tags_of(text, OURS) == tags


def test_zones_and_units() -> None:
    items = view("t ||| a;;;b, c ||| z", OURS).items
    assert [item.zone for item in items] == ["keep", "free", "free", "free", "suffix"]
    assert items[1].unit == items[2].unit != items[3].unit
    assert [item.zone for item in view("a, b, c", replace(OURS, keep_tokens=1)).items] == ["keep", "free", "free"]


def test_lines_by_trainer() -> None:
    text = "\na, b\r\n\nc\n"
    assert tags_of(text, OURS) == ("a", "b")
    assert tags_of(text, PROFILES["musubi"]) == ("a", "b", "c")
    assert [(item.text, item.line) for item in view(text, PROFILES["onetrainer"]).items] == [
        ("a", 1),
        ("b", 1),
        ("c", 3),
    ]


def test_prose_is_told_from_tags() -> None:
    assert view("A woman in a red hat stands in a field. She smiles.", OURS).is_prose
    assert not view("1girl, solo, long hair, looking at viewer, white shirt", OURS).is_prose
