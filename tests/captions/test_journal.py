"""The journal's file: what is read of it, what that costs, and that old and new programs read each other's."""

from __future__ import annotations

import time
import zlib
from pathlib import Path

import pytest
from caption_folders import contents, edit, make_folder, opened
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lora_tui.captions.history import blame, revert_file
from lora_tui.captions.journal.bodies import BLOCK, FileChange, change_in, names_in, pack_changes, unpack_changes
from lora_tui.captions.journal.log import Journal
from lora_tui.captions.journal.stack import Stacks
from lora_tui.captions.profile import OURS

CONTENT = st.none() | st.binary(max_size=8).map(lambda raw: raw * 9000) | st.binary(max_size=30)
CHANGES = st.lists(
    st.tuples(st.text("ab],[\"'é/\\", min_size=1, max_size=9).filter(lambda name: name[0] != "/"), CONTENT, CONTENT),
    max_size=12,
    unique_by=lambda row: row[0],
).map(lambda rows: [FileChange(*row) for row in rows])


def journal_of(folder: Path, transactions: int, files: int = 3, *, undone: bool = True) -> Journal:
    """A journal of edits of the same files, each second one undone, as programs would have written it."""
    journal = Journal(folder)
    names = [f"{number:04d}.txt" for number in range(files)]
    with journal.locked():
        for first in range(1, transactions + 1, 500):
            entries = []
            for number in range(first, min(first + 500, transactions + 1)):
                undoes = undone and number % 2 == 0
                one, other = b"a, b", f"a, b, tag {number - undoes}".encode()
                changes = [FileChange(name, *((other, one) if undoes else (one, other))) for name in names]
                head = {"kind": "undo", "of": number - 1} if undoes else {"kind": "edit"}
                entries.append(({**head, "author": "me", "operation": f"edit {number}"}, changes))
            journal.finish([record.number for record in journal.append(entries)], {})
    return journal


@given(CHANGES)
@example([FileChange("],[", None, None)])
@example([FileChange("1],[", b"a", b"b"), FileChange("],[1", b"c", None)])
def test_a_body_is_read_whole_by_names_and_file_by_file(tmp_path_factory, changes: list[FileChange]) -> None:  # type: ignore[no-untyped-def]
    body, blocks = pack_changes(changes)
    assert unpack_changes(body) == changes
    assert zlib.decompress(body)  # what programs that know of no blocks do
    path = tmp_path_factory.mktemp("body") / "body"
    path.write_bytes(b"before" + body + b"behind")
    with path.open("rb") as file:
        assert names_in(file, 6, 6 + len(body)) == [change.name for change in changes]
        for known in (blocks, ()):
            for change in changes:
                assert change_in(file, 6, 6 + len(body), known, change.name) == change
            assert change_in(file, 6, 6 + len(body), known, "none") is None


def test_a_long_transaction_is_cut_into_blocks_that_are_read_alone(tmp_path: Path) -> None:
    many = [FileChange(f"{number:05d}.txt", b"x" * 500, number.to_bytes(4, "big") * 125) for number in range(3000)]
    journal = Journal(tmp_path)
    with journal.locked():
        (record,) = journal.append([({"kind": "edit"}, many)])
    assert len(record.blocks) == -(-3000 * 1000 // (BLOCK + 1000))
    assert journal.load(record) == many
    assert [change for _record, change in journal.changes_of("02999.txt")] == [many[2999]]
    assert [names for _record, names in journal.names_of([record])] == [[change.name for change in many]]
    assert Journal(tmp_path).records()[0].blocks == record.blocks


def test_what_is_damaged_or_made_up_is_passed_over(tmp_path: Path) -> None:
    journal = journal_of(tmp_path, 3)
    whole = bytearray(journal.path.read_bytes())
    second = journal.records()[1]
    assert second.frame is not None
    whole[second.frame.body_start] ^= 0xFF
    journal.path.write_bytes(bytes(whole))
    again = Journal(tmp_path)
    assert [record.number for record, _change in again.changes_of("0001.txt")] == [1, 3]
    assert [len(names) for _record, names in again.names_of(again.records())] == [3, 0, 3]
    with journal.locked():
        journal.append([({"kind": "edit", "blocks": [["x"], [-1, 10**30]]}, [FileChange("0001.txt", b"a", b"b")])])
        journal.append([({"kind": "edit", "blocks": [[0, 10**30]]}, [FileChange("0001.txt", b"a", b"b")])])
    assert [record.number for record, _change in Journal(tmp_path).changes_of("0001.txt")] == [1, 3, 4]


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["edit", "part", "undo", "redo", "review"]), st.integers(1, 8)), max_size=12))
def test_the_stacks_kept_up_are_those_told_from_the_start(tmp_path_factory, steps: list[tuple[str, int]]) -> None:  # type: ignore[no-untyped-def]
    journal = Journal(tmp_path_factory.mktemp("stack"))
    change = [FileChange("a.txt", b"a", b"b")]
    with journal.locked():
        for kind, of in steps:
            (record,) = journal.append([({"kind": kind, "of": of}, change)])
            journal.finish([record.number], {record.number: ["a.txt"]} if of == 8 else {})
            assert journal.undo_and_redo() == Stacks(journal.records()).lists()


def test_ten_thousand_transactions_are_opened_undone_and_blamed_at_once(tmp_path: Path) -> None:
    data = make_folder(tmp_path, {f"{number:04d}": "a, b" for number in range(3)})
    journal_of(data, 10_000)
    begun = time.process_time()
    session = opened(data)
    for _time in range(20):
        edit(session, "add z")
        session.undo()
        session.flush()
    assert time.process_time() - begun < 3.0
    begun = time.process_time()
    origins = blame(session.journal, "0000.txt", "a, b", OURS)
    assert [origin.record for origin in origins] == [None, None]
    assert time.process_time() - begun < 3.0
    session.close()


def test_what_a_journal_tells_of_a_file_needs_little_memory(tmp_path: Path) -> None:
    import tracemalloc

    many = [FileChange(f"{number:05d}.txt", b"x" * 2000, b"y" * 2000) for number in range(8000)]
    journal = Journal(tmp_path)
    with journal.locked():
        journal.append([({"kind": "edit"}, many)])
    journal = Journal(tmp_path)
    tracemalloc.start()
    assert [change.name for _record, change in journal.changes_of("07999.txt")] == ["07999.txt"]
    assert [len(names) for _record, names in journal.names_of(journal.records())] == [8000]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8_000_000  # of 32 MB of contents


def test_a_file_that_was_changed_very_often_is_taken_back_at_once(tmp_path: Path) -> None:
    data = make_folder(tmp_path, {"0000": "a, b, tag 3999"})
    journal_of(data, 3999, files=1, undone=False)
    session = opened(data)
    begun = time.process_time()
    revert_file(session, "0000.txt", "me")
    session.close()
    assert time.process_time() - begun < 3.0
    assert contents(data)["0000.txt"] == b"a, b"


@pytest.mark.parametrize("gone", ["file", "folder"])
def test_a_journal_that_goes_is_forgotten(tmp_path: Path, gone: str) -> None:
    journal = journal_of(tmp_path, 4)
    assert journal.last == 4 and journal.record(4) is not None
    journal.path.unlink()
    if gone == "folder":
        for path in sorted(journal.folder.iterdir()):
            path.unlink()
        journal.folder.rmdir()
    generation = journal.generation
    assert (journal.records(), journal.last, journal.record(4), journal.undo_and_redo()) == ([], 0, None, ([], []))
    assert journal.generation == generation + 1
    assert list(journal.changes_of("0000.txt")) == []
