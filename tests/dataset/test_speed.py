"""Measurements of the scan; run with ``make bench``. CPU time, so that other work on the machine counts little."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from lora_tui.dataset.scan import read_facts, scan_folder

pytestmark = pytest.mark.bench

Draw = Callable[..., Image.Image]


def cpu_seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_reading_a_header_takes_half_of_what_opening_takes(tmp_path: Path, draw: Draw, name: str) -> None:
    path = tmp_path / name
    exif = Image.Exif()
    exif[0x0112] = 6
    draw(512, 640).save(path, exif=exif)

    def ours() -> None:
        for _ in range(200):
            read_facts(path)

    def pillow() -> None:
        for _ in range(200):
            with Image.open(path) as image:
                image.getexif().get(0x0112)

    ours()
    pillow()
    ratio = statistics.median(cpu_seconds(ours) / cpu_seconds(pillow) for _ in range(9))
    print(f"{name}: {ratio:.2f} of the time of PIL.Image.open with getexif")
    assert ratio < 0.5


def test_a_scan_of_20000_images_takes_two_seconds(tmp_path: Path, draw: Draw) -> None:
    originals = []
    for name in ("a.png", "b.jpg", "c.webp"):
        draw(512, 640).save(tmp_path / name)
        originals.append((Path(name).suffix, (tmp_path / name).read_bytes()))
    folder = tmp_path / "set"
    folder.mkdir()
    for number in range(20_000):
        suffix, data = originals[number % 3]
        (folder / f"img{number}{suffix}").write_bytes(data)
        (folder / f"img{number}.txt").write_bytes(b"hatgirl, smile")
    scan_folder(folder)
    seconds = min(cpu_seconds(lambda: scan_folder(folder)) for _ in range(3))
    print(f"scan of 20,000 images: {seconds:.2f} s")
    assert seconds < 2.0
