"""Masks are told apart from the images that they belong to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lora_tui.captions.masks import masks_among
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
