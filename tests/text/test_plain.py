"""Text from outside is shown and never obeyed, and its width is what it seems."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.text import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1girl, [/b] [red]x", "1girl, [/b] [red]x"),
        ("\x1b[31mred\x07\x7f", "␛[31mred␇␡"),
        ("\x9b31m", "\\x9b31m"),
        ("abc\u202etxt", "abc\\u202etxt"),
        ("\ufeffbom a\u200bb", "\\ufeffbom a\\u200bb"),
        ("a\u200db", "a\\u200db"),
        ("\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd ❤\ufe0f", "\U0001f469\U0001f467 \U0001f44d ❤"),
        ("می\u200cخواهم", "میخواهم"),
        ("\ud800", "\\ud800"),
        ("中文，标签", "中文，标签"),
    ],
)
def test_what_cannot_be_seen_is_shown_or_left_out(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_everything_that_cannot_be_seen_is_known() -> None:
    hidden = [
        chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    ]
    assert [char for char in hidden if plain(f"x{char}x") == f"x{char}x"] == []


@given(st.text())
def test_nothing_is_left_that_a_terminal_obeys(text: str) -> None:
    shown = plain(text)
    assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in shown)
    assert plain(shown) == shown
