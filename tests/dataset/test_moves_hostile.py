"""Moves of a dataset that somebody else made, that was damaged, or in which a move was cut off: nothing is lost."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lora_tui.dataset import moves
from lora_tui.dataset.renaming import copy_over, rename
from lora_tui.errors import UserError


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 3)
    return root


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def record(root: Path, number: int, pairs: list[list[str]], kind: str = "move", **more: Any) -> Path:
    path = root / f".lora-tui/moves/{number}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    value = {"kind": kind, "created": 0, "images": 1, "back": False, "heads": [pairs[0][0]], "pairs": pairs}
    path.write_text(json.dumps({**value, **more}))
    return path


def refused(root: Path, number: int = 1) -> str:
    with pytest.raises(UserError) as caught:
        moves.take_back(root, number)
    return caught.value.code


def test_a_record_that_came_with_a_dataset_takes_nothing_from_outside(tmp_path: Path) -> None:
    root = make(tmp_path / "set", "b.png")
    secret = make(tmp_path, "home/a.png") / "home/a.png"
    record(root, 1, [["a.png", str(secret)]])
    assert refused(root) == "moves.foreign"
    record(root, 1, [["stolen.txt", str(secret)]])
    assert refused(root) == "moves.record"
    assert secret.exists() and not (root / "a.png").exists()


def test_a_record_writes_nothing_through_links(tmp_path: Path) -> None:
    root = make(tmp_path / "set", "b.png", ".lora-tui/trash/1/d/a.png")
    (tmp_path / "home").mkdir()
    (root / "d").symlink_to("../home")
    record(root, 1, [["d/a.png", ".lora-tui/trash/1/d/a.png"]], "trash")
    assert refused(root) == "moves.foreign"
    assert listed(tmp_path / "home") == []
    record(root, 2, [["b.txt", ".lora-tui/trash/1/d/a.png"]], "trash")
    assert refused(root, 2) == "moves.record"


@pytest.mark.parametrize("name", [".lora-tui/trash", ".lora-tui/moves", ".lora-tui"])
def test_a_trash_behind_a_link_is_not_emptied(tmp_path: Path, name: str) -> None:
    root = make(tmp_path / "set", "b.png")
    other = make(tmp_path / "other", "trash/1/a.png", "1/a.png")
    record(other, 1, [["a.png", ".lora-tui/trash/1/a.png"]], "trash")
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).symlink_to(other)
    for act in (lambda: moves.empty_trash(root), lambda: moves.trash(root, [root / "b.png"])):
        with pytest.raises(UserError) as caught:
            act()
        assert caught.value.code == "moves.foreign"
    assert (other / "trash/1/a.png").exists() and (other / "1/a.png").exists() and (root / "b.png").exists()


@pytest.mark.parametrize(
    "change",
    [
        '"created": 1e300',
        '"created": NaN',
        '"created": 1e999',
        '"created": ' + "9" * 400,
        '"images": 1e999',
        '"pairs": [["a\\u0000.png", ".lora-tui/trash/7/a\\u0000.png"]]',
        '"pairs": [["\\ud800.png", ".lora-tui/trash/7/\\ud800.png"]]',
        '"kind": "other"',
        '"heads": 5',
    ],
)
def test_a_damaged_record_is_named_and_what_lies_there_comes_back(tmp_path: Path, change: str) -> None:
    root = make(tmp_path, "b.png", ".lora-tui/trash/7/x/a.png", ".lora-tui/trash/7/x/a.txt")
    path = record(root, 7, [["a.png", ".lora-tui/trash/7/a.png"]], "trash")
    path.write_text(path.read_text()[:-1] + ", " + change + "}")
    assert moves.unreadable(root) == [path]
    (one,) = moves.in_trash(root)
    assert (one.number, one.images, one.groups()[0][1][0]) == (7, 1, "x/a.txt")
    assert moves.take_back(root, 7).back
    assert (root / "x/a.txt").exists() and not (root / ".lora-tui/trash/7").exists()
    assert moves.unreadable(root) == []


def test_the_trash_is_emptied_of_what_has_no_record(tmp_path: Path) -> None:
    root = make(tmp_path, ".lora-tui/trash/7/foo.png")
    assert moves.empty_trash(root) == 3 * len(".lora-tui/trash/7/foo.png")
    assert not (root / ".lora-tui/trash/7").exists()


def test_named_pipes_are_not_waited_for(tmp_path: Path) -> None:
    root = make(tmp_path, "a.png", ".lora-tui/moves/x")
    for name in ("1.json", "count"):
        os.mkfifo(root / ".lora-tui/moves" / name)
    assert moves.moves(root) == []
    assert refused(root) == "moves.record"
    assert moves.trash(root, [root / "a.png"]).number == 2
    (root / ".lora-tui/moves/.lock").unlink()
    os.mkfifo(root / ".lora-tui/moves/.lock")
    with pytest.raises(UserError, match="pipe"):
        moves.take_back(root, 2)


def test_a_copy_for_another_disk_overwrites_nothing(tmp_path: Path) -> None:
    root = make(tmp_path, "a.png", "sub/.a.png.part", "sub/b.png")
    (root / "a.png").chmod(0o640)
    os.utime(root / "a.png", (1, 1))
    copy_over(root / "a.png", root / "sub/a.png")
    with pytest.raises(FileExistsError):
        copy_over(root / "a.png", root / "sub/b.png")
    (root / "l.png").symlink_to("a.png")
    copy_over(root / "l.png", root / "sub/l.png")
    assert listed(root / "sub") == [".a.png.part", "a.png", "b.png", "l.png"]
    assert (root / "sub/.a.png.part").read_bytes() == b"sub/.a.png.part" * 3
    assert (root / "sub/b.png").read_bytes() == b"sub/b.png" * 3
    state = (root / "sub/a.png").stat()
    assert (state.st_mode & 0o777, state.st_mtime) == (0o640, 1)


def test_a_rename_never_replaces(tmp_path: Path) -> None:
    root = make(tmp_path, "a.png", "b.png")
    with pytest.raises(FileExistsError):
        rename(root / "a.png", root / "b.png")
    assert (root / "b.png").read_bytes() == b"b.png" * 3
    rename(root / "a.png", root / "c.png")
    assert (root / "c.png").read_bytes() == b"a.png" * 3


def test_a_move_that_was_killed_before_it_removed_the_old_file_is_finished(tmp_path: Path) -> None:
    root = make(tmp_path / "set", "a.png", "a.txt", "b.png")
    before = listed(root)
    done = moves.move(root, [root / "a.png"], tmp_path / "other")
    (root / "a.png").write_bytes((tmp_path / "other/a.png").read_bytes())  # as far as the kill let it come
    left = tmp_path / "other/.b.png.a1b2c3d4.lora-tui.tmp"
    left.touch()
    os.utime(left, (1, 1))
    assert moves.take_back(root, done.number).back
    assert [name for name in listed(root) if name != ".lora-tui"] == before
    assert listed(tmp_path / "other") == []


def test_an_image_and_its_companions_move_together_or_not_at_all(tmp_path: Path) -> None:
    root = make(tmp_path / "set", "a.png", "a.txt", "masks/a.png", "b.png", "c.png", "c.txt")
    make(tmp_path / "other", "masks")
    done = moves.move(root, [root / "a.png", root / "b.png"], tmp_path / "other")
    assert (root / "a.png").exists() and (root / "a.txt").exists() and (root / "masks/a.png").exists()
    assert listed(tmp_path / "other") == ["b.png", "masks"]
    assert (done.images, [old for old, _new in done.pairs], len(done.failed)) == (1, ["b.png"], 3)
    assert moves.moves(root)[0].images == 1


def test_what_was_not_moved_is_not_told_as_moved(tmp_path: Path) -> None:
    root = make(tmp_path, "a.png", "x/b.png")
    gone = moves.trash(root, [root / "gone.png"])
    assert (gone.number, gone.images, gone.pairs, len(gone.failed)) == (0, 0, (), 1)
    there = moves.move(root, [root / "x/b.png"], root / "x")
    assert (there.number, there.images, there.failed) == (0, 0, ())
    assert moves.moves(root) == [] and not list((root / ".lora-tui").rglob("*.png"))


def test_a_link_leads_where_it_led(tmp_path: Path) -> None:
    root = make(tmp_path / "set", "b.png", "orig/x.png")
    make(tmp_path, "far/y.png")
    texts = {"l.png": "orig/x.png", "m.png": "../far/y.png", "n.png": "b.png"}
    for name, text in texts.items():
        (root / name).symlink_to(text)
    images = [root / name for name in (*texts, "b.png")]
    done = moves.move(root, images, root / "deep/er")
    there = {name: (root / "deep/er" / name).resolve() for name in texts}
    assert there == {
        "l.png": root / "orig/x.png",
        "m.png": tmp_path / "far/y.png",
        "n.png": root / "deep/er/b.png",
    }
    assert moves.take_back(root, done.number).back
    assert {name: str((root / name).readlink()) for name in texts} == texts
    moves.take_back(root, moves.trash(root, images).number)
    assert {name: str((root / name).readlink()) for name in texts} == texts


def test_a_link_to_itself_stops_nothing(tmp_path: Path) -> None:
    root = make(tmp_path, "a.png", "a.txt")
    (root / "loop.txt").symlink_to("loop.txt")
    assert len(moves.trash(root, [root / "a.png"]).pairs) == 2


def test_a_file_where_a_folder_is_to_be_is_told_as_that(tmp_path: Path) -> None:
    root = make(tmp_path, "a.png", "b.png")
    with pytest.raises(UserError) as caught:
        moves.move(root, [root / "a.png"], root / "b.png")
    assert "another folder" in caught.value.remedy


@pytest.mark.parametrize("name", [".lora-tui/trash/1", ".hidden", "x/.y/z", "../other/.lora-tui"])
def test_images_are_not_moved_to_where_no_dataset_looks(tmp_path: Path, name: str) -> None:
    root = make(tmp_path / "set", "a.png")
    (tmp_path / "other").mkdir()
    with pytest.raises(UserError) as caught:
        moves.move(root, [root / "a.png"], root / name)
    assert caught.value.code == "moves.hidden"
    assert (root / "a.png").exists() and moves.moves(root) == []
