import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_tui.jobs.backwards import FIRST, newest_first
from lora_tui.jobs.events import EventReader


def line(number: int, kind: str = "step", size: int = 0) -> bytes:
    return json.dumps({"t": 1.0, "kind": kind, "n": number, "x": "y" * size}, separators=(",", ":")).encode() + b"\n"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3 * FIRST), max_size=12), st.sampled_from([b"", b"{torn", b"\n\n"]))
def test_it_is_the_reading_from_the_start_the_other_way_round(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], tail: bytes
) -> None:
    path = tmp_path_factory.mktemp("e") / "events.jsonl"
    path.write_bytes(b"".join(line(number, size=size) for number, size in enumerate(sizes)) + tail)
    assert list(newest_first(path)) == EventReader(path).poll(1 << 30)[::-1]


def test_kinds_that_are_passed_over_are_no_work_and_may_be_added_on_the_way(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    kinds = ["run", "phase", "step", "resources", "phase", "phase", "resources"]
    path.write_bytes(b"".join(line(number, kind) for number, kind in enumerate(kinds)))
    needless = ["resources"]
    found = []
    for event in newest_first(path, needless):
        found.append(event["n"])
        if event["kind"] == "phase":
            needless.append("phase")
    assert found == [5, 2, 0]


def test_no_more_is_read_than_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a terabyte of nothing, which would take minutes
        file.seek(0, 2)
        file.write(b"\n" + line(7))
    assert next(newest_first(path))["n"] == 7


@pytest.mark.parametrize("data", [b"", b"\n", b"x" * 5_000_000, b"\xff\n[]\n1\n", b"[" * 200_000 + b"\n"])
def test_what_is_no_event_is_left_out(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(line(1) + data)
    assert [event["n"] for event in newest_first(path)] == [1]
    assert list(newest_first(tmp_path / "none")) == list(newest_first(tmp_path)) == []
