"""Text takes exactly the cells it is given, whatever script it is in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from lora_tui.text import plain
from lora_tui.tui.cells import fit, tail, wrap

texts = st.text(alphabet="ab ,.宽度字ñ-_/😀", max_size=60)


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
