import argparse
import os
from pathlib import Path

import pytest
from PIL import Image

from lora_tui.bench import dataset
from lora_tui.bench.dataset import build, make_pictures, measure, plain_check, plain_prepare
from lora_tui.dataset.prepare.carry import carry_out
from lora_tui.dataset.prepare.options import Options
from lora_tui.dataset.prepare.plan import make_plan
from lora_tui.dataset.scan import scan_folder
from lora_tui.dataset.similar import image_groups
from lora_tui.errors import UserError


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ((".jpg", 900, 675), (".png", 560, 560), (".jpg", 600, 800), (".webp", 700, 525))
    monkeypatch.setattr(dataset, "KINDS", kinds)
    monkeypatch.setattr(dataset, "GRAIN", 1000)


def options(*args: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    build(parser)
    return parser.parse_args(args)


def test_the_pictures_are_different_and_of_every_kind(tmp_path: Path) -> None:
    folders = make_pictures(tmp_path, 8, 2)
    images = [image for folder in folders for image in scan_folder(folder).images]
    assert len({image.path.read_bytes() for image in images}) == 8
    assert {(image.path.suffix, image.facts.width, image.facts.height) for image in images} == set(dataset.KINDS)
    assert len(set(image_groups(scan_folder(tmp_path).images).values())) == 8, "none is nearly another"


def test_the_plain_loop_makes_the_same_images(tmp_path: Path) -> None:
    """Both sides of the comparison do the same work: sizes, places and captions."""
    folder = make_pictures(tmp_path / "src", 4, 1)[0] / "0"
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
    kept = tmp_path / "kept"
    small = options("--images", "4", "--pairs", "1", "--tagged", "1", "--dir", str(tmp_path), "--keep", str(kept))
    figures = list(measure(small))
    assert [(figure.unit, figure.bar, figure.least) for figure in figures] == [
        ("ratio", 1.0, True), ("ratio", 1.0, True), ("ratio", 0.8, True), ("s", 2.0, False),
        ("bytes", 600e6, False), ("bytes", 600e6, False), ("ratio", 0.9, True),
    ]  # fmt: skip
    assert all(figure.value > 0 for figure in figures)
    assert list(tmp_path.iterdir()) == [kept], "the pictures alone are kept"
    assert os.environ["LORA_TUI_HOME"] == home


def test_kept_pictures_are_not_made_again(tmp_path: Path) -> None:
    (folder,) = make_pictures(tmp_path, 2, 1)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")}
    next(iter(before)).unlink()
    make_pictures(tmp_path, 3, 1)
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")}
    assert len(after) == 6 - (next(iter(before)) not in after)
    assert sum(after.get(path) == when for path, when in before.items()) >= 3


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(UserError):
        list(measure(options("--images", "3")))
