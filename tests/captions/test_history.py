"""Who brought a tag, through undo and redo; taking back what is not the last."""

from __future__ import annotations

from pathlib import Path

import pytest
from caption_folders import contents, edit, make_folder, opened
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_tui.captions.history import blame, last_deed, revert, revert_file, revert_tag, story
from lora_tui.captions.profile import OURS
from lora_tui.captions.transaction import Session
from lora_tui.cli.main import run
from lora_tui.errors import UserError


def origins(session: Session, name: str = "a") -> dict[str, str]:
    """What brought each tag of a caption, by its words; nothing for what was there before."""
    text = (session.home / f"{name}.txt").read_text()
    found = blame(session.journal, f"{name}.txt", text, OURS)
    return {one.tag: one.record.operation if one.record else "" for one in found}


def test_blame_sees_through_undo_and_redo(tmp_path: Path) -> None:
    session = opened(make_folder(tmp_path, {"a": "x, y"}))
    edit(session, "trigger hat")
    edit(session, "remove x")
    known = {"hat": "trigger hat", "y": ""}
    assert origins(session) == known
    for turn in (session.undo, session.undo, session.redo, session.redo, session.undo):
        turn()
        session.flush()
    assert origins(session) == {"hat": "trigger hat", "x": "", "y": ""}
    session.redo()
    session.flush()
    assert origins(session) == known
    edit(session, "add x")
    assert origins(session) == known | {"x": "add x"}
    session.undo(2)
    session.flush()
    assert origins(session) == {"hat": "trigger hat", "x": "", "y": ""}
    session.close()


def test_blame_sees_through_what_was_taken_back_in_part(tmp_path: Path) -> None:
    session = opened(make_folder(tmp_path, {"a": "x, y"}))
    edit(session, "add b")
    edit(session, "remove b")
    revert(session, 2, "me")
    session.flush()
    assert origins(session) == {"x": "", "y": "", "b": "add b"}
    edit(session, "remove x")
    revert_tag(session, "x", "me")
    session.flush()
    assert origins(session) == {"x": "", "y": "", "b": "add b"}
    session.close()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["add a", "remove a", "rename a to b", "add b front", "undo", "redo"]), max_size=9))
def test_blame_is_the_same_as_if_what_was_undone_had_never_been(tmp_path_factory, steps: list[str]) -> None:  # type: ignore[no-untyped-def]
    session = opened(make_folder(tmp_path_factory.mktemp("d"), {"a": "x, a"}))
    done: list[str] = []
    undone: list[str] = []
    for step in steps:
        if step == "undo" and done:
            session.undo()
            undone.append(done.pop())
        elif step == "redo" and undone:
            session.redo()
            done.append(undone.pop())
        elif step not in ("undo", "redo"):
            count = len(session.journal.records())
            edit(session, step)
            if len(session.journal.records()) > count:
                done.append(step)
                undone.clear()
        session.flush()
    plain = opened(make_folder(tmp_path_factory.mktemp("e"), {"a": "x, a"}))
    for step in done:
        edit(plain, step)
    assert origins(session) == origins(plain)
    session.close()
    plain.close()


def test_the_log_says_what_was_undone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_folder(tmp_path, {"a": "x"})
    session = opened(data)
    edit(session, "add hat")
    session.undo()
    session.flush()
    session.redo()
    session.close()
    assert [story(session.journal, one) for one in session.journal.records()] == [
        "add hat",
        "undo 1: add hat",
        "redo 1: add hat",
    ]
    assert run(["captions", "log", str(data)]) == 0
    said = capsys.readouterr().out
    assert "undo 1: add hat" in said and "redo 1: add hat" in said


def test_the_last_deed_with_a_tag_is_one_that_still_counts(tmp_path: Path) -> None:
    session = opened(make_folder(tmp_path, {"a": "x"}))
    assert last_deed(session.journal, "hat", OURS) is None
    edit(session, "add hat")
    edit(session, "remove hat")
    session.undo()
    session.flush()
    deed = last_deed(session.journal, "hat", OURS)
    assert deed is not None and deed.operation == "add hat"
    session.redo()
    session.flush()
    deed = last_deed(session.journal, "hat", OURS)
    assert deed is not None and deed.operation == "remove hat"
    session.undo(2)
    session.flush()
    assert last_deed(session.journal, "hat", OURS) is None
    session.close()


def test_a_review_is_no_change_of_a_file_to_take_back(tmp_path: Path) -> None:
    data = make_folder(tmp_path, {"a": "x"})
    session = opened(data)
    edit(session, "add y")
    session.review([0], "me")
    session.flush()
    revert_file(session, "a.txt", "me")
    session.flush()
    assert contents(data)["a.txt"] == b"x"
    with pytest.raises(UserError):
        revert_file(session, "a.txt", "me")
    session.close()


def test_a_file_is_taken_back_through_undo_and_redo(tmp_path: Path) -> None:
    data = make_folder(tmp_path, {"a": "x"})
    session = opened(data)
    edit(session, "add y")
    edit(session, "add z")
    for turn in (session.undo, session.redo, session.undo):
        turn()
        session.flush()
    revert_file(session, "a.txt", "me")
    session.flush()
    assert contents(data)["a.txt"] == b"x"
    session.close()
