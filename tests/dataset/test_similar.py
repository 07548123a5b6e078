"""Near-duplicates are found through re-encoding and resizing; different pictures are kept apart."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from PIL import Image, ImageDraw, ImageEnhance

from lora_tui.config.schema import Config, DatasetEntry
from lora_tui.dataset.batches import make_plan
from lora_tui.dataset.scan import Scan, scan_datasets, scan_folder
from lora_tui.dataset.similar import CELLS, COLUMNS, NOISE, difference_hash, image_groups
from lora_tui.settings import cache_dir

MakeImage = Callable[..., Path]
Draw = Callable[..., Image.Image]


def grouped(scan: Scan) -> list[set[str]]:
    """The groups of more than one image, by name."""
    numbers = image_groups(scan.images)
    groups: dict[int, set[str]] = {}
    for image in scan.images:
        groups.setdefault(numbers[image.uid], set()).add(image.relative)
    return [names for names in groups.values() if len(names) > 1]


def test_different_pictures_stand_alone(make_image: MakeImage, tmp_path: Path) -> None:
    for number in range(60):
        make_image(f"{number}.png", 200, 160, seed=number)
    assert grouped(scan_folder(tmp_path)) == []


def test_copies_in_other_formats_and_sizes_belong_together(tmp_path: Path, draw: Draw) -> None:
    for number in range(20):
        draw(240, 200, number).save(tmp_path / f"other{number}.png")
    picture = draw(240, 200, 99)
    picture.save(tmp_path / "a.png")
    picture.save(tmp_path / "b.jpg", quality=70)
    picture.resize((120, 100)).save(tmp_path / "c.webp")
    ImageEnhance.Brightness(picture).enhance(1.1).save(tmp_path / "d.png")
    assert grouped(scan_folder(tmp_path)) == [{"a.png", "b.jpg", "c.webp", "d.png"}]


def test_figures_on_a_plain_ground_are_kept_apart(tmp_path: Path) -> None:
    for number in range(12):
        picture = Image.new("RGB", (200, 200), "white")
        shape = ImageDraw.Draw(picture)
        place = random.Random(number)
        left, top = place.randrange(20, 120), place.randrange(20, 120)
        shape.ellipse((left, top, left + place.randrange(30, 70), top + place.randrange(30, 70)), fill="black")
        picture.save(tmp_path / f"{number}.png")
    assert grouped(scan_folder(tmp_path)) == []


def test_flat_pictures_of_one_grey_belong_together(tmp_path: Path) -> None:
    for name, grey in (("a.png", 100), ("b.png", 103), ("c.png", 200)):
        Image.new("L", (64, 64), grey).save(tmp_path / name)
    assert grouped(scan_folder(tmp_path)) == [{"a.png", "b.png"}]


def test_groups_do_not_depend_on_the_order(make_image: MakeImage, tmp_path: Path) -> None:
    for number in range(10):
        make_image(f"{number}.png", seed=number // 2)
    scan = scan_folder(tmp_path)
    assert image_groups(scan.images) == image_groups(scan.images[::-1])
    assert len(grouped(scan)) == 5


def test_an_image_that_cannot_be_decoded_stands_alone(make_image: MakeImage, tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        path = make_image(name, 200, 200)
        path.write_bytes(path.read_bytes()[:300])
    assert grouped(scan_folder(tmp_path)) == []


def test_fingerprints_are_kept_until_the_file_changes(make_image: MakeImage, tmp_path: Path) -> None:
    make_image("set/a.png", seed=1)
    make_image("set/b.png", seed=1)
    scan = scan_folder(tmp_path / "set")
    assert len(grouped(scan)) == 1
    for image in scan.images:
        image.path.unlink()
    assert len(grouped(scan)) == 1, "the second look needs no file"
    make_image("set/a.png", seed=1)
    make_image("set/b.png", 65, seed=2)
    assert grouped(scan_folder(tmp_path / "set")) == []


def test_a_damaged_store_is_no_obstacle(make_image: MakeImage, tmp_path: Path) -> None:
    make_image("a.png", seed=1)
    make_image("b.png", seed=1)
    scan = scan_folder(tmp_path)
    image_groups(scan.images)
    for file in cache_dir().glob("fingerprints-*"):
        file.write_bytes(b"this is no database" * 100)
    assert grouped(scan) == [{"a.png", "b.png"}]
    for image in scan.images:
        image.path.unlink()
    assert grouped(scan) == [{"a.png", "b.png"}], "the store was made anew"


def test_the_store_is_an_ordinary_database(make_image: MakeImage, tmp_path: Path) -> None:
    make_image("a.png")
    image_groups(scan_folder(tmp_path).images)
    (file,) = cache_dir().glob("fingerprints-*.sqlite")
    with sqlite3.connect(file) as database:
        assert database.execute("select count(*) from fingerprints").fetchone() == (1,)
    database.close()


def test_looking_can_be_stopped_and_watched(make_image: MakeImage, tmp_path: Path) -> None:
    for number in range(5):
        make_image(f"{number}.png", seed=1)
    scan = scan_folder(tmp_path)
    assert len(set(image_groups(scan.images, should_stop=lambda: True).values())) == 5
    done: list[int] = []
    assert len(set(image_groups(scan.images, on_progress=done.append).values())) == 1
    assert done[-1] == 5


def test_a_plan_never_trains_a_copy_of_what_it_validates(make_image: MakeImage, tmp_path: Path) -> None:
    for number in range(24):
        make_image(f"set/{number}.png", seed=number // 3)
    config = Config()
    config.datasets = [DatasetEntry(path=str(tmp_path / "set"))]
    config.validation.mode = "on"
    config.validation.share = 0.25
    plan = make_plan(config, scan_datasets(config))
    seeds = {int(one.image.path.stem) // 3 for one in plan.validation}
    assert len(plan.validation) == 6
    assert seeds.isdisjoint({int(one.image.path.stem) // 3 for one in plan.train})


def test_the_hash_says_of_each_cell_whether_it_is_darker_than_the_next_of_its_row() -> None:
    chance = random.Random(3)
    levels = (0, 1, 2, 253, 254, 255, *range(0, 256, 7))
    for _time in range(50):
        cells = bytes(chance.choice(levels) for _cell in range(CELLS))
        rows = [cells[start : start + COLUMNS] for start in range(0, CELLS, COLUMNS)]
        bits = "".join(str(int(b > min(a + NOISE, 255))) for row in rows for a, b in pairwise(row))
        assert difference_hash(cells + b"xy") == int(bits, 2)
