"""Problems mended from the dataset screen: what the captions are afterwards, and after it was taken back."""

from __future__ import annotations

from pathlib import Path

import pytest
from caption_folders import opened
from PIL import ImageFilter
from tagger_builders import TAGS, make_images, make_wd14
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.projects import picture as draw

from lora_tui.project import Project
from lora_tui.tagging.request import ModelChoice, Request
from lora_tui.tagging.rules import Rules
from lora_tui.tagging.run import tag_dataset
from lora_tui.tui.app import LoraTuiApp
from lora_tui.tui.widgets.virtual_list import VirtualList


def files(app: LoraTuiApp) -> VirtualList:
    return app.screen.query_one("#files", VirtualList)


async def test_a_blurred_image_gets_the_word_and_loses_it_again(tmp_path: Path) -> None:
    make_dataset(tmp_path, 0)
    folder = tmp_path / "4_hat"
    draw((600, 600), 1).filter(ImageFilter.GaussianBlur(14)).save(folder / "a.png")
    (folder / "a.txt").write_bytes(b"hatgirl,  hat")
    async with running(tmp_path, size=(100, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: "is blurred" in screen_text(app))
        await pilot.press("f")
        await soon(pilot, lambda: "+ hatgirl,  hat,  blurry" in screen_text(app))
        assert (folder / "a.txt").read_bytes() == b"hatgirl,  hat"  # shown first, for one image, too
        await pilot.press("enter")
        await soon(pilot, lambda: b"blurry" in (folder / "a.txt").read_bytes())
        await soon(pilot, lambda: "   u undo" in screen_text(app))
        await pilot.press("u")
        await soon(pilot, lambda: (folder / "a.txt").read_bytes() == b"hatgirl,  hat")
    session = opened(folder)
    assert [record.kind for record in session.journal.records()] == ["edit", "undo"]  # undo goes on before it
    session.close()


async def test_a_closeup_that_a_tagger_saw_gets_the_word_and_loses_it_again(tmp_path: Path) -> None:
    make_images(tmp_path / "4_hat", {"far": "blue", "near": "red"}, (600, 600))
    for name in ("far", "near"):
        (tmp_path / "4_hat" / f"{name}.txt").write_bytes(b"hatgirl, hat")
    tags = (*TAGS[:3], ("close-up", 0, (8, -8, -8), 0.0))
    model = ModelChoice("wd14", str(make_wd14(tmp_path.parent / f"{tmp_path.name}-wd", tags=tags)))
    session = opened(tmp_path / "4_hat")
    rules = Rules(undesired=("close-up", "1girl"))
    tag_dataset(session, range(2), Request((model,), rules=rules, existing="append", device="cpu", threads=1))
    session.close()
    caption = tmp_path / "4_hat" / "near.txt"
    assert caption.read_bytes() == b"hatgirl, hat"
    async with running(tmp_path, size=(100, 30), screen="dataset") as (app, pilot):
        await pilot.press("end")
        await soon(pilot, lambda: "is a close-up" in screen_text(app))
        await pilot.press("f")
        await soon(pilot, lambda: "+ hatgirl, hat, close-up" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: caption.read_bytes() == b"hatgirl, hat, close-up")
        await soon(pilot, lambda: "   u undo" in screen_text(app))
        await soon(pilot, lambda: "is a close-up" not in screen_text(app))
        await pilot.press("u")
        await soon(pilot, lambda: caption.read_bytes() == b"hatgirl, hat")


async def test_a_missing_trigger_is_put_first_in_all_marked_after_a_preview(tmp_path: Path) -> None:
    root = tmp_path / "hat"
    Project.create(root, name="Hat", purpose="character", trigger="hatgirl", datasets=[root / "images"])
    make_dataset(root, 3, folder="images")
    before = [b"hat, smile", b"hat, solo", b"hatgirl, hat"]
    paths = [root / "images" / f"000{number}.txt" for number in range(3)]
    for path, raw in zip(paths, before, strict=True):
        path.write_bytes(raw)
    async with running(root, size=(100, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count >= 3)
        await pilot.press("*", "f")
        await soon(pilot, lambda: "2 files" in screen_text(app) and "+ hatgirl, hat, smile" in screen_text(app))
        assert [path.read_bytes() for path in paths] == before
        await pilot.press("enter")
        await soon(pilot, lambda: paths[1].read_bytes() == b"hatgirl, hat, solo")
        assert paths[0].read_bytes() == b"hatgirl, hat, smile" and paths[2].read_bytes() == before[2]
        await soon(pilot, lambda: "   u undo" in screen_text(app))
        await pilot.press("u")
        await soon(pilot, lambda: [path.read_bytes() for path in paths] == before)


@pytest.mark.parametrize("others", [1, 2])
async def test_captions_that_another_program_changed_meanwhile_are_not_told_as_mended(
    tmp_path: Path, others: int
) -> None:
    root = tmp_path / "hat"
    Project.create(root, name="Hat", purpose="character", trigger="hatgirl", datasets=[root / "images"])
    make_dataset(root, 2, folder="images")
    paths = [root / "images" / f"000{number}.txt" for number in range(2)]
    for path in paths:
        path.write_bytes(b"hat, smile")
    async with running(root, size=(100, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count >= 2)
        await pilot.press("*", "f")
        await soon(pilot, lambda: "+ hatgirl, hat, smile" in screen_text(app))
        for path in paths[:others]:
            path.write_bytes(b"another hat, here")
        await pilot.press("enter")
        if others == 2:
            await soon(pilot, lambda: "another program changed it meanwhile" in screen_text(app))
            assert "   u undo" not in screen_text(app)
        else:
            await soon(pilot, lambda: "1 file, 1 could not be changed" in screen_text(app))
            assert paths[1].read_bytes() == b"hatgirl, hat, smile"
        assert {path.read_bytes() for path in paths[:others]} == {b"another hat, here"}


async def test_an_image_without_a_caption_is_not_given_one_of_the_trigger_alone(tmp_path: Path) -> None:
    root = tmp_path / "hat"
    Project.create(root, name="Hat", purpose="character", trigger="hatgirl", datasets=[root / "images"])
    make_dataset(root, 3, folder="images")
    (root / "images" / "0000.txt").unlink()
    (root / "images" / "0001.txt").write_bytes(b"")
    (root / "images" / "0002.txt").write_bytes(b"hat, smile")
    async with running(root, size=(100, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count >= 3)
        await pilot.press("f")
        await soon(pilot, lambda: "There is no caption to fix: t has models write one." in screen_text(app))
        await pilot.press("*", "f")
        await soon(pilot, lambda: "1 file" in screen_text(app) and "+ hatgirl, hat, smile" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: (root / "images" / "0002.txt").read_bytes() == b"hatgirl, hat, smile")
        assert not (root / "images" / "0000.txt").exists()
        assert (root / "images" / "0001.txt").read_bytes() == b""


async def test_the_cursor_goes_to_the_next_file_when_its_own_has_no_problem_any_more(tmp_path: Path) -> None:
    root = tmp_path / "hat"
    Project.create(root, name="Hat", purpose="character", trigger="hatgirl", datasets=[root / "images"])
    make_dataset(root, 9, folder="images")
    for number in range(9):
        (root / "images" / f"000{number}.txt").write_bytes(b"hat, smile" if number % 2 else b"hatgirl, hat")
        draw((600, 600), number).save(root / "images" / f"000{number}.png")
    async with running(root, size=(100, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count >= 9)
        await pilot.press("p")
        await soon(pilot, lambda: files(app).count == 5)  # with the folder's own
        await pilot.press("home", "down", "down", "f")
        await soon(pilot, lambda: "+ hatgirl, hat, smile" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: "   u undo" in screen_text(app) and files(app).count == 4)
        here = app.screen.here  # type: ignore[attr-defined]
        assert here is not None and here.path.name == "0005.png"
