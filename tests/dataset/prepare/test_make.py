"""Padding, splitting, mirroring and the preview."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from lora_tui.dataset.prepare.make import Made, make
from lora_tui.dataset.prepare.options import Options
from lora_tui.dataset.prepare.plan import make_plan
from lora_tui.dataset.prepare.preview import preview
from lora_tui.errors import UserError

from .conftest import hashes, prepare

Draw = Callable[..., Image.Image]


def made(folder: Path, **options: object) -> list[Made]:
    plan = make_plan(folder, Options(**options))  # type: ignore[arg-type]
    return [one for item in plan.items for one in make(item, plan.options)]


def test_padding_with_a_colour_keeps_the_image_in_the_middle(tmp_path: Path, draw: Draw) -> None:
    draw(256, 128, 1).save(tmp_path / "a.png")
    (one,) = made(tmp_path, size=256, shape="square", fit="pad", pad="#ff8000")
    assert one.picture.crop((0, 64, 256, 192)).tobytes() == draw(256, 128, 1).tobytes()
    assert one.picture.crop((0, 0, 256, 64)).getcolors() == [(256 * 64, (255, 128, 0))]
    assert one.picture.crop((0, 192, 256, 256)).getcolors() == [(256 * 64, (255, 128, 0))]
    assert one.box == (0, 0, 256, 128)


def test_padding_with_the_edge_repeats_the_outermost_pixels(tmp_path: Path, draw: Draw) -> None:
    draw(100, 60, 2).save(tmp_path / "a.png")
    (one,) = made(tmp_path, size=128, shape="square", fit="pad", pad="edge")
    picture, left, top = one.picture, 14, 34
    assert picture.crop((left, top, left + 100, top + 60)).tobytes() == draw(100, 60, 2).tobytes()
    for x in range(0, 128, 9):
        for y in range(0, 128, 9):
            near = min(max(x, left), left + 99), min(max(y, top), top + 59)
            assert picture.getpixel((x, y)) == picture.getpixel(near)


def test_padding_with_a_blur_is_smooth_and_of_the_images_colours(tmp_path: Path) -> None:
    Image.new("RGB", (256, 128), (200, 30, 40)).save(tmp_path / "a.png")
    (one,) = made(tmp_path, size=256, shape="square", fit="pad", pad="blur")
    assert one.picture.getcolors() == [(256 * 256, (200, 30, 40))]


def test_the_ground_of_transparent_images_is_the_padding_unless_said(tmp_path: Path) -> None:
    Image.new("RGBA", (256, 128), (9, 9, 9, 0)).save(tmp_path / "a.png")
    (one,) = made(tmp_path, size=256, shape="square", fit="pad", background="#123456")
    assert one.picture.getcolors() == [(256 * 256, (0x12, 0x34, 0x56))]


def test_pieces_of_a_long_image_put_together_are_the_image(tmp_path: Path, draw: Draw) -> None:
    draw(128, 500, 3).save(tmp_path / "a.png")
    pieces = made(tmp_path, size=128, split=2.0, overlap=0.25)
    assert len(pieces) == 5
    whole = Image.new("RGB", (128, 500))
    for one in pieces:
        assert one.picture.size == (128, 128)
        whole.paste(one.picture, (0, int(one.box[1])))
    assert whole.tobytes() == draw(128, 500, 3).tobytes()


def test_a_mirrored_copy_is_the_mirrored_image(tmp_path: Path, draw: Draw) -> None:
    draw(300, 200, 4).save(tmp_path / "a.jpg")
    one, other = made(tmp_path, size=128, flips=True, at="subject")
    assert other.piece.flipped
    assert ImageOps.mirror(one.picture).tobytes() == other.picture.tobytes()
    assert one.box == other.box


def test_a_preview_is_what_is_written(tmp_path: Path, mixed: Path) -> None:
    options = Options(size=128, at="subject", flips=True, shape="square")
    plan = make_plan(mixed, options)
    prepare(mixed, tmp_path / "dst", size=128, at="subject", flips=True, shape="square")
    before = hashes(tmp_path / "src")
    for item in plan.items:
        shown = preview(item, options, most=100)
        facts = item.image.facts
        assert max(shown.before.size) == 100
        assert shown.before.width / shown.before.height == pytest.approx(facts.width / facts.height, rel=0.03)
        assert len(shown.after) == len(item.pieces) == 2
        for picture, piece, box in zip(shown.after, item.pieces, shown.boxes, strict=True):
            with Image.open(tmp_path / "dst" / piece.name) as written:
                assert written.tobytes() == picture.tobytes()
            assert 0 <= box[0] < box[2] <= facts.width + 1e-6
            assert 0 <= box[1] < box[3] <= facts.height + 1e-6
    assert hashes(tmp_path / "src") == before


def test_a_preview_of_a_damaged_image_names_it(tmp_path: Path, draw: Draw) -> None:
    draw(200, 200).save(tmp_path / "a.png")
    plan = make_plan(tmp_path, Options(size=128))
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[:120] + bytes(60) + data[180:])
    with pytest.raises(UserError) as raised:
        preview(plan.items[0], plan.options)
    assert (raised.value.code, raised.value.place) == ("image.damaged", str(tmp_path / "a.png"))
