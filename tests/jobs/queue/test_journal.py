"""The queue's file: whole lines or none, whatever happens to it; many who add at once lose nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.errors import UserError
from lora_tui.jobs.queue import journal
from lora_tui.jobs.queue.door import Wish, add
from lora_tui.jobs.queue.journal import fold, queue_dir, read_queue, turn
from lora_tui.jobs.queue.record import QueueJob, as_plain, from_plain

ADDER = """
import sys
from lora_tui.jobs.queue.door import Wish, add
for number in range(int(sys.argv[2])):
    add([Wish(("captions", "list", f"{sys.argv[1]}-{number}"), folder="/")])
"""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from([*QueueJob.__dataclass_fields__, "other"])


def file() -> Path:
    return queue_dir() / journal.FILE


def wish(word: str = "x", **more: object) -> Wish:
    return Wish(("captions", "list", word), folder="/", **more)  # type: ignore[arg-type]


def test_what_is_put_is_read_again(at_rest: None) -> None:
    (job,) = add([wish(after=(), held=True, group="sweep", source="a.toml")])
    assert read_queue().jobs == {job.id: job}
    assert json.loads(json.dumps(as_plain(job))) == as_plain(job)


def test_many_who_add_at_once_lose_nothing_and_get_numbers_of_their_own(at_rest: None) -> None:
    adders = [subprocess.Popen([sys.executable, "-c", ADDER, str(one), "6"]) for one in range(4)]
    assert [adder.wait(60) for adder in adders] == [0] * 4
    queue = read_queue()
    words = sorted(job.command[-1] for job in queue.jobs.values())
    assert words == sorted(f"{one}-{number}" for one in range(4) for number in range(6))
    assert sorted(queue.jobs) == list(range(1, 25))
    assert queue.damaged == 0


def test_a_torn_last_line_never_counted_and_the_next_is_whole(at_rest: None) -> None:
    add([wish("first")])
    with file().open("ab") as torn:
        torn.write(b'{"t": 1, "jobs": [{"id": 2, "kind": "tr')
    assert [job.command[-1] for job in read_queue().in_order()] == ["first"]
    add([wish("second")])
    assert [job.command[-1] for job in read_queue().in_order()] == ["first", "second"]
    assert read_queue().damaged == 1


def test_damaged_lines_cost_only_what_they_said_and_are_told(at_rest: None, capsys: pytest.CaptureFixture[str]) -> None:
    from lora_tui.cli.main import run

    add([wish("first")])
    with file().open("ab") as bad:
        bad.write(b'\xff\xfe\n[]\n{"jobs": [{"id": -1}]}\n{"jobs": 3}\n' + b"[" * 5000 + b"\n\0\0\0\n")
    add([wish("second")])
    queue = read_queue()
    assert [job.command[-1] for job in queue.in_order()] == ["first", "second"]
    assert queue.damaged == 5
    assert run(["queue", "list"]) == 0
    assert "5 lines" in capsys.readouterr().err


@given(st.dictionaries(NAMES, JSON, max_size=8))
def test_no_record_breaks_the_reader(value: dict[str, object]) -> None:
    job = from_plain({"id": 1, "kind": "command", "command": ["x"], **value})
    assert job is None or from_plain(json.loads(json.dumps(as_plain(job)))) == job


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    fold(data + b"\n")


def test_a_long_file_is_written_anew_with_the_same_jobs_and_numbers(
    at_rest: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = add([wish(str(number)) for number in range(5)])
    with turn() as change:
        change.drop(jobs[-1].id)
    with file().open("ab") as bad:
        bad.write(b"nonsense\n")
    before = read_queue()
    monkeypatch.setattr(journal, "MUCH", 10)
    with turn() as change:
        change.say(held=True)
    after = read_queue()
    assert after.jobs == before.jobs
    assert (after.held, after.stopped, after.next_id, after.damaged) == (True, True, 6, 0)
    assert len(file().read_bytes().splitlines()) == 1
    assert list(queue_dir().glob("journal-damaged-*"))


def test_a_disk_that_takes_no_more_leaves_the_queue_as_it_was(at_rest: None, monkeypatch: pytest.MonkeyPatch) -> None:
    add([wish("first")])
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        if data.startswith(b'{"t"'):
            real(descriptor, data[:20])
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    before = file().read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(UserError) as caught:
            add([wish("second"), wish("third")])
    assert caught.value.code == "queue.write"
    assert file().read_bytes() == before
    assert [job.id for job in add([wish("second")])] == [2]


def test_a_place_that_cannot_be_written_is_said_and_what_is_there_is_read(at_rest: None) -> None:
    add([wish("first")])
    (queue_dir() / "turn").unlink()
    (queue_dir() / "turn").mkdir()
    with pytest.raises(UserError) as caught:
        add([wish("second")])
    assert caught.value.code == "queue.write"
    assert len(read_queue().jobs) == 1


def test_a_queue_that_cannot_be_read_is_no_empty_one(at_rest: None) -> None:
    add([wish("a")])
    kept = file().read_bytes()
    file().unlink()
    file().mkdir()
    with pytest.raises(UserError) as caught:
        add([wish("b")])
    assert caught.value.code == "queue.read"
    assert read_queue().damaged == 1
    file().rmdir()
    file().write_bytes(kept)
    assert [job.id for job in add([wish("b")])] == [2]
