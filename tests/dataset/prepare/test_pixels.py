"""Pictures come out as they were meant, whatever the file holds."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageCms, ImageOps, ImageStat

from lora_tui.dataset.buckets import Size
from lora_tui.dataset.prepare.make import make
from lora_tui.dataset.prepare.options import Options
from lora_tui.dataset.prepare.pixels import in_srgb, open_source
from lora_tui.dataset.prepare.plan import make_plan
from lora_tui.errors import UserError

from .conftest import display_p3

Draw = Callable[..., Image.Image]


def apart(first: Image.Image, second: Image.Image) -> float:
    """Mean difference in grey levels."""
    assert (first.mode, first.size) == (second.mode, second.size)
    means = ImageStat.Stat(ImageChops.difference(first, second)).mean
    return sum(means) / len(means)


def made(folder: Path, name: str, **options: object) -> Image.Image:
    """The first picture that a preparation makes of the image ``name``."""
    plan = make_plan(folder, Options(**options))  # type: ignore[arg-type]
    item = next(item for item in plan.items if item.key == name)
    return next(iter(make(item, plan.options))).picture


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_every_orientation_is_turned_upright(tmp_path: Path, draw: Draw, orientation: int, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    draw(192, 128, 3).save(tmp_path / name, exif=exif, quality=95)
    with Image.open(tmp_path / name) as picture:
        upright = ImageOps.exif_transpose(picture).convert("RGB")
    assert made(tmp_path, name, size=128, shape="side").tobytes() == upright.tobytes()


def test_a_profile_is_turned_into_srgb(tmp_path: Path) -> None:
    """With the primaries of red and green exchanged, what is stored as red is green."""
    Image.new("RGB", (128, 128), (250, 10, 10)).save(tmp_path / "a.png", icc_profile=display_p3())
    Image.new("RGB", (128, 128), (250, 10, 10)).save(tmp_path / "b.png")
    red, green, blue = made(tmp_path, "a.png", size=128).getpixel((5, 5))  # type: ignore[misc]
    assert green > 200 > 100 > max(red, blue)
    assert made(tmp_path, "b.png", size=128).getpixel((5, 5)) == (250, 10, 10)


def test_transparent_images_have_their_profile_turned_too(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (128, 128), (250, 10, 10, 255))
    picture.paste((0, 0, 0, 0), (0, 0, 64, 128))
    picture.save(tmp_path / "a.png", icc_profile=display_p3())
    shown = made(tmp_path, "a.png", size=128, background="#102030")
    assert shown.getpixel((5, 5)) == (16, 32, 48), "the colour below is not turned"
    assert shown.getpixel((100, 5))[1] > 200  # type: ignore[index]


def test_a_profile_of_srgb_changes_nothing(tmp_path: Path, draw: Draw) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    draw(128, 128).save(tmp_path / "a.png", icc_profile=profile)
    assert made(tmp_path, "a.png", size=128).tobytes() == draw(128, 128).tobytes()


@pytest.mark.parametrize("profile", [b"nonsense", b"\0" * 200, display_p3()[:150]])
def test_a_damaged_profile_is_not_used(tmp_path: Path, draw: Draw, profile: bytes) -> None:
    draw(128, 128).save(tmp_path / "a.png", icc_profile=profile)
    assert made(tmp_path, "a.png", size=128).tobytes() == draw(128, 128).tobytes()


def test_a_profile_of_other_colours_is_not_used(draw: Draw) -> None:
    grey = draw(64, 64).convert("L")
    assert in_srgb(grey, display_p3()).tobytes() == grey.convert("RGB").tobytes()
    cmyk = draw(64, 64).convert("CMYK")
    assert in_srgb(cmyk, display_p3()).tobytes() == cmyk.convert("RGB").tobytes()


def test_sixteen_bits_and_floats_become_eight(tmp_path: Path) -> None:
    levels = [(n % 128) * 2 for n in range(128 * 128)]
    deep = Image.frombytes("I;16", (128, 128), b"".join((257 * level).to_bytes(2, "little") for level in levels))
    deep.save(tmp_path / "a.png")
    floats = Image.new("F", (128, 128))
    floats.putdata([level / 254 * 7.5 - 3 for level in levels])
    floats.save(tmp_path / "b.tif")
    for name, most in (("a.png", 254), ("b.tif", 255)):
        picture = made(tmp_path, name, size=128)
        assert picture.mode == "RGB"
        low, high = picture.convert("L").getextrema()
        assert (low, high) == (0, most)
        assert picture.getpixel((10, 0)) == pytest.approx((20, 20, 20), abs=1)


def test_cmyk_palette_and_grey_are_shown_as_pillow_shows_them(tmp_path: Path, draw: Draw) -> None:
    draw(128, 128, 1).convert("CMYK").save(tmp_path / "a.tif")
    draw(128, 128, 2).quantize(32).save(tmp_path / "b.png")
    draw(128, 128, 3).convert("L").save(tmp_path / "c.png")
    draw(128, 128, 4).convert("1").save(tmp_path / "d.png")
    for name in ("a.tif", "b.png", "c.png", "d.png"):
        with Image.open(tmp_path / name) as picture:
            assert made(tmp_path, name, size=128).tobytes() == picture.convert("RGB").tobytes()


def test_transparency_of_every_kind_is_filled(tmp_path: Path) -> None:
    half = Image.new("RGBA", (128, 128), (0, 0, 255, 255))
    half.paste((9, 9, 9, 0), (0, 0, 64, 128))
    half.save(tmp_path / "a.png")
    half.convert("LA").save(tmp_path / "b.png")
    half.save(tmp_path / "c.webp", lossless=True)
    palette = Image.new("P", (128, 128), 1)
    palette.putpalette([9, 9, 9, 0, 0, 255])
    palette.paste(0, (0, 0, 64, 128))
    palette.save(tmp_path / "d.png", transparency=0)
    palette.save(tmp_path / "e.gif", transparency=0)
    keyed = Image.new("RGB", (128, 128), (0, 0, 255))
    keyed.paste((9, 9, 9), (0, 0, 64, 128))
    keyed.save(tmp_path / "f.png", transparency=(9, 9, 9))
    for name in ("a.png", "b.png", "c.webp", "d.png", "e.gif", "f.png"):
        for ground, shown in (("white", (255, 255, 255)), ("black", (0, 0, 0)), ("#0a0", (0, 170, 0))):
            picture = made(tmp_path, name, size=128, background=ground)
            assert picture.getpixel((10, 10)) == shown, name
            assert picture.getpixel((100, 10)) == ((29, 29, 29) if name == "b.png" else (0, 0, 255))


def test_a_random_ground_is_its_own_for_each_file_and_always_the_same(tmp_path: Path) -> None:
    for name in "abcd":
        Image.new("RGBA", (128, 128)).save(tmp_path / f"{name}.png")
    grounds = [made(tmp_path, f"{name}.png", size=128, background="random").getpixel((0, 0)) for name in "abcda"]
    assert len(set(grounds)) == 4
    assert grounds[0] == grounds[4]
    assert made(tmp_path, "a.png", size=128, background="random", seed=1).getpixel((0, 0)) != grounds[0]


def test_edges_of_transparent_areas_do_not_take_on_hidden_colours(tmp_path: Path) -> None:
    """Below alpha 0 there may be any colour; shrinking must not mix it in."""
    picture = Image.new("RGBA", (512, 512), (255, 0, 255, 0))
    picture.paste((255, 255, 255, 255), (101, 103, 397, 401))
    picture.save(tmp_path / "a.png")
    shown = made(tmp_path, "a.png", size=128)
    assert shown.getextrema() == ((255, 255), (255, 255), (255, 255))


def test_a_large_jpeg_is_decoded_small_and_looks_the_same(tmp_path: Path, draw: Draw) -> None:
    draw(2000, 1500, 5).save(tmp_path / "a.jpg", quality=95)
    source = open_source(tmp_path / "a.jpg", at_least=Size(171, 128))
    assert source.image.width < 1000
    with Image.open(tmp_path / "a.jpg") as picture:
        plain = picture.convert("RGB").resize((171, 128), Image.Resampling.LANCZOS)
    shown = made(tmp_path, "a.jpg", size=128)
    assert apart(shown, plain.crop((21, 0, 149, 128))) < 1.5


def test_a_picture_that_is_shrunk_is_the_plain_one(tmp_path: Path, draw: Draw) -> None:
    """Less than a quarter of a grey level apart from Pillow's own scaling."""
    picture = draw(1024, 1024, 6)
    picture.save(tmp_path / "a.png")
    plain = picture.resize((128, 128), Image.Resampling.LANCZOS)
    assert apart(made(tmp_path, "a.png", size=128), plain) < 0.25
    plain = picture.resize((512, 512), Image.Resampling.LANCZOS)
    assert made(tmp_path, "a.png", size=512).tobytes() == plain.tobytes()


def test_an_image_that_changed_since_the_plan_is_refused(tmp_path: Path, draw: Draw) -> None:
    draw(128, 128).save(tmp_path / "a.png")
    plan = make_plan(tmp_path, Options(size=128))
    draw(130, 128).save(tmp_path / "a.png")
    with pytest.raises(UserError) as raised:
        list(make(plan.items[0], plan.options))
    assert raised.value.code == "image.changed"


def test_no_metadata_is_carried_along(tmp_path: Path, draw: Draw) -> None:
    from lora_tui.dataset.prepare.make import encode

    exif = Image.Exif()
    exif[0x010E] = "secret place"
    draw(256, 256).save(tmp_path / "a.jpg", exif=exif, comment=b"secret note")
    for form in ("png", "jpeg", "webp"):
        data = encode(made(tmp_path, "a.jpg", size=128), Options(format=form))
        assert b"secret" not in data
        with Image.open(io.BytesIO(data)) as again:
            assert not again.getexif()


def test_pictures_with_several_frames_give_their_first(tmp_path: Path, draw: Draw) -> None:
    """Also where the file holds them in a format that usually has one."""
    first, *others = (draw(160, 160, seed) for seed in (1, 2, 3))
    first.save(tmp_path / "a.png", save_all=True, append_images=others)
    first.save(tmp_path / "b.tif", save_all=True, append_images=others)
    first.save(tmp_path / "c.webp", save_all=True, append_images=others, lossless=True)
    first.save(tmp_path / "d.jpg", "MPO", save_all=True, append_images=others, quality=100, subsampling=0)
    for name in ("a.png", "b.tif", "c.webp"):
        assert (
            made(tmp_path, name, size=128, shape="square").tobytes()
            == first.resize((128, 128), Image.Resampling.LANCZOS).tobytes()
        )
    assert apart(made(tmp_path, "d.jpg", size=128), first.resize((128, 128), Image.Resampling.LANCZOS)) < 2
