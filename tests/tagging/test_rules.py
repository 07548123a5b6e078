"""From scores to tags: each rule alone, and the laws that hold for all of them together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.captions.vocabulary import folded
from lora_tui.errors import UserError
from lora_tui.tagging.combine import combine
from lora_tui.tagging.rows import Row
from lora_tui.tagging.rules import Found, Rules, Thresholds, compose, select
from lora_tui.tagging.vocabulary import Vocabulary

KNOWN = {
    # tag: (category, score)
    "general": ("rating", 0.7),
    "explicit": ("rating", 0.2),
    "1girl": ("general", 0.99),
    "long_hair": ("general", 0.5),
    "^_^": ("general", 0.4),
    "solo": ("general", 0.35),
    "hat": ("general", 0.1),
    "saber_(fate)": ("character", 0.9),
    "rin_(a)_(b)": ("character", 0.86),
    "nobody": ("character", 0.5),
    "fate_(series)": ("copyright", 0.6),
}
VOCABULARY = Vocabulary(tuple(KNOWN), tuple(kind for kind, _score in KNOWN.values()))
ROW = Row.of(score for _kind, score in KNOWN.values())


def tags(**rules: object) -> list[str]:
    made = Rules(**rules)  # type: ignore[arg-type]
    return list(compose(select(ROW, VOCABULARY, made), made))


USUAL = ["1girl", "saber (fate)", "rin (a) (b)", "fate (series)", "long hair", "^_^", "solo"]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({}, USUAL),
        (
            {"thresholds": Thresholds(general=0.5)},
            ["1girl", "saber (fate)", "rin (a) (b)", "fate (series)", "long hair"],
        ),
        ({"thresholds": Thresholds(character=0.5)}, [*USUAL[:4], "long hair", "nobody", "^_^", "solo"]),
        ({"thresholds": Thresholds(character=2, other=2)}, ["1girl", "long hair", "^_^", "solo"]),
        ({"thresholds": Thresholds(other=0.7)}, [tag for tag in USUAL if tag != "fate (series)"]),
        ({"rating": "first"}, ["general", *USUAL]),
        ({"rating": "last"}, [*USUAL, "general"]),
        ({"rating": "last", "thresholds": Thresholds(rating=0.8)}, USUAL),
        (
            {"order": "vocabulary"},
            ["1girl", "long hair", "^_^", "solo", "saber (fate)", "rin (a) (b)", "fate (series)"],
        ),
        ({"character_first": True}, ["saber (fate)", "rin (a) (b)", "1girl", *USUAL[3:]]),
        ({"undesired": ("LONG HAIR", "s*")}, ["1girl", "rin (a) (b)", "fate (series)", "^_^"]),
        ({"first": ("solo", "hat", "Long_Hair")}, ["solo", "long hair", *USUAL[:4], "^_^"]),
        (
            {"replace": (("long hair", "hair"), ("1girl", "girl, one girl"), ("solo", ""))},
            ["girl", "one girl", *USUAL[1:4], "hair", "^_^"],
        ),
        ({"replace": (("long_hair", "1girl"),)}, [tag for tag in USUAL if tag != "long hair"]),
        (
            {"expand_characters": True},
            ["1girl", "saber (fate)", "fate", "rin (a) (b)", "b", "fate (series)", "long hair", "^_^", "solo"],
        ),
        (
            {"expand_characters": True, "undesired": ("fate",)},
            ["1girl", "saber (fate)", "rin (a) (b)", "b", *USUAL[3:]],
        ),
        ({"underscores": True}, ["1girl", "saber_(fate)", "rin_(a)_(b)", "fate_(series)", "long_hair", "^_^", "solo"]),
        ({"escape": True}, ["1girl", r"saber \(fate\)", r"rin \(a\) \(b\)", r"fate \(series\)", *USUAL[4:]]),
        ({"mcut": True, "thresholds": Thresholds(other=2)}, ["1girl", "saber (fate)", "rin (a) (b)", "nobody"]),
    ],
)
def test_what_a_rule_makes_of_scores(rules: dict[str, object], expected: list[str]) -> None:
    assert tags(**rules) == expected


def test_a_score_of_just_the_threshold_reaches_it() -> None:
    assert "solo" in tags(thresholds=Thresholds(general=0.35))  # 0.35 as the 32-bit number that a model gives


def test_mcut_never_goes_below_its_least() -> None:
    vocabulary = Vocabulary(("a", "b"), ("general", "general"))
    assert select(Row.of((0.1, 0.02)), vocabulary, Rules(mcut=True)) == ()


def test_a_name_with_a_comma_is_no_tag() -> None:
    vocabulary = Vocabulary((">,<", "x"), ("general", "general"))
    assert compose(select(Row.of((0.9, 0.9)), vocabulary, Rules()), Rules()) == ("x",)


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), 1e9])
def test_thresholds_that_cannot_be(value: float) -> None:
    with pytest.raises(UserError, match="threshold"):
        Thresholds(general=value)


@pytest.mark.parametrize("scores", [[0.5, float("nan")], [2.0], [-0.5], [float("inf")]])
def test_what_is_no_confidence_is_refused(scores: list[float]) -> None:
    with pytest.raises(UserError, match="between 0 and 1"):
        Row.of(scores)


def test_rows_survive_packing() -> None:
    again = Row.unpacked(ROW.packed())
    assert again == ROW
    assert again.score(2) == pytest.approx(0.99)
    assert again.score(99) == 0.0
    with pytest.raises(ValueError, match="row"):
        Row.unpacked(b"123")


NAMES = st.sampled_from(["a", "b_c", "B c", "^_^", "d_(e)", "f,g", "general", "e"])
SCORES = st.lists(st.tuples(NAMES, st.sampled_from(["general", "character", "rating", "other"]), st.floats(0, 1)))
RULES = st.builds(
    Rules,
    thresholds=st.builds(Thresholds, general=st.floats(0, 1), character=st.floats(0, 1)),
    rating=st.sampled_from(["off", "first", "last"]),
    order=st.sampled_from(["confidence", "vocabulary"]),
    character_first=st.booleans(),
    undesired=st.lists(NAMES, max_size=2).map(tuple),
    first=st.lists(NAMES, max_size=2).map(tuple),
    expand_characters=st.booleans(),
    escape=st.booleans(),
)


@given(SCORES, RULES)
def test_tags_come_once_are_tags_and_none_is_undesired(scores, rules) -> None:
    vocabulary = Vocabulary(tuple(one[0] for one in scores), tuple(one[1] for one in scores))
    written = compose(select(Row.of(one[2] for one in scores), vocabulary, rules), rules)
    keys = [folded(tag) for tag in written]
    assert len(set(keys)) == len(keys)
    assert not any("," in tag or not tag.strip() for tag in written)
    assert not set(keys) & {folded(tag) for tag in rules.undesired}


@given(SCORES, st.floats(0, 1), st.floats(0, 1))
def test_a_higher_threshold_finds_a_part_of_what_a_lower_one_finds(scores, one, other) -> None:
    vocabulary = Vocabulary(tuple(row[0] for row in scores), ("general",) * len(scores))
    row = Row.of(score for _name, _kind, score in scores)
    low, high = (
        set(select(row, vocabulary, Rules(thresholds=Thresholds(general=value)))) for value in sorted((one, other))
    )
    assert high <= low


def found(*named: tuple[str, float]) -> list[Found]:
    return [Found(name, score, "general", place) for place, (name, score) in enumerate(named)]


@pytest.mark.parametrize(
    ("how", "votes", "expected"),
    [
        ("union", 0, [("long_hair", 0.9), ("d", 0.8), ("c", 0.6)]),
        ("intersection", 0, [("long_hair", pytest.approx(0.6))]),
        ("vote", 0, [("d", 0.8), ("long_hair", pytest.approx(0.6)), ("c", 0.55)]),
        ("vote", 3, [("long_hair", pytest.approx(0.6))]),
        ("vote", 1, [("d", 0.8), ("long_hair", pytest.approx(0.6)), ("c", 0.55)]),
    ],
)
def test_several_models_become_one(how, votes, expected) -> None:
    answers = [
        found(("long_hair", 0.9), ("c", 0.5)),
        found(("Long hair", 0.5), ("c", 0.6)),
        found(("long hair", 0.4), ("d", 0.8)),
    ]
    knows = [
        Vocabulary(names, ("general",) * len(names))
        for names in (("long_hair", "c"), ("Long hair", "c"), ("long hair", "d", "c"))
    ]
    assert [(one.name, one.score) for one in combine(answers, how, vocabularies=knows, votes=votes)] == expected


def test_the_surest_rating_is_taken() -> None:
    ratings = [[Found("general", 0.6, "rating", 0)], [Found("explicit", 0.7, "rating", 1)]]
    assert [one.name for one in combine(ratings, "intersection")] == ["explicit"]
