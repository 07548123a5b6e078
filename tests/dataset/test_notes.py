"""What a person notes about a dataset is kept as it was said, and scan, plan, pixels and caches obey it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lora_tui.config.schema import Config, DatasetEntry
from lora_tui.dataset.batches import make_plan
from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.checks import check_dataset
from lora_tui.dataset.filter_facts import FilterFacts
from lora_tui.dataset.load import load_image
from lora_tui.dataset.notes import Crop, Notes, NotesBelow, change_notes, load_notes, name_in_notes
from lora_tui.dataset.scan import Scan, scan_datasets, scan_folder
from lora_tui.errors import UserError

MakeImage = Callable[..., Path]
Draw = Callable[..., Image.Image]

texts = st.text(st.characters(codec="utf-8"), max_size=30)
crops = st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(1, 50), st.integers(1, 50)).map(
    lambda c: Crop(Box(c[0], c[1], c[0] + c[2], c[1] + c[3]), Size(c[0] + c[2] + 7, c[1] + c[3]))
)
notes = st.builds(
    Notes,
    excluded=st.frozensets(texts),
    reviewed=st.frozensets(texts),
    crops=st.dictionaries(texts, crops, max_size=4),
    source=texts,
    licence=texts,
    alike=st.frozensets(st.frozensets(texts, max_size=3), max_size=3),
)


def names(scan: Scan) -> list[str]:
    return [image.relative for image in scan.images]


def leave_out(home: Path, *left_out: str) -> None:
    change_notes(home, lambda old: old.excluding(*left_out))


def cut(home: Path, name: str, box: Box, of: Size) -> None:
    change_notes(home, lambda old: old.with_crop(name, Crop(box, of)))


@given(notes)
def test_notes_are_read_back_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, wanted: Notes) -> None:
    home = tmp_path_factory.mktemp("set")
    change_notes(home, lambda _old: wanted)
    assert load_notes(home) == wanted


def test_marks_come_and_go(tmp_path: Path) -> None:
    crop = Crop(Box(0, 0, 4, 4), Size(8, 8))
    change_notes(tmp_path, lambda old: old.excluding("a", "b").reviewing("a").with_crop("a", crop))
    change_notes(tmp_path, lambda old: old.including("a").reviewing("a", reviewed=False).with_crop("a", None))
    assert load_notes(tmp_path) == Notes(excluded=frozenset("b"))


def test_an_image_that_is_left_out_is_not_found_and_is_told(tmp_path: Path, make_image: MakeImage) -> None:
    for name in ("a.png", "b.png", "sub/c.png"):
        make_image(name)
    leave_out(tmp_path, "b.png", "sub/c.png", "never-there.png")
    scan = scan_folder(tmp_path)
    assert names(scan) == ["a.png"]
    assert [image.relative for image in scan.excluded] == ["b.png", "sub/c.png"]
    (problem,) = scan.problems
    assert (problem.code, problem.severity) == ("image.excluded", "note")
    assert problem.others == (tmp_path / "b.png", tmp_path / "sub/c.png")


def test_the_plan_leaves_out_what_is_left_out(tmp_path: Path, make_image: MakeImage) -> None:
    for number in range(4):
        make_image(f"{number}.png", seed=number)
    leave_out(tmp_path, "1.png")
    config = Config(datasets=[DatasetEntry(path=str(tmp_path))])
    scan = scan_datasets(config)
    assert [one.image.relative for one in make_plan(config, scan).train] == ["0.png", "2.png", "3.png"]
    assert [image.relative for image in scan.excluded] == ["1.png"]


def test_notes_of_a_folder_around_and_of_one_below_both_hold(tmp_path: Path, make_image: MakeImage) -> None:
    """A dataset may have been opened as a whole and as one of its folders."""
    for name in ("a.png", "10_hat/b.png", "10_hat/c.png", "10_hat/d.png", "10_hat/deep/e.png"):
        make_image(name, 64, 48)
    (tmp_path / "10_hat" / ".lora-tui").mkdir()
    leave_out(tmp_path / "10_hat", "b.png")
    cut(tmp_path / "10_hat", "d.png", Box(0, 0, 10, 10), Size(64, 48))
    (tmp_path / ".lora-tui").mkdir()
    leave_out(tmp_path, "10_hat/c.png", "10_hat/deep/e.png")
    cut(tmp_path, "10_hat/d.png", Box(0, 0, 20, 20), Size(64, 48))
    scan = scan_folder(tmp_path)
    assert names(scan) == ["10_hat/d.png", "a.png"]
    assert scan.images[0].crop == Box(0, 0, 10, 10), "the nearest crop holds"
    below = NotesBelow(tmp_path)
    assert [below.excluded(name) for name in ("a.png", "10_hat/b.png", "10_hat/deep/e.png")] == [False, True, True]
    assert names(scan_folder(tmp_path / "10_hat" / "deep")) == ["e.png"], "the nearest folder with notes is 10_hat"


def test_notes_of_the_folder_around_hold_for_a_part_of_it(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("sub/a.png")
    make_image("sub/b.png")
    leave_out(tmp_path, name_in_notes(tmp_path, tmp_path / "sub" / "a.png"))
    assert names(scan_folder(tmp_path / "sub")) == ["b.png"]


def test_a_name_that_is_no_utf8_can_be_left_out(tmp_path: Path, draw: Draw) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    draw().save(path)
    leave_out(tmp_path, name_in_notes(tmp_path, path))
    assert names(scan_folder(tmp_path)) == []


def test_a_crop_is_what_is_planned_and_loaded(tmp_path: Path, make_image: MakeImage) -> None:
    path = make_image("a.png", 300, 200, seed=4)
    box = Box(30, 20, 158, 148)
    cut(tmp_path, "a.png", box, Size(300, 200))
    config = Config(datasets=[DatasetEntry(path=str(tmp_path))])
    config.data.resolution, config.data.bucket_min = 128, 64
    scan = scan_datasets(config)
    assert (scan.images[0].width, scan.images[0].height) == (128, 128)
    (planned,) = make_plan(config, scan).train
    assert planned.fit.source == box
    with Image.open(path) as picture:
        assert load_image(planned, planned.fit).tobytes() == picture.crop((30, 20, 158, 148)).tobytes()
    assert [problem.code for problem in check_dataset(scan, config=config)] == ["caption.missing"]
    fact = FilterFacts(tmp_path, ["a.png"], config.data).image(0)
    assert fact is not None and fact.bucket == (128, 128) and (fact.width, fact.height) == (300, 200)


def test_a_crop_of_a_large_photograph_is_taken_from_the_right_place(tmp_path: Path, draw: Draw) -> None:
    """Also where the file is decoded at a fraction of its size, turned by its EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = draw(1600, 1200, 3)
    picture.save(tmp_path / "a.jpg", quality=95, exif=exif)
    upright = picture.transpose(Image.Transpose.ROTATE_270)
    box = Box(100, 300, 1124, 1324)
    cut(tmp_path, "a.jpg", box, Size(1200, 1600))
    config = Config(datasets=[DatasetEntry(path=str(tmp_path))])
    config.data.resolution, config.data.bucket_min = 128, 64
    (planned,) = make_plan(config, scan_datasets(config)).train
    loaded = load_image(planned, planned.fit)
    wanted = upright.crop((100, 300, 1124, 1324)).reduce(8)
    from PIL import ImageChops, ImageStat

    assert sum(ImageStat.Stat(ImageChops.difference(loaded, wanted)).mean) / 3 < 2.0


def test_a_crop_of_an_image_that_changed_is_told_and_not_used(tmp_path: Path, make_image: MakeImage) -> None:
    make_image("a.png", 64, 48)
    cut(tmp_path, "a.png", Box(0, 0, 10, 10), Size(640, 480))
    scan = scan_folder(tmp_path)
    assert scan.images[0].crop is None
    assert [problem.code for problem in scan.problems] == ["image.crop"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("excluded = 3", "notes.invalid"),
        ("excluded = [3]", "notes.invalid"),
        ("crops = []", "notes.invalid"),
        ('[crops]\n"a" = [1, 2, 3]', "notes.invalid"),
        ('[crops]\n"a" = [0, 0, 9, 9, 5, 5]', "notes.invalid"),
        ('[crops]\n"a" = [-1, 0, 9, 9, 50, 50]', "notes.invalid"),
        ('[crops]\n"a" = [0, 0, true, 9, 50, 50]', "notes.invalid"),
        ('[crops]\n"a" = [0, 0, 0, 9, 50, 50]', "notes.invalid"),
        ("source = []", "notes.invalid"),
        ("nothing = 1", "notes.invalid"),
        ("version = 99", "notes.newer"),
        ('version = "x"', "notes.invalid"),
        ("version = 1.5", "notes.invalid"),
        ("version = true", "notes.invalid"),
        ("excluded = [", "notes.invalid"),
        ("a" * 5_000_000, "notes.invalid"),
        ("x = " + "[" * 5000, "notes.invalid"),
    ],
    ids=lambda text: text[:20],
)
def test_a_file_that_says_something_else_is_an_error_with_its_place(tmp_path: Path, text: str, code: str) -> None:
    (tmp_path / ".lora-tui").mkdir()
    (tmp_path / ".lora-tui" / "dataset.toml").write_text(text)
    with pytest.raises(UserError) as raised:
        scan_folder(tmp_path)
    assert (raised.value.code, raised.value.place) == (code, str(tmp_path / ".lora-tui" / "dataset.toml"))
    with pytest.raises(UserError):
        leave_out(tmp_path, "a")
    assert (tmp_path / ".lora-tui" / "dataset.toml").read_text() == text, "what cannot be read is not replaced"


def test_a_pipe_in_the_place_of_the_notes_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / ".lora-tui").mkdir()
    os.mkfifo(tmp_path / ".lora-tui" / "dataset.toml")
    with pytest.raises(UserError, match=r"(?i)pipe"):
        scan_folder(tmp_path)


def test_two_programs_that_change_notes_lose_nothing(tmp_path: Path) -> None:
    (tmp_path / ".lora-tui").mkdir()
    program = (
        "import sys; from pathlib import Path; from lora_tui.dataset.notes import change_notes\n"
        "for number in range(25): change_notes(Path(sys.argv[1]), lambda old: old.excluding(f'{sys.argv[2]}{number}'))"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), name]) for name in "ab"]
    assert [process.wait(60) for process in running] == [0, 0]
    assert load_notes(tmp_path).excluded == {f"{name}{number}" for name in "ab" for number in range(25)}


def test_a_source_that_is_too_long_is_refused_not_cut(tmp_path: Path) -> None:
    with pytest.raises(UserError) as raised:
        change_notes(tmp_path, lambda notes: notes.about(source="x" * 12_000))
    assert raised.value.code == "notes.too_long"
    assert load_notes(tmp_path).source == ""
