"""The review of images that are alike: what is kept, what is left out, what the check is silent about afterwards."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import skimage.data
from PIL import Image
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.projects import picture as draw

from lora_tui.dataset.notes import load_notes
from lora_tui.dataset.pixel_checks import check_pixels
from lora_tui.dataset.scan import scan_folder
from lora_tui.tui.app import LoraTuiApp
from lora_tui.tui.screens import dataset_alike
from lora_tui.tui.screens.dataset_alike import AlikeReview, groups_of
from lora_tui.tui.screens.dataset_find import sharpness_of


def make_alike(root: Path) -> Path:
    """``a`` and its smaller likeness ``b``; ``c`` and its copy ``d``; ``e`` like no other."""
    make_dataset(root, 0)
    folder = root / "4_hat"
    draw((900, 900), 1).save(folder / "a.png")
    draw((900, 900), 1).resize((600, 600)).save(folder / "b.png")
    draw((600, 600), 2).save(folder / "c.png")
    (folder / "d.png").write_bytes((folder / "c.png").read_bytes())
    draw((600, 600), 3).save(folder / "e.png")
    for name in "abcde":
        (folder / f"{name}.txt").write_text(f"hatgirl, {name}", encoding="utf-8")
    return root


def codes(root: Path) -> list[str]:
    return [problem.code for problem in check_pixels(scan_folder(root).images)]


def reviewing(app: LoraTuiApp) -> bool:
    return isinstance(app.screen, AlikeReview)


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_the_better_one_is_kept_and_the_others_left_out(tmp_path: Path, size: tuple[int, int]) -> None:
    make_alike(tmp_path)
    async with running(tmp_path, size=size, screen="dataset") as (app, pilot):
        await pilot.press("d")
        await soon(pilot, lambda: reviewing(app) and "group 1 of 2" in screen_text(app))
        await soon(pilot, lambda: "900 x 900 px  ✓ more pixels" in screen_text(app))
        assert "▌ a.png" in screen_text(app)
        await pilot.press("enter")
        await soon(pilot, lambda: load_notes(tmp_path).excluded == {"4_hat/b.png"})
        await soon(pilot, lambda: "group 1 of 1" in screen_text(app) and "copy of this file" in screen_text(app))
        await pilot.press("escape")
        await soon(pilot, lambda: not reviewing(app) and "1 left out" in screen_text(app))
        await pilot.press("u")
        await soon(pilot, lambda: not load_notes(tmp_path).excluded)


async def test_the_other_one_is_kept_and_its_likeness_goes_to_the_trash(tmp_path: Path) -> None:
    make_alike(tmp_path)
    async with running(tmp_path, size=(100, 30), screen="dataset") as (app, pilot):
        await pilot.press("d")
        await soon(pilot, lambda: "▌ a.png" in screen_text(app) and "more pixels" in screen_text(app))
        await pilot.press("right", "D")
        await soon(pilot, lambda: "Put 1 image into the trash?" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: not (tmp_path / "4_hat" / "a.png").exists())
        assert (tmp_path / "4_hat" / "b.png").exists() and not (tmp_path / "4_hat" / "a.txt").exists()
        await soon(pilot, lambda: "group 1 of 1" in screen_text(app))


async def test_the_one_with_a_caption_is_offered_and_what_was_done_is_said(tmp_path: Path) -> None:
    make_alike(tmp_path)
    (tmp_path / "4_hat" / "a.txt").unlink()  # the larger one
    (tmp_path / "4_hat" / "c.txt").write_bytes(b"")
    async with running(tmp_path, size=(80, 24), screen="dataset") as (app, pilot):
        await pilot.press("d")
        await soon(pilot, lambda: "more pixels" in screen_text(app) and "2 tags  ✓ captioned" in screen_text(app))
        assert "▌ b.png" in screen_text(app) and "no caption" in screen_text(app)
        assert "Enter leave out others" in screen_text(app) and "? keys" in screen_text(app)
        await pilot.press("?")
        await soon(pilot, lambda: "Among images that are alike" in screen_text(app))
        await pilot.press("escape")
        await soon(pilot, lambda: reviewing(app))
        await pilot.press("enter")
        await soon(pilot, lambda: "b.png kept, 1 left out" in screen_text(app) and "group 1 of 1" in screen_text(app))
        await soon(pilot, lambda: "▌ d.png" in screen_text(app) and "0 tags" in screen_text(app))
        await soon(pilot, lambda: load_notes(tmp_path).excluded == {"4_hat/a.png"})


async def test_an_enlarged_copy_is_named_and_the_original_is_kept(tmp_path: Path) -> None:
    make_dataset(tmp_path, 0)
    folder = tmp_path / "4_hat"
    original = Image.fromarray(skimage.data.chelsea())
    original.save(folder / "original.png")
    original.resize((1353, 900), Image.Resampling.LANCZOS).save(folder / "a_large.jpg", quality=92)
    async with running(tmp_path, size=(80, 24), screen="dataset") as (app, pilot):
        await pilot.press("d")
        await soon(
            pilot, lambda: "1353 x 900 px  no more detail" in screen_text(app) and "▌ original.png" in screen_text(app)
        )
        assert "more pixels" not in screen_text(app)
        await pilot.press("enter")
        await soon(pilot, lambda: load_notes(tmp_path).excluded == {"4_hat/a_large.jpg"})


async def test_what_is_alike_on_purpose_is_remembered_and_the_check_is_silent(tmp_path: Path) -> None:
    make_alike(tmp_path)
    assert sorted(codes(tmp_path)) == ["image.identical", "image.similar"]
    async with running(tmp_path, size=(100, 30), screen="dataset") as (app, pilot):
        await pilot.press("d")
        await soon(pilot, lambda: "more pixels" in screen_text(app))
        await pilot.press("n")
        await soon(pilot, lambda: "group 2 of 2" in screen_text(app))
        await pilot.press("f")
        await soon(pilot, lambda: codes(tmp_path) == ["image.similar"])
        await pilot.press("f")
        await soon(pilot, lambda: not reviewing(app) and not codes(tmp_path))
        await soon(pilot, lambda: "warning" not in screen_text(app).splitlines()[-2])
        await pilot.press("d")
        await soon(pilot, lambda: "No two images are the same" in screen_text(app))
        await pilot.press("u")
        await soon(pilot, lambda: codes(tmp_path) == ["image.similar"])


async def test_without_likenesses_it_is_said(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, size=(100, 30), screen="dataset") as (app, pilot):
        await pilot.press("d")
        await soon(pilot, lambda: "No two images are the same or nearly the same." in screen_text(app))


async def test_the_cursor_stays_where_a_person_put_it_when_measuring_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_alike(tmp_path)
    measured, go_on = threading.Event(), threading.Event()

    def slowly(*args: Any) -> dict[str, int]:
        go_on.wait(20)
        found = sharpness_of(*args)
        measured.set()
        return found

    monkeypatch.setattr(dataset_alike, "sharpness_of", slowly)
    async with running(tmp_path, size=(100, 30), screen="dataset") as (app, pilot):
        await pilot.press("d")
        await soon(pilot, lambda: reviewing(app))
        await pilot.press("right")
        await soon(pilot, lambda: "▌ b.png" in screen_text(app))
        go_on.set()
        await soon(pilot, measured.is_set)
        await soon(pilot, lambda: "sharpness 0 " not in screen_text(app))
        assert "▌ b.png" in screen_text(app)


def test_many_groups_are_found_at_once() -> None:
    paths = [Path(f"/{number}.png") for number in range(9000)]
    rows: list[Any] = []
    for number, path in enumerate(paths):
        others = tuple(paths[number + 1 : number + 3]) if number % 3 == 0 else ()
        problems = [SimpleNamespace(code="image.similar", others=others)] if others else []
        rows.append(SimpleNamespace(path=path, counted=True, problems=problems))
    began = time.process_time()
    groups = groups_of(rows)
    assert time.process_time() - began < 1.0  # each row against each group would take seconds
    assert [len(group.rows) for group in groups] == [3] * 3000
    assert [row.path for row in groups[1].rows] == paths[3:6]
