"""Masks are told apart from the images that they belong to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lora_tui.captions.masks import masks_among
from lora_tui.dataset.notes import change_notes
from lora_tui.dataset.scan import scan_folder

MakeImage = Callable[..., Path]


def test_masks_of_each_convention_belong_to_their_image() -> None:
    assert masks_among(["a.jpg", "a-masklabel.png", "b.png", "b-condlabel.png"]) == {
        "a-masklabel.png": "a.jpg",
        "b-condlabel.png": "b.png",
    }
    assert masks_among(["10_hat/a.jpg", "10_hat/masks/a.png"]) == {"10_hat/masks/a.png": "10_hat/a.jpg"}
    assert masks_among(["10_hat/a.jpg", "masks/10_hat/a.png"]) == {"masks/10_hat/a.png": "10_hat/a.jpg"}


def test_pictures_of_masks_are_images() -> None:
    assert masks_among(["masks/venice.png", "mask/tiger.png", "b-masklabel.png", "mask.png"]) == {}


def test_a_scan_trains_no_mask_and_knows_it(tmp_path: Path, make_image: MakeImage) -> None:
    for name in ("a.png", "a-masklabel.png", "b.jpg", "masks/b.png", "c.png"):
        make_image(name)
    scan = scan_folder(tmp_path)
    found = {image.relative: image.mask_path and image.mask_path.name for image in scan.images}
    assert found == {"a.png": "a-masklabel.png", "b.jpg": "b.png", "c.png": None}
    (problem,) = scan.problems
    assert (problem.code, problem.severity) == ("image.mask", "note")
    assert {path.name for path in problem.others} == {"a-masklabel.png", "b.png"}


def test_the_mask_of_an_image_that_is_not_used_is_no_image(tmp_path: Path, make_image: MakeImage) -> None:
    for name in ("a.png", "masks/a.png", "b.png", "b-masklabel.png", "c.png", "masks/c.png", "masks/d.png"):
        make_image(name)
    (tmp_path / "d.heic").write_bytes(b"x")
    change_notes(tmp_path, lambda notes: notes.excluding("a.png"))
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:30])
    scan = scan_folder(tmp_path)
    assert [(image.relative, image.mask_path) for image in scan.images] == [("c.png", tmp_path / "masks/c.png")]
    (noted,) = (problem for problem in scan.problems if problem.code == "image.mask")
    assert {path.relative_to(tmp_path).as_posix() for path in noted.others} == {
        *("masks/a.png", "b-masklabel.png", "masks/c.png", "masks/d.png")
    }


def test_a_mask_is_that_of_the_image_that_is_used_among_those_of_one_name(
    tmp_path: Path, make_image: MakeImage
) -> None:
    for name in ("a.jpg", "a.png", "masks/a.png"):
        make_image(name)
    change_notes(tmp_path, lambda notes: notes.excluding("a.jpg"))
    (image,) = scan_folder(tmp_path).images
    assert (image.relative, image.mask_path) == ("a.png", tmp_path / "masks/a.png")
