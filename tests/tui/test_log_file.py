"""A log by lines: growing, torn, replaced, overwritten by carriage returns."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from lora_tui.tui.log_file import LONGEST, LogFile


def all_lines(log: LogFile) -> list[str]:
    return [log.line(number) for number in range(log.count)]


def test_lines_come_as_the_file_grows(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = LogFile(path)
    assert not log.poll() and log.count == 0 and log.line(0) == ""
    path.write_bytes(b"one\ntw")
    assert log.poll() and all_lines(log) == ["one", "tw"]
    with path.open("ab") as file:
        file.write(b"o\nthree\n")
    assert log.poll() and all_lines(log) == ["one", "two", "three"]
    assert not log.poll()


def test_a_replaced_or_cut_file_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntwo\n")
    log = LogFile(path)
    log.poll()
    path.write_bytes(b"x\n")
    assert log.poll() and all_lines(log) == ["x"]
    path.rename(tmp_path / "old")
    path.write_bytes(b"new\nlines\n")
    assert log.poll() and all_lines(log) == ["new", "lines"]
    path.unlink()
    assert log.poll() and log.count == 0


def test_a_progress_bar_shows_its_last_state_and_long_lines_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"10%\r50%\r100%\r\n" + b"x" * 5000 + b"\n\xff\xfe\n")
    log = LogFile(path)
    log.poll()
    assert log.line(0) == "100%"
    assert len(log.line(1)) == LONGEST
    assert log.line(2) == "\ufffd\ufffd"


@given(data=st.binary(max_size=400), budget=st.integers(1, 60))
def test_any_bytes_in_pieces_give_the_lines_of_the_whole(tmp_path_factory, data: bytes, budget: int) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes(data)
    log = LogFile(path)
    while log.poll(budget):
        pass
    lines = data.split(b"\n")
    assert log.count == len(lines) - (1 if lines[-1] == b"" else 0)
