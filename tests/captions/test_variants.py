"""The several captions of an image: by the ending of their file, and by the line."""

from __future__ import annotations

from pathlib import Path

import pytest
from caption_folders import contents, edit, make_folder

from lora_tui.captions.corpus import Corpus
from lora_tui.captions.profile import OURS
from lora_tui.captions.transaction import Session
from lora_tui.captions.variants import (
    EVERY_LINE,
    Variant,
    checked_ending,
    endings_in,
    existing,
    most_lines,
    shown_text,
)
from lora_tui.errors import UserError

AS_TRAINED = Variant()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_folder(tmp_path, {"a": "1girl, solo", "b": "1girl\nA girl sits here.\n\nOne girl.", "sub/c": None, "a.b": "x"})
    (tmp_path / "a.caption").write_text("A girl alone.")
    (tmp_path / "a.wd14.txt").write_text("1girl")
    (tmp_path / "sub" / "c.caption").write_text("A cat.")
    (tmp_path / "notes.txt").write_text("not a caption")
    (tmp_path / "a.json").write_text("{}")
    return tmp_path


def opened(folder: Path, variant: Variant = AS_TRAINED) -> Session:
    usual = (".txt", ".caption")
    return Session(Corpus.open(folder, profile=variant.profile(OURS), extensions=variant.extensions(usual)))


def tags(session: Session) -> dict[str, tuple[str, ...]]:
    return {entry.name: entry.tags for entry in session.corpus.entries}


def test_endings_are_counted_by_image_and_the_longest_name_owns_a_file(folder: Path) -> None:
    corpus = opened(folder).corpus
    found = endings_in(corpus)
    assert found.images == {".txt": 3, ".caption": 2, ".wd14.txt": 1}
    number = corpus.number_of("a.png")
    assert number is not None
    assert existing(corpus, number, found.images) == (".txt", ".caption", ".wd14.txt")
    assert most_lines(corpus) == 3


def test_what_trains_is_one_of_the_variants_and_named_by_its_endings(folder: Path) -> None:
    corpus = opened(folder).corpus
    mixed = endings_in(corpus)
    assert [mixed.name(one) for one in mixed.variants()] == [".txt, .caption", ".txt", ".caption", ".wd14.txt"]
    (folder / "sub" / "c.txt").write_text("cat")
    whole = endings_in(corpus)
    assert [whole.name(one) for one in whole.variants()] == [".txt", ".caption", ".wd14.txt"]
    other = endings_in(corpus, (".caption", ".txt"))
    assert [other.name(one) for one in other.variants()] == [".caption, .txt", ".caption", ".txt", ".wd14.txt"]


def test_one_ending_is_edited_and_the_others_stay(folder: Path) -> None:
    before = contents(folder)
    session = opened(folder, Variant(".caption"))
    assert tags(session)["b.png"] == ()
    edit(session, "take .txt ifempty")
    after = contents(folder)
    assert {name for name in after if after[name] != before.get(name)} == {"b.caption", "a.b.caption"}
    assert after["b.caption"] == before["b.txt"]
    session.undo()
    session.close()
    assert contents(folder) == before


def test_what_was_done_to_one_ending_is_undone_while_another_is_open(folder: Path) -> None:
    before = contents(folder)
    first = opened(folder)
    edit(first, "add new")
    first.close()
    second = opened(folder, Variant(".caption"))
    edit(second, "add more")
    done = second.undo(2)
    second.close()
    assert not any(one.lost for one in done)
    assert contents(folder) == before


def test_one_line_is_edited_and_the_others_stay(folder: Path) -> None:
    session = opened(folder, Variant(line=2))
    assert tags(session) == {"a.png": (), "a.b.png": (), "b.png": ("A girl sits here.",), "sub/c.png": ()}
    edit(session, "phrase rename girl to woman; add outside")
    session.close()
    assert (folder / "b.txt").read_text() == "1girl\nA woman sits here. outside\n\nOne girl."
    assert (folder / "a.txt").read_text() == "1girl, solo\noutside"
    every = opened(folder, Variant(line=EVERY_LINE))
    edit(every, "add x front", [every.corpus.number_of("b.png") or 0])
    every.close()
    assert (folder / "b.txt").read_text() == "x, 1girl\nx, A woman sits here. outside\n\nx, One girl."
    documents = {entry.name: entry.document for entry in opened(folder).corpus.entries}
    assert shown_text(documents["a.png"], Variant(line=2).profile(OURS)) == "outside"


@pytest.mark.parametrize("text", ["", ".", "png", ".PNG", "a b", "../x", ".a/b", "..txt"])
def test_what_is_no_ending(text: str) -> None:
    with pytest.raises(UserError, match="ending"):
        checked_ending(text)


def test_an_ending_is_meant_with_and_without_its_dot() -> None:
    assert checked_ending(" caption ") == ".caption"
    assert checked_ending(".wd14.txt") == ".wd14.txt"
