"""Loading gives RGB of exactly the bucket's size, whatever the file holds, or an error that names the file."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageOps, ImageStat

from lora_tui.config.schema import Config, DataSection, DatasetEntry
from lora_tui.dataset import load
from lora_tui.dataset.batches import make_plan
from lora_tui.dataset.buckets import Fit, Size, buckets_for, fit_image
from lora_tui.dataset.load import content_hash, load_image, look_at, open_upright
from lora_tui.dataset.scan import scan_datasets
from lora_tui.errors import UserError

Draw = Callable[..., Image.Image]
MakeImage = Callable[..., Path]


def whole(width: int, height: int) -> Fit:
    return Fit(Size(width, height), Size(width, height), 0, 0)


def difference(first: Image.Image, second: Image.Image) -> float:
    """Mean absolute difference in grey levels."""
    assert first.size == second.size
    return sum(ImageStat.Stat(ImageChops.difference(first, second)).mean) / 3


def test_an_image_of_the_right_size_is_not_touched(tmp_path: Path, draw: Draw) -> None:
    picture = draw(64, 48)
    picture.save(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png", whole(64, 48)).tobytes() == picture.tobytes()


def test_crop_and_flip(tmp_path: Path, draw: Draw) -> None:
    picture = draw(64, 48)
    picture.save(tmp_path / "a.png")
    fit = Fit(Size(32, 40), Size(64, 48), 16, 4)
    cut = picture.crop((16, 4, 48, 44))
    assert load_image(tmp_path / "a.png", fit).tobytes() == cut.tobytes()
    assert load_image(tmp_path / "a.png", fit, flip=True).tobytes() == ImageOps.mirror(cut).tobytes()


@pytest.mark.parametrize("size", [(640, 480), (100, 333), (70, 50), (33, 21)])
def test_every_image_ends_at_its_bucket(tmp_path: Path, draw: Draw, size: tuple[int, int]) -> None:
    draw(*size).save(tmp_path / "a.png")
    data = DataSection(resolution=128, bucket_min=64, bucket_max=256)
    fit = fit_image(*size, data, buckets_for(data))
    loaded = load_image(tmp_path / "a.png", fit)
    assert (loaded.mode, loaded.size) == ("RGB", (fit.bucket.width, fit.bucket.height))


def test_shrinking_averages_areas(tmp_path: Path, draw: Draw) -> None:
    picture = draw(512, 384, 5)
    picture.save(tmp_path / "a.png")
    averaged = picture.reduce(4)
    assert difference(load_image(tmp_path / "a.png", whole(128, 96)), averaged) < 1.0


def test_fine_stripes_become_grey_when_shrunk(tmp_path: Path) -> None:
    stripes = Image.new("L", (1000, 10))
    stripes.putdata([255 * (column % 2) for _row in range(10) for column in range(1000)])
    stripes.save(tmp_path / "a.png")
    low, high = load_image(tmp_path / "a.png", whole(128, 10)).convert("L").getextrema()
    assert 100 < low <= high < 155


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, draw: Draw, name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    draw(40, 24, 3).save(tmp_path / name, exif=exif)
    with Image.open(tmp_path / name) as image:
        expected = ImageOps.exif_transpose(image).convert("RGB")
    assert open_upright(tmp_path / name).tobytes() == expected.tobytes()


def test_transparency_is_laid_over_white_or_another_colour(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    clear.paste((0, 0, 255, 255), (0, 0, 8, 16))
    clear.save(tmp_path / "a.png")
    on_white = load_image(tmp_path / "a.png", whole(16, 16))
    assert on_white.getpixel((0, 0)) == (0, 0, 255)
    assert on_white.getpixel((15, 0)) == (255, 255, 255)
    assert load_image(tmp_path / "a.png", whole(16, 16), background=(1, 2, 3)).getpixel((15, 0)) == (1, 2, 3)


def test_a_transparent_palette_is_laid_over_white(tmp_path: Path) -> None:
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    palette.putpixel((0, 0), 0)
    palette.save(tmp_path / "a.png", transparency=0)
    palette.save(tmp_path / "a.gif", transparency=0)
    for name in ("a.png", "a.gif"):
        loaded = load_image(tmp_path / name, whole(8, 8))
        assert (loaded.getpixel((0, 0)), loaded.getpixel((5, 5))) == ((255, 255, 255), (10, 200, 30))


def test_sixteen_bits_are_brought_to_eight(tmp_path: Path) -> None:
    deep = Image.new("I;16", (4, 1))
    for column, value in enumerate((0, 257 * 64, 257 * 128, 65535)):
        deep.putpixel((column, 0), value)
    deep.save(tmp_path / "a.png")
    deep.save(tmp_path / "a.tif")
    for name in ("a.png", "a.tif"):
        loaded = load_image(tmp_path / name, whole(4, 1))
        assert [loaded.getpixel((column, 0))[0] for column in range(4)] == [0, 64, 128, 255]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "YCbCr", "F", "RGBX"])
def test_other_modes_become_rgb(tmp_path: Path, draw: Draw, mode: str) -> None:
    picture = draw(32, 32).convert("L").convert(mode) if mode == "F" else draw(32, 32).convert(mode)
    name = {"CMYK": "a.jpg", "YCbCr": "a.jpg", "F": "a.tif", "RGBX": "a.tif"}.get(mode, "a.png")
    picture.save(tmp_path / name)
    loaded = load_image(tmp_path / name, whole(32, 32))
    assert loaded.mode == "RGB"
    if mode in ("P", "CMYK", "YCbCr"):
        assert difference(loaded, draw(32, 32)) < 25


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_of_an_animation_the_first_frame_is_used(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ((250, 10, 10), (10, 250, 10))]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=100)
    red, green, _blue = load_image(tmp_path / name, whole(32, 32)).getpixel((5, 5))
    assert red > 200 and green < 50


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_a_file_cut_short_is_named(tmp_path: Path, draw: Draw, name: str) -> None:
    path = tmp_path / name
    draw(200, 200).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(UserError) as caught:
        load_image(path, whole(200, 200))
    assert caught.value.code in ("image.damaged", "image.invalid")
    assert str(path) in caught.value.place
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.gif", "a.bmp", "a.tif"])
def test_any_damage_gives_pixels_or_a_clear_error(tmp_path: Path, draw: Draw, name: str) -> None:
    path = tmp_path / name
    draw(48, 40).save(path)
    data = path.read_bytes()
    chance = random.Random(name)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(chance.randrange(1, 6)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        path.write_bytes(bytes(damaged[: chance.randrange(1, len(damaged) + 1)]))
        try:
            loaded = load_image(path, whole(32, 32))
        except UserError as error:
            assert error.code in ("image.damaged", "image.invalid", "image.too_large")
            assert str(path) in error.place
        else:
            assert (loaded.mode, loaded.size) == ("RGB", (32, 32))


def test_an_image_changed_since_the_scan_is_an_error(make_image: MakeImage, tmp_path: Path, draw: Draw) -> None:
    path = make_image("set/a.png", 64, 64)
    config = Config()
    config.datasets = [DatasetEntry(path=str(tmp_path / "set"))]
    (planned,) = make_plan(config, scan_datasets(config)).train
    load_image(planned, planned.fit)
    draw(200, 20).save(path)
    with pytest.raises(UserError) as caught:
        load_image(planned, planned.fit)
    assert caught.value.code == "image.changed"


def test_a_preview_may_be_decoded_smaller(tmp_path: Path, draw: Draw) -> None:
    draw(1600, 800).save(tmp_path / "a.jpg")
    small = open_upright(tmp_path / "a.jpg", at_least=Size(100, 50))
    assert small.width < 1600
    assert small.width >= 100 and small.height >= 50


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_preview_of_a_turned_photograph_still_covers_the_size(tmp_path: Path, draw: Draw, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    draw(1600, 400).save(tmp_path / "a.jpg", exif=exif)
    wanted = Size(800, 200) if orientation == 1 else Size(200, 800)
    small = open_upright(tmp_path / "a.jpg", at_least=wanted)
    assert small.size == (wanted.width, wanted.height)


def test_a_large_photograph_loads_as_if_it_were_decoded_whole(tmp_path: Path, draw: Draw) -> None:
    draw(2000, 1500, 4).save(tmp_path / "a.jpg", quality=92)
    with Image.open(tmp_path / "a.jpg") as image:
        whole_image = image.convert("RGB").resize((400, 300), Image.Resampling.HAMMING)
    assert difference(load_image(tmp_path / "a.jpg", whole(400, 300)), whole_image) < 1.0


def test_transparency_counts_only_where_pixels_have_it(tmp_path: Path, draw: Draw) -> None:
    opaque = draw(16, 16).convert("RGBA")
    opaque.save(tmp_path / "a.png")
    assert not look_at(tmp_path / "a.png", Size(8, 8))[1]
    opaque.putpixel((3, 3), (0, 0, 0, 254))
    opaque.save(tmp_path / "a.png")
    assert look_at(tmp_path / "a.png", Size(8, 8))[1]
    draw(16, 16).save(tmp_path / "b.png")
    assert not look_at(tmp_path / "b.png", Size(8, 8))[1]


def test_the_hash_is_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"same")
    (tmp_path / "b").write_bytes(b"same")
    (tmp_path / "c").write_bytes(b"other")
    first, second, third = (content_hash(tmp_path / name) for name in "abc")
    assert first == second != third
    assert len(first) == 40
    with pytest.raises(UserError):
        content_hash(tmp_path / "d")


@pytest.mark.parametrize(("limit", "at_once"), [(1000, 1), (1_000_000, 3)])
def test_large_pictures_are_decoded_one_at_a_time(
    tmp_path: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch, limit: int, at_once: int
) -> None:
    """Memory stays bounded, however many threads look at images."""
    draw(60, 50).save(tmp_path / "a.png")
    monkeypatch.setattr(load, "LARGE_PIXELS", limit)
    flatten, at_work, seen, others = load._flatten, [0], [0], threading.Barrier(3)

    def watched(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
        at_work[0] += 1
        with contextlib.suppress(threading.BrokenBarrierError):
            others.wait(0.05 if at_once == 1 else 10)
        seen[0] = max(seen[0], at_work[0])
        at_work[0] -= 1
        return flatten(image, background)

    monkeypatch.setattr(load, "_flatten", watched)
    with ThreadPoolExecutor(3) as pool:
        assert {picture.size for picture in pool.map(open_upright, [tmp_path / "a.png"] * 3)} == {(60, 50)}
    assert seen[0] == at_once
