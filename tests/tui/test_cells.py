"""Text takes exactly the cells it is given, whatever script it is in."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from lora_tui.text import plain
from lora_tui.tui.cells import fit, tail, wrap

texts = st.text(alphabet="ab ,.宽度字，。（）ñ-_/😀", max_size=60)


@given(texts, st.integers(0, 40), st.sampled_from(["left", "right"]), st.sampled_from(["end", "middle"]))
def test_a_fitted_text_takes_exactly_its_cells(text: str, width: int, align: str, cut: str) -> None:
    assert cell_len(fit(text, width, align=align, cut=cut)) == width  # type: ignore[arg-type]


@given(st.text(max_size=60), st.integers(1, 40))
def test_any_cleaned_text_does(text: str, width: int) -> None:
    assert cell_len(fit(plain(text), width)) == width


def test_what_is_cut_says_so() -> None:
    assert fit("abcdefgh", 5) == "abcd…"
    assert fit("1234567", 5, align="right") == "…4567"
    assert fit("a-long-file-name-0001.png", 16, cut="middle").endswith("1.png")
    assert fit("12", 4, align="right") == "  12"


def test_marks_of_chinese_begin_and_end_no_line_alone() -> None:
    for width in range(8, 40):
        for line in wrap("图片太小（64 x 96）：会被放大 6.7 倍。使用更大的原图，或以更小的尺寸训练。", width):
            assert line[0] not in "，。）：" and line[-1] not in "（"
    assert wrap("宽", 1) == ["宽"]  # no room at all is no endless loop


@given(texts, st.integers(2, 30))
def test_wrapped_lines_fit_and_lose_nothing_but_spaces(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


@given(texts, st.integers(3, 30), st.integers(1, 4))
def test_wrapping_stops_at_the_last_line_with_an_ellipsis(text: str, width: int, most: int) -> None:
    lines = wrap(text, width, most)
    whole = wrap(text, width)
    assert len(lines) <= most
    assert all(cell_len(line) <= width for line in lines)
    if len(whole) > most:
        assert lines[-1].endswith("…")


@given(texts, st.integers(0, 20))
def test_a_tail_is_the_end_of_the_text(text: str, width: int) -> None:
    end = tail(text, width)
    assert text.endswith(end)
    assert cell_len(end) <= width


def test_no_line_begins_with_a_comma_of_either_width() -> None:
    for comma, width in itertools.product(("，", ", "), range(20, 60)):
        lines = wrap(comma.join(("没有图像包含：景别：远景", "表情：中性", "表情：悲伤", "光线：低角度阳光")), width)
        assert all(line[0] not in "，," and cell_len(line) <= width for line in lines), lines
