"""What becomes of captions that are there, for every way of putting the answers into them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.captions.operations.base import Context
from lora_tui.captions.profile import OURS, PROFILES
from lora_tui.captions.view import tags_of
from lora_tui.captions.vocabulary import folded
from lora_tui.tagging.request import EXISTING
from lora_tui.tagging.writing import Answered, WriteAnswers

TAGS = Answered(("1girl", "long hair", "smile"))
PROSE = Answered((), ("A woman smiles.",))
BOTH = Answered(("1girl", "smile"), ("A woman smiles.",))
FIRST = Answered(("1girl",), ("A woman smiles.",), prose_first=True)


def after(text: str | None, said: Answered, existing: str, trigger: str = "", profile: str = "ours") -> str | None:
    operation = WriteAnswers({"a.png": said}, existing, trigger)  # type: ignore[arg-type]
    return operation.apply(text, Context(profile=PROFILES[profile], name="a.png"))


@pytest.mark.parametrize(
    ("text", "said", "existing", "expected"),
    [
        (None, TAGS, "skip", "1girl, long hair, smile"),
        ("", TAGS, "skip", "1girl, long hair, smile"),
        ("\n", TAGS, "append", "1girl, long hair, smile\n"),
        ("mine", TAGS, "skip", "mine"),
        ("mine, x\n", TAGS, "replace", "1girl, long hair, smile\n"),
        ("mine, Long_Hair", TAGS, "prepend", "1girl, smile, mine, Long_Hair"),
        ("mine,Long_Hair", TAGS, "append", "mine,Long_Hair,1girl,smile"),
        ("smile, mine, Long_Hair, x", TAGS, "merge", "mine, x, 1girl, long hair, smile"),
        ("mine, 1girl, long hair, smile", TAGS, "merge", "mine, 1girl, long hair, smile"),
        ("mine,  1girl, long hair,smile", TAGS, "merge", "mine,  1girl, long hair,smile"),
        ("(smile:1.2), mine", TAGS, "merge", "(smile:1.2), mine, 1girl, long hair"),
        ("smile ||| mine, long hair ||| end", TAGS, "merge", "smile ||| mine, 1girl, long hair ||| end"),
        ("smile;;;mine, x", TAGS, "merge", "smile;;;mine, x, 1girl, long hair"),
        ("keep ||| mine ||| end", TAGS, "append", "keep ||| mine, 1girl, long hair, smile ||| end"),
        ("mine", PROSE, "append", "mine, A woman smiles."),
        ("mine", PROSE, "prepend", "A woman smiles. mine"),
        ("It is she.", PROSE, "append", "It is she. A woman smiles."),
        ("Before. a woman  Smiles. After.", PROSE, "append", "Before. a woman  Smiles. After."),
        (None, BOTH, "skip", "1girl, smile, A woman smiles."),
        (None, FIRST, "skip", "A woman smiles. 1girl"),
        ("mine", Answered(), "replace", "mine"),
        (None, Answered(), "append", None),
    ],
)
def test_what_becomes_of_a_caption(text: str | None, said: Answered, existing: str, expected: str | None) -> None:
    assert after(text, said, existing) == expected


@pytest.mark.parametrize(
    ("text", "existing", "expected"),
    [
        (None, "skip", "hatgirl, 1girl, long hair, smile"),
        ("mine", "append", "hatgirl, mine, 1girl, long hair, smile"),
        ("mine, Hatgirl", "append", "hatgirl, mine, 1girl, long hair, smile"),
        ("mine", "prepend", "hatgirl, 1girl, long hair, smile, mine"),
    ],
)
def test_the_trigger_word_goes_first(text: str | None, existing: str, expected: str) -> None:
    assert after(text, TAGS, existing, "hatgirl") == expected


def test_captions_that_are_skipped_get_no_trigger_word() -> None:
    assert after("mine", TAGS, "skip", "hatgirl") == "mine"


def test_each_line_is_a_caption_where_the_trainer_takes_one_of_them() -> None:
    assert (
        after("a\nsmile\n", TAGS, "append", profile="onetrainer")
        == "a, 1girl, long hair, smile\nsmile, 1girl, long hair\n"
    )


@pytest.mark.parametrize(
    ("text", "existing", "expected"),
    [
        ("a\nmine\nc\n", "append", "a\nmine, 1girl, long hair, smile\nc\n"),
        ("a\nmine\nc\n", "replace", "a\n1girl, long hair, smile\nc\n"),
        ("a\nmine\n", "skip", "a\nmine\n"),
        ("a\n", "skip", "a\n1girl, long hair, smile\n"),
        (None, "append", None),
    ],
)
def test_only_the_line_that_is_meant_is_written(text: str | None, existing: str, expected: str | None) -> None:
    operation = WriteAnswers({"a.png": TAGS}, existing)  # type: ignore[arg-type]
    assert operation.apply(text, Context(profile=replace(OURS, line=2), name="a.png")) == expected


def test_other_images_stay() -> None:
    assert WriteAnswers({"b.png": TAGS}, "replace").apply("x", Context(name="a.png")) == "x"


WORDS = st.sampled_from(["1girl", "Long_hair", "smile", "(smile:1.1)", "own", "other one", ""])
TEXTS = st.lists(WORDS, max_size=6).map(", ".join)


@given(TEXTS, st.lists(st.sampled_from(["1girl", "long hair", "smile", "new"]), unique=True), st.sampled_from(EXISTING))
def test_own_tags_stay_in_their_order_and_nothing_is_doubled(text, tags, existing) -> None:
    said = Answered(tuple(tags))
    new = after(text, said, existing)
    before, got = tags_of(text, OURS), tags_of(new or "", OURS)
    if existing == "replace":
        assert got == (tuple(tags) or before)
        return
    own = [tag for tag in before if folded(tag) not in map(folded, tags)]
    assert [tag for tag in got if folded(tag) not in map(folded, tags)] == own
    if existing != "skip" or not text.strip():
        assert {folded(tag) for tag in got} == {folded(tag) for tag in (*before, *tags)}
        assert after(new, said, existing) == new  # a second time changes nothing
