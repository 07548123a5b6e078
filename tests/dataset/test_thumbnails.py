"""Small pictures are kept, are those of the file as it is now, and never stand in the way."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from support import until

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


def photographs(folder: Path, several: int) -> list[Path]:
    """Images that are worth a thumbnail."""
    folder.mkdir()
    paths = [folder / f"{number}.png" for number in range(several)]
    for number, path in enumerate(paths):
        Image.effect_noise((400, 300), 20 + number).save(path)
    return paths


def test_what_they_take_on_disk_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without anybody asking for it: those that were not looked at for longest give way."""
    paths = photographs(tmp_path / "set", 12)
    monkeypatch.setattr(thumbnails, "_added", itertools.count())
    monkeypatch.setattr(thumbnails, "CLEARED_EVERY", 4)
    thumbnails.thumbnail(paths[0], stamp(paths[0]), background=WHITE)
    each = kept()[0].stat().st_size
    monkeypatch.setattr(thumbnails, "CAP_BYTES", 4 * each)

    def bounded() -> bool:
        for path in paths:
            thumbnails.thumbnail(path, stamp(path), background=WHITE)
        return len(kept()) <= 8

    until(bounded)


def test_what_nobody_looks_at_goes(tmp_path: Path) -> None:
    old, new = photographs(tmp_path / "set", 2)
    thumbnails.thumbnail(old, stamp(old), background=WHITE)
    (entry,) = kept()
    os.utime(entry, (1, 1))
    thumbnails.thumbnail(new, stamp(new), background=WHITE)
    thumbnails.prune()
    assert entry not in kept()
    assert len(kept()) == 1
    thumbnails.thumbnail(old, stamp(old), background=WHITE)
    os.utime(entry, (1, 1))
    thumbnails.thumbnail(old, stamp(old), background=WHITE)  # looked at again
    thumbnails.prune()
    assert entry in kept()


MAKES_AND_CLEARS = """
import itertools, sys
from pathlib import Path
from lora_tui.dataset import thumbnails
thumbnails.CLEARED_EVERY, thumbnails.CAP_BYTES = 1, 20_000
for path in sorted(Path(sys.argv[1]).iterdir()) * 3:
    state = path.stat()
    found = thumbnails.thumbnail(path, (state.st_mtime_ns, state.st_size), background=(255, 255, 255))
    assert found.size == (160, 120), found.size
thumbnails.prune()
"""

DIES_WRITING = """
import os, signal, sys
from pathlib import Path
from lora_tui.dataset import thumbnails
os.fchmod = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # the picture is written, its name is still to come
path = Path(sys.argv[1])
state = path.stat()
thumbnails.thumbnail(path, (state.st_mtime_ns, state.st_size), background=(255, 255, 255))
"""


def test_two_programs_share_them_while_both_clear_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photographs(tmp_path / "set", 8)
    command = [sys.executable, "-c", MAKES_AND_CLEARS, str(tmp_path / "set")]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _number in range(2)]
    assert [(one.communicate()[1], one.returncode) for one in both] == [("", 0), ("", 0)]
    assert kept()
    monkeypatch.setattr(thumbnails, "CAP_BYTES", 20_000)
    thumbnails.prune()
    assert sum(path.stat().st_size for path in kept()) <= 20_000


def test_a_program_killed_while_it_writes_one_leaves_nothing_for_good(tmp_path: Path) -> None:
    (path,) = photographs(tmp_path / "set", 1)
    ended = subprocess.run([sys.executable, "-c", DIES_WRITING, str(path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    (left,) = [found for found in (cache_dir() / "thumbnails").rglob("*") if found.is_file()]
    assert left not in kept()
    os.utime(left, (1, 1))
    assert thumbnails.thumbnail(path, stamp(path), background=WHITE).size == (160, 120)
    thumbnails.prune()
    assert not left.exists()
    assert len(kept()) == 1


def test_a_picture_whose_name_is_no_utf8_is_kept_as_others_are(tmp_path: Path) -> None:
    path = tmp_path / "caf\udce9.png"
    Image.new("RGB", (900, 600), (200, 30, 30)).save(os.fsencode(path))
    assert thumbnails.thumbnail(path, stamp(path), background=WHITE).size == (160, 107)
    assert len(kept()) == 1
