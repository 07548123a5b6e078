"""Journals that are damaged, newer, made up or no journals: what is left of them is read, and nothing else written."""

from __future__ import annotations

import json
import os
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
from caption_folders import contents, edit, make_folder, opened

from lora_tui.captions.history import blame
from lora_tui.captions.journal.bodies import FileChange
from lora_tui.captions.journal.frame import MARK, pack
from lora_tui.captions.journal.log import Journal
from lora_tui.captions.profile import OURS
from lora_tui.cli.main import run
from lora_tui.errors import UserError

CHANGE = [FileChange("a.txt", b"x", b"x, bad")]


def body_of(rows: object, data: bytes = b"", *, length: int | None = None) -> bytes:
    """A body as no program of ours writes it."""
    text = rows if isinstance(rows, bytes) else json.dumps(rows).encode("ascii")
    return zlib.compress((len(text) if length is None else length).to_bytes(8, "little") + text + data, 9)


def journal_with(folder: Path, *frames: bytes) -> Path:
    path = folder / ".lora-tui" / "journal" / "edits.journal"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(b"".join(frames))
    return path


def test_one_wrong_bit_anywhere_costs_one_transaction_at_most(tmp_path: Path) -> None:
    data = make_folder(tmp_path, {"a": "x, smile"})
    session = opened(data)
    states = [contents(data)]
    for operation in ("add a", "rename smile to grin", "add b"):
        edit(session, operation)
        states.append(contents(data))
    session.close()
    path, good = session.journal.path, session.journal.path.read_bytes()
    for place in range(0, len(good), 2):
        raw = bytearray(good)
        raw[place] ^= 1 << place // 2 % 8
        path.write_bytes(raw)
        (data / "a.txt").write_bytes(states[-1]["a.txt"])
        session = opened(data)
        assert contents(data) == states[-1]
        assert {record.operation for record in session.journal.records()} <= {"add a", "rename smile to grin", "add b"}
        assert len(session.journal.records()) >= 2
        blame(session.journal, "a.txt", "a, grin", OURS)
        try:
            session.undo()
        except UserError as error:
            assert error.code == "journal.damaged"
        session.close()
        assert contents(data) in states


def test_what_is_damaged_is_said_and_the_others_can_be_undone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_folder(tmp_path, {"a": "x", "b": "x"})
    session = opened(data)
    edit(session, "add one", [0])
    edit(session, "add two", [1])
    session.close()
    frame = session.journal.records()[1].frame
    assert frame is not None
    raw = bytearray(session.journal.path.read_bytes())
    raw[frame.start + 6] ^= 4
    session.journal.path.write_bytes(raw)
    assert run(["captions", "log", str(data)]) == 0
    assert "damaged" in capsys.readouterr().err
    assert run(["captions", "undo", str(data)]) == 0
    assert contents(data) == {"a.png": b"", "b.png": b"", "a.txt": b"x", "b.txt": b"x, two"}


@pytest.mark.parametrize(
    "head",
    [
        {"number": "x", "time": 0},
        {"number": 1.5},
        {"number": 0},
        {"number": -1},
        {"number": 10**30},
        {"number": True},
        {"number": 1, "time": 1e300},
        {"number": 1, "time": "now"},
        {"number": 1, "kind": 7},
        {"number": 1, "author": ["me"]},
        {"number": 1, "operation": None},
        {"number": 1, "files": -2},
        {"number": 1, "of": "1"},
        {"done": 5},
        {"done": ["1"]},
        {"done": [1], "failed": []},
        {"done": [1], "failed": {"x": ["a.txt"]}},
        {"done": [1], "failed": {"1": [3]}},
        {"done": [1], "contested": {"1": "a.txt"}},
    ],
)
def test_a_head_that_is_made_up_is_damage(tmp_path: Path, head: dict[str, Any]) -> None:
    data = make_folder(tmp_path, {"a": "x"})
    journal_with(data, pack(head, body_of([["a.txt", 1, 3]], b"xbad")))
    session = opened(data)
    assert session.journal.damaged == 1
    edit(session, "add y")
    session.undo()
    session.close()
    assert contents(data)["a.txt"] == b"x"


@pytest.mark.parametrize(
    "text", [b'{"number":1,"time":NaN', b'{"number":' + b"[" * 200_000, b'{"number":1e999', b"{1:2"]
)
def test_a_text_that_is_none_is_damage(tmp_path: Path, text: bytes) -> None:
    text += b',"check":%d}' % zlib.crc32(text)
    raw = pack({"number": 1})
    fields = MARK + len(text).to_bytes(4, "little") + bytes(8) + zlib.crc32(text).to_bytes(4, "little")
    assert raw[:4] == MARK
    journal_with(tmp_path, fields + zlib.crc32(fields).to_bytes(4, "little") + text, pack({"done": [1]}))
    journal = Journal(tmp_path)
    assert (journal.records(), journal.damaged) == ([], 1)


@pytest.mark.parametrize(
    "body",
    [
        body_of([["a\0.txt", 1, 3]], b"xbad"),
        body_of([["\ud800.txt", 1, 3]], b"xbad"),
        body_of([[7, 1, 3]], b"xbad"),
        body_of([["a.txt", 1]], b"xbad"),
        body_of([["a.txt", 1.0, 3]], b"xbad"),
        body_of([["a.txt", -7, 3]], b"xbad"),
        body_of([["a.txt", 1, 10**30]], b"xbad"),
        body_of([["a.txt", 1, 3]], b"xba"),
        body_of([["a.txt", 1, 3]], b"xbadder"),
        body_of({"a.txt": 1}, b"xbad"),
        body_of(b"[" * 200_000),
        body_of([], length=1 << 62),
        body_of([["../a.txt", 1, 3]], b"xbad"),
        body_of([["/tmp/a.txt", 1, 3]], b"xbad"),
        b"no zlib",
    ],
)
def test_a_body_that_is_made_up_changes_nothing(tmp_path: Path, body: bytes) -> None:
    data = make_folder(tmp_path, {"a": "x"})
    journal_with(data, pack({"number": 1, "kind": "edit"}, body))
    session = opened(data)
    assert contents(data)["a.txt"] == b"x"
    blame(session.journal, "a.txt", "x", OURS)
    with pytest.raises(UserError) as caught:
        session.journal.load(session.journal.records()[0])
    assert caught.value.code == "journal.damaged"
    session.close()


@pytest.mark.parametrize("size", [1 << 20, 16 << 20])
def test_a_body_that_swells_is_refused_before_it_fills_the_memory(tmp_path: Path, size: int) -> None:
    rows = [[f"{number}.txt", 0, size] for number in range((1 << 30) // size)]
    packer = zlib.compressobj(9)
    text = json.dumps(rows).encode("ascii")
    body = packer.compress(len(text).to_bytes(8, "little") + text)
    body += b"".join(packer.compress(bytes(1 << 20)) for _time in range(64)) + packer.flush()
    data = make_folder(tmp_path, {"a": "x"})
    journal_with(data, pack({"number": 1, "kind": "edit"}, body))
    tracemalloc.start()
    opened(data).close()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 << 20
    assert contents(data) == {"a.png": b"", "a.txt": b"x"}


@pytest.mark.parametrize(
    "frame",
    [
        pack({"number": 2, "kind": "edit", "time": 1.0}, body_of([])).replace(MARK, b"LTJ2"),
        pack({"number": 2, "kind": "conjure", "time": 1.0}, body_of([["a.txt", 1, 3]], b"xbad")),
        pack({"checkpoint": 2}),
    ],
)
def test_what_a_newer_version_wrote_is_kept_and_said(
    tmp_path: Path, frame: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_folder(tmp_path, {"a": "x"})
    session = opened(data)
    edit(session, "add y")
    session.close()
    path = journal_with(data, frame)
    before, raw = contents(data), path.read_bytes()
    for command in (["edit", str(data), "--do", "add z"], ["undo", str(data)]):
        assert run(["captions", *command]) != 0
        said = capsys.readouterr().err
        assert "newer version" in said
    assert run(["captions", "log", str(data)]) == 0
    assert "add y" in capsys.readouterr().out
    assert (contents(data), path.read_bytes()) == (before, raw)


def test_a_file_that_is_no_journal_is_left_as_it_is(tmp_path: Path) -> None:
    data = make_folder(tmp_path / "data", {"a": "x"})
    path = journal_with(data, b"export PATH=/bin\n")
    with pytest.raises(UserError) as caught:
        opened(data)
    assert caught.value.code == "journal.folder"
    assert path.read_bytes() == b"export PATH=/bin\n"
    path.rename(tmp_path / "mine")
    path.symlink_to(tmp_path / "mine")
    with pytest.raises(UserError) as caught:
        opened(data)
    assert "link" in caught.value.message
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UserError) as caught:
        opened(data)
    assert "pipe" in caught.value.message
    assert (tmp_path / "mine").read_bytes() == b"export PATH=/bin\n"


def test_opening_a_dataset_from_elsewhere_writes_captions_in_it_alone(tmp_path: Path) -> None:
    data, other = make_folder(tmp_path / "data", {"a": "x"}), tmp_path / "other"
    other.mkdir()
    (data / "d").symlink_to(other)
    (other / "old.txt").write_bytes(b"old")
    (data / "linked.txt").symlink_to(other / "new.txt")
    names = ["d/authorized_keys", "d/new.txt", ".bashrc", "lora-tui.toml", "sub.py", ".hidden.txt", "linked.txt"]
    changes = [FileChange(name, None, b"bad") for name in names]
    journal = Journal(data)
    with journal.locked():
        journal.append(
            [
                (
                    {"kind": "edit"},
                    [*changes, FileChange("d/old.txt", b"old", b"bad"), FileChange("a.txt", b"x", b"y")],
                ),
            ]
        )
    session = opened(data)
    assert session.recovery.written == ("a.txt",)
    assert set(session.recovery.conflicts) == {*names, "d/old.txt"}
    assert {path.name: path.read_bytes() for path in other.iterdir()} == {"old.txt": b"old"}
    assert contents(data) == {"a.png": b"", "a.txt": b"y"}
    session.undo()
    session.close()
    assert contents(data) == {"a.png": b"", "a.txt": b"x"}


def test_an_edit_of_captions_with_an_ending_of_their_own_is_finished(tmp_path: Path) -> None:
    from lora_tui.captions.corpus import Corpus
    from lora_tui.captions.transaction import Session

    data = make_folder(tmp_path, {"a": None})
    (data / "a.words").write_bytes(b"x")
    journal = Journal(data)
    with journal.locked():
        journal.append([({"kind": "edit"}, [FileChange("a.words", b"x", b"y")])])
    session = Session(Corpus.open(data, extensions=(".words",)))
    session.close()
    assert (data / "a.words").read_bytes() == b"y"


def test_a_lost_word_that_a_transaction_was_done_changes_nothing(tmp_path: Path) -> None:
    data = make_folder(tmp_path, {"a": "x"})
    journal = Journal(data)
    with journal.locked():
        for before, after in ((b"x", b"y"), (b"y", b"z")):
            (record,) = journal.append([({"kind": "edit"}, [FileChange("a.txt", before, after)])])
            start = journal.path.stat().st_size
            journal.finish([record.number], {})
            if after == b"y":
                raw = bytearray(journal.path.read_bytes())
                raw[start + 30] ^= 1
                journal.path.write_bytes(raw)
    (data / "a.txt").write_bytes(b"z")
    session = opened(data)
    assert (session.recovery.records, session.journal.pending()) == ((), [])
    session.undo(2)
    session.close()
    assert contents(data)["a.txt"] == b"x"
