"""Edits of many captions: memory, disk and journal agree, and undo brings every byte back."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from caption_folders import assert_memory_is_disk, contents, edit, make_folder, opened, previewed
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_tui.captions.history import blame, deeds, revert, revert_file, revert_tag
from lora_tui.captions.profile import OURS, PROFILES
from lora_tui.errors import UserError

OPERATIONS = [
    "add x front",
    "add x, y",
    "trigger HatGirl",
    "remove a",
    "remove /.*/",
    "retain a",
    "rename a to b",
    "rename a, b to c",
    'replace a with "q, r" part',
    'replace /[ab]+/ with "" caption',
    'phrase remove "a"',
    "sort alpha",
    "shuffle seed 3",
    "dedupe",
    "truncate 1 tags",
    "spell upper",
    "spell escape",
    "spacing",
    "separators",
    "weight a 1.2",
    "unweight",
    "lines join",
    "lines crlf",
    "encode utf-8",
    "encode utf-8 from latin-1",
    "take 0.png union",
    "take 0.png replace",
    'set "a, b"',
    "delete",
    "implications",
    "consolidate",
]
CAPTIONS = st.lists(
    st.none() | st.binary(max_size=20) | st.lists(st.sampled_from(["a", "b", "a b", "(a:1.1)", "ä"])).map(", ".join),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(
    CAPTIONS, st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=4), st.sampled_from(list(PROFILES.values()))
)
def test_every_operation_undone_restores_every_byte_and_every_absence(captions, operations, profile) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = make_folder(Path(name), {str(number): caption for number, caption in enumerate(captions)})
        for number, caption in enumerate(captions):
            if caption is not None and profile.new_extension != ".txt" and number % 2:
                (folder / f"{number}.txt").rename(folder / f"{number}{profile.new_extension}")
        states = [contents(folder)]
        session = opened(folder, profile)
        done = 0
        for operation in operations:
            found = previewed(session, operation)
            session.apply(found, "test")
            done += bool(found.changes)
            session.flush()
            if found.changes:
                states.append(contents(folder))
            assert_memory_is_disk(session.corpus)
        for state in reversed(states[:-1]):
            session.undo()
            session.flush()
            assert contents(folder) == state
            assert_memory_is_disk(session.corpus)
        for state in states[1:]:
            session.redo()
            session.flush()
            assert contents(folder) == state
        assert len(session.journal.records()) == 3 * done
        session.close()


def test_undo_and_redo_outlive_a_restart_over_many_steps(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": "x\r\n", "b": None, "c": b"\xff, x"})
    states = [contents(folder)]
    for operation in ("add one", "add two front", "remove x"):
        session = opened(folder)
        edit(session, operation)
        session.close()
        states.append(contents(folder))
    session = opened(folder)
    session.undo(2)
    session.flush()
    assert contents(folder) == states[1]
    session.close()
    session = opened(folder)
    session.redo()
    session.undo()
    session.undo()
    session.flush()
    assert contents(folder) == states[0]
    with pytest.raises(UserError, match="nothing to undo"):
        session.undo()
    session.redo(9)
    session.flush()
    assert contents(folder) == states[3]
    session.undo()
    edit(session, "add new")
    with pytest.raises(UserError, match="nothing to redo"):
        session.redo()
    session.close()


def test_an_unedited_file_is_not_written(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": "x , y,\n", "b": "z"})
    before = (folder / "a.txt").stat()
    session = opened(folder)
    edit(session, "rename z to w")
    after = (folder / "a.txt").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert session.journal.records()[0].files == 1
    assert not previewed(session, "rename nothing to w").changes
    session.close()


def test_a_preview_counts_and_shows_without_changing(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": "x, y, x", "b": "x", "c": "y"})
    before = contents(folder)
    session = opened(folder)
    found = previewed(session, "remove x")
    assert (found.images, found.occurrences) == (2, 3)
    assert [(sample.name, sample.before, sample.after) for sample in found.samples(1)] == [("a.png", "x, y, x", "y")]
    assert contents(folder) == before
    assert not (folder / ".lora-tui").exists()
    session.close()


def test_an_edit_behind_the_closing_is_written_too(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": "x"})
    session = opened(folder)
    edit(session, "add one")
    session.close()
    for name in ("two", "three"):
        transaction = session.apply(previewed(session, f"add {name}"), "test")
        assert transaction.finished.wait(30)
        assert not transaction.lost
    assert (folder / "a.txt").read_text() == "x, one, two, three"
    session.close()
    assert (folder / "a.txt").read_text() == "x, one, two, three"


def test_read_only_files_and_folders_are_named_and_the_others_done(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": "x", "b": "x", "c": "x"})
    (folder / "a.txt").chmod(0o444)
    (folder / "b.txt").unlink()
    (folder / "b.txt").mkdir()
    session = opened(folder)
    found = previewed(session, "rename x to y")
    assert [number for number, _error in found.refused] == [1]
    transaction = session.apply(found, "test")
    session.flush()
    assert list(transaction.failures) == ["a.txt"]
    assert [(folder / name).read_text() for name in ("a.txt", "c.txt")] == ["x", "y"]
    assert session.corpus.entries[0].tags == ("x",)
    assert session.journal.records()[0].files == 1
    session.undo()
    session.flush()
    assert (folder / "c.txt").read_text() == "x"
    session.close()


def test_a_journal_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": "x"})
    (folder / ".lora-tui").write_text("a file in the way")
    session = opened(folder)
    transaction = session.apply(previewed(session, "rename x to y"), "test")
    session.flush()
    assert transaction.error is not None and transaction.error.code == "journal.folder"
    assert (folder / "a.txt").read_text() == "x"
    assert session.corpus.entries[0].tags == ("x",)
    session.close()


def test_images_with_one_stem_share_their_caption(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": "x"})
    (folder / "a.jpg").touch()
    session = opened(folder)
    assert session.corpus.index.count("x") == 2
    found = previewed(session, "add y")
    assert (len(found.changes), found.images) == (1, 2)
    session.apply(found, "test")
    session.flush()
    assert (folder / "a.txt").read_text() == "x, y"
    assert session.corpus.index.count("y") == 2
    session.close()


def test_edits_in_a_row_need_no_waiting(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": "x"})
    session = opened(folder)
    for number in range(30):
        session.apply(previewed(session, f"add t{number}"), "test")
    finished = session.close()
    assert [one.record.number for one in finished if one.record] == list(range(1, 31))
    assert (folder / "a.txt").read_text() == "x, " + ", ".join(f"t{number}" for number in range(30))


def test_blame_names_who_brought_a_tag(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": "old", "b": "old"})
    session = opened(folder)
    edit(session, "add one", author="wd14")
    edit(session, "add two", [0], author="me")
    edit(session, "remove one", [1], author="me")
    origins = blame(session.journal, "a.txt", (folder / "a.txt").read_text(), OURS)
    assert [(one.tag, one.record.author if one.record else None) for one in origins] == [
        ("old", None),
        ("one", "wd14"),
        ("two", "me"),
    ]
    assert [(one.record.number, one.added, one.removed) for one in deeds(session.journal, "one", OURS)] == [
        (1, 2, 0),
        (3, 0, 1),
    ]
    session.close()


def test_one_transaction_one_file_or_one_tag_is_taken_back(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": "x, y", "b": "x, y"})
    session = opened(folder)
    edit(session, "add one")
    edit(session, "add two")
    edit(session, "remove x")
    revert(session, 1, "me")
    session.flush()
    assert (folder / "a.txt").read_text() == "y, two"
    revert_file(session, "b.txt", "me")
    session.flush()
    assert [(folder / name).read_text() for name in ("a.txt", "b.txt")] == ["y, two", "x, y, two"]
    revert_tag(session, "x", "me")
    session.flush()
    assert [(folder / name).read_text() for name in ("a.txt", "b.txt")] == ["x, y, two", "x, y, two"]
    revert_tag(session, "two", "me")
    session.flush()
    assert [(folder / name).read_text() for name in ("a.txt", "b.txt")] == ["x, y", "x, y"]
    session.undo(7)
    session.flush()
    assert [(folder / name).read_text() for name in ("a.txt", "b.txt")] == ["x, y", "x, y"]
    session.close()
