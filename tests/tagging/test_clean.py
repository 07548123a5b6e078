"""Answers of models and servers: whatever comes, a caption is one line without anything that is obeyed."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.errors import UserError
from lora_tui.tagging.clean import LONGEST, caption_text, one_line, shortened, whole_sentences


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("A cat.", "A cat."),
        ("  A cat\n\n on a\tmat.\r\n", "A cat on a mat."),
        ("\x1b[31mred\x1b[0m hat", "red hat"),
        ("\x1b]0;title\x07A cat\x1b]8;;http://x\x1b\\ sits", "A cat sits"),
        ("\x9b1mbold\x9b0m \x1bPq#0\x1b\\x", "bold x"),
        ("a\x00b\x08c\x7fd\u202ee\u200bf\ufeffg", "abcdefg"),
        ("a\u2028b\x85c", "a b c"),
        ("a \ud800 b", "a b"),
        ("<think>What is it?\nA cat.</think>\nA cat.", "A cat."),
        ("```\nA cat.\n```", "A cat."),
        ("```text\nA cat.\n```", "A cat."),
        ('"A cat."', "A cat."),
        ("“A cat.”", "A cat."),
        ('"A" and "B"', '"A" and "B"'),
        ("a ||| b ;;; c", "a b c"),
        ("一只猫。", "一只猫。"),
        ("Sorry cat, a painting.", "Sorry cat, a painting."),
    ],
)
def test_what_becomes_a_caption(text: str, kept: str) -> None:
    assert caption_text(text) == kept


@pytest.mark.parametrize("text", ["", " \n", "...", "\x1b[2J", "<think>only thoughts", '""'])
def test_nothing_is_no_caption(text: str) -> None:
    with pytest.raises(UserError) as caught:
        caption_text(text)
    assert caught.value.code == "tagger.empty"


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I\u2019m unable to describe people.",
        "Sorry, I cannot do this.",
        "I cannot assist with this request.",
        "As an AI language model, I do not see.",
        "Unfortunately, I am not able to.",
        "抱歉，我无法描述这张图片。",
        "对不起，不行。",
    ],
)
def test_a_refusal_is_no_caption(text: str) -> None:
    with pytest.raises(UserError) as caught:
        caption_text(text)
    assert caught.value.code == "tagger.refused"
    assert text[:10] in caught.value.message


def test_long_answers_end_with_a_sentence_or_a_word() -> None:
    assert shortened("One two. Three four. Five six.", 25) == "One two. Three four."
    assert shortened("one two three four", 12) == "one two"
    assert shortened("x" * 50, 10) == "x" * 10
    assert len(caption_text("word " * 100_000)) <= LONGEST


@given(st.text(max_size=300))
def test_any_text_is_one_line_that_no_terminal_obeys(text: str) -> None:
    line = one_line(text)
    assert line == line.strip()
    assert "  " not in line
    assert all(unicodedata.category(sign) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for sign in line)
    assert one_line(line) == line


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("A cat sits. A dog r", "A cat sits."),
        ("A. The dog runs along the ri", "A. The dog runs along the ri"),
        ("猫坐着。狗在", "猫坐着。"),
        ("no end", "no end"),
        ("A cat sits.", "A cat sits."),
    ],
)
def test_an_answer_that_was_broken_off(text: str, whole: str) -> None:
    assert whole_sentences(text) == whole
