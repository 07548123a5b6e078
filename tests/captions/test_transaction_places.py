"""Captions that are links, and folders within folders: where an edit is written, and which journal knows it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from caption_folders import assert_memory_is_disk, edit, make_folder, opened, previewed
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_tui.captions.history import blame, deeds
from lora_tui.captions.profile import OURS


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
            assert_memory_is_disk(session.corpus)
        for state in reversed(states[:-1]):
            session.undo()
            session.flush()
            assert _looks(folder) == state
            assert_memory_is_disk(session.corpus)
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
