"""Images prepared from the dataset's screen: planned as settings change, made in the background, put to use."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from PIL import Image
from support import until
from textual.pilot import Pilot
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset, picture

from lora_tui.config.load import load_config
from lora_tui.config.schema import Config, DatasetEntry
from lora_tui.config.write import save_config
from lora_tui.dataset.prepare.options import Options
from lora_tui.project import Project
from lora_tui.tasks.folder import TaskFolder
from lora_tui.tasks.known import remember_task, untold_tasks
from lora_tui.tasks.start import start_task
from lora_tui.tasks.status import task_status
from lora_tui.tui.app import LoraTuiApp
from lora_tui.tui.screens.dataset_prepare import PrepareScreen
from lora_tui.tui.widgets.dialog import AskPath
from lora_tui.tui.widgets.text_field import TextField


def make_project(root: Path, images: int = 4) -> Path:
    """A project on ``images`` pictures in ``images/4_hat`` with a configuration that somebody has commented."""
    make_dataset(root / "images", images)
    Project.create(root, trigger="hatgirl", datasets=[root / "images"])
    config = Config()
    config.datasets = [DatasetEntry(path=str(root / "images"))]
    config.data.resolution = 64
    file = root / "configs" / "a.toml"
    save_config(config, file)
    file.write_text("# my words\n" + file.read_text())
    return root


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and ".lora-tui" not in path.parts
    }


async def prepare(app: LoraTuiApp, pilot: Pilot[int | None]) -> PrepareScreen:
    """The screen, with its plan."""
    await pilot.press("space", "p")
    await soon(pilot, lambda: isinstance(app.screen, PrepareScreen))
    screen = app.screen
    assert isinstance(screen, PrepareScreen)
    await soon(pilot, lambda: screen.is_planned or screen.trouble is not None or screen.has_class("-task"))
    return screen


def state(screen: PrepareScreen) -> str:
    status = screen.run_part.progress.status
    return status.state if status is not None else ""


async def test_the_plan_of_every_image_follows_the_settings(tmp_path: Path) -> None:
    root = make_project(tmp_path)
    folder = root / "images" / "4_hat"
    (folder / "broken.jpg").write_bytes(b"no image")
    picture((200, 64), 9).save(folder / "wide.png")
    async with running(root, size=(100, 30), screen="dataset") as (app, pilot):
        screen = await prepare(app, pilot)
        assert "5 images become 5 files" in screen_text(app) and "1 refused" in screen_text(app)
        assert "images-64 " in screen_text(app) and "64 px" in screen_text(app)
        assert "× 4_hat/broken.jpg" in screen_text(app)
        await soon(pilot, lambda: screen.query_one("#after").has_picture)  # type: ignore[attr-defined]
        await pilot.press("down", "down", "down", "right")  # square
        await soon(pilot, lambda: "200x64      64x64" in screen_text(app) and " 68%" in screen_text(app))
        await pilot.press("down", "right", "right")  # padded
        await soon(pilot, lambda: "69% padded" in screen_text(app) and " 68%  " not in screen_text(app))
        await pilot.press("u", "u", "u")
        await soon(pilot, lambda: "200x64     192x64" in screen_text(app))
        await pilot.press("n", "r")
        await soon(pilot, lambda: "This is not an image" in screen_text(app) and "Esc back" in screen_text(app))
        await pilot.press("escape", "down", "enter")
        await soon(pilot, lambda: "trains" not in screen_text(app) and "training size" not in screen_text(app))
        assert "before 64x96" in screen_text(app)  # large; Esc brings the settings back
        await pilot.press("escape")
        await soon(pilot, lambda: "training size" in screen_text(app))
        await pilot.resize_terminal(140, 40)
        await soon(pilot, lambda: "bucket files" in screen_text(app))  # more columns where there is room
        assert not (root / "images-64").exists()


async def test_what_cannot_be_is_said_and_the_choices_are_remembered(tmp_path: Path) -> None:
    root = make_project(tmp_path)
    (root / "full").mkdir()
    (root / "full" / "mine.txt").touch()
    async with running(root, size=(100, 30), screen="dataset") as (app, pilot):
        screen = await prepare(app, pilot)
        await pilot.press("down", "down", "enter")
        await soon(pilot, lambda: "SDXL, SD3, SD3.5, FLUX" in screen_text(app))
        await pilot.press("end", "enter")
        await soon(pilot, lambda: "Training size in px" in screen_text(app))
        await pilot.press("9", "enter")
        await soon(pilot, lambda: "9 is out of range. From 16 to 8192." in screen_text(app))
        await pilot.press("6", "enter")
        await soon(pilot, lambda: "trains at 64 px" in screen_text(app) and "96 px" in screen_text(app))
        await pilot.press("up", "enter")
        await soon(pilot, lambda: "The new folder." in screen_text(app))
        await pilot.press("ctrl+u", *"full", "enter")
        await soon(pilot, lambda: screen.trouble is not None and "it has mine.txt" in screen_text(app))
        await pilot.press("ctrl+r")
        await soon(pilot, lambda: "The destination is not empty" in screen_text(app))
        assert not screen.has_class("-task") and list((root / "full").iterdir()) == [root / "full" / "mine.txt"]
        await pilot.press("escape")
        screen = await prepare(app, pilot)
        assert screen.form is not None and screen.form.options == Options(size=96)


async def test_the_new_images_take_the_place_of_the_old_and_back(tmp_path: Path) -> None:
    root = make_project(tmp_path)
    before, written = hashes(root), [root / "lora-tui.toml", root / "configs" / "a.toml"]
    async with running(root, size=(100, 30), screen="dataset") as (app, pilot):
        screen = await prepare(app, pilot)
        await pilot.press("ctrl+r")
        await soon(pilot, lambda: state(screen) == "finished" and "a trains on them" in screen_text(app), 60)
        assert "4 images prepared" in screen_text(app)
        old, new = root / "images" / "4_hat", root / "images-64" / "4_hat"
        assert {path.name for path in new.iterdir()} == {path.name for path in old.iterdir()}
        assert {Image.open(path).size for path in new.glob("*.png")} == {(64, 64)}
        assert hashes(root / "images") == {name[7:]: value for name, value in before.items() if name[:7] == "images/"}
        new.parent.rename(root / "elsewhere")
        await pilot.press("a")
        await soon(pilot, lambda: "There is no " in screen_text(app))
        assert app.screen is screen
        (root / "elsewhere").rename(new.parent)
        await pilot.press("a")
        await soon(pilot, lambda: "images becomes images-64 in a.toml, lora-tui.toml" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: "trains on images-64 now" in screen_text(app))
        assert [Path(entry.path) for entry in load_config(written[1]).datasets] == [root / "images-64"]
        assert [entry.path for entry in Project.load(root).datasets] == [root / "images-64"]
        assert written[1].read_text().startswith("# my words\n")
        await soon(
            pilot, lambda: app.workspace.scan is not None and "images-64" in str(app.workspace.scan.images[0].path)
        )
        await pilot.press("u")
        await soon(pilot, lambda: "undone: " in screen_text(app))
        assert all(hashes(root)[name] == value for name, value in before.items())
        assert app.workspace.config is not None and app.workspace.config.datasets[0].path == str(root / "images")


async def test_it_rests_stops_and_goes_on_with_the_screen_closed(tmp_path: Path) -> None:
    root = make_project(tmp_path, 90)
    first, *others = sorted((root / "images" / "4_hat").glob("*.png"))
    picture((2000, 1500), 3).save(first)  # large, so that there is time to rest
    for path in others:
        path.unlink()
        path.hardlink_to(first)
    async with running(root, size=(100, 30), screen="dataset") as (app, pilot):
        screen = await prepare(app, pilot)
        await pilot.press("ctrl+r")
        await soon(pilot, lambda: state(screen) == "running", 60)
        await pilot.press("p")
        await soon(pilot, lambda: state(screen) == "paused" and "c go on" in screen_text(app), 60)
        await pilot.press("c")
        await soon(pilot, lambda: state(screen) in ("running", "finished"), 60)
        await pilot.press("s")
        await soon(pilot, lambda: state(screen) in ("stopped", "finished"), 60)
        await pilot.press("escape")
        screen = await prepare(app, pilot)  # the same one is shown again until its end was seen
        if not screen.has_class("-task"):  # it had been told
            await pilot.press("ctrl+r")
        elif screen.run_part.progress.can_resume:
            await pilot.press("c")
        await soon(pilot, lambda: state(screen) == "finished", 60)
        assert len(list((root / "images-64" / "4_hat").glob("*.png"))) == 90


def prepared(root: Path) -> TaskFolder:
    """A preparation that has ended."""
    request = {
        "source": str(root / "images"),
        "destination": str(root / "images-64"),
        "options": Options(size=64).as_dict(),
    }
    task = start_task(root / "images-64", "prepare", "images > images-64", request)
    remember_task(root, task)
    until(lambda: not task_status(task).alive, 60)
    return task


async def test_what_ended_while_the_app_was_closed_is_told(tmp_path: Path) -> None:
    root = make_project(tmp_path)
    task = prepared(root)
    async with running(root, size=(100, 30)) as (app, pilot):
        await soon(pilot, lambda: "images > images-64: 4 images prepared" in screen_text(app))
        assert "F2 Space p shows it." in screen_text(app)
        assert untold_tasks(root) == [task]
        await pilot.press("f2")
        screen = await prepare(app, pilot)
        await soon(pilot, lambda: state(screen) == "finished" and not untold_tasks(root))
        await pilot.press("r")
        await soon(pilot, lambda: "report.json" in screen_text(app))
        await pilot.press("escape", "o")
        await soon(pilot, lambda: "goes on with what lies there" in screen_text(app))
    async with running(root, size=(100, 30)) as (app, pilot):
        assert not list(app._notifications)


@pytest.mark.parametrize("size", [(80, 24), (60, 15)])
async def test_a_folder_that_is_no_project_is_left_for_the_new_one(tmp_path: Path, size: tuple[int, int]) -> None:
    root = make_dataset(tmp_path / "photos", 3)
    async with running(root, size=size, screen="dataset") as (app, pilot):
        screen = await prepare(app, pilot)
        await pilot.press("ctrl+r")
        await soon(pilot, lambda: state(screen) == "finished", 60)
        await pilot.press("a", "enter")
        await soon(pilot, lambda: app.workspace.root == tmp_path / "photos-512")


async def test_the_destination_that_is_asked_for_is_the_one_that_is_meant(tmp_path: Path) -> None:
    root = make_project(tmp_path)
    async with running(root, size=(80, 24), screen="dataset") as (app, pilot):
        screen = await prepare(app, pilot)
        assert screen.form is not None
        place = screen.form.place
        rows = screen.form.rows()
        screen.settings.cursor = [row.key for row in rows].index("destination")
        await pilot.press("enter")
        await soon(pilot, lambda: isinstance(app.screen, AskPath))
        field = app.screen.query_one(TextField)
        assert place is not None and field.value == str(place)
        await pilot.press("enter")
        await soon(pilot, lambda: app.screen is screen)
        assert screen.form.place == place and screen.form.choices.destination is None
        await pilot.press("enter")
        await soon(pilot, lambda: isinstance(app.screen, AskPath))
        app.screen.query_one(TextField).value = str(root)
        await pilot.press("enter")
        await soon(pilot, lambda: "Name a folder beside the source: originals are never touched." in told(app))
        await pilot.press("escape")


def told(app: LoraTuiApp) -> str:
    """What is shown, its lines as one, without the frame."""
    return " ".join(screen_text(app).replace("│", " ").split())
