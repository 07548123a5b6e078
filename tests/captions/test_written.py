"""A caption in a field of several lines: what nobody typed over comes back byte for byte."""

from __future__ import annotations

import pytest

from lora_tui.captions.document import CaptionDocument
from lora_tui.captions.written import Written, typed_text


def written(text: str) -> Written:
    return Written.of(CaptionDocument.parse(text.encode("utf-8", "surrogateescape")))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "A girl waves.\n\n",
        "one\r\ntwo\nthree\rfour\r\n",
        "tab\there\x0bthere\x1b[31m\u2028end\u200b\udcff",
        "\U000f0000 is somebody's own sign\x00",
        "  blanks around  \n",
    ],
)
def test_a_field_that_nobody_typed_in_gives_the_same_text(text: str) -> None:
    found = written(text)
    assert found.text(found.shown) == text
    assert len(found.shown.splitlines()) == len(found.shown.rstrip("\n").split("\n")) or not found.shown


def test_an_edit_in_one_place_leaves_everything_else_as_it_was() -> None:
    text = "one\x0b line\r\ntwo \udcff\nthree\u2028\rfour\n\n"
    found = written(text)
    assert "\x0b" not in found.shown and "\u2028" not in found.shown
    assert found.text(found.shown.replace("two", "2")) == text.replace("two", "2")
    assert found.text(found.shown.replace("line\n", "line\nnew\n")) == text.replace("line\r\n", "line\r\nnew\r\n")


def test_new_lines_end_as_the_others_of_the_file_do() -> None:
    assert written("a\r\nb\r\n").text("a\nb\nc") == "a\r\nb\r\nc\r\n"
    assert written("a\r\n").text("a\nb") == "a\r\nb\r\n"
    assert Written.of(None).text("a\nb") == "a\nb"


def test_nothing_but_blanks_is_an_empty_caption() -> None:
    assert written("a girl\n").text(" \n ") == ""


def test_each_stand_in_is_drawn_in_one_cell() -> None:
    found = written("a\x1bb\u202ec")
    assert found.shown.translate(str.maketrans(found.symbols)) == "a␛b\ufffdc"


def test_a_paste_brings_lines_and_letters_alone() -> None:
    assert typed_text("one\rtwo\r\nthree\tfour\x1b[31m") == "one\ntwo\nthree four[31m"
