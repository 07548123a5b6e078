"""Merging two changes of a caption."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.captions.merging import merge, merged_tags, merged_text
from lora_tui.captions.profile import OURS
from lora_tui.captions.view import tags_of


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        ("a, b", "a, c", "a, b, d", "a, c, d"),
        ("a, b", "a", "a,b,d\n", "a,d\n"),
        ("a, b, c", "x, a, b, c", "a, c", "x, a, c"),
        ("a, b", "a, b, new", "a, b, new", "a, b, new"),
        ("a, b", "new, a, b", "a, b, new", "a, b, new"),
        ("a, b", "a, red", "a, green", "a, red, green"),
        ("c, b, a", "a, b, c", "c, b, a, d", "a, d, b, c"),
        ("c, b, a", "a, b, c", "b, c, a", "b, c, a"),
        ("a, (b:1.2)", "a, (b:1.4)", "a, (b:1.2), d", "a, (b:1.4), d"),
        ("a, (b:1.2)", "a, (b:1.4)", "a, (b:1.1)", None),
        ("a, (b:1.2)", "a", "a, (b:1.1)", None),
        ("a,b", "a, b", "a,b,c", "a, b,c"),
        ("a", "", "a, b", "b"),
        ("", "a", "b", "a, b"),
        ("t ||| a, b", "t ||| a", "t ||| a, b, c", "t ||| a, c"),
        ("a\nline two\n", "a, x\nline two\n", "a\nline 2\n", "a, x\nline 2\n"),
        ("a\nb\n", "a, x\nb\n", "y, a\nb, z\n", "y, a, x\nb, z\n"),
        ("a\n", "a, x\n", "a, y", "a, x, y"),
    ],
)
def test_lists_of_tags(base: str, ours: str, theirs: str, merged: str | None) -> None:
    assert merged_text(base, ours, theirs, OURS) == merged


PROSE = "A woman in a red hat stands in a field. She smiles at the camera."


@pytest.mark.parametrize(
    ("ours", "theirs", "merged"),
    [
        (("red", "blue"), ("field", "garden"), "A woman in a blue hat stands in a garden. She smiles at the camera."),
        (("red", "blue"), ("red", "green"), None),
        ((" She smiles at the camera.", ""), ("red", "blue"), "A woman in a blue hat stands in a field."),
        (("A woman", "A tall woman"), ("camera.", "camera, waving."), PROSE.replace("A", "A tall")[:-1] + ", waving."),
    ],
)
def test_prose(ours: tuple[str, str], theirs: tuple[str, str], merged: str | None) -> None:
    assert merged_text(PROSE, PROSE.replace(*ours), PROSE.replace(*theirs), OURS) == merged


def test_files_that_come_and_go() -> None:
    found = {
        sides: merge(*sides, OURS)
        for sides in [
            (b"a", None, b"a, b"),
            (b"a", b"a, b", None),
            (None, b"a", b"b"),
            (b"a", None, None),
            (b"a", None, b"a"),
            (None, b"a", None),
        ]
    }
    assert [one if one is None else one.content for one in found.values()] == [None, None, b"a, b", None, None, b"a"]
    assert [one is None for one in found.values()] == [True, True, False, False, False, False]


def test_the_encoding_is_theirs() -> None:
    merged = merge(b"a, b", b"a, b, \xe2\x80\xa6", "a, \u732b, b".encode("utf-16"), OURS)
    assert merged is not None and merged.content == "a, \u732b, b, \u2026".encode("utf-16")


TAGS = st.lists(st.sampled_from(["a", "b c", "d", "(e:1.2)", "f", ":("]), max_size=6, unique=True)


@given(TAGS, TAGS, TAGS)
def test_the_tags_of_a_merge_are_those_that_either_side_added_without_those_that_either_removed(
    base: list[str], ours: list[str], theirs: list[str]
) -> None:
    old, own, other = (", ".join(tags) for tags in (base, ours, theirs))
    merged = merged_text(old, own, other, OURS)
    assert merged is not None
    kept = (set(base) & set(ours) & set(theirs)) | (set(ours) - set(base)) | (set(theirs) - set(base))
    assert sorted(tags_of(merged, OURS)) == sorted(tags_of(", ".join(kept), OURS))


@given(st.text(max_size=40), st.text(max_size=40))
def test_one_change_alone_is_kept_to_the_letter(base: str, changed: str) -> None:
    assert merged_text(base, changed, base, OURS) == changed
    assert merged_text(base, base, changed, OURS) == changed
    assert merged_text(base, changed, changed, OURS) == changed


@given(st.lists(st.text(alphabet="ab ,.\n", max_size=12), min_size=3, max_size=3))
def test_nothing_breaks_it(texts: list[str]) -> None:
    merged_text(texts[0], texts[1], texts[2], OURS)
    merged_tags(texts[0], texts[1], texts[2], OURS)


@pytest.mark.parametrize(
    "sides",
    [
        ("\n" * 50_000, "a\n" + "\n" * 50_000, "\n" * 50_000 + "b\n"),
        ("x " * 20_000 + ".", "y " + "x " * 20_000 + ".", "x " * 20_000 + "y."),
        ("a", ", ".join(f"t{number}" for number in range(10_000)), "b"),
        (", ".join(f"t{number}" for number in range(10_000)), "a", ", ".join(f"t{number}" for number in range(9_999))),
    ],
)
def test_hard_input_takes_seconds(sides: tuple[str, str, str]) -> None:
    before = time.monotonic()
    merged_text(*sides, OURS)
    assert time.monotonic() - before < 20
