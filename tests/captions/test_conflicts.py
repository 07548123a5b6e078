"""Edits that wait because another program changed the same captions, and what a person decides about them."""

from __future__ import annotations

from pathlib import Path

import pytest
from caption_folders import contents, make_folder, opened, previewed

from lora_tui.captions.conflicts import Conflict, Way, conflicts, settle
from lora_tui.captions.history import revert
from lora_tui.captions.journal.bodies import FileChange
from lora_tui.captions.journal.log import Journal
from lora_tui.captions.transaction import Session


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path, {"a": "1girl, hat", "b": "1girl, hat"})


def contested(folder: Path, *operations: str, theirs: str = "1girl, hat, tree") -> Session:
    """An editor whose edits of ``a.txt`` meet what another program wrote."""
    session = opened(folder)
    found = [previewed(session, operations[0])]
    (folder / "a.txt").write_text(theirs)
    for operation in operations:
        session.apply(found.pop() if found else previewed(session, operation), "me")
    lost = [transaction.conflicts for transaction in session.flush()]
    assert lost == [["a.txt"]] * len(operations)
    return session


def decided(session: Session, way: Way) -> None:
    found = conflicts(session)
    session.corpus.refresh()
    done = settle(session, [(one, way) for one in found], "me")
    session.flush()
    assert not done.lost


def shown(session: Session) -> list[tuple[str, str | None, str | None, str | None, str | None]]:
    """Name, base, ours, theirs and merged of each conflict."""

    def text(raw: bytes | None) -> str | None:
        return None if raw is None else raw.decode()

    return [
        (one.name, text(one.base), text(one.ours), text(one.theirs), text(one.merged.content) if one.merged else None)
        for one in conflicts(session)
    ]


def test_an_edit_that_met_another_change_waits_and_is_merged_and_taken_back(folder: Path) -> None:
    session = contested(folder, "rename hat to cap")
    expected = [("a.txt", "1girl, hat", "1girl, cap", "1girl, hat, tree", "1girl, cap, tree")]
    assert shown(session) == expected
    session.close()
    again = opened(folder)
    assert shown(again) == expected
    decided(again, "merge")
    assert contents(folder)["a.txt"] == b"1girl, cap, tree"
    assert shown(again) == []
    again.undo()
    again.flush()
    assert contents(folder)["a.txt"] == b"1girl, hat, tree"
    assert shown(again) == expected
    again.redo()
    again.flush()
    assert contents(folder)["a.txt"] == b"1girl, cap, tree"
    assert shown(again) == []
    again.close()


@pytest.mark.parametrize(("way", "left"), [("ours", b"1girl, cap"), ("theirs", b"1girl, hat, tree")])
def test_a_person_may_take_one_side_and_still_go_back(folder: Path, way: Way, left: bytes) -> None:
    session = contested(folder, "rename hat to cap")
    decided(session, way)
    assert contents(folder)["a.txt"] == left
    assert shown(session) == []
    session.undo()
    session.flush()
    assert contents(folder)["a.txt"] == b"1girl, hat, tree"
    assert len(shown(session)) == 1
    session.close()


def test_edits_that_build_on_each_other_wait_as_one(folder: Path) -> None:
    session = contested(folder, "rename hat to cap", "rename cap to crown; add x")
    expected = ("a.txt", "1girl, hat", "1girl, crown, x", "1girl, hat, tree", "1girl, crown, x, tree")
    assert shown(session) == [expected]
    session.close()


def test_an_edit_that_was_undone_waits_no_more(folder: Path) -> None:
    session = contested(folder, "rename hat to cap")
    session.undo()
    session.flush()
    assert shown(session) == []
    assert contents(folder)["a.txt"] == b"1girl, hat, tree"
    session.close()


def test_nothing_waits_where_the_other_program_did_the_same(folder: Path) -> None:
    session = contested(folder, "rename hat to cap")
    (folder / "a.txt").write_text("1girl, cap")
    assert shown(session) == []
    session.close()


def test_nothing_waits_once_the_edit_was_done_again(folder: Path) -> None:
    session = contested(folder, "rename hat to cap")
    session.apply(previewed(session, "rename hat to cap"), "me")
    session.flush()
    assert contents(folder)["a.txt"] == b"1girl, cap, tree"
    assert shown(session) == []
    session.close()


def test_an_undo_that_met_another_change_waits_and_the_next_undo_goes_on(folder: Path) -> None:
    session = opened(folder)
    for operation in ("add x", "add y"):
        session.apply(previewed(session, operation, [0]), "me")
        session.flush()
    (folder / "a.txt").write_text("1girl, hat, x, y, tree")
    session.undo()
    assert [one.conflicts for one in session.flush()] == [["a.txt"]]
    name, _base, ours, theirs, merged = shown(session)[0]
    assert (name, ours, theirs, merged) == ("a.txt", "1girl, hat, x", "1girl, hat, x, y, tree", "1girl, hat, x, tree")
    decided(session, "merge")
    assert contents(folder)["a.txt"] == b"1girl, hat, x, tree"
    assert revert(session, 1, "me").conflicts == []
    session.flush()
    assert contents(folder)["a.txt"] == b"1girl, hat, tree"
    session.close()


def test_a_killed_edit_whose_caption_another_program_changed_waits(folder: Path) -> None:
    journal = Journal(folder)
    with journal.locked():
        change = FileChange("a.txt", b"1girl, hat", b"1girl, cap")
        journal.append([({"kind": "edit", "operation": "rename hat to cap"}, [change])])
    (folder / "a.txt").write_text("1girl, hat, tree")
    session = opened(folder)
    assert session.recovery.conflicts == ("a.txt",)
    assert shown(session)[0][4] == "1girl, cap, tree"
    session.close()


def test_a_caption_that_changes_again_while_it_is_decided_waits_on(folder: Path) -> None:
    session = contested(folder, "rename hat to cap")
    found = conflicts(session)
    (folder / "a.txt").write_text("1girl, hat, tree, sky")
    settle(session, [(found[0], "merge")], "me")
    assert [one.conflicts for one in session.flush()] == [["a.txt"]]
    assert contents(folder)["a.txt"] == b"1girl, hat, tree, sky"
    assert shown(session)[0][4] == "1girl, cap, tree, sky"
    session.close()


def test_a_person_must_choose_where_both_changed_the_same_words(tmp_path: Path) -> None:
    prose = "A woman in a red hat stands in a field. She smiles."
    session = contested(
        make_folder(tmp_path, {"a": prose, "b": prose}),
        "phrase rename red to blue",
        theirs=prose.replace("red", "green"),
    )
    (found,) = conflicts(session)
    assert found.ways == ("ours", "theirs")
    session.close()


def test_a_caption_that_was_deleted_meanwhile(folder: Path) -> None:
    session = opened(folder)
    found = previewed(session, "rename hat to cap")
    (folder / "a.txt").unlink()
    session.apply(found, "me")
    session.flush()
    (conflict,) = conflicts(session)
    assert (conflict.theirs, conflict.ways) == (None, ("ours", "theirs"))
    decided(session, "ours")
    assert contents(folder)["a.txt"] == b"1girl, cap"
    session.close()


def test_only_what_lies_in_the_folder_is_listed(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"x/a": "1girl, hat", "y/b": "1girl, hat"})
    (folder / ".lora-tui").mkdir()
    session = opened(folder)
    found = previewed(session, "rename hat to cap")
    (folder / "x" / "a.txt").write_text("other")
    session.apply(found, "me")
    session.close()
    names: list[list[Conflict]] = [conflicts(opened(folder / name)) for name in ("x", "y")]
    assert [[one.name for one in some] for some in names] == [["x/a.txt"], []]
