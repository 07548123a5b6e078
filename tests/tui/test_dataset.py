"""The dataset screen: what is there, what it looks like, what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.projects import picture as draw

from lora_tui.config.load import parse_config, save_config
from lora_tui.dataset.notes import load_notes
from lora_tui.project import Project
from lora_tui.settings import Settings
from lora_tui.tui.app import LoraTuiApp
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.virtual_list import VirtualList


def files(app: LoraTuiApp) -> VirtualList:
    return app.screen.query_one("#files", VirtualList)


def picture(app: LoraTuiApp) -> ImageView:
    return app.screen.query_one(ImageView)


@pytest.mark.parametrize("size", [(80, 24), (200, 50)])
async def test_shows_the_file_under_the_cursor_with_picture_facts_and_caption(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    async with running(make_dataset(tmp_path, 6), size=size, screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 6)
        await pilot.press("down", "down")
        await soon(pilot, lambda: picture(app).shown == tmp_path / "4_hat" / "0002.png")
        await soon(pilot, lambda: "hatgirl, hat, number 2" in screen_text(app))
        screen = screen_text(app)
        assert "80 x 80 px · PNG" in screen
        assert "bucket 512x512" in screen
        assert "4 repeats" in screen
        assert "caption, 3 tags" in screen
        assert "6 images" in screen.splitlines()[-2]


async def test_it_opens_on_the_first_image_and_the_row_of_the_folder_is_above(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    Project.create(tmp_path, purpose="character", trigger="hatgirl", datasets=[tmp_path])
    first = tmp_path / "4_hat" / "0000.png"
    async with running(tmp_path, screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 4 and picture(app).shown == first)
        assert any(line.startswith("▌") and "0000.png" in line for line in screen_text(app).splitlines())
        await pilot.press("up")
        await soon(pilot, lambda: "3 images is few for this purpose" in screen_text(app))
        assert picture(app).shown is None


@pytest.mark.parametrize("width", [60, 80, 300])
async def test_whose_folder_it_is_is_said_where_the_settings_name_one_outside_the_project(
    tmp_path: Path, width: int
) -> None:
    theirs = make_dataset(tmp_path / "kohya" / "projects of [/b] somebody" / "else" / "training-images", 2)
    own = make_dataset(tmp_path / "hat" / "data", 2).parent
    Project.create(own, purpose="character", trigger="hatgirl", datasets=[own / "data"])
    (own / "configs").mkdir(exist_ok=True)
    settings = own / "configs" / "theirs.toml"
    folders = [theirs, own / "data", make_dataset(tmp_path / "more", 2)][: 3 if width == 300 else 1]
    values = {"datasets": [{"path": str(folder)} for folder in folders]}
    save_config(parse_config(values, base=None, place="test"), settings)
    async with running(own, screen="dataset", size=(width, 24)) as (app, pilot):
        await soon(pilot, lambda: files(app).count > 2 and "outside this project" in screen_text(app))
        line = screen_text(app).splitlines()[2]
        assert "training-images" in line or width < 80
        assert ("datasets.0.path of theirs.toml)" if width == 300 else "(datasets.0.path)") in line
        assert f"Images from {theirs} and 1 more, outside" in line or width < 300
        save_config(parse_config({"datasets": [{"path": str(own / "data")}]}, base=None, place="test"), settings)
        await pilot.press("ctrl+l")
        await soon(pilot, lambda: "outside this project" not in screen_text(app))


async def test_problems_are_marked_listed_alone_and_explained(tmp_path: Path) -> None:
    make_dataset(tmp_path, 6)
    folder = tmp_path / "4_hat"
    for number in range(6):
        draw((512, 512), number).save(folder / f"{number:04d}.png")
    (folder / "0001.txt").unlink()
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    async with running(tmp_path, screen="dataset", size=(100, 30)) as (app, pilot):
        await soon(pilot, lambda: files(app).count >= 7)
        screen = screen_text(app)
        assert "∅ 0001.png" in screen
        assert "× broken.png" in screen
        await pilot.press("p")
        await soon(pilot, lambda: "only problems" in screen_text(app))
        assert "0000.png" not in screen_text(app)
        await pilot.press("p")
        await pilot.press("g", "n")
        await soon(pilot, lambda: "has no caption" in screen_text(app))
        await pilot.press("n")
        await soon(pilot, lambda: "not an image" in screen_text(app))
        assert picture(app).path is None


async def test_filter_by_words_and_back(tmp_path: Path) -> None:
    async with running(make_dataset(tmp_path, 12), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 12)
        await pilot.press("end", "slash", *"001")
        await soon(pilot, lambda: files(app).count == 3)
        assert "3 of 12 images" in screen_text(app)
        await pilot.press("down", "enter")
        await soon(pilot, lambda: app.screen.focused is files(app))
        assert files(app).count == 3
        await pilot.press("escape")
        await soon(pilot, lambda: files(app).count == 12)
        assert app.current_mode == "dataset"
        await pilot.press("escape")
        await soon(pilot, lambda: app.current_mode == "home")


async def test_order_by_size_keeps_the_file_under_the_cursor(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    Image.new("RGB", (600, 600)).save(tmp_path / "4_hat" / "0000.png")
    async with running(tmp_path, screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 3)
        await pilot.press("s", *"megapix", "enter")
        await soon(pilot, lambda: "by megapixels" in screen_text(app))
        assert files(app).cursor == 2
        await soon(pilot, lambda: picture(app).shown == tmp_path / "4_hat" / "0000.png")


async def test_a_large_picture_and_back(tmp_path: Path) -> None:
    async with running(make_dataset(tmp_path, 3), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: picture(app).shown is not None)
        before = picture(app).size
        await pilot.press("enter")
        await soon(pilot, lambda: picture(app).size.area > 1.5 * before.area)
        await pilot.press("down")
        await soon(pilot, lambda: picture(app).shown == tmp_path / "4_hat" / "0001.png")
        await pilot.press("escape")
        await soon(pilot, lambda: picture(app).size == before)
        assert app.current_mode == "dataset"


async def test_images_that_come_keep_the_cursor_on_its_file(tmp_path: Path) -> None:
    make_dataset(tmp_path, 5)
    async with running(tmp_path, screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 5)
        await pilot.press("down", "down", "down")
        Image.new("RGB", (64, 64)).save(tmp_path / "4_hat" / "0000-new.png")
        app.rescan()
        await soon(pilot, lambda: files(app).count == 6)
        assert files(app).cursor == 4
        await soon(pilot, lambda: picture(app).shown == tmp_path / "4_hat" / "0003.png")


async def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    async with running(tmp_path, screen="dataset") as (app, pilot):
        await soon(pilot, lambda: "Put" in screen_text(app))
        await pilot.press("down", "enter", "n", "p", "s", "slash", "escape")


async def test_captions_are_data(tmp_path: Path) -> None:
    make_dataset(tmp_path, 2)
    (tmp_path / "4_hat" / "0000.txt").write_bytes("[/x], [red]tag[/], \x1b[2J, 帽子, \ud83d".encode("utf-8", "replace"))
    (tmp_path / "4_hat" / "0001.txt").write_bytes(b"\xff\xfe\x00broken \x9b31m")
    async with running(tmp_path, screen="dataset", size=(120, 40)) as (app, pilot):
        await soon(pilot, lambda: "[/x], [red]tag[/], ␛[2J, 帽子" in screen_text(app))
        await pilot.press("down")
        await soon(pilot, lambda: "0001.png" in screen_text(app))


async def test_without_pictures_the_facts_remain(tmp_path: Path) -> None:
    settings = Settings(images="off")
    async with running(make_dataset(tmp_path, 2), screen="dataset", settings=settings) as (app, pilot):
        await soon(pilot, lambda: "64 x 96 px" in screen_text(app))
        assert picture(app).shown is None


async def test_what_the_check_finds_is_marked_and_listed(tmp_path: Path) -> None:
    """Damage in the middle of a file, a copy and a near-duplicate: only a look at the pixels finds them."""
    make_dataset(tmp_path, 0)
    folder = tmp_path / "4_hat"
    for number in range(6):
        draw((512, 512), number).save(folder / f"{number:04d}.png")
        (folder / f"{number:04d}.txt").write_text(f"hatgirl, number {number}", encoding="utf-8")
    (folder / "0006.png").write_bytes((folder / "0001.png").read_bytes())
    draw((512, 512), 2).resize((520, 520)).save(folder / "0007.png")
    data = (folder / "0003.png").read_bytes()
    (folder / "0003.png").write_bytes(data[: len(data) // 2] + data[-12:])  # with the end of a whole PNG
    for number in (6, 7):
        (folder / f"{number:04d}.txt").write_text(f"hatgirl, number {number}", encoding="utf-8")
    async with running(tmp_path, screen="dataset", size=(120, 35)) as (app, pilot):
        await soon(pilot, lambda: "× 0003.png" in screen_text(app))
        await pilot.press("p")
        await soon(pilot, lambda: files(app).count == 5)
        screen = screen_text(app)
        for name in ("! 0001.png", "! 0002.png", "× 0003.png", "! 0006.png", "! 0007.png"):
            assert name in screen
        assert "7 images, 1 error, 2 warnings" in screen
        await pilot.press("down", "down", "down")
        await soon(pilot, lambda: "The same file as 0001.png." in screen_text(app))
        await pilot.press("down")
        await soon(pilot, lambda: "Nearly the same as 0002.png." in screen_text(app))
        await pilot.press("escape", "escape")
        await soon(
            pilot, lambda: app.current_mode == "home" and "7 images, repeats 4, 1 error, 2 warn" in screen_text(app)
        )
        assert app.workspace.plan is not None and "7 images x 4 repeats = 28" in app.workspace.plan.arithmetic


async def test_what_a_bucket_cuts_away_is_a_note_and_no_problem(tmp_path: Path) -> None:
    make_dataset(tmp_path, 0)
    draw((4000, 512), 1).save(tmp_path / "4_hat" / "wide.png")
    (tmp_path / "4_hat" / "broken.txt").write_bytes(b"")
    (tmp_path / "4_hat" / "wide.txt").write_bytes(b"caf\xe9, hatgirl")
    async with running(tmp_path, screen="dataset", size=(120, 35)) as (app, pilot):
        await soon(pilot, lambda: "1 note" in screen_text(app).splitlines()[-2])
        await pilot.press("end")
        await soon(pilot, lambda: "is cut away" in screen_text(app) and "caf\ufffd, hatgirl" in screen_text(app))
        await pilot.press("f4")
        await pilot.press("escape")
        await soon(pilot, lambda: app.current_mode == "home")
        assert "cut away" not in screen_text(app)


async def test_many_problems_leave_room_for_the_caption(tmp_path: Path) -> None:
    make_dataset(tmp_path, 1)
    folder = tmp_path / "4_hat"
    for number in range(1, 5):  # small, blurred, and copies of one another
        Image.new("RGB", (64, 64), (9, 40, 9)).save(folder / f"{number:04d}.png")
        (folder / f"{number:04d}.txt").write_text(f"hatgirl, number {number}", encoding="utf-8")
    async with running(tmp_path, screen="dataset") as (app, pilot):
        await pilot.press("down")
        await soon(pilot, lambda: "r reads on" in screen_text(app))
        await soon(pilot, lambda: "hatgirl, number 1" in screen_text(app))


async def test_reading_again_leaves_the_cursor_on_its_file(tmp_path: Path) -> None:
    make_dataset(tmp_path, 5)
    async with running(tmp_path, screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count >= 5)
        old = app.workspace.images
        await pilot.press("end", "ctrl+l")
        await soon(pilot, lambda: app.workspace.images is not None and app.workspace.images is not old)
        await soon(pilot, lambda: files(app).count >= 5 and files(app).cursor == files(app).count - 1)
        assert "▌   ! 0004.png" in screen_text(app)


async def test_nothing_is_done_that_a_small_terminal_cannot_show(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, size=(40, 10), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: files(app).count == 3 and "is needed" in screen_text(app))
        await pilot.press("x", "down", "x", "D", "t")
        await pilot.resize_terminal(100, 30)
        await soon(pilot, lambda: "is needed" not in screen_text(app))
        assert app.screen is app.screen_stack[0] and not load_notes(tmp_path).excluded
        await pilot.press("x")
        await soon(pilot, lambda: load_notes(tmp_path).excluded == {"4_hat/0001.png"})


async def test_files_that_are_no_readable_images_go_to_the_trash_by_the_same_key(tmp_path: Path) -> None:
    make_dataset(tmp_path, 2)
    folder = tmp_path / "4_hat"
    (folder / "broken.png").write_bytes(b"")
    (folder / "broken.txt").write_bytes(b"hat")
    (folder / "orphan.txt").write_bytes(b"hat, alone")
    async with running(tmp_path, size=(100, 30), screen="dataset") as (app, pilot):
        for name, gone, asked in (
            ("broken.png", ["broken.png", "broken.txt"], "Put 1 image into the trash?"),
            ("orphan.txt", ["orphan.txt"], "Put orphan.txt into the trash?"),
        ):
            before = sorted(path.name for path in folder.iterdir())
            await soon(pilot, lambda name=name: any(row.path.name == name for row in app.screen.rows))  # type: ignore[attr-defined,misc]
            app.screen.select(folder / name)  # type: ignore[attr-defined]
            await pilot.press("D")
            await soon(pilot, lambda asked=asked: asked in screen_text(app))  # type: ignore[misc]
            await pilot.press("enter")
            await soon(pilot, lambda gone=gone: not any((folder / one).exists() for one in gone))  # type: ignore[misc]
            assert sorted(path.name for path in folder.iterdir()) == [one for one in before if one not in gone]
            await soon(pilot, lambda: "   u undo" in screen_text(app))
        await pilot.press("u")
        await soon(pilot, lambda: (folder / "orphan.txt").exists())
        await soon(pilot, lambda: "undone: orphan.txt is in the trash" in screen_text(app))
