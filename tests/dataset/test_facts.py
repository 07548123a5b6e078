"""Facts read from headers agree with what Pillow decodes, and damaged or hostile files get a clear error."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from lora_tui.dataset.facts import MAX_PIXELS, read_facts
from lora_tui.errors import UserError

Draw = Callable[..., Image.Image]

STILL = [
    ("a.png", "RGB", {}),
    ("a.png", "RGBA", {}),
    ("a.png", "L", {}),
    ("a.png", "LA", {}),
    ("a.png", "P", {}),
    ("a.png", "1", {}),
    ("a.png", "I;16", {}),
    ("a.jpg", "RGB", {}),
    ("a.jpg", "RGB", {"progressive": True}),
    ("a.jpg", "L", {}),
    ("a.jpeg", "CMYK", {}),
    ("a.webp", "RGB", {}),
    ("a.webp", "RGB", {"lossless": True}),
    ("a.webp", "RGBA", {}),
    ("a.webp", "RGBA", {"lossless": True}),
    ("a.gif", "P", {}),
    ("a.bmp", "RGB", {}),
    ("a.tif", "RGB", {}),
    ("a.tiff", "CMYK", {}),
    ("a.avif", "RGB", {}),
]


def saved(path: Path, image: Image.Image, mode: str, **options: object) -> Path:
    converted = image.convert("L").convert("I;16") if mode == "I;16" else image.convert(mode)
    if mode in ("RGBA", "LA"):
        converted.putalpha(Image.linear_gradient("L").resize(image.size))
    converted.save(path, **options)
    return path


@pytest.mark.parametrize(("name", "mode", "options"), STILL)
def test_size_format_and_alpha_are_those_that_decoding_finds(
    tmp_path: Path, draw: Draw, name: str, mode: str, options: dict[str, object]
) -> None:
    path = saved(tmp_path / name, draw(37, 23), mode, **options)
    facts = read_facts(path)
    with Image.open(path) as image:
        assert (facts.width, facts.height) == image.size == (37, 23)
        assert facts.format == image.format
        assert facts.alpha == ("A" in image.getbands() or "transparency" in image.info)
    assert not facts.animated
    assert facts.orientation == 1
    status = path.stat()
    assert (facts.size, facts.mtime_ns) == (status.st_size, status.st_mtime_ns)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif", "a.avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_size(tmp_path: Path, draw: Draw, name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera of some make"
    exif[0x0112] = orientation
    path = tmp_path / name
    draw(40, 24).save(path, exif=exif)
    facts = read_facts(path)
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)
    assert (facts.width, facts.height) == upright.size
    assert facts.orientation == (1 if name == "a.tif" else orientation)  # decoding turns TIFF by itself


@pytest.mark.parametrize("torn", [False, True])
def test_an_orientation_behind_the_pixels_of_a_png_counts(tmp_path: Path, draw: Draw, torn: bool) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "a.png"
    draw(400, 240).save(path, exif=exif)
    raw = path.read_bytes()
    start = raw.index(b"eXIf") - 4
    end = start + 12 + struct.unpack_from(">I", raw, start)[0]
    chunk = raw[start:end]
    rest = raw[:start] + raw[end:]
    path.write_bytes(rest[:-12] + (chunk[:-1] + b"?" if torn else chunk) + rest[-12:])
    facts = read_facts(path)
    assert (facts.width, facts.height, facts.orientation) == ((400, 240, 1) if torn else (240, 400, 6))


def test_an_orientation_out_of_range_is_upright(tmp_path: Path, draw: Draw) -> None:
    exif = Image.Exif()
    exif[0x0112] = 77
    path = tmp_path / "a.jpg"
    draw(40, 24).save(path, exif=exif)
    assert read_facts(path).orientation == 1


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_several_frames_are_animated(tmp_path: Path, draw: Draw, name: str) -> None:
    path = tmp_path / name
    draw(300, 200, 1).save(path, save_all=True, append_images=[draw(300, 200, 2), draw(300, 200, 3)], duration=50)
    facts = read_facts(path)
    assert facts.animated
    assert (facts.width, facts.height) == (300, 200)


def test_transparent_palettes_have_alpha(tmp_path: Path, draw: Draw) -> None:
    palette = draw(30, 20).quantize(8)
    palette.save(tmp_path / "a.png", transparency=3)
    palette.save(tmp_path / "a.gif", transparency=3)
    assert read_facts(tmp_path / "a.png").alpha
    assert read_facts(tmp_path / "a.gif").alpha


def test_the_ending_does_not_matter(tmp_path: Path, draw: Draw) -> None:
    path = tmp_path / "a.png"
    draw(30, 20).save(path, format="JPEG")
    assert read_facts(path).format == "JPEG"


def test_a_long_run_of_metadata_is_skipped(tmp_path: Path, draw: Draw) -> None:
    path = tmp_path / "a.jpg"
    draw(30, 20).save(path)
    data = path.read_bytes()
    filler = b"\xff\xe2" + struct.pack(">H", 60_002) + bytes(60_000)
    path.write_bytes(data[:2] + filler * 5 + b"\xff\xff" + data[2:])
    assert (read_facts(path).width, read_facts(path).height) == (30, 20)


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(64))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(60_000, 60_000), (2**31 - 1, 2**31 - 1), (MAX_PIXELS + 1, 1)])
def test_an_image_bomb_is_refused_by_its_header(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_claiming(*size))
    with pytest.raises(UserError) as caught:
        read_facts(path)
    assert caught.value.code == "image.too_large"
    assert f"{size[0]:,}" in caught.value.message


def test_a_bomb_in_a_format_that_pillow_reads_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.bmp"
    header = (
        b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 60_000, 60_000, 1, 24, *[0] * 6)
    )
    path.write_bytes(header)
    with pytest.raises(UserError) as caught:
        read_facts(path)
    assert caught.value.code == "image.too_large"
    assert "more than 178 million" in caught.value.message and " x " not in caught.value.message  # which it never told


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


BROKEN: list[tuple[str, Callable[[Path], object], str]] = [
    ("nothing", lambda path: path.write_bytes(b""), "image.empty"),
    ("text", lambda path: path.write_text("not an image"), "image.invalid"),
    ("zero width", lambda path: path.write_bytes(png_claiming(0, 5)), "image.invalid"),
    ("html", lambda path: path.write_text("<!doctype html><title>404</title>"), "image.invalid"),
    ("only a signature", lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n"), "image.invalid"),
    ("only a marker", lambda path: path.write_bytes(b"\xff\xd8\xff\xe0"), "image.invalid"),
    ("postscript", lambda path: path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), "image.invalid"),
    ("portable pixmap", lambda path: path.write_bytes(b"P6 1 1 255\n\0\0\0"), "image.invalid"),
    ("riff", lambda path: path.write_bytes(b"RIFF\0\0\0\0WEBPVP9 \0\0\0\0\0\0\0\0\0\0"), "image.invalid"),
    ("folder", lambda path: path.mkdir(), "image.unreadable"),
    ("fifo", make_fifo, "image.unreadable"),
    ("broken link", lambda path: path.symlink_to("nowhere"), "image.unreadable"),
    ("link to itself", lambda path: path.symlink_to(path), "image.unreadable"),
]


@pytest.mark.parametrize(("make", "code"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_what_is_no_image_is_named_with_a_remedy(tmp_path: Path, make: Callable[[Path], object], code: str) -> None:
    path = tmp_path / "x.png"
    make(path)
    with pytest.raises(UserError) as caught:
        read_facts(path)
    assert caught.value.code == code
    assert str(path) in caught.value.place
    assert caught.value.remedy


def test_a_hostile_name_is_shown_without_control_characters(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[31m\nb.png"
    path.write_bytes(b"no image")
    with pytest.raises(UserError) as caught:
        read_facts(path)
    assert "\x1b" not in str(caught.value)
    assert "\n" not in str(caught.value)


STARTS = [
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    b"\xff\xd8\xff",
    b"RIFF\0\0\0\0WEBPVP8X",
    b"RIFF\0\0\0\0WEBPVP8 ",
    b"GIF89a",
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.sampled_from([*STARTS, b"RIFF\0\0\0\0WEBPVP8L", b"BM", b"II*\0", b"MM\0*", b""]), st.binary(max_size=200))
def test_any_bytes_give_facts_or_a_clear_error(tmp_path: Path, start: bytes, rest: bytes) -> None:
    path = tmp_path / "any.png"
    path.write_bytes(start + rest)
    try:
        facts = read_facts(path)
    except UserError as error:
        assert error.code.startswith("image.")
    else:
        assert facts.width * facts.height <= MAX_PIXELS
        assert min(facts.width, facts.height) >= 1
        assert 1 <= facts.orientation <= 8


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.gif"])
def test_a_file_cut_anywhere_in_its_header_never_crashes(tmp_path: Path, draw: Draw, name: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = tmp_path / name
    draw(40, 24).save(whole, exif=exif)
    data = whole.read_bytes()
    part = tmp_path / ("part" + name)
    for length in range(min(len(data), 400)):
        part.write_bytes(data[:length])
        try:
            assert read_facts(part).width in (40, 24)
        except UserError as error:
            assert error.code in ("image.invalid", "image.empty")
