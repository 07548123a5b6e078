"""Choosing parts of images by hand: moved and shaped by keys, written as they are chosen, obeyed by everybody."""

from __future__ import annotations

import asyncio
import fcntl
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image, ImageDraw
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset

from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.notes import Crop, change_notes, load_notes
from lora_tui.dataset.scan import scan_folder
from lora_tui.tui.app import LoraTuiApp
from lora_tui.tui.screens.dataset_crop import CropScreen
from lora_tui.tui.screens.dataset_crops import Crops
from lora_tui.tui.widgets.crop_view import CropView

SIZES = {"a": (900, 600), "b": (600, 900), "c": (900, 600), "d": (100, 80)}


def make_pictures(root: Path) -> Path:
    """A bright disc on a dull ground in each; ``d`` is smaller than any bucket."""
    make_dataset(root, 0)
    for number, (name, size) in enumerate(SIZES.items()):
        picture = Image.new("RGB", size, (90, 90 + number, 96))
        draw = ImageDraw.Draw(picture)
        right, middle = size[0] * 3 // 4, size[1] // 2
        draw.ellipse((right - 50, middle - 50, right + 50, middle + 50), fill=(250, 40 * number, 0))
        picture.save(root / "4_hat" / f"{name}.png")
        (root / "4_hat" / f"{name}.txt").write_text("hatgirl", encoding="utf-8")
    return root


def crops(root: Path) -> dict[str, Box]:
    return {name.rpartition("/")[2]: crop.box for name, crop in load_notes(root).crops.items()}


def cropping(app: LoraTuiApp) -> CropScreen:
    assert isinstance(app.screen, CropScreen)
    return app.screen


def drawn(app: LoraTuiApp) -> bool:
    return isinstance(app.screen, CropScreen) and app.screen.query_one(CropView).drawn


async def test_all_keys_are_shown_over_the_picture_and_done_from_there(tmp_path: Path) -> None:
    make_pictures(tmp_path)
    async with running(tmp_path, size=(80, 24), screen="dataset") as (app, pilot):
        await pilot.press("c")
        await soon(pilot, lambda: drawn(app))
        assert "? keys" in screen_text(app)
        await pilot.press("?")
        await soon(pilot, lambda: "While a part of an image is chosen" in screen_text(app))
        await pilot.press(*"two high", "enter")
        await soon(pilot, lambda: isinstance(app.screen, CropScreen) and "2:3" in screen_text(app))
        await pilot.press("ctrl+p")
        await soon(pilot, lambda: "Commands" in screen_text(app) and "Put the part into the middle" in screen_text(app))
        assert "Leave the program" not in screen_text(app)
        await pilot.press(*"a square", "enter")
        await soon(pilot, lambda: isinstance(app.screen, CropScreen) and "1:1" in screen_text(app))


async def test_the_panel_tells_shape_and_share_as_they_are(tmp_path: Path) -> None:
    make_pictures(tmp_path)
    name = "4_hat/b.png"
    change_notes(tmp_path, lambda notes: notes.with_crops({name: Crop(Box(0, 0, 300, 500), Size(600, 900))}))
    async with running(tmp_path, size=(80, 24), screen="dataset") as (app, pilot):
        await pilot.press("c")
        await soon(pilot, lambda: drawn(app))
        assert "used     100%" in screen_text(app)
        await pilot.press("1", "n")
        await soon(pilot, lambda: "300 x 500 px" in screen_text(app))
        assert "shape    1:1 when resized" in screen_text(app)
        await pilot.press("-")
        await soon(pilot, lambda: "387 x 387 px" in screen_text(app))
        assert "when resized" not in screen_text(app)


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_a_part_is_chosen_by_keys_written_and_taken_back(tmp_path: Path, size: tuple[int, int]) -> None:
    make_pictures(tmp_path)
    async with running(tmp_path, size=size, screen="dataset") as (app, pilot):
        await pilot.press("c")
        await soon(pilot, lambda: drawn(app))
        assert "1 of 4" in screen_text(app) and "900 x 600 px" in screen_text(app) and "┌" in screen_text(app)
        await pilot.press("1", ",", ",", "left", "left", "down")
        assert cropping(app).box == Box(148, 0, 748, 600)
        await pilot.press("H", ".", "shift+up")
        assert cropping(app).box.size == Size(591, 591)
        await soon(pilot, lambda: crops(tmp_path) == {"a.png": Box(148, 0, 739, 591)})
        await pilot.press("u")
        assert cropping(app).box == Box(148, 0, 747, 599)
        await pilot.press("U")
        assert "591 x 591 px" in screen_text(app) and "1:1" in screen_text(app)
        await pilot.press("escape")
        await soon(pilot, lambda: "1 image cropped" in screen_text(app))
        await soon(pilot, lambda: "cropped to 591 x 591" in screen_text(app))
        (image, *_others) = scan_folder(tmp_path).images
        assert image.crop == Box(148, 0, 739, 591)
        await pilot.press("u")
        await soon(pilot, lambda: not crops(tmp_path) and "undone: 1 image cropped" in screen_text(app))


async def test_image_after_image_of_those_that_are_marked(tmp_path: Path) -> None:
    make_pictures(tmp_path)
    change_notes(tmp_path, lambda notes: notes.with_crop("4_hat/c.png", Crop(Box(0, 0, 300, 300), Size(900, 600))))
    async with running(tmp_path, size=(100, 30), screen="dataset") as (app, pilot):
        await pilot.press("m", "down", "m", "g", "c")
        await soon(pilot, lambda: drawn(app))
        assert "1 of 2" in screen_text(app)
        await pilot.press("p")
        assert "This is the first image." in screen_text(app)
        await pilot.press("2", "enter")
        assert "c.png" in screen_text(app) and cropping(app).box == Box(0, 0, 300, 300)
        assert "300 x 300 px" in screen_text(app)
        await soon(pilot, lambda: crops(tmp_path)["a.png"] == Box(250, 0, 650, 600))  # while the next one is shown
        await pilot.press("x", "escape")
        await soon(pilot, lambda: crops(tmp_path) == {"a.png": Box(250, 0, 650, 600)})
        await soon(pilot, lambda: "1 image cropped, 1 image used whole again" in screen_text(app))
        here = app.screen.here  # type: ignore[attr-defined]
        assert here.name == "c.png"
        await pilot.press("u")
        await soon(pilot, lambda: crops(tmp_path) == {"c.png": Box(0, 0, 300, 300)})


async def test_the_bucket_the_subject_numbers_and_all_of_one_size(tmp_path: Path) -> None:
    make_pictures(tmp_path)
    async with running(tmp_path, size=(100, 30), screen="dataset") as (app, pilot):
        assert app.workspace.config is not None and app.workspace.config.data.resolution == 512
        await pilot.press("c")
        await soon(pilot, lambda: drawn(app))
        await pilot.press("a")
        await soon(pilot, lambda: "stands out most" in screen_text(app))
        assert cropping(app).box == Box(0, 30, 900, 570)  # the shape of its bucket, so that nothing is cut away
        await pilot.press("2", "a")
        await soon(pilot, lambda: cropping(app).box.right > 725)
        assert cropping(app).box.size == Size(400, 600) and cropping(app).box.left < 625
        await pilot.press("6")
        assert "cut away nothing" in screen_text(app)
        await pilot.press("1", "s")
        assert cropping(app).box.size == Size(512, 512) and "Trained px for px" in screen_text(app)
        await pilot.press("e")
        await soon(pilot, lambda: "Left, top, width x height" in screen_text(app))
        await pilot.press(*"800,0,200x200", "enter")
        await soon(pilot, lambda: "does not lie in the image" in screen_text(app))
        await pilot.press("home", *["delete"] * 3, *"700", "enter")
        await soon(pilot, lambda: isinstance(app.screen, CropScreen))
        assert cropping(app).box == Box(700, 0, 900, 200) and "enlarged" in screen_text(app)
        await pilot.press("A")
        await soon(pilot, lambda: "Use this part for 1 other image?" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: crops(tmp_path) == dict.fromkeys(("a.png", "c.png"), Box(700, 0, 900, 200)))
        await pilot.press("n", "n", "n", "s")
        assert "d.png" in screen_text(app) and "smaller than its bucket" in screen_text(app)


async def test_a_look_from_near_follows_the_part_and_steps_are_finer_there(tmp_path: Path) -> None:
    make_pictures(tmp_path)
    async with running(tmp_path, size=(80, 24), screen="dataset") as (app, pilot):
        await pilot.press("c")
        await soon(pilot, lambda: drawn(app))
        view = app.screen.query_one(CropView)
        await pilot.press("1", *["minus"] * 6)
        far, box = view.pixels_a_cell(), cropping(app).box
        await pilot.press("z")
        await soon(pilot, lambda: view.pixels_a_cell()[0] < far[0])
        assert cropping(app).box == box
        await pilot.press(*["right"] * 20)
        await soon(pilot, lambda: cropping(app).box.left > box.left)
        assert all("┌" in line or "│" in line for line in screen_text(app).splitlines()[3:8])
        await pilot.press("1", "down")
        last = cropping(app).box
    assert crops(tmp_path) == {"a.png": last}  # although the program was left at once


async def test_notes_that_cannot_be_written_are_told_while_one_can_still_see_to_it(tmp_path: Path) -> None:
    make_pictures(tmp_path)
    async with running(tmp_path, size=(100, 30), screen="dataset") as (app, pilot):
        await pilot.press("c")
        await soon(pilot, lambda: drawn(app))
        (tmp_path / ".lora-tui").mkdir(exist_ok=True)
        notes = tmp_path / ".lora-tui" / "dataset.toml"
        notes.write_text("this is no TOML", encoding="utf-8")
        await pilot.press("1")
        await soon(pilot, lambda: "not valid TOML" in screen_text(app) and "1 not written" in screen_text(app))
        notes.unlink()
        await pilot.press("n", "escape")
        await soon(pilot, lambda: crops(tmp_path) == {"a.png": Box(150, 0, 750, 600)})


async def test_an_image_that_became_another_one_gets_no_part(tmp_path: Path) -> None:
    make_pictures(tmp_path)
    async with running(tmp_path, size=(80, 24), screen="dataset") as (app, pilot):
        await pilot.press("c")
        await soon(pilot, lambda: drawn(app))
        Image.new("RGB", (640, 480)).save(tmp_path / "4_hat" / "a.png")
        await pilot.press("1")
        await soon(pilot, lambda: "was changed or moved away" in screen_text(app))
        assert "changed" not in screen_text(app).splitlines()[0] and crops(tmp_path) == {}
        await pilot.press("n", "1")
        await soon(pilot, lambda: set(crops(tmp_path)) == {"b.png"})


async def test_without_colours_and_unicode_the_part_is_framed(tmp_path: Path) -> None:
    make_pictures(tmp_path)
    app = LoraTuiApp(tmp_path, screen="dataset", ascii_only=True)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await soon(pilot, lambda: app.workspace.planned is not None and "a.png" in screen_text(app))
        await pilot.press("c")
        await soon(pilot, lambda: drawn(app))
        await pilot.press("1")
        assert "+---" in screen_text(app) and "┌" not in screen_text(app)


async def test_ending_while_another_program_holds_the_notes_freezes_nothing_and_loses_nothing(tmp_path: Path) -> None:
    make_pictures(tmp_path)
    change_notes(tmp_path, lambda notes: notes)
    (lock,) = (tmp_path / ".lora-tui").glob("*.lock")
    longest, end = 0.0, False

    async def beat() -> None:
        nonlocal longest
        last = time.monotonic()
        while not end:
            await asyncio.sleep(0.01)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()

    async with running(tmp_path, size=(80, 24), screen="dataset") as (app, pilot):
        await pilot.press("c")
        await soon(pilot, lambda: drawn(app))
        held = lock.open("r+")
        fcntl.flock(held, fcntl.LOCK_EX)
        await pilot.press("1", "left")
        box = cropping(app).box
        beating = asyncio.create_task(beat())
        asyncio.get_running_loop().call_later(2.0, held.close)
        app.exit()
    end = True
    await beating
    assert crops(tmp_path) == {"a.png": box}
    assert longest < 1.5


def test_the_part_chosen_last_is_written_last(tmp_path: Path) -> None:
    (tmp_path / ".lora-tui").mkdir()
    Image.new("RGB", (600, 600)).save(tmp_path / "a.png")
    row: Any = SimpleNamespace(
        path=tmp_path / "a.png", image=SimpleNamespace(crop=None, facts=SimpleNamespace(width=600, height=600))
    )
    change_notes(tmp_path, lambda notes: notes.excluding("b.png"))
    (lock,) = (tmp_path / ".lora-tui").glob("*.lock")
    for _attempt in range(4):
        chosen = Crops(lambda _path: tmp_path)
        threads = []
        with lock.open("r+") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            for side, write in ((100, chosen.write), (200, chosen.finish)):
                chosen.choose(row, Box(0, 0, side, side))
                threads.append(threading.Thread(target=write))
                threads[-1].start()
                threads[-1].join(0.07)
        for thread in threads:
            thread.join()
        assert crops(tmp_path) == {"a.png": Box(0, 0, 200, 200)}
