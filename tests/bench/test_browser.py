import argparse
from pathlib import Path

import pytest

from lora_tui.bench.browser import build, make_linked, measure
from lora_tui.dataset.scan import scan_folder
from lora_tui.dataset.similar import image_groups
from lora_tui.errors import UserError


def options(*args: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    build(parser)
    return parser.parse_args(args)


def test_the_images_are_different_up_to_as_many_as_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lora_tui.bench.browser.DIFFERENT", 8)
    make_linked(tmp_path, 10)
    images = scan_folder(tmp_path).images
    assert [image.path.stem for image in images] == [f"{number:06}" for number in range(10)]
    assert len({image.path.read_bytes() for image in images}) == 8
    assert len(set(image_groups(images).values())) == 8
    assert all(image.caption_path is not None for image in images)


def test_every_row_is_measured_in_small(tmp_path: Path) -> None:
    figures = list(measure(options("--images", "60", "--keys", "4", "--dir", str(tmp_path))))
    assert [(figure.unit, figure.bar) for figure in figures] == [
        ("s", None), ("ms", 30.0), ("ms", 30.0), ("bytes", None), ("ms", None), ("ms", 30.0), ("ms", None),
        ("ms", 30.0), ("bytes", 600e6),
    ]  # fmt: skip
    assert all(figure.value >= 0 for figure in figures)
    assert list(tmp_path.iterdir()) == []


def test_too_few_images_are_refused() -> None:
    with pytest.raises(UserError):
        list(measure(options("--images", "3")))
