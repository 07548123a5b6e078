import json
import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_tui.jobs.events import MAX_LINE, EventReader, EventWriter, as_number, tail_events


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_what_is_written_is_read_with_its_time_and_kind(path: Path) -> None:
    EventWriter(path).emit("step", step=3, loss=0.25, lr={"unet": 1e-4})
    (event,) = EventReader(path).poll()
    assert (event["kind"], event["step"], event["loss"], event["lr"]) == ("step", 3, 0.25, {"unet": 1e-4})
    assert event["t"] == pytest.approx(path.stat().st_mtime, abs=5)


def test_nan_and_infinities_are_written_as_texts_and_read_as_numbers(path: Path) -> None:
    EventWriter(path).emit("step", loss=math.nan, values=[math.inf, {"x": -math.inf}])
    json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))
    (event,) = EventReader(path).poll()
    assert (event["loss"], event["values"]) == ("nan", ["inf", {"x": "-inf"}])
    assert math.isnan(as_number(event["loss"]) or 0)


def test_scalars_of_other_libraries_and_paths_become_plain_values(path: Path) -> None:
    class Scalar:
        def item(self) -> float:
            return math.nan

    EventWriter(path).emit("sample", path=Path("samples/1.png"), loss=Scalar())
    (event,) = EventReader(path).poll()
    assert (event["path"], event["loss"]) == ("samples/1.png", "nan")


def test_a_torn_last_line_of_an_earlier_life_is_closed_before_the_next_event(path: Path) -> None:
    path.write_bytes(b'{"t":1,"kind":"step","st')
    EventWriter(path).emit("run")
    reader = EventReader(path)
    assert [event["kind"] for event in reader.poll()] == ["run"]
    assert reader.bad_lines == 1


def test_a_torn_tail_waits_for_its_rest(path: Path) -> None:
    path.write_bytes(b'{"kind":"a"}\n{"kind"')
    reader = EventReader(path)
    assert [event["kind"] for event in reader.poll()] == ["a"]
    assert reader.poll() == []
    with path.open("ab") as file:
        file.write(b':"b"}\n')
    assert [event["kind"] for event in reader.poll()] == ["b"]
    assert reader.bad_lines == 0


def test_a_missing_file_has_no_events_until_it_is_there(path: Path) -> None:
    reader = EventReader(path)
    assert reader.poll() == []
    EventWriter(path).emit("run")
    assert len(reader.poll()) == 1


@pytest.mark.parametrize("replace", [True, False])
def test_a_replaced_or_shortened_file_is_read_anew(path: Path, replace: bool) -> None:
    path.write_text('{"kind":"old","text":"longer than the new one"}\n')
    reader = EventReader(path)
    reader.poll()
    if replace:
        other = path.with_suffix(".new")
        other.write_text('{"kind":"new","text":"also longer than the old one was"}\n')
        other.replace(path)
    else:
        path.write_text('{"kind":"new"}\n')
    assert [event["kind"] for event in reader.poll()] == ["new"]
    assert reader.restarted
    reader.poll()
    assert not reader.restarted


HOSTILE = [
    b"not json",
    b"[1,2]",
    b'"text"',
    b"{",
    b'{"kind":"a"},{"kind":"b"}',
    b'{"a":1e400,"n":' + b"9" * 5000 + b"}",
    b"[" * 100_000,
    b"\xff\xfe\x00{",
    b'{"kind":"\xff"}',
]


@pytest.mark.parametrize("line", HOSTILE, ids=range(len(HOSTILE)))
def test_a_bad_line_is_counted_and_its_neighbours_are_read(path: Path, line: bytes) -> None:
    path.write_bytes(b'{"kind":"before"}\n' + line + b'\n{"kind":"after"}\n')
    reader = EventReader(path)
    assert [event["kind"] for event in reader.poll()] == ["before", "after"]
    assert reader.bad_lines == 1


def test_zeros_that_a_power_cut_left_are_passed_over(path: Path) -> None:
    path.write_bytes(b'{"kind":"a"}\n' + b"\0" * 4096 + b'\n{"kind":"b"}\n')
    reader = EventReader(path)
    assert [event["kind"] for event in reader.poll()] == ["a", "b"]
    assert reader.bad_lines == 0


def test_a_huge_line_takes_no_memory_and_is_counted_once(path: Path) -> None:
    path.write_bytes(b'{"kind":"a"}\n' + b"x" * (5 * MAX_LINE) + b'\n{"kind":"b"}\n')
    reader = EventReader(path)
    kinds = [event["kind"] for _ in range(40) for event in reader.poll(1 << 18)]
    assert kinds == ["a", "b"]
    assert reader.bad_lines == 1
    assert len(reader._tail) == 0


@settings(max_examples=50, deadline=None)
@given(
    texts=st.lists(st.text(max_size=20), max_size=30),
    cuts=st.lists(st.integers(1, 60), min_size=1, max_size=30),
)
def test_events_are_the_same_however_the_file_grows_and_is_read(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], cuts: list[int]
) -> None:
    path = tmp_path_factory.mktemp("e") / "events.jsonl"
    writer = EventWriter(path)
    for text in texts:
        writer.emit("note", text=text)
    data = path.read_bytes()
    grown = path.with_suffix(".grown")
    reader = EventReader(grown)
    found = []
    position = 0
    while position < len(data):
        for cut in cuts:
            with grown.open("ab") as file:
                file.write(data[position : position + cut])
            position += cut
            found += [event["text"] for event in reader.poll(max_bytes=cut)]
    while reader.offset < len(data):
        found += [event["text"] for event in reader.poll()]
    assert found == texts
    assert reader.bad_lines == 0


def test_threads_and_processes_share_a_file_without_mixing_lines(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from lora_tui.jobs.events import EventWriter\n"
        "writer = EventWriter(Path(sys.argv[1]))\n"
        "for number in range(500): writer.emit('other', number=number, text='x' * 300)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(path)])
    writer = EventWriter(path)

    def write() -> None:
        for number in range(250):
            writer.emit("ours", number=number, text="y" * 300)

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert child.wait(60) == 0
    reader = EventReader(path)
    found = []
    while not reader.at_end:
        found += reader.poll()
    assert (len(found), reader.bad_lines) == (1000, 0)
    assert [event["number"] for event in found if event["kind"] == "other"] == list(range(500))


def test_a_full_disk_loses_events_but_not_the_run_and_is_told_later(path: Path) -> None:
    """A limit on the file's size stands for the full disk: the write fails in the same way, in part even."""
    code = f"""
import resource, signal
from pathlib import Path
from lora_tui.jobs.events import EventWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
writer = EventWriter(Path({str(path)!r}))
writer.emit("step", step=1)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
for step in (2, 3, 4):
    writer.emit("step", step=step, text="x" * 50)
assert writer.lost == 3, writer.lost
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer.emit("step", step=5)
assert writer.lost == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    reader = EventReader(path)
    found = reader.poll()
    assert [(event["kind"], event.get("step"), event.get("count")) for event in found] == [
        ("step", 1, None),
        ("warning", None, 3),
        ("step", 5, None),
    ]
    assert found[1]["code"] == "events.lost"
    assert reader.bad_lines == 1  # the line of which a part was taken


def test_the_tail_of_a_file_has_whole_events_only(path: Path) -> None:
    path.write_text("".join(f'{{"kind":"n","number":{number}}}\n' for number in range(1000)))
    found = tail_events(path, 200)
    assert [event["number"] for event in found] == list(range(1000 - len(found), 1000))
    assert 5 <= len(found) <= 200 // 22
    assert len(tail_events(path, 1 << 20)) == 1000
    assert tail_events(path.with_name("none")) == []


def test_the_tail_keeps_to_its_start(path: Path) -> None:
    first = '{"kind":"first"}\n'
    path.write_text(first + '{"kind":"second"}\n')
    assert [event["kind"] for event in tail_events(path, start=len(first))] == ["second"]


def test_the_descriptor_is_not_inherited(path: Path) -> None:
    writer = EventWriter(path)
    assert not os.get_inheritable(writer._descriptor)
    writer.close()
    writer.emit("late")
    assert writer.lost == 1
