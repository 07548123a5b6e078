"""The prune assistant, the trigger check, and phrases of prose."""

from __future__ import annotations

import pytest
from caption_lines import Lines
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.captions.complete import Named, TagList
from lora_tui.captions.language import parse_operation
from lora_tui.captions.operations.base import Context
from lora_tui.captions.prose import phrases
from lora_tui.captions.prune import MEANINGS, PURPOSES, prune_plan
from lora_tui.captions.tokens import sd15_tokens
from lora_tui.captions.traits import GROUPS, trait
from lora_tui.captions.trigger import check_trigger
from lora_tui.errors import UserError
from lora_tui.project import PURPOSES as PROJECT_PURPOSES

SETS = [
    "hatgirl, 1girl, long hair, blue_eyes, smile, hat, from behind",
    "hatgirl, 1girl, long hair, blue_eyes, open mouth, hat, simple background",
    "hatgirl, 1girl, long hair, blue_eyes, hat, blurry, close-up",
    "hatgirl, 1girl, long hair, smile, outdoors",
]


@pytest.mark.parametrize(
    ("tag", "group"),
    [
        ("long_hair", "hair"),
        ("hair ribbon", "accessories"),
        ("blue eyes", "eyes"),
        ("closed eyes", "expression"),
        ("dark skin", "skin"),
        ("cat ears", "body"),
        ("white shirt", "clothing"),
        ("black thighhighs", "clothing"),
        ("red bow (hair)", "accessories"),
        ("open mouth", "expression"),
        (":d", "expression"),
        ("looking at viewer", "pose"),
        ("holding umbrella", "pose"),
        ("sitting on chair", "pose"),
        ("from behind", "view"),
        ("upper body", "view"),
        ("close-up", "closeup"),
        ("simple background", "background"),
        ("cherry blossoms tree", "background"),
        ("depth of field", "blur"),
        ("rim light", "light"),
        ("watercolor", "style"),
        ("1girl", "subject"),
        ("6+girls", "subject"),
        ("watermark", "quality"),
        ("qwertz", "other"),
        ("", "other"),
        ("()", "other"),
        (" on x", "other"),
    ],
)
def test_words_say_what_kind_of_thing_a_tag_is(tag: str, group: str) -> None:
    assert trait(tag) == group


@given(st.text(max_size=30))
def test_every_tag_has_a_group(tag: str) -> None:
    assert trait(tag) in GROUPS


def test_a_character_absorbs_what_it_always_has() -> None:
    plan = prune_plan(Lines(SETS).index, "character", trigger="hatgirl")
    assert plan.captions == 4
    assert plan.chosen() == ("long hair", "blue_eyes")
    assert [one.tag for one in plan.groups("perhaps")["accessories"]] == ["hat"]
    kept = plan.groups("keep")
    assert [one.tag for one in kept["expression"]] == ["smile", "open mouth"]
    assert list(kept) == ["subject", "expression", "view", "closeup", "background", "blur"]
    assert "hatgirl" not in {one.tag for one in plan.candidates}
    assert [one.share for one in plan.candidates if one.tag == "blue_eyes"] == [0.75]


def test_the_proposal_is_an_operation() -> None:
    plan = prune_plan(Lines(SETS).index, "character", trigger="hatgirl")
    operation = parse_operation(plan.operation())
    assert operation.apply(SETS[0], Context()) == "hatgirl, 1girl, smile, hat, from behind"
    assert parse_operation(plan.operation([r'od"d\ tag', "1girl"])).apply(r'od"d\ tag, 1girl, x', Context()) == "x"
    assert prune_plan(Lines([]).index, "style").operation() == ""


def test_scope_share_and_purpose_decide() -> None:
    index = Lines(SETS).index
    assert prune_plan(index, "character", trigger="hatgirl", numbers=[3]).chosen() == ("long hair",)
    assert prune_plan(index, "character", least_share=0.8).chosen() == ("long hair",)
    assert prune_plan(index, "clothing").chosen() == ("hat",)
    assert prune_plan(index, "style").chosen() == ()
    assert prune_plan(index, "character", total=100).chosen() == ()
    with pytest.raises(UserError) as caught:
        prune_plan(index, "nonsense")
    assert caught.value.code == "prune.purpose"


def test_every_purpose_of_a_project_has_its_plan() -> None:
    assert set(PURPOSES) == set(PROJECT_PURPOSES)
    assert all(MEANINGS.values())


def test_a_new_word_is_a_good_trigger() -> None:
    assert check_trigger("hatgirl", Lines(SETS).index, known=TagList([Named("hat")]), tokens=sd15_tokens().count) == []


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("", "trigger.form"),
        ("a, b", "trigger.form"),
        ("(x)", "trigger.form"),
        ("blue eyes", "trigger.in_dataset"),
        ("Hatsune_Miku", "trigger.known_tag"),
        ("sole female", "trigger.known_tag"),
        ("dog", "trigger.common"),
        ("xqzvbnmplkjh", "trigger.long"),
        ("42", "trigger.number"),
    ],
)
def test_what_speaks_against_a_trigger_word(word: str, code: str) -> None:
    known = TagList([Named("hatsune miku", "character"), Named("1girl", aliases=("sole female",))])
    found = check_trigger(word, Lines(SETS).index, known=known, tokens=sd15_tokens().count)
    assert code in [problem.code for problem in found]


PROSE = [
    "A young woman in a red hat stands in the rain, looking at the camera.",
    "The photo shows a young woman in a red hat. She is looking at the camera!",
    "A dog, and a young woman.",
    "",
]


def test_phrases_are_counted_once_a_caption() -> None:
    found = {phrase.text: phrase.captions for phrase in phrases(PROSE)}
    assert found["young woman"] == 3
    assert found["woman in a red hat"] == 2
    assert found["looking at the camera"] == 2
    assert "red hat" not in found
    assert "in a" not in found
    assert "dog" not in found
    assert next(iter(phrases(PROSE))).text == "young woman"


def test_a_phrase_lies_within_a_clause() -> None:
    assert [phrase.text for phrase in phrases(["red hat. blue", "red hat, blue"])] == ["red hat", "blue"]
    assert phrases(PROSE, should_stop=lambda: True) == []
