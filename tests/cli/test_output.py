import io
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.cli.output import Progress, clip, print_json, progress_text, say, table, width


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_json_is_one_valid_document(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"path": Path("/x"), "loss": math.nan, "items": (1, "é"), 3: None})
    assert json.loads(capsys.readouterr().out) == {"path": "/x", "loss": None, "items": [1, "é"], "3": None}


def test_names_that_are_no_unicode_do_not_break_json(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    print_json({"path": Path("caf\udce9")})
    assert json.loads(capsysbinary.readouterr().out)["path"] == "caf\udce9"


def test_a_terminal_without_unicode_gets_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    say("● ready")
    assert raw.getvalue() == b"\\u25cf ready\n"


def test_columns_are_as_wide_as_a_terminal_shows_them() -> None:
    lines = table([("帽子", 1), ("a", 22)], ("name", "n"), right=(1,)).split("\n")
    assert lines == ["name   n", "帽子   1", "a     22"]
    assert {width(line) for line in lines} == {8}


def test_cells_are_shown_plain() -> None:
    assert "\x1b" not in table([("\x1b[31mred",)], ("name",))


@given(st.text(max_size=30), st.integers(1, 40))
def test_a_clipped_line_fits(text: str, cells: int) -> None:
    assert width(clip(text, cells)) <= cells


def test_progress_off_a_terminal_is_a_line_now_and_then() -> None:
    stream = io.StringIO()
    with Progress("reading", 100, stream=stream) as progress:
        for done in range(100):
            progress.update(done)
    assert stream.getvalue().count("\n") == 1
    assert "\r" not in stream.getvalue()


def test_progress_on_a_terminal_is_one_line_that_changes_and_stays_at_the_end() -> None:
    stream = Terminal()
    with Progress("reading", 10, stream=stream) as progress:
        progress.show("one")
        progress.show("one")
        progress.line("lasting")
        progress.show("two")
    text = stream.getvalue()
    assert text.count("\n") == 2 and text.endswith("two\n")
    assert text.index("lasting") > text.index("one")


def test_quiet_progress_says_nothing() -> None:
    stream = Terminal()
    with Progress("x", 10, stream=stream, quiet=True) as progress:
        progress.update(5)
        progress.line("x")
    assert stream.getvalue() == ""


def test_a_progress_line_has_share_counts_and_the_time_left() -> None:
    text = progress_text("step", 1742, 4240, "loss 0.08", 980, bar=10)
    assert text == "step  [####......]   41%  1,742 of 4,240  loss 0.08  16m 20s left"
    assert progress_text("x", 0, 0) == "x"
