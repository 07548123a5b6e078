import argparse
import os
from pathlib import Path

import pytest
from PIL import Image

from lora_tui.bench.dataset import KINDS, build, make_pictures, measure, plain_check, plain_prepare
from lora_tui.dataset.prepare.carry import carry_out
from lora_tui.dataset.prepare.options import Options
from lora_tui.dataset.prepare.plan import make_plan
from lora_tui.dataset.scan import scan_folder
from lora_tui.dataset.similar import image_groups
from lora_tui.errors import UserError


def options(*args: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    build(parser)
    return parser.parse_args(args)


def test_the_pictures_are_different_and_of_every_kind(tmp_path: Path) -> None:
    folders = make_pictures(tmp_path, 8, 2)
    images = [image for folder in folders for image in scan_folder(folder).images]
    assert len({image.path.read_bytes() for image in images}) == 8
    assert {(image.path.suffix, image.facts.width, image.facts.height) for image in images} == set(KINDS)
    assert len(set(image_groups(scan_folder(tmp_path).images).values())) == 8, "none is nearly another"


def test_the_plain_loop_makes_the_same_images(tmp_path: Path) -> None:
    """Both sides of the comparison do the same work: sizes, places and captions."""
    (folder,) = make_pictures(tmp_path / "src", 4, 1)
    plain_prepare(folder, tmp_path / "plain", "png")
    carry_out(make_plan(folder, Options()), tmp_path / "ours", workers=1)
    names = {path.name for path in (tmp_path / "plain").iterdir()}
    assert names == {path.name for path in (tmp_path / "ours").iterdir()} - {".lora-tui"}
    for name in names:
        if name.endswith(".txt"):
            assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "ours" / name).read_bytes()
            continue
        with Image.open(tmp_path / "plain" / name) as one, Image.open(tmp_path / "ours" / name) as other:
            assert one.size == other.size
    assert len(plain_check(folder)) == 4


def test_every_row_is_measured_in_small(tmp_path: Path) -> None:
    home = os.environ["LORA_TUI_HOME"]
    figures = list(measure(options("--images", "4", "--pairs", "1", "--dir", str(tmp_path))))
    assert [(figure.unit, figure.bar, figure.least) for figure in figures] == [
        ("ratio", 1.0, True), ("ratio", 1.0, True), ("ratio", 0.8, True), ("s", None, False),
    ]  # fmt: skip
    assert all(figure.value > 0 for figure in figures)
    assert list(tmp_path.iterdir()) == []
    assert os.environ["LORA_TUI_HOME"] == home


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(UserError):
        list(measure(options("--images", "3")))
