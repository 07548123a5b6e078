"""Edits of many captions: memory, disk and journal agree; undo brings every byte back; nobody's changes are lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from caption_folders import contents, edit, make_folder, opened, previewed
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_tui.captions import transaction
from lora_tui.captions.corpus import Corpus
from lora_tui.captions.document import CaptionDocument
from lora_tui.captions.history import blame, deeds, revert, revert_file, revert_tag
from lora_tui.captions.index import Index
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
            _assert_memory_is_disk(session.corpus)
        for state in reversed(states[:-1]):
            session.undo()
            session.flush()
            assert contents(folder) == state
            _assert_memory_is_disk(session.corpus)
        for state in states[1:]:
            session.redo()
            session.flush()
            assert contents(folder) == state
        assert len(session.journal.records()) == 3 * done
        session.close()


def _assert_memory_is_disk(corpus: Corpus) -> None:
    counted = Index()
    for entry in corpus.entries:
        assert entry.raw == (entry.caption.read_bytes() if entry.caption.exists() else None)
        counted.add(entry.number, entry.tags)
    assert counted.counts() == corpus.index.counts()


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


def test_what_another_program_changed_is_a_conflict_and_stays(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": "x", "b": "x"})
    session = opened(folder)
    found = previewed(session, "rename x to y")
    (folder / "a.txt").write_text("mine, x")
    transaction = session.apply(found, "test")
    session.flush()
    assert transaction.conflicts == ["a.txt"]
    assert (folder / "a.txt").read_text() == "mine, x"
    assert (folder / "b.txt").read_text() == "y"
    assert session.corpus.entries[0].tags == ("mine", "x")
    (folder / "b.txt").write_text("y, later")
    (undone,) = session.undo()
    session.flush()
    assert undone.conflicts == ["b.txt"]
    assert (folder / "b.txt").read_text() == "y, later"
    _assert_memory_is_disk(session.corpus)
    session.close()


@pytest.mark.parametrize("there", [True, False])
def test_what_another_program_writes_while_the_journal_is_written_stays(tmp_path: Path, there: bool) -> None:
    folder = make_folder(tmp_path, {"a": "x", "b": "x" if there else None, "c": "x"})
    session = opened(folder)
    append = session.journal.append

    def append_while_another_writes(entries: Any) -> Any:
        records = append(entries)
        (folder / "b.txt").write_text("theirs")
        return records

    session.journal.append = append_while_another_writes  # type: ignore[method-assign]
    transaction = session.apply(previewed(session, "add new"), "test")
    session.flush()
    session.journal.append = append  # type: ignore[method-assign]
    assert (transaction.conflicts, transaction.failures) == (["b.txt"], {})
    assert [(folder / f"{name}.txt").read_text() for name in "abc"] == ["x, new", "theirs", "x, new"]
    _assert_memory_is_disk(session.corpus)
    assert transaction.record is not None and transaction.record.files == 2
    assert [change.name for change in session.journal.contested(transaction.record)] == ["b.txt"]
    session.undo()
    session.flush()
    assert [(folder / f"{name}.txt").read_text() for name in "abc"] == ["x", "theirs", "x"]
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


def test_a_folder_that_vanishes_is_not_made_again(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data", {"a": "x"})
    session = opened(folder)
    found = previewed(session, "rename x to y")
    shutil.rmtree(folder)
    transaction = session.apply(found, "test")
    session.flush()
    assert transaction.error is not None and transaction.error.code == "journal.folder"
    assert not folder.exists()
    session.close()


def test_two_programs_edit_at_once_and_lose_nothing(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {str(number): "x" for number in range(40)})
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "lora_tui", "captions", "edit", str(folder), "--do", f"add {name}", "--json"],
            stdout=subprocess.PIPE,
        )
        for name in ("one", "two", "three")
    ]
    lost = 0
    for worker in workers:
        output, _ = worker.communicate(timeout=120)
        done = json.loads(output)["transactions"][0]
        lost += len(done["conflicts"])
        assert not done["failures"] and not done["error"]
    tags = sum(len((folder / f"{number}.txt").read_text().split(", ")) for number in range(40))
    assert tags == 40 * 4 - lost
    session = opened(folder)
    session.undo(len(session.journal.records()))
    session.flush()
    assert all((folder / f"{number}.txt").read_text() == "x" for number in range(40))
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


def test_an_editor_follows_what_another_wrote(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": "x", "b": "x"})
    one, other = opened(folder), opened(folder)
    edit(one, "add one", [0], author="tagger")
    assert [record.author for record in other.follow()] == ["tagger"]
    assert other.corpus.entries[0].tags == ("x", "one")
    edit(other, "add two")
    assert one.follow()[0].operation == "add two"
    assert one.corpus.entries[1].tags == ("x", "two")
    assert not one.follow()
    one.undo()
    one.flush()
    assert (folder / "a.txt").read_text() == "x, one"
    one.close()
    other.close()


def test_what_others_did_is_read_in_a_thread_and_taken_in_bit_by_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "AT_A_TIME", 2)
    folder = make_folder(tmp_path, dict.fromkeys("abcde", "x"))
    one, other = opened(folder), opened(folder)
    edit(other, "add theirs")
    found: list[transaction.News] = []
    thread = threading.Thread(target=lambda: found.append(one.look()))
    thread.start()
    thread.join()
    assert [entry.tags for entry in one.corpus.entries] == [("x",)] * 5  # a look changes nothing
    one.corpus.put(4, CaptionDocument.parse(b"x, ours"))  # typed meanwhile
    steps = one.take(found[0])
    next(steps)
    assert [entry.tags for entry in one.corpus.entries].count(("x", "theirs")) == 2
    assert len(list(steps)) == 2
    assert [entry.tags for entry in one.corpus.entries] == [("x", "theirs")] * 4 + [("x", "ours")]
    assert [record.operation for record in found[0].records] == ["add theirs"]
    assert not one.look().records
    one.close()
    other.close()


def test_an_edit_that_was_just_written_is_not_taken_for_anothers(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": "x"})
    session = opened(folder)
    written, go_on = threading.Event(), threading.Event()
    finish = session.journal.finish

    def finish_and_rest(*arguments: Any) -> Any:
        done = finish(*arguments)
        written.set()
        assert go_on.wait(30)
        return done

    session.journal.finish = finish_and_rest  # type: ignore[method-assign]
    session.apply(previewed(session, "add one"), "test")
    assert written.wait(30)
    session.apply(previewed(session, "add two"), "test")  # typed while the one before is brought to its end
    session.poll()
    assert session.follow() == []
    assert session.corpus.entries[0].tags == ("x", "one", "two")
    go_on.set()
    session.flush()
    edit(session, "add three")
    assert (folder / "a.txt").read_text() == "x, one, two, three"
    session.close()


def test_what_another_wrote_is_not_read_under_an_edit_on_its_way(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": "x", "b": "x"})
    one, other = opened(folder), opened(folder)
    edit(one, "add theirs")
    with other.journal.locked():  # nothing of ours gets to the disk now
        transaction = other.apply(previewed(other, "add ours", [0]), "test")
        assert [record.operation for record in other.follow()] == ["add theirs"]
        assert [entry.tags for entry in other.corpus.entries] == [("x", "ours"), ("x", "theirs")]
    other.flush()
    assert transaction.conflicts == ["a.txt"]
    assert (folder / "a.txt").read_text() == "x, theirs"
    _assert_memory_is_disk(other.corpus)
    one.close()
    other.close()


def test_edits_in_a_row_need_no_waiting(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": "x"})
    session = opened(folder)
    for number in range(30):
        session.apply(previewed(session, f"add t{number}"), "test")
    finished = session.close()
    assert [one.record.number for one in finished if one.record] == list(range(1, 31))
    assert (folder / "a.txt").read_text() == "x, " + ", ".join(f"t{number}" for number in range(30))


def test_links_and_modes_stay(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data", {"a": "x", "b": "x"})
    (tmp_path / "elsewhere.txt").write_text("x")
    (folder / "a.txt").unlink()
    (folder / "a.txt").symlink_to(tmp_path / "elsewhere.txt")
    (folder / "b.txt").chmod(0o640)
    session = opened(folder)
    edit(session, "rename x to y")
    assert (folder / "a.txt").is_symlink()
    assert (tmp_path / "elsewhere.txt").read_text() == "y"
    assert os.stat(folder / "b.txt").st_mode & 0o777 == 0o640  # noqa: PTH116
    session.close()


def _looks(folder: Path) -> dict[str, tuple[str, bytes | None]]:
    """Where each caption leads, and what is read there; the files at the ends of links, too."""
    paths = [*folder.glob("*.txt"), *folder.parent.glob("target/*")]
    read = {path.name: path.read_bytes() if path.exists() else None for path in paths}
    return {path.name: (os.readlink(path) if path.is_symlink() else "", read[path.name]) for path in paths}  # noqa: PTH115


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["file", "link", "shared", "dangling", "none"]), min_size=1, max_size=4),
    st.lists(
        st.sampled_from(["add x", "remove a", "delete", "set b", "set b ifempty", "take 0.png replace"]),
        min_size=1,
        max_size=4,
    ),
)
def test_undo_brings_links_back_and_leaves_the_files_at_their_ends(kinds: list[str], operations: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, target = Path(name) / "data", Path(name) / "target"
        target.mkdir()
        (target / "shared").write_text("a, shared")
        make_folder(folder, {str(n): "a" if kind == "file" else None for n, kind in enumerate(kinds)})
        for number, kind in enumerate(kinds):
            end = target / (str(number) if kind in ("link", "dangling") else "shared")
            if kind == "link":
                end.write_text(f"a, {number}")
            if kind in ("link", "shared", "dangling"):
                (folder / f"{number}.txt").symlink_to(end)
        session = opened(folder)
        states = [_looks(folder)]
        for operation in operations:
            known = len(session.journal.undo_and_redo()[0])
            transaction = session.apply(previewed(session, operation), "test")
            session.flush()
            assert not transaction.conflicts
            assert set(transaction.failures) <= {f"{n}.txt" for n, kind in enumerate(kinds) if kind == "dangling"}
            if len(session.journal.undo_and_redo()[0]) > known:
                states.append(_looks(folder))
            assert _looks(folder) == states[-1]
            _assert_memory_is_disk(session.corpus)
        for state in reversed(states[:-1]):
            session.undo()
            session.flush()
            assert _looks(folder) == state
            _assert_memory_is_disk(session.corpus)
        for state in states[1:]:
            session.redo()
            session.flush()
            assert _looks(folder) == state
        session.close()


def test_a_link_comes_back_only_where_its_file_still_says_the_same(tmp_path: Path) -> None:
    folder, end = make_folder(tmp_path / "data", {"a": None}), tmp_path / "end.txt"
    end.write_text("x")
    (folder / "a.txt").symlink_to(end)
    session = opened(folder)
    edit(session, "delete")
    end.write_text("theirs")
    session.undo()
    session.flush()
    assert ((folder / "a.txt").is_symlink(), (folder / "a.txt").read_text(), end.read_text()) == (False, "x", "theirs")
    session.close()


def test_a_subfolder_shares_the_journal_of_the_dataset(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": "x", "sub/b": "x"})
    session = opened(folder)
    edit(session, "add y")
    session.close()
    session = opened(folder / "sub")
    assert session.home == folder
    edit(session, "add z")
    session.undo(2)
    session.flush()
    assert [(folder / name).read_text() for name in ("a.txt", "sub/b.txt")] == ["x", "x"]
    assert session.corpus.entries[0].tags == ("x",)
    session.close()


def test_a_folder_that_was_edited_alone_joins_the_one_above_with_its_past(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": "x", "sub/b": "x", "sub/c": "x", "sub/deep/d": "x", "other/e": "x"})
    for part, tag in (("sub/deep", "deep"), ("sub", "gone"), ("sub", "low"), ("other", "far")):
        session = opened(folder / part)
        edit(session, f"add {tag}", [0], author="wd14")
        if tag == "gone":
            session.undo()
        session.close()
    (folder / "sub" / "c.txt").write_text("theirs")
    session = opened(folder)
    numbers = [session.corpus.number_of(name) for name in ("a.png", "sub/b.png", "sub/deep/d.png")]
    edit(session, "add top", [number for number in numbers if number is not None], author="me")
    texts = {name: (folder / f"{name}.txt").read_text() for name in ("a", "sub/b", "sub/deep/d", "other/e")}
    assert texts == {"a": "x, top", "sub/b": "x, low, top", "sub/deep/d": "x, deep, top", "other/e": "x, far"}
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.journal")) == [
        ".lora-tui/journal/edits.journal",
        "other/.lora-tui/journal/edits.journal",  # nothing there was edited from above
    ]
    session.close()
    session = opened(folder / "sub")
    assert session.journal.home == folder
    origins = blame(session.journal, "sub/b.txt", (folder / "sub/b.txt").read_text(), OURS)
    assert [(one.tag, one.record.author if one.record else None) for one in origins] == [
        ("x", None),
        ("low", "wd14"),
        ("top", "me"),
    ]
    assert [one.record.operation for one in deeds(session.journal, "deep", OURS)] == ["add deep"]
    session.undo(3)
    session.flush()
    assert {name: (folder / f"{name}.txt").read_text() for name in texts} == {
        **dict.fromkeys(texts, "x"),
        "other/e": "x, far",
    }
    session.redo(2)
    session.flush()
    assert (folder / "sub/b.txt").read_text() == "x, low"
    session.close()


def test_a_journal_that_was_joined_is_not_joined_again(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": "x", "sub/b": "x"})
    below = opened(folder / "sub")
    edit(below, "add low")
    raw = below.journal.path.read_bytes()
    for tag in ("one", "two"):
        session = opened(folder)
        edit(session, f"add {tag}")
        session.close()
        below.journal.path.write_bytes(raw)  # as if the machine had stopped before it was put away
    assert [record.operation for record in opened(folder).journal.records()] == ["add low", "add one", "add two"]
    below.journal.path.unlink()
    below.corpus.refresh()
    edit(below, "add late")  # the editor that is still open begins a new one, which is joined, too
    session = opened(folder)
    edit(session, "add three")
    assert [record.operation for record in session.journal.records()][-2:] == ["add late", "add three"]
    assert (folder / "sub/b.txt").read_text() == "x, low, one, two, late, three"
    session.undo(5)
    session.flush()
    assert (folder / "sub/b.txt").read_text() == "x"
    session.close()
    below.close()


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
