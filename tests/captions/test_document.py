"""A caption file keeps its bytes, whatever they are, and says what a trainer might stumble over."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.captions.document import PROBLEM_TEXTS, CaptionDocument, problem_text

MARKS = [b"", codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE]
ANY_BYTES = st.builds(bytes.__add__, st.sampled_from(MARKS), st.binary(max_size=64))


@given(ANY_BYTES)
def test_arbitrary_bytes_survive_reading(raw: bytes) -> None:
    assert CaptionDocument.parse(raw).to_bytes() == raw


@given(ANY_BYTES)
def test_writing_the_text_that_was_read_gives_the_same_bytes(raw: bytes) -> None:
    document = CaptionDocument.parse(raw)
    assert document.with_text(document.text).to_bytes() == raw


@given(ANY_BYTES)
def test_every_problem_has_a_sentence(raw: bytes) -> None:
    for code in CaptionDocument.parse(raw).problems:
        assert problem_text(code)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["utf-8", "utf-16-le", "utf-16-be"]))
def test_text_is_read_in_its_encoding(text: str, encoding: str) -> None:
    mark = {"utf-8": codecs.BOM_UTF8, "utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}[encoding]
    raw = mark + text.encode(encoding)
    if raw.startswith(codecs.BOM_UTF32_LE):  # a text that begins with NUL looks like UTF-32
        return
    document = CaptionDocument.parse(raw)
    assert (document.text, document.bom) == (text, mark)


def test_plain_tags_have_no_problem() -> None:
    document = CaptionDocument.parse("hatgirl, 1girl,,  黒髪 ,\n".encode())
    assert document.encoding == "utf-8"
    assert document.tags == ("hatgirl", "1girl", "黒髪")
    assert document.newline == "\n"
    assert document.problems == ()


def test_a_byte_order_mark_is_no_part_of_the_first_tag() -> None:
    document = CaptionDocument.parse(codecs.BOM_UTF8 + b"hatgirl, smile")
    assert document.tags[0] == "hatgirl"
    assert document.problems == ("bom",)


def test_bytes_in_another_encoding_are_kept_and_reported() -> None:
    raw = "帽子, 微笑".encode("gb18030")
    document = CaptionDocument.parse(raw)
    assert document.encoding == "undecodable"
    assert "undecodable" in document.problems
    assert document.with_text("hat, " + document.text).to_bytes() == b"hat, " + raw


@pytest.mark.parametrize(
    ("raw", "newline", "problems"),
    [
        (b"", "", ("empty",)),
        (b" \n\t\n", "\n", ("empty",)),
        (b"a\r\nb\r\n", "\r\n", ("more_lines",)),
        (b"a\rb", "\r", ("more_lines",)),
        (b"\n\na, b\n", "\n", ()),
        (b"a\r\nb\nc\r\n", "\r\n", ("more_lines", "mixed_newlines")),
        (b"a\x00b\x00", "", ("nul",)),
    ],
)
def test_lines_and_emptiness_are_reported(raw: bytes, newline: str, problems: tuple[str, ...]) -> None:
    document = CaptionDocument.parse(raw)
    assert (document.newline, document.problems) == (newline, problems)


def test_the_first_line_that_is_not_blank_is_the_caption() -> None:
    document = CaptionDocument.parse(b"\r\n  \r\n a girl, outside \r\nsecond line")
    assert document.first_line == "a girl, outside"
    assert document.tags == ("a girl", "outside")


def test_a_unicode_line_separator_belongs_to_the_caption() -> None:
    assert CaptionDocument.parse("a\u2028b".encode()).first_line == "a\u2028b"


def test_an_edit_keeps_encoding_and_mark() -> None:
    document = CaptionDocument.parse(codecs.BOM_UTF16_LE + "a, b\r\n".encode("utf-16-le"))
    edited = document.with_text("c, a, b\r\n")
    assert edited.to_bytes() == codecs.BOM_UTF16_LE + "c, a, b\r\n".encode("utf-16-le")
    assert edited.encoding == "utf-16-le"


def test_codes_are_the_keys_of_the_sentences() -> None:
    assert all(problem_text(code) for code in PROBLEM_TEXTS)
