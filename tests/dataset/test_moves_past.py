"""Captions that are moved with their images keep their past: undo, redo, blame, reviews and what waits follow."""

from __future__ import annotations

from pathlib import Path

import pytest
from caption_folders import edit, make_folder, opened

from lora_tui.captions.conflicts import conflicts
from lora_tui.captions.history import blame
from lora_tui.captions.journal.frame import pack
from lora_tui.captions.profile import OURS
from lora_tui.captions.transaction import Session
from lora_tui.dataset import moves
from lora_tui.dataset.notes import change_notes, load_notes
from lora_tui.errors import UserError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = make_folder(tmp_path / "set", dict.fromkeys(("a", "b", "sub/c"), "x"))
    session = opened(folder)
    edit(session, "add old")
    edit(session, "add new")
    session.close()
    return folder


def text(folder: Path, name: str) -> str:
    return (folder / name).read_text().strip()


def brought(session: Session, name: str) -> dict[str, int]:
    found = blame(session.journal, name, text(session.journal.home, name), OURS)
    return {origin.tag: origin.record.number if origin.record else 0 for origin in found}


def test_undo_redo_and_blame_follow_a_moved_caption(data: Path) -> None:
    running = opened(data)  # another program that has read the journal before
    assert running.journal.last == 2
    done = moves.move(data, [data / "b.png"], data / "sub")
    session = opened(data)
    assert brought(session, "sub/b.txt") == {"x": 0, "old": 1, "new": 2} == brought(running, "sub/b.txt")
    assert [one.lost for one in session.undo()] == [[]]
    session.flush()
    assert [text(data, name) for name in ("a.txt", "sub/b.txt", "sub/c.txt")] == ["x, old"] * 3
    assert conflicts(session) == []
    assert [one.lost for one in session.redo()] == [[]]
    session.close()
    running.close()
    moves.take_back(data, done.number)
    session = opened(data)
    assert brought(session, "b.txt") == {"x": 0, "old": 1, "new": 2}
    assert [one.lost for one in session.undo(2)] == [[], []]
    session.flush()
    assert text(data, "b.txt") == "x"
    session.close()


def test_a_new_image_of_the_old_name_has_a_past_of_its_own(data: Path) -> None:
    moves.move(data, [data / "b.png"], data / "sub")
    make_folder(data, {"b": "mine"})
    session = opened(data)
    assert brought(session, "b.txt") == {"mine": 0}
    edit(session, "add newer", [session.corpus.number_of("b.png")])
    assert brought(session, "b.txt") == {"mine": 0, "newer": 3}
    assert [one.lost for one in session.undo(3)] == [[], [], []]
    session.flush()
    assert (text(data, "b.txt"), text(data, "sub/b.txt")) == ("mine", "x")
    session.close()


def test_an_edit_that_waits_follows_a_moved_caption(data: Path) -> None:
    (data / "b.txt").write_text("x, old, new, theirs")
    session = opened(data)
    session.undo()
    session.flush()
    session.close()
    moves.move(data, [data / "b.png"], data / "sub")
    session = opened(data)
    assert [one.name for one in conflicts(session)] == ["sub/b.txt"]
    session.close()


def test_a_folder_that_is_joined_brings_its_moves_along(tmp_path: Path) -> None:
    data = make_folder(tmp_path, {"a": "x", "sub/b": "x"})
    session = opened(data / "sub")
    edit(session, "add old")
    session.close()
    moves.move(data / "sub", [data / "sub" / "b.png"], data / "sub" / "deep")
    session = opened(data)
    edit(session, "add new")
    assert brought(session, "sub/deep/b.txt") == {"x": 0, "old": 1, "new": 2}
    session.close()


def test_the_trash_and_what_lies_elsewhere_have_no_past_here(data: Path) -> None:
    size = (data / ".lora-tui/journal/edits.journal").stat().st_size
    done = moves.trash(data, [data / "b.png"])
    moves.take_back(data, done.number)
    moves.take_back(data, moves.move(data, [data / "b.png"], data.parent / "other").number)
    assert (data / ".lora-tui/journal/edits.journal").stat().st_size == size
    session = opened(data)
    assert [one.lost for one in session.undo(2)] == [[], []]
    session.close()


def test_a_move_that_could_not_be_noted_leaves_files_and_past_as_they_were(data: Path) -> None:
    change_notes(data, lambda notes: notes.excluding("b.png"))
    with (data / ".lora-tui/journal/edits.journal").open("ab") as file:
        file.write(pack({"kind": "of-a-newer-version", "number": 9}))
    with pytest.raises(UserError) as caught:
        moves.move(data, [data / "b.png"], data / "sub")
    assert caught.value.code == "journal.newer"
    assert (data / "b.txt").exists() and (data / "b.png").exists() and not (data / "sub/b.png").exists()
    assert load_notes(data).excluded == frozenset({"b.png"})
    assert not moves.moves(data)


@pytest.mark.parametrize(
    "names", [{"b.txt": "../b.txt"}, {"b.txt": "/tmp/b.txt"}, {"b.txt": 1}, {"": "a"}, ["b.txt"], None]
)
def test_a_hostile_move_is_damage(data: Path, names: object) -> None:
    with (data / ".lora-tui/journal/edits.journal").open("ab") as file:
        file.write(pack({"moved": names, "time": 1.0}))
    session = opened(data)
    assert session.journal.damaged == 1
    assert brought(session, "b.txt") == {"x": 0, "old": 1, "new": 2}
    session.close()
