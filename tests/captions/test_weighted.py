"""Weights in captions: what A1111's documentation of its prompts says of each form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.captions.weighted import LIMIT, weighted_pieces


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", [("", 1)]),
        ("a, b", [("a, b", 1)]),
        ("a, (b:1.3), c", [("a, ", 1), ("b", 1.3), (", c", 1)]),
        ("((a)) b", [("a", 1.1 * 1.1), (" b", 1)]),
        ("[a]", [("a", 1 / 1.1)]),
        ("(a [b])", [("a ", 1.1), ("b", 1)]),
        ("((a:1.5) b)", [("a", 1.65), (" b", 1.1)]),
        (r"name \(series\), \\", [("name (series), \\", 1)]),
        ("(a", [("a", 1.1)]),
        ("a)]:", [("a)]:", 1)]),
        ("(a:-.5)", [("a", -0.5)]),
        ("(a:b)", [("a:b", 1.1)]),
        ("(a:999)", [("a", LIMIT)]),
        ("(a: 1.2 )", [("a", 1.2)]),
    ],
)
def test_each_form(text: str, pieces: list[tuple[str, float]]) -> None:
    found = weighted_pieces(text)
    assert [piece.text for piece in found] == [text for text, _weight in pieces]
    assert [piece.weight for piece in found] == pytest.approx([weight for _text, weight in pieces])


@given(st.text(st.characters(exclude_characters="()[]\\"), max_size=40))
def test_a_text_without_brackets_is_one_piece(text: str) -> None:
    assert weighted_pieces(text) == [(text, 1.0)]


@given(st.text(st.sampled_from("ab()[]:1.2\\ ,"), max_size=30))
def test_nothing_but_signs_of_weights_is_lost(text: str) -> None:
    kept = "".join(piece.text for piece in weighted_pieces(text))
    assert [sign for sign in kept if sign in "ab,"] == [sign for sign in text if sign in "ab,"]
