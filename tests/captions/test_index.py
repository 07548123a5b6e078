"""Vocabulary and postings: whatever is done, they are what a recount gives."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from lora_tui.captions.index import Index
from lora_tui.captions.kaomoji import is_kaomoji, spaced, underscored
from lora_tui.captions.vocabulary import folded, glob_expression

TAGS = st.lists(
    st.sampled_from(["1girl", "solo", "long hair", "long_hair", "Long hair", "^_^", "hat", "", "x"]), max_size=6
)
ACTIONS = st.lists(
    st.tuples(st.sampled_from(["put", "remove", "ask", "compact"]), st.integers(0, 9), TAGS), max_size=40
)


@given(ACTIONS)
def test_counts_equal_a_recount_after_any_sequence_of_operations(actions: list[tuple[str, int, list[str]]]) -> None:
    index, known = Index(), dict[int, tuple[str, ...]]()
    for action, number, tags in actions:
        if action == "put" and number in known:
            known[number] = index.replace(number, known[number], tags)
        elif action == "put":
            known[number] = index.add(number, tags)
        elif action == "remove" and number in known:
            gone = tags or list(known[number])
            index.remove(number, gone)
            known[number] = tuple(tag for tag in known[number] if tag not in gone)
        elif action == "ask":
            for tag in tags:
                index.postings(tag)
        else:
            index.compact()
        if action == "put":
            assert known[number] == tuple(tags)
    recount = Counter(tag for tags in known.values() for tag in set(tags))
    assert index.counts() == recount
    assert set(index.tags()) == set(recount)
    for tag in recount:
        holders = {number for number, tags in known.items() if tag in tags}
        assert set(index.postings(tag)) == holders
        assert index.count(tag) == len(holders)
    for scope in ({1, 2, 3}, set(range(9)), set()):
        inside = Counter(tag for number in scope for tag in set(known.get(number, ())))
        assert index.counts_in(scope) == inside
    groups = {folded(tag) for tag in recount}
    assert {folded(tag) for tag in recount for _same in index.vocabulary.same(tag)} == groups


@given(st.lists(TAGS, max_size=8), st.lists(TAGS, max_size=8))
def test_captions_changed_together_are_as_if_one_after_the_other(
    before: list[list[str]], after: list[list[str]]
) -> None:
    together, one_by_one = Index(), Index()
    for index in (together, one_by_one):
        index.add_many(0, before)
    wanted = [(number, tuple(tags)) for number, tags in enumerate(after)]
    kept = together.replace_many(wanted)
    assert kept == [tags for _number, tags in wanted]
    for number, tags in wanted:
        one_by_one.replace(number, (), tags)
    assert together.counts() == one_by_one.counts()
    for tag in together.tags():
        assert together.postings(tag) == one_by_one.postings(tag)
    assert [together.tags_of(number) for number in range(9)] == [one_by_one.tags_of(number) for number in range(9)]


def test_equal_tags_are_one_string_and_first_seen_come_first() -> None:
    index = Index()
    first = index.add(0, ("".join(["long", " hair"]), "solo"))
    second = index.add(1, ("solo", "".join(["long", " hair"])))
    assert first[0] is second[1]
    index.replace(0, first, ("hat", "solo"))
    assert list(index.tags()) == ["long hair", "solo", "hat"]


def test_a_word_means_itself_and_only_else_what_is_spelled_otherwise() -> None:
    index = Index()
    index.add(0, ("long hair", "Long_Hair", "blue eyes", r"saber \(fate\)", "^_^"))
    words = index.vocabulary
    assert words.spellings("long hair") == ("long hair",)
    assert words.spellings("long_hair") == ("long hair",)
    assert set(words.spellings("LONG_hair")) == {"long hair", "Long_Hair"}
    assert words.spellings("SABER_(fate)") == (r"saber \(fate\)",)
    assert words.spellings("^ ^") == ()
    assert words.variants() == [("Long_Hair", "long hair")]
    assert words.near("blue") == ["blue eyes"]
    assert words.near("blue eyse") == ["blue eyes"]
    assert words.near("zzz") == []


def test_the_vocabulary_counts_in_scope_and_in_all() -> None:
    index = Index()
    for number, tags in enumerate([("a", "b"), ("a",), ("a", "c"), ("b",)]):
        index.add(number, tags)
    rows = [(row.tag, row.in_scope, row.total) for row in index.vocabulary.rows([0, 3])]
    assert rows == [("b", 2, 2), ("a", 1, 3)]
    assert [row.tag for row in index.vocabulary.rows(by="name")] == ["a", "b", "c"]
    assert index.vocabulary.rows()[0].total == 3


def test_brackets_in_a_pattern_mean_themselves_and_stars_cost_little() -> None:
    assert glob_expression("[red]*").match("[red] hair")
    assert not glob_expression("[red]").match("r")
    assert glob_expression(r"a\*").match("a*")
    assert not glob_expression(r"a\*").match("ab")
    assert not glob_expression("*" * 500 + "b").match("a" * 5000)


def test_faces_keep_their_underscores() -> None:
    for face in ("^_^", "(o)_(o)", "o_o", ">_<", "@_@", "|_|", "x_X"):
        assert is_kaomoji(face)
        assert spaced(face) == face
    for tag in ("long_hair", "a_girl", "school_uniform", "is_on_x"):
        assert not is_kaomoji(tag)
    assert (spaced("long_hair"), underscored("long hair")) == ("long hair", "long_hair")
