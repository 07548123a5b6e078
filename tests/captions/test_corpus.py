"""A folder's captions in memory: what belongs together, what is passed over, and what others change."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from caption_folders import make_folder

from lora_tui.captions.corpus import Corpus, natural
from lora_tui.captions.document import CaptionDocument
from lora_tui.captions.profile import PROFILES, profile_named
from lora_tui.errors import UserError


def test_images_are_found_in_natural_order_with_their_captions(tmp_path: Path) -> None:
    make_folder(tmp_path, {"img10": "x", "img2": "y", "sub/a": None, ".hidden/b": "z", ".lora-tui/c": "z"})
    (tmp_path / "notes.txt").write_text("no caption")
    corpus = Corpus.open(tmp_path)
    assert [entry.name for entry in corpus.entries] == ["img2.png", "img10.png", "sub/a.png"]
    assert [entry.tags for entry in corpus.entries] == [("y",), ("x",), ()]
    assert corpus.entries[2].document is None
    assert corpus.entries[2].caption == tmp_path / "sub" / "a.txt"
    assert (corpus.number_of("img10"), corpus.number_of("sub/a.png"), corpus.number_of("no")) == (1, 2, None)


def test_the_profile_says_which_ending_wins_and_others_are_seen(tmp_path: Path) -> None:
    make_folder(tmp_path, {"a": "txt", "b": "txt"})
    (tmp_path / "a.caption").write_text("caption")
    corpus = Corpus.open(tmp_path, profile=PROFILES["sd-scripts"])
    assert [entry.caption_name for entry in corpus.entries] == ["a.caption", "b.txt"]
    only = Corpus.open(tmp_path, extensions=("caption",))
    assert [entry.tags for entry in only.entries] == [("caption",), ()]


def test_what_cannot_be_read_is_named_and_never_waited_for(tmp_path: Path) -> None:
    make_folder(tmp_path, {"a": None, "b": None, "c": b"x" * ((1 << 20) + 1), "d": "x"})
    os.mkfifo(tmp_path / "a.txt")
    (tmp_path / "b.txt").mkdir()
    corpus = Corpus.open(tmp_path)
    assert [entry.problem is not None for entry in corpus.entries] == [True, True, True, False]
    with pytest.raises(UserError):
        Corpus.open(tmp_path / "nowhere")
    with pytest.raises(UserError):
        profile_named("nothing")


def test_refresh_sees_what_others_changed(tmp_path: Path) -> None:
    make_folder(tmp_path, {"a": "x", "b": "x", "c": None})
    corpus = Corpus.open(tmp_path)
    assert corpus.refresh() == []
    (tmp_path / "a.txt").write_text("x, more")
    (tmp_path / "b.txt").unlink()
    (tmp_path / "c.caption").write_text("new")
    make_folder(tmp_path, {"d": "later"})
    revision = corpus.revision
    assert sorted(corpus.refresh()) == [0, 1, 2, 3]
    assert corpus.revision > revision
    assert [entry.tags for entry in corpus.entries] == [("x", "more"), (), ("new",), ("later",)]
    assert corpus.index.counts() == {"x": 1, "more": 1, "new": 1, "later": 1}


def test_put_keeps_the_index_right(tmp_path: Path) -> None:
    corpus = Corpus.open(make_folder(tmp_path, {"a": "x, y"}))
    corpus.put(0, CaptionDocument.parse(b"y, z"))
    assert corpus.index.counts() == {"y": 1, "z": 1}
    corpus.put(0, None)
    assert corpus.index.counts() == {}


def test_opening_can_be_stopped(tmp_path: Path) -> None:
    make_folder(tmp_path, {str(number): "x" for number in range(600)})
    seen: list[int] = []
    corpus = Corpus.open(tmp_path, on_progress=seen.append, should_stop=lambda: True)
    assert not corpus.complete
    assert seen and len(corpus.entries) < 600


def test_numbers_in_names_count_as_numbers() -> None:
    assert natural(["a10", "a9", "A1", "b²"]) == ["A1", "a9", "a10", "b²"]


def test_the_text_of_another_caption_or_why_there_is_none(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": "x", "sub/b": "y", "c": None, "d": "z"})
    (folder / "d.jpg").touch()
    (folder / "a.wd14.txt").write_text("seen")
    (folder / "c.wd14.txt").mkdir()
    corpus = Corpus.open(folder)
    assert [corpus.text_from(source, "c.png") for source in ("a.png", "a", "sub/b", "c.png")] == ["x", "x", "y", None]
    assert [corpus.text_from(".wd14.txt", name) for name in ("a.png", "sub/b.png")] == ["seen", None]
    for source, name, code in (
        ("nosuch.png", "a.png", "captions.image"),
        ("d", "a.png", "captions.image"),
        (".wd14.txt", "c.png", "caption.unreadable"),
    ):
        with pytest.raises(UserError) as error:
            corpus.text_from(source, name)
        assert error.value.code == code


def test_a_caption_is_taken_for_many_images_at_once(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {str(number): "x" for number in range(4000)})
    corpus = Corpus.open(folder)
    begun = time.process_time()
    assert all(corpus.text_from("7", entry.name) == "x" for entry in corpus.entries)
    assert time.process_time() - begun < 0.3


def test_masks_are_no_images_that_have_captions(tmp_path: Path) -> None:
    names = ("a", "a-masklabel", "masks/b", "b", "sub/masks/c", "sub/c", "masks/venice")
    corpus = Corpus.open(make_folder(tmp_path, dict.fromkeys(names, "hat")))
    assert [entry.name for entry in corpus.entries] == ["a.png", "b.png", "masks/venice.png", "sub/c.png"]
    make_folder(tmp_path, {"d": "new", "d-masklabel": None})
    corpus.refresh()
    assert [entry.name for entry in corpus.entries][4:] == ["d.png"]
