"""Real mixed images as people have them, and a preparation in one call."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms

from lora_tui.dataset.prepare.carry import Outcome, carry_out
from lora_tui.dataset.prepare.options import Options
from lora_tui.dataset.prepare.plan import make_plan

Draw = Callable[..., Image.Image]


def hashes(folder: Path) -> dict[str, str]:
    """Every file below a folder but ``.lora-tui``, by its content."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".lora-tui" not in path.parts
    }


def prepare(source: Path, destination: Path, *, workers: int = 1, **options: Any) -> Outcome:
    return carry_out(make_plan(source, Options(**options)), destination, workers=workers)


def report(destination: Path) -> dict[str, Any]:
    """What a preparation says that it did."""
    found: dict[str, Any] = json.loads((destination / ".lora-tui" / "prepare" / "report.json").read_text())
    return found


def rows(destination: Path) -> dict[str, dict[str, Any]]:
    """The same, image by image."""
    return {row["image"]: row for row in report(destination)["images"]}


def display_p3() -> bytes:
    """A colour profile wider than sRGB: made of sRGB's by exchanging the primaries red and green."""
    raw = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {bytes(raw[place : place + 4]): place for place in range(132, 132 + 12 * raw[131], 12)}
    red, green = (raw[tags[name] + 4 : tags[name] + 12] for name in (b"rXYZ", b"gXYZ"))
    raw[tags[b"rXYZ"] + 4 : tags[b"rXYZ"] + 12], raw[tags[b"gXYZ"] + 4 : tags[b"gXYZ"] + 12] = green, red
    text = raw.find("sRGB".encode("utf-16-be"))
    while text >= 0:
        raw[text : text + 8] = "swap".encode("utf-16-be")
        text = raw.find("sRGB".encode("utf-16-be"))
    return bytes(raw)


@pytest.fixture
def mixed(tmp_path: Path, draw: Draw) -> Path:
    """A folder with one image of each kind, all large enough for 128 px, and captions of several endings."""
    root = tmp_path / "src"
    folder = root / "10_hat"
    folder.mkdir(parents=True)
    (root / "plain").mkdir()
    clear = draw(200, 150, 1).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize((200, 150)))
    clear.save(folder / "alpha.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    draw(300, 200, 2).save(folder / "turned.jpg", exif=turned, quality=95)
    Image.frombytes("I;16", (160, 160), b"".join((257 * (n % 256)).to_bytes(2, "little") for n in range(25600))).save(
        folder / "deep.png"
    )
    draw(160, 200, 3).convert("CMYK").save(folder / "print.jpg")
    frames = [draw(150, 150, seed) for seed in (4, 5, 6)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "moving2.webp", save_all=True, append_images=frames[1:], lossless=True)
    palette = draw(150, 180, 7).quantize(16)
    palette.save(root / "plain" / "palette.png", transparency=0)
    draw(400, 130, 8).convert("L").save(root / "plain" / "grey.bmp")
    draw(256, 256, 9).save(root / "plain" / "wide.png", icc_profile=display_p3())
    draw(300, 300, 10).save(root / "plain" / "floats.tif")
    (folder / "alpha.txt").write_bytes("hatgirl, \r\nsmile ".encode("utf-16"))
    (folder / "alpha.caption").write_text("a girl")
    (folder / "alpha.wd14.txt").write_text("1girl")
    (folder / "alpha.npz").write_bytes(b"computed")
    (folder / "turned.txt").write_text("a red hat")
    return root


def saved(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()
