"""Which file is an image's caption, and reading it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lora_tui.captions.files import MAX_BYTES, find_sidecar, pick_sidecar, read_caption
from lora_tui.errors import UserError

ENDINGS = (".txt", ".caption")


def test_the_first_ending_that_exists_wins(tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    (tmp_path / "a.caption").write_text("second")
    assert find_sidecar(image, ENDINGS) == tmp_path / "a.caption"
    (tmp_path / "a.txt").write_text("first")
    assert find_sidecar(image, ENDINGS) == tmp_path / "a.txt"
    assert find_sidecar(image, ("caption",)) == tmp_path / "a.caption"


def test_no_caption_is_none(tmp_path: Path) -> None:
    assert find_sidecar(tmp_path / "a.png", ENDINGS) is None


def test_only_files_count_as_captions(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    (tmp_path / "b.txt").symlink_to(tmp_path / "nowhere")
    assert find_sidecar(tmp_path / "a.png", ENDINGS) is None
    assert find_sidecar(tmp_path / "b.png", ENDINGS) is None


@pytest.mark.parametrize("stem", ["a.b", "x.wd14", "name with space", "行", "a\nb", "[bold]", "\x1b[31m"])
def test_odd_stems_find_their_caption(tmp_path: Path, stem: str) -> None:
    (tmp_path / f"{stem}.txt").write_text("tag")
    image = tmp_path / f"{stem}.png"
    assert find_sidecar(image, ENDINGS) == tmp_path / f"{stem}.txt"
    assert pick_sidecar(image.stem, {entry.name for entry in tmp_path.iterdir()}, ENDINGS) == f"{stem}.txt"


def test_an_ending_with_two_dots_is_understood(tmp_path: Path) -> None:
    (tmp_path / "a.wd14.txt").write_text("tag")
    assert find_sidecar(tmp_path / "a.png", (".wd14.txt", ".txt")) == tmp_path / "a.wd14.txt"


def test_reading_gives_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xff\x00 x")
    assert read_caption(path).to_bytes() == b"\xff\x00 x"


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(UserError) as caught:
        read_caption(path)
    assert caught.value.code == "caption.unreadable"
    assert str(path) in caught.value.place
    assert caught.value.remedy


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("kind", "make"), [("a folder", Path.mkdir), ("a named pipe", os.mkfifo)])
def test_what_is_no_file_is_named_and_not_waited_for(tmp_path: Path, kind: str, make: Callable[[Path], None]) -> None:
    make(tmp_path / "a.txt")
    with pytest.raises(UserError, match=f"a.txt is {kind}, not a caption file") as caught:
        read_caption(tmp_path / "a.txt")
    assert (caught.value.code, caught.value.place) == ("caption.no_file", str(tmp_path / "a.txt"))


def test_a_huge_file_is_no_caption(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with path.open("wb") as file:
        file.truncate(50 * MAX_BYTES)
    with pytest.raises(UserError) as caught:
        read_caption(path)
    assert caught.value.code == "caption.too_large"
