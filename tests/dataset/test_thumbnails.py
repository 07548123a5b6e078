"""Small pictures are kept, are those of the file as it is now, and never stand in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from lora_tui.dataset import thumbnails
from lora_tui.errors import UserError
from lora_tui.settings import cache_dir

WHITE = (255, 255, 255)


def stamp(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_mtime_ns, state.st_size


def kept() -> list[Path]:
    return sorted((cache_dir() / "thumbnails").rglob("*.jpg"))


def test_a_second_look_reads_the_kept_one(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (900, 600), (200, 30, 30)).save(path)
    first = thumbnails.thumbnail(path, stamp(path), background=WHITE)
    assert first.size == (160, 107)
    (entry,) = kept()
    Image.new("RGB", (160, 107), (0, 0, 255)).save(entry)  # so that it can be told apart
    again = thumbnails.thumbnail(path, stamp(path), background=WHITE)
    assert again.getpixel((80, 50)) == pytest.approx((0, 0, 255), abs=3)


def test_a_changed_file_is_looked_at_again(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (900, 600), (200, 30, 30)).save(path)
    thumbnails.thumbnail(path, stamp(path), background=WHITE)
    Image.new("RGB", (900, 600), (30, 200, 30)).save(path)
    os.utime(path, ns=(1, stamp(path)[0] + 1))
    found = thumbnails.thumbnail(path, stamp(path), background=WHITE)
    assert found.getpixel((80, 50)) == pytest.approx((30, 200, 30), abs=4)


def test_orientation_and_transparency_are_as_shown(tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (800, 400), (9, 9, 9)).save(path, exif=exif)
    assert thumbnails.thumbnail(path, stamp(path), background=WHITE).size == (80, 160)
    clear = tmp_path / "clear.png"
    Image.new("RGBA", (800, 400), (9, 9, 9, 0)).save(clear)
    assert thumbnails.thumbnail(clear, stamp(clear), background=(0, 0, 90)).getpixel((9, 9)) == pytest.approx(
        (0, 0, 90), abs=3
    )


def test_a_damaged_entry_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (900, 600), (200, 30, 30)).save(path)
    thumbnails.thumbnail(path, stamp(path), background=WHITE)
    kept()[0].write_bytes(b"\xff\xd8 no picture")
    found = thumbnails.thumbnail(path, stamp(path), background=WHITE)
    assert found.getpixel((80, 50)) == pytest.approx((200, 30, 30), abs=3)


def test_small_images_are_not_kept_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (200, 100)).save(path)
    assert thumbnails.thumbnail(path, stamp(path), background=WHITE).size == (200, 100)
    assert kept() == []


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"nothing")
    with pytest.raises(UserError):
        thumbnails.thumbnail(path, stamp(path), background=WHITE)
