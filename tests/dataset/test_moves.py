"""Images go to the trash and to other folders with all that is theirs, and come back."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from pathlib import Path

import pytest

from lora_tui.dataset import moves
from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.notes import Crop, Notes, NotesBelow, change_notes, load_notes
from lora_tui.errors import UserError
from lora_tui.python import python_command


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 3)
    return root


def tree(root: Path) -> dict[str, bytes]:
    """Every file but our own notes."""
    found = {}
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if path.is_file() and not name.startswith(".lora-tui/moves"):
            found[name] = path.read_bytes()
    return found


def test_the_trash_takes_all_that_belongs_to_an_image_and_gives_it_back(tmp_path: Path) -> None:
    root = make(
        tmp_path, "5_cat/a.png", "5_cat/a.txt", "5_cat/a.caption", "5_cat/a-masklabel.png", "5_cat/b.png", "b.txt"
    )
    before = tree(root)
    done = moves.trash(root, [root / "5_cat" / "a.png"])
    assert (done.images, len(done.pairs), done.failed) == (1, 4, ())
    left = {name: raw for name, raw in tree(root).items() if not name.startswith(".lora-tui")}
    assert sorted(left) == ["5_cat/b.png", "b.txt"]
    assert [one.number for one in moves.in_trash(root)] == [done.number]
    back = moves.take_back(root, done.number)
    assert back.back and not back.failed
    assert tree(root) == before
    assert moves.in_trash(root) == []


def test_a_move_goes_below_a_folder_and_back(tmp_path: Path) -> None:
    root = make(tmp_path, "a.png", "a.txt", "sub/b.png", "sub/b.txt", "c.png")
    before = tree(root)
    done = moves.move(root, [root / "a.png", root / "sub" / "b.png"], root / "10_kept")
    assert sorted(tree(root)) == ["10_kept/a.png", "10_kept/a.txt", "10_kept/b.png", "10_kept/b.txt", "c.png"]
    moves.take_back(root, done.number)
    assert tree(root) == before


def test_a_move_out_of_the_dataset_comes_back(tmp_path: Path) -> None:
    root = make(tmp_path / "set", "a.png", "a.txt")
    before = tree(root)
    done = moves.move(root, [root / "a.png"], tmp_path / "elsewhere")
    assert sorted(tree(tmp_path / "elsewhere")) == ["a.png", "a.txt"]
    moves.take_back(root, done.number)
    assert tree(root) == before


def test_nothing_moves_when_one_name_is_taken(tmp_path: Path) -> None:
    root = make(tmp_path, "a.png", "a.txt", "b.png", "kept/a.txt")
    before = tree(root)
    with pytest.raises(UserError) as caught:
        moves.move(root, [root / "b.png", root / "a.png"], root / "kept")
    assert caught.value.code == "moves.taken"
    assert caught.value.place.endswith("kept/a.txt")
    assert tree(root) == before


def test_two_images_of_one_name_never_meet_in_one_folder(tmp_path: Path) -> None:
    root = make(tmp_path, "x/a.png", "y/a.png")
    before = tree(root)
    with pytest.raises(UserError, match="nothing was moved"):
        moves.move(root, [root / "x/a.png", root / "y/a.png"], root / "z")
    assert tree(root) == before


def test_what_came_to_the_old_place_is_not_overwritten_on_the_way_back(tmp_path: Path) -> None:
    root = make(tmp_path, "a.png", "a.txt")
    done = moves.trash(root, [root / "a.png"])
    (root / "a.txt").write_text("somebody wrote this meanwhile")
    back = moves.take_back(root, done.number)
    bin_ = f".lora-tui/trash/{done.number}"
    assert dict(back.failed) == {
        f"{bin_}/a.png": "it stays with a.txt",
        f"{bin_}/a.txt": "a file of this name is there now",
    }
    assert (root / "a.txt").read_text() == "somebody wrote this meanwhile"
    assert not (root / "a.png").exists()
    assert (root / f".lora-tui/trash/{done.number}/a.txt").read_bytes() == b"a.txta.txta.txt"
    (root / "a.txt").unlink()
    assert not moves.take_back(root, done.number).failed
    assert (root / "a.png").exists()


def test_another_image_does_not_get_the_caption_of_the_one_that_was_there(tmp_path: Path) -> None:
    root = make(tmp_path, "a.png", "a.txt", "b.png", "b.txt")
    done = moves.trash(root, [root / "a.png", root / "b.png"])
    (root / "a.png").write_bytes(b"another image")
    assert len(moves.take_back(root, done.number).failed) == 2
    assert sorted(name for name in tree(root) if not name.startswith(".")) == ["a.png", "b.png", "b.txt"]


def test_masks_in_folders_of_their_own_go_along(tmp_path: Path) -> None:
    root = make(tmp_path, "x/a.png", "x/masks/a.png", "mask/x/b.png", "x/b.png", "x/masks/c.png")
    before = tree(root)
    moves.take_back(root, moves.trash(root, [root / "x/a.png", root / "x/b.png"]).number)
    assert tree(root) == before
    moves.trash(root, [root / "x/a.png"])
    done = moves.move(root, [root / "x/b.png"], root / "y")
    assert {name for name in tree(root) if not name.startswith(".")} == {"x/masks/c.png", "y/b.png", "y/mask/b.png"}
    assert moves.move(root, [root / "y/b.png"], root / "y").pairs == ()
    moves.take_back(root, done.number)
    assert (root / "mask/x/b.png").exists()


CROP = Crop(Box(0, 0, 300, 300), Size(600, 600))


def noted(notes: Notes) -> Notes:
    notes = notes.excluding("a.png", "x/q.png").with_crop("b.png", CROP).reviewing("c.png")
    return notes.keeping_alike("a.png", "b.png", "x/q.png")


def test_what_is_noted_of_an_image_goes_with_it_and_comes_back(tmp_path: Path) -> None:
    root = make(tmp_path / "set", "a.png", "b.png", "c.png", "x/q.png")
    images = [root / f"{name}.png" for name in "abc"]
    before = change_notes(root, noted)
    inside = moves.move(root, images, root / "sub")
    wanted = Notes(
        excluded=frozenset({"sub/a.png", "x/q.png"}),
        reviewed=frozenset({"sub/c.png"}),
        crops={"sub/b.png": CROP},
        alike=frozenset({frozenset({"sub/a.png", "sub/b.png", "x/q.png"})}),
    )
    assert load_notes(root) == wanted
    moves.take_back(root, inside.number)
    assert load_notes(root) == before
    outside = moves.move(root, images, tmp_path / "other")
    assert load_notes(root).excluded == {"x/q.png"} and not load_notes(root).crops
    there = load_notes(tmp_path / "other")
    assert there == Notes(excluded=frozenset({"a.png"}), reviewed=frozenset({"c.png"}), crops={"b.png": CROP})
    moves.take_back(root, outside.number)
    assert (load_notes(root), load_notes(tmp_path / "other")) == (before, Notes())


def test_a_new_file_is_not_taken_for_the_noted_one_in_the_trash(tmp_path: Path) -> None:
    root = make(tmp_path, "a.png", "b.png", "c.png", "x/q.png")
    (root / "x/.lora-tui").mkdir()
    change_notes(root / "x", lambda notes: notes.reviewing("q.png"))
    before = change_notes(root, noted)
    images = [root / "a.png", root / "b.png", root / "x/q.png"]
    first = moves.trash(root, images)
    for name in ("a.png", "b.png", "x/q.png"):
        notes = NotesBelow(root)
        assert not (notes.excluded(name) or notes.crop(name) or notes.reviewed(name))
    assert load_notes(root).present() == Notes(reviewed=frozenset({"c.png"}), alike=load_notes(root).alike)
    moves.take_back(root, first.number)
    back = NotesBelow(root)
    assert back.excluded("a.png") and back.excluded("x/q.png") and back.reviewed("x/q.png") and back.crop("b.png")
    assert load_notes(root).alike == before.alike
    moves.trash(root, images)
    moves.empty_trash(root)
    assert load_notes(root) == Notes(reviewed=frozenset({"c.png"}))


def test_nothing_moves_when_the_notes_cannot_be_read(tmp_path: Path) -> None:
    root = make(tmp_path, "a.png", "a.txt", ".lora-tui/dataset.toml")
    before = tree(root)
    for act in (moves.trash, lambda home, images: moves.move(home, images, root / "y")):
        with pytest.raises(UserError, match="notes"):
            act(root, [root / "a.png"])
        assert (tree(root), moves.moves(root)) == (before, [])


def test_a_caption_shared_with_an_image_that_stays_stays(tmp_path: Path) -> None:
    root = make(tmp_path, "a.png", "a.jpg", "a.txt")
    moves.trash(root, [root / "a.png"])
    assert (root / "a.txt").exists()
    moves.trash(root, [root / "a.jpg"])
    assert not (root / "a.txt").exists()


def test_an_image_of_elsewhere_is_refused(tmp_path: Path) -> None:
    root = make(tmp_path / "set", "a.png")
    (root / ".lora-tui").mkdir()
    make(tmp_path, "b.png")
    with pytest.raises(UserError) as caught:
        moves.trash(root, [tmp_path / "b.png"])
    assert caught.value.code == "moves.outside"


def test_emptying_the_trash_says_what_it_freed(tmp_path: Path) -> None:
    root = make(tmp_path, "a.png", "a.txt", "b.png")
    moves.trash(root, [root / "a.png"])
    size = len(b"a.png" * 3) + len(b"a.txt" * 3)
    assert moves.empty_trash(root) == size
    assert moves.in_trash(root) == []
    assert sorted(tree(root)) == ["b.png"]


def test_numbers_are_never_used_twice(tmp_path: Path) -> None:
    root = make(tmp_path, "a.png", "b.png")
    first = moves.trash(root, [root / "a.png"])
    second = moves.trash(root, [root / "b.png"])
    assert second.number > first.number
    moves.empty_trash(root)
    make(root, "a.png")
    assert moves.trash(root, [root / "a.png"]).number > second.number
    with pytest.raises(UserError, match="no move"):
        moves.take_back(root, first.number)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "[" * 50_000,
        "{}",
        '{"kind": "trash", "created": 0, "images": 1, "back": false, "pairs": [["a.png", "../../etc/x"]]}',
        '{"kind": "trash", "created": 0, "images": 1, "back": false, "pairs": [["/etc/passwd", "a.png"]]}',
    ],
)
def test_a_damaged_or_hostile_record_is_not_obeyed(tmp_path: Path, value: str) -> None:
    root = make(tmp_path, "a.png")
    moves.trash(root, [root / "a.png"])
    (root / ".lora-tui/moves/7.json").write_text(value)
    assert [one.number for one in moves.moves(root)] == [1]
    with pytest.raises(UserError):
        moves.take_back(root, 7)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    root = make(tmp_path, "a.png")
    (root / ".lora-tui").write_text("in the way")
    with pytest.raises(UserError) as caught:
        moves.trash(root, [root / "a.png"])
    assert caught.value.code == "moves.write"
    assert (root / "a.png").exists()


def test_killed_in_the_middle_everything_can_be_taken_back(tmp_path: Path) -> None:
    names = [f"{number:04}.{ending}" for number in range(400) for ending in ("png", "txt")]
    program = (
        "import sys; from pathlib import Path; from lora_tui.dataset.moves import trash; root = Path(sys.argv[1]);"
        "images = sorted(root.glob('*.png')); print('ready', flush=True); trash(root, images)"
    )
    dice = random.Random(5)
    torn = 0
    for attempt in range(3):
        root = make(tmp_path / str(attempt), *names)
        before = tree(root)
        process = subprocess.Popen(python_command("-c", program, str(root)), stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        bin_, wanted = root / ".lora-tui/trash/1", dice.randrange(1, 500)
        while not bin_.exists() or len(os.listdir(bin_)) < wanted:  # noqa: PTH208 - the quickest look
            assert process.poll() is None or len(os.listdir(bin_)) == len(names)  # noqa: PTH208
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        moved = len(list((root / ".lora-tui/trash").rglob("*.*"))) if (root / ".lora-tui/trash").exists() else 0
        torn += 0 < moved < len(names)
        assert json.loads((root / ".lora-tui/moves/1.json").read_text())["images"] == 400
        assert not moves.take_back(root, 1).failed
        assert tree(root) == before
    assert torn  # else nothing was shown
