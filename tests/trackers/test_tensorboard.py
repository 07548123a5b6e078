"""Event files for TensorBoard, read back by the format alone."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from run_builders import add_lines, event_line, step_line
from run_folders import write_run

from lora_tui.trackers.feed import Numbers, Rewind
from lora_tui.trackers.tensorboard import EventFile, crc32c, record, write_runs


def fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Numbers and values of a protobuf message."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
            continue
        size = {1: 8, 5: 4}.get(key & 7) or varint()
        yield key >> 3, data[at : at + size]
        at += size


def read(path: Path) -> list[dict[int, bytes | int]]:
    """The events of a file, each record checked."""
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        body = data[at + 12 : at + 12 + length]
        assert data[at : at + 16 + length] == record(body)
        found.append(dict(fields(body)))
        at += 16 + length
    return found


def scalars(path: Path, name: str) -> list[tuple[int, float]]:
    found = []
    for event in read(path):
        for number, value in fields(bytes(event.get(5, b""))):  # type: ignore[arg-type]
            told = dict(fields(value))  # type: ignore[arg-type]
            if number == 1 and told.get(1) == name.encode() and 2 in told:
                found.append((int(event[2]), struct.unpack("<f", told[2])[0]))  # type: ignore[arg-type]
    return found


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720, B.4
    assert crc32c(bytes(32)) == 0x8A9136AA


def test_a_whole_run_is_written_without_what_a_resume_took_back(tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", steps=60)
    add_lines(run, [event_line("resumed", step=50), step_line(51, loss=7.0)])
    (path,) = write_runs([run], tmp_path / "tb")
    assert path.name.startswith("events.out.tfevents.") and path.parent.name == run.name
    losses = scalars(path, "train/loss")
    assert [step for step, _loss in losses] == list(range(1, 52)) and losses[-1] == (51, 7.0)
    assert [step for step, _loss in scalars(path, "validation/loss")] == [50]
    assert len(scalars(path, "lr/unet")) == 51
    data = path.read_bytes()
    assert data.count(b"\x89PNG") == 4 and b"samples/02" in data and b"schema_version" in data
    write_runs([run], tmp_path / "tb")
    assert len(list(path.parent.iterdir())) == 1, "an export takes the place of the one before"


def test_values_beyond_a_float_and_rewinds(tmp_path: Path) -> None:
    file = EventFile(tmp_path)
    file.take(Numbers(1, 1.0, {"a": 1e300, "b": float("nan"), "c\ud800": -1e300}))
    file.take(Rewind(40, 2.0))
    file.close()
    events = read(file.path)
    assert events[0][3] == b"brain.Event:2"
    assert scalars(file.path, "a") == [(1, float("inf"))]
    assert events[2][2] == 41 and dict(fields(events[2][7])) == {1: 1}  # type: ignore[arg-type]
