"""Close-ups that captions do not name, and images held out whose mirror image is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from lora_tui.config.load import parse_config
from lora_tui.config.schema import Config
from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.check_apart import check_dataset_apart
from lora_tui.dataset.checks import check_dataset
from lora_tui.dataset.notes import Crop, change_notes
from lora_tui.dataset.scan import scan_datasets, scan_folder

Draw = Callable[..., Image.Image]


@pytest.fixture
def folder(tmp_path: Path, draw: Draw) -> Path:
    for number, caption in enumerate(("hat", "hat, close-up", "a portrait of a hat", "hat")):
        draw(900, 900, number).save(tmp_path / f"{number}.png")
        (tmp_path / f"{number}.txt").write_text(caption)
    return tmp_path


@pytest.mark.parametrize(
    ("purpose", "named"), [("character", ["0.png"]), ("", ["0.png"]), ("element", []), ("style", [])]
)
def test_a_closeup_is_told_where_the_subject_matters_and_no_caption_says_it(
    folder: Path, purpose: str, named: list[str]
) -> None:
    seen = [folder / "0.png", folder / "1.png", folder / "2.png"]
    found = check_dataset(scan_folder(folder), purpose=purpose, closeups=seen)
    assert [one.path.name for one in found if one.code == "image.close"] == named


def test_a_small_part_cut_out_by_hand_is_a_closeup(folder: Path) -> None:
    crops = {"0.png": Box(0, 0, 300, 300), "3.png": Box(0, 0, 600, 600)}
    for name, box in crops.items():
        crop = Crop(box, Size(900, 900))
        change_notes(folder, lambda notes, name=name, crop=crop: notes.with_crop(name, crop))  # type: ignore[misc]
    found = check_dataset(scan_folder(folder))
    assert [one.path.name for one in found if one.code == "image.close"] == ["0.png"]


def validated(folder: Path, mode: str = "on") -> Config:
    values = {"datasets": [{"path": str(folder)}], "validation": {"mode": mode, "share": 0.5}}
    return parse_config(values, base=None, place="test")


def test_a_mirror_image_that_is_trained_spoils_what_is_held_out(
    tmp_path: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        picture = draw(200, 200, number)
        picture.save(tmp_path / f"{number}.png")
        if number < 4:
            ImageOps.mirror(picture).save(tmp_path / f"{number}-flipped.jpg", quality=92)
    scan = scan_datasets(validated(tmp_path))
    told = [one for one in check_dataset(scan, config=validated(tmp_path), decode=True) if one.code == "image.held_out"]
    assert told
    for one in told:
        (other,) = one.others
        assert {one.path.stem, other.stem} == {one.path.stem[0], f"{one.path.stem[0]}-flipped"}
        assert other.name in one.message
    monkeypatch.setattr("lora_tui.dataset.check_apart.DECODED_APART_FROM", 1)
    apart = check_dataset_apart(scan, config=validated(tmp_path), decode=True)
    assert [one for one in apart if one.code == "image.held_out"] == told
    without = validated(tmp_path, "off")
    assert not [one for one in check_dataset(scan, config=without, decode=True) if one.code == "image.held_out"]


def test_one_picture_in_two_datasets_is_told_as_that(tmp_path: Path, draw: Draw) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        draw(200, 200).save(tmp_path / name / f"{name}.png")
        draw(200, 200, len(name) + ord(name[0])).save(tmp_path / name / "other.png")
    values = {"datasets": [{"path": str(tmp_path / name)} for name in ("one", "two")]}
    config = parse_config(values, base=None, place="test")
    found = check_dataset(scan_datasets(config), config=config, decode=True)
    (same,) = [one for one in found if one.code == "image.identical"]
    assert same.message == "The same picture is in several datasets: two.png."
