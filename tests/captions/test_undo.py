"""Undo that the disk refuses is tried again; what cannot be read is stepped over; what is another's is left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from caption_folders import contents, edit, make_folder, opened, previewed

from lora_tui.captions.conflicts import conflicts
from lora_tui.captions.journal.bodies import FileChange
from lora_tui.captions.journal.log import Journal
from lora_tui.cli.main import run
from lora_tui.errors import UserError

READ_ONLY, WRITABLE = 0o444, 0o644


def permit(folder: Path, mode: int, *names: str) -> None:
    for name in names:
        (folder / f"{name}.txt").chmod(mode)


def texts(folder: Path) -> list[str]:
    return [raw.decode() for name, raw in contents(folder).items() if name.endswith(".txt")]


@pytest.mark.parametrize("refused", ["ab", "abcd"])
def test_an_undo_that_the_disk_refused_is_tried_again_for_what_is_left(tmp_path: Path, refused: str) -> None:
    data = make_folder(tmp_path, dict.fromkeys("abcd", "x"))
    session = opened(data)
    edit(session, "add old")
    edit(session, "add new")
    permit(data, READ_ONLY, *refused)
    (undone,) = session.undo()
    session.flush()
    assert set(undone.failures) == {f"{name}.txt" for name in refused}
    assert texts(data) == ["x, old, new" if name in refused else "x, old" for name in "abcd"]
    permit(data, WRITABLE, *refused)
    (again,) = session.undo()
    session.flush()
    assert (again.lost, texts(data)) == ([], ["x, old"] * 4)
    (redone,) = session.redo()
    session.flush()
    assert (redone.lost, texts(data)) == ([], ["x, old, new"] * 4)
    assert [one.lost for one in session.undo(2)] == [[], []]
    session.flush()
    assert texts(data) == ["x"] * 4
    with pytest.raises(UserError):
        session.undo()
    assert conflicts(session) == []
    session.close()


def test_a_redo_brings_back_what_was_undone_of_an_undo_that_was_refused_in_part(tmp_path: Path) -> None:
    data = make_folder(tmp_path, dict.fromkeys("ab", "x"))
    session = opened(data)
    edit(session, "add new")
    permit(data, READ_ONLY, "a")
    session.undo()
    session.flush()
    assert texts(data) == ["x, new", "x"]
    (redone,) = session.redo()
    session.flush()
    assert (redone.lost, texts(data)) == ([], ["x, new"] * 2)
    assert session.journal.undo_and_redo()[1] == []
    session.close()


def test_many_steps_that_the_disk_refused_are_undone_when_it_takes_them(tmp_path: Path) -> None:
    data = make_folder(tmp_path, dict.fromkeys("abc", "x"))
    session = opened(data)
    for step in range(6):
        edit(session, f"add tag{step}")
    permit(data, READ_ONLY, "b")
    session.undo(2)
    session.undo(6)  # those two again, and what lies under them
    session.flush()
    assert texts(data) == ["x", "x, " + ", ".join(f"tag{step}" for step in range(6)), "x"]
    permit(data, WRITABLE, "b")
    session.close()
    assert run(["captions", "undo", str(data), "50"]) == 0
    assert texts(data) == ["x"] * 3
    assert run(["captions", "redo", str(data), "50"]) == 0
    assert texts(data) == ["x, " + ", ".join(f"tag{step}" for step in range(6))] * 3


def test_an_edit_on_top_of_one_that_the_disk_refused_is_refused_and_no_conflict(tmp_path: Path) -> None:
    data = make_folder(tmp_path, dict.fromkeys("ab", "x"))
    permit(data, READ_ONLY, "a")
    session = opened(data)
    one = session.apply(previewed(session, "add one"), "me")
    one.finished.wait()
    two = session.apply(previewed(session, "add two"), "me")
    session.flush()
    assert (list(one.failures), list(two.failures), two.conflicts) == (["a.txt"], ["a.txt"], [])
    assert texts(data) == ["x", "x, one, two"]
    assert conflicts(session) == []
    session.undo(2)
    session.flush()
    assert texts(data) == ["x", "x"]
    session.close()


def test_a_transaction_that_cannot_be_read_is_stepped_over_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_folder(tmp_path, dict.fromkeys("ab", "x"))
    session = opened(data)
    edit(session, "add one", [0])
    edit(session, "add two", [1])
    session.close()
    frame = session.journal.records()[1].frame
    assert frame is not None
    raw = bytearray(session.journal.path.read_bytes())
    raw[frame.body_start + 9] ^= 1
    session.journal.path.write_bytes(raw)
    assert run(["captions", "undo", str(data)]) == 0
    said = capsys.readouterr()
    assert "Transaction 2 cannot be read" in said.err
    assert "undo 1" in said.out
    assert texts(data) == ["x", "x, two"]
    assert run(["captions", "undo", str(data)]) != 0
    assert "revert" in capsys.readouterr().err


def test_undo_of_a_journal_from_elsewhere_makes_nothing_but_captions(tmp_path: Path) -> None:
    data, other = make_folder(tmp_path / "data", {"a": "x"}), tmp_path / "other"
    other.mkdir()
    (data / "d").symlink_to(other)
    names = ["d/authorized_keys", "d/new.txt", ".bashrc", "lora-tui.toml", "a.png.py"]
    journal = Journal(data)
    with journal.locked():
        changes = [FileChange(name, b"bad", None) for name in names]
        (record,) = journal.append([({"kind": "edit"}, [*changes, FileChange("a.txt", b"y", b"x")])])
        journal.finish([record.number], {})
    assert run(["captions", "undo", str(data)]) == 1
    assert list(other.iterdir()) == []
    assert contents(data) == {"a.png": b"", "a.txt": b"y"}


def test_captions_in_a_linked_folder_are_undone_where_they_are(tmp_path: Path) -> None:
    other = make_folder(tmp_path / "other", {"b": "x"})
    data = make_folder(tmp_path / "data", {"a": "x"})
    (data / "d").symlink_to(other)
    session = opened(data)
    edit(session, "add y")
    session.close()
    assert texts(other) == ["x, y"]
    assert run(["captions", "undo", str(data)]) == 0
    assert texts(other) == ["x"]


def test_the_owner_stays_and_other_names_of_a_file_are_told_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_folder(tmp_path / "data", {"a": "x", "b": "x"})
    owner = 1234 if os.geteuid() == 0 else os.geteuid()  # only root may give files away
    os.chown(data / "a.txt", owner, -1)
    (tmp_path / "kept.txt").hardlink_to(data / "b.txt")
    assert run(["captions", "edit", str(data), "--do", "add y"]) == 0
    said = capsys.readouterr().err
    assert "b.txt" in said and "a.txt" not in said
    assert (data / "a.txt").stat().st_uid == owner
    assert (tmp_path / "kept.txt").read_text() == "x"
    assert run(["captions", "undo", str(data)]) == 0
    assert (data / "a.txt").stat().st_uid == owner
