"""What headers tell: wrong endings, turned images, unusual colours, extreme shapes, files read twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from PIL.ImageFilter import GaussianBlur

from lora_tui.config.schema import Config, DatasetEntry
from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.checks import check_dataset
from lora_tui.dataset.notes import Crop, change_notes
from lora_tui.dataset.problems import Problem
from lora_tui.dataset.scan import scan_datasets, scan_folder
from lora_tui.dataset.statistics import tables


def codes(root: Path, **options: object) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for problem in check_dataset(scan_folder(root), **options):  # type: ignore[arg-type]
        found.setdefault(problem.code, set()).add(problem.path.name)
    return found


def test_endings_turns_and_colours_are_told(tmp_path: Path, draw: Callable[..., Image.Image]) -> None:
    draw(600, 600).save(tmp_path / "jpeg.png", format="JPEG")
    exif = Image.Exif()
    exif[0x0112] = 6
    draw(600, 600).save(tmp_path / "turned.jpg", exif=exif)
    draw(600, 600).convert("CMYK").save(tmp_path / "print.jpg")
    draw(600, 600).convert("CMYK").save(tmp_path / "print.tif")
    draw(600, 600).convert("I;16").save(tmp_path / "deep.png")
    draw(600, 600).save(tmp_path / "plain.png")
    draw(1600, 500).save(tmp_path / "long.webp")
    found = codes(tmp_path)
    assert found["image.ending"] == {"jpeg.png"}
    assert found["image.turned"] == {"turned.jpg"}
    assert found["image.cmyk"] == {"print.jpg", "print.tif"}
    assert found["image.deep"] == {"deep.png"}
    assert found["image.extreme"] == {"long.webp"}


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P"])
def test_usual_files_are_nothing_special(tmp_path: Path, draw: Callable[..., Image.Image], mode: str) -> None:
    draw(600, 600).convert("RGB").convert(mode if mode != "LA" else "L").convert(mode).save(tmp_path / "a.png")
    found = codes(tmp_path)
    assert not found.keys() & {"image.ending", "image.turned", "image.cmyk", "image.deep", "image.extreme"}


def test_a_file_in_two_datasets_is_named(tmp_path: Path, draw: Callable[..., Image.Image]) -> None:
    (tmp_path / "all/part").mkdir(parents=True)
    draw(600, 600).save(tmp_path / "all/part/a.png")
    draw(600, 600, 1).save(tmp_path / "all/b.png")
    config = Config(datasets=[DatasetEntry(path=str(tmp_path / "all")), DatasetEntry(path=str(tmp_path / "all/part"))])
    (problem,) = [one for one in check_dataset(scan_datasets(config)) if one.code == "image.twice"]
    assert problem.path.name == "a.png"
    assert "2 datasets" in problem.message


def test_a_link_to_an_image_is_the_same_file(tmp_path: Path, draw: Callable[..., Image.Image]) -> None:
    draw(600, 600).save(tmp_path / "a.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "a.png")
    (problem,) = [one for one in check_dataset(scan_folder(tmp_path)) if one.code == "image.twice"]
    assert "links" in problem.message and len(problem.others) == 1


def captioned(root: Path, draw: Callable[..., Image.Image], captions: list[str]) -> list[Problem]:
    for number, caption in enumerate(captions):
        draw(600, 600, number).save(root / f"{number:02}.png")
        (root / f"{number:02}.txt").write_text(caption)
    return [one for one in check_dataset(scan_folder(root), purpose="character") if one.code.startswith("set.")]


def test_what_no_image_shows_is_said_for_a_character(tmp_path: Path, draw: Callable[..., Image.Image]) -> None:
    views = ["from front", "from side", "from behind", "three-quarter view"]
    captions = [f"zob, {views[number % 3]}" for number in range(12)]
    (missing,) = captioned(tmp_path, draw, captions)
    assert missing.code == "set.missing"
    assert "three-quarter" in missing.message and "back" not in missing.message
    assert "light" not in missing.message  # nobody speaks of it


def test_images_of_one_kind_are_a_warning(tmp_path: Path, draw: Callable[..., Image.Image]) -> None:
    captions = ["zob, upper body", *["zob, portrait"] * 11]
    found = {one.code: one for one in captioned(tmp_path, draw, captions)}
    assert found["set.one_kind"].severity == "warning"
    assert "close-up" in found["set.one_kind"].message


def test_a_set_of_near_duplicates_is_a_warning(tmp_path: Path, draw: Callable[..., Image.Image]) -> None:
    for number in range(12):
        draw(600, 600, number % 6).save(tmp_path / f"{number}.png")
    found = {one.code: one for one in check_dataset(scan_folder(tmp_path), decode=True)}
    assert "100%" in found["set.alike"].message
    for number in range(6, 10):
        draw(600, 600, number).save(tmp_path / f"{number}.png")
    found = {one.code: one for one in check_dataset(scan_folder(tmp_path), decode=True)}
    assert "33%" in found["set.alike"].message  # 4 of 12: 4 and 10, 5 and 11
    for number in (10, 11):
        draw(600, 600, number).save(tmp_path / f"{number}.png")
    assert "set.alike" not in {one.code for one in check_dataset(scan_folder(tmp_path), decode=True)}


def test_the_part_of_an_image_that_is_used_is_checked(tmp_path: Path, draw: Callable[..., Image.Image]) -> None:
    wide = draw(1800, 600).convert("RGBA")
    wide.paste((0, 0, 0, 0), (1400, 0, 1800, 600))
    wide.paste(draw(600, 600, 5).filter(GaussianBlur(12)).convert("RGBA"), (0, 0))
    wide.save(tmp_path / "a.png")
    wide.crop((700, 0, 1300, 600)).save(tmp_path / "b.png")

    def checked(left: int) -> set[str]:
        crop = Crop(Box(left, 0, left + 600, 600), Size(1800, 600))
        change_notes(tmp_path, lambda notes: notes.with_crop("a.png", crop))
        scan = scan_folder(tmp_path)
        shapes = {bar.label: bar.number for bar in tables(scan.images, Config())[1].bars}
        assert shapes == {"square": 2}
        found = {one.code for one in check_dataset(scan, decode=True) if one.path.name == "a.png"}
        return found & {"image.extreme", "image.alpha", "image.blurred", "image.similar"}

    assert checked(700) == {"image.similar"}
    assert checked(0) == {"image.blurred"}
    assert checked(1200) == {"image.alpha"}
    assert checked(700) == {"image.similar"}  # none is taken for another that was kept


def test_transparency_that_says_what_counts_is_not_to_be_filled(
    tmp_path: Path, draw: Callable[..., Image.Image]
) -> None:
    picture = draw(600, 600).convert("RGBA")
    picture.putpixel((0, 0), (0, 0, 0, 0))
    picture.save(tmp_path / "a.png")
    config = Config()
    for source, wanted in (("alpha", False), ("file", True)):
        config.masks.source = source
        for decode in (False, True):
            found = check_dataset(scan_folder(tmp_path), config=config, decode=decode)
            assert ("image.alpha" in {one.code for one in found}) is wanted
