"""The frame: screens on keys, commands by name, settings that stay, and an end that asks when it must."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset

from lora_tui.project import Project
from lora_tui.settings import Settings, load_settings, settings_file, usable_settings
from lora_tui.tui.app import LoraTuiApp
from lora_tui.tui.screens import SCREENS
from lora_tui.tui.threads import start_job

SIZES = ((60, 15), (80, 24), (200, 50))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "hat-girl")


async def test_every_screen_shows_header_status_and_keys_at_every_size(project: Path) -> None:
    """Each screen is first seen at another size, and then at all of them."""
    async with running(project) as (app, pilot):
        for number, entry in enumerate(SCREENS):
            app.show_screen(entry.name)
            await soon(pilot, lambda entry=entry: app.current_mode == entry.name and app.screen.is_mounted)
            for turn in range(len(SIZES)):
                width, height = SIZES[(number + turn) % len(SIZES)]
                await pilot.resize_terminal(width, height)
                await soon(pilot, lambda: "? keys" in screen_text(app).splitlines()[-1])
                lines = screen_text(app).splitlines()
                assert len(lines) == height, (entry.name, width)
                assert lines[0].startswith("hat-girl")
                assert width < 80 or entry.name == "home" or (entry.road or entry.title) in lines[0]
                assert lines[1] == "─" * width


async def test_function_keys_lead_to_screens_and_escape_back_to_the_start(project: Path) -> None:
    async with running(project) as (app, pilot):
        for entry in SCREENS:
            if entry.key:
                await pilot.press(entry.key)
                assert app.current_mode == entry.name
                if entry.name == "tags":  # where one Esc too many would lose work
                    await pilot.press("escape", "escape")
                    await soon(pilot, lambda: "F9 leads home" in screen_text(app))
                    assert app.current_mode == "tags"
                await pilot.press("f9" if entry.name == "tags" else "escape")
                await soon(pilot, lambda: app.current_mode == "home")
        await pilot.press("f2", "q")
        assert app.current_mode == "home"


async def test_the_header_names_project_and_purpose_with_markup_shown(tmp_path: Path) -> None:
    Project.create(make_dataset(tmp_path), name="[/b] hats \x1b[31m", purpose="character")
    async with running(tmp_path) as (app, _pilot):
        assert screen_text(app).startswith("[/b] hats ␛[31m · character")


async def test_settings_that_cannot_be_used_are_told_and_the_app_starts(project: Path) -> None:
    path = settings_file()
    path.write_text('theme = "nope"\n[keys]\ndataset.order = 5\n', encoding="utf-8")
    settings, wrong = usable_settings()
    app = LoraTuiApp(project, settings=settings, wrong_settings=wrong)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await soon(pilot, lambda: "There is no theme nope." in screen_text(app))
        assert "5 is not allowed" in screen_text(app)


async def test_the_palette_does_what_is_typed(project: Path) -> None:
    async with running(project) as (app, pilot):
        await pilot.press("ctrl+p")
        await pilot.press(*"datas")
        await soon(pilot, lambda: "▌ Dataset" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: app.current_mode == "dataset")


async def test_the_palette_says_why_something_cannot_be_done(project: Path) -> None:
    for caption in (project / "4_hat").glob("*.txt"):
        caption.write_text("hatgirl")
    async with running(project, size=(120, 30)) as (app, pilot):
        await pilot.press("f2")
        await soon(pilot, lambda: "0000.png" in screen_text(app))
        await pilot.press("slash", *"zzzz", "enter")
        await soon(pilot, lambda: "No file fits" in screen_text(app))
        await pilot.press("ctrl+p", *"large")
        await soon(pilot, lambda: "There is no picture here." in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: "There is no picture here." in screen_text(app).splitlines()[-2])


async def test_help_lists_the_keys_of_this_screen_first_and_can_be_searched(project: Path) -> None:
    async with running(project, size=(100, 70)) as (app, pilot):
        await pilot.press("f2", "question_mark")
        await soon(pilot, lambda: "search keys" in screen_text(app))
        headings = [line.strip() for line in screen_text(app).splitlines()]
        assert headings.index("Dataset") < headings.index("Everywhere")
        await pilot.press(*"theme")
        await soon(pilot, lambda: "▌" in screen_text(app) and "filter" not in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: "Sixteen" in screen_text(app))


async def test_a_theme_is_shown_while_choosing_kept_when_taken_and_given_back_on_escape(project: Path) -> None:
    async with running(project) as (app, pilot):
        before = app.theme
        app.perform("app.choose-theme")
        await soon(pilot, lambda: "Theme" in screen_text(app))
        await pilot.press("end")
        await soon(pilot, lambda: app.theme != before)
        await pilot.press("escape")
        await soon(pilot, lambda: app.theme == before)
        assert load_settings().theme == ""
        app.perform("app.choose-theme")
        await soon(pilot, lambda: "Theme" in screen_text(app))
        await pilot.press("home", "enter")
        await soon(pilot, lambda: load_settings().theme == app.theme != before)


async def test_the_language_changes_at_once_and_stays(project: Path) -> None:
    async with running(project) as (app, pilot):
        await pilot.press("f2")
        await soon(pilot, lambda: "0000.png" in screen_text(app))
        app.perform("app.choose-language")
        await soon(pilot, lambda: "简体中文" in screen_text(app))
        await pilot.press("end", "enter")
        await soon(pilot, lambda: load_settings().language == "zh_CN")
        await soon(pilot, lambda: app.current_mode == "dataset" and "0000.png" in screen_text(app))
        await soon(pilot, lambda: "图片" in screen_text(app).splitlines()[-2])
        await pilot.press("escape")
        await soon(pilot, lambda: app.current_mode == "home")


async def test_keys_from_the_settings_work_and_are_shown(project: Path) -> None:
    settings = Settings(keys={"app.show-dataset": ("f12",), "dataset.filter": ("b",), "home.open": ("ctrl+i",)})
    async with running(project, settings=settings, size=(120, 30)) as (app, pilot):
        assert "F12" in screen_text(app)
        await soon(pilot, lambda: "sends ctrl+i as Tab" in screen_text(app))
        await pilot.press("f2")
        assert app.current_mode == "home"
        await pilot.press("f12")
        assert app.current_mode == "dataset"
        await soon(pilot, lambda: "b filter" in screen_text(app))
        await pilot.press("b", *"0003")
        await soon(pilot, lambda: "filter: 0003" in screen_text(app))


async def test_leaving_asks_only_when_something_would_be_lost(project: Path) -> None:
    async with running(project) as (app, pilot):
        await pilot.press("ctrl+q")
        await soon(pilot, lambda: app.return_code == 0)
    async with running(project) as (app, pilot):
        config = app.workspace.config
        assert config is not None
        changed = config.model_copy(deep=True)
        changed.network.rank = 5
        app.use_config(changed)
        await pilot.press("o")  # another project
        await soon(pilot, lambda: "Open a project" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: "Open the other project without them?" in screen_text(app))
        await pilot.press("escape")
        await soon(pilot, lambda: "changes that are not saved" not in screen_text(app))
        assert app.workspace.config is changed and app.workspace.directory == project
        await pilot.press("ctrl+q")
        await soon(pilot, lambda: "changes that are not saved" in screen_text(app))
        await pilot.press("escape")
        await soon(pilot, lambda: "changes that are not saved" not in screen_text(app))
        assert app.return_code is None
        await pilot.press("ctrl+q", "y")
        await soon(pilot, lambda: app.return_code == 0)


async def test_too_small_a_window_says_so_and_comes_back(project: Path) -> None:
    async with running(project) as (app, pilot):
        focused = app.screen.focused
        await pilot.resize_terminal(59, 24)
        await soon(pilot, lambda: "at least 60x15" in screen_text(app))
        await pilot.resize_terminal(80, 24)
        await soon(pilot, lambda: "6 images" in screen_text(app))
        assert app.screen.focused is focused


async def test_a_project_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    (tmp_path / "lora-tui.toml").write_text("purpose = 3")
    async with running(tmp_path) as (app, pilot):
        await soon(pilot, lambda: "lora-tui.toml" in screen_text(app))
        await pilot.press("f2", "f4", "f5", "f8", "escape")


async def test_images_that_come_are_found_without_asking(project: Path) -> None:
    async with running(project) as (app, pilot):
        make_dataset(project, 9)
        for _look in range(6):
            app.poll_runs()
            await soon(pilot, lambda: not app._polling)
        await soon(pilot, lambda: "9 images" in screen_text(app))


def test_first_paint_needs_neither_torch_nor_pillow_nor_pydantic() -> None:
    code = (
        "import sys, asyncio; from pathlib import Path\n"
        "from lora_tui.tui.app import LoraTuiApp\n"
        "app = LoraTuiApp(Path('.'))\n"
        "app._begin = lambda: None\n"
        "async def main():\n"
        "    async with app.run_test() as pilot:\n"
        "        await pilot.pause()\n"
        "asyncio.run(main())\n"
        "print(sorted({'torch', 'PIL', 'pydantic', 'numpy', 'psutil', 'diffusers'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


async def test_bell_notifications_and_slow_links_are_chosen_by_name_and_stay(project: Path) -> None:
    app = LoraTuiApp(project)
    async with app.run_test(size=(80, 24)) as pilot:
        written: list[str] = []
        app.signal_terminal = written.append  # type: ignore[method-assign]
        for place, key, name, value in (
            (3, "down", "bell", False),
            (4, "end", "desktop", "off"),
            (5, "up", "slow", True),
        ):
            app.perform("app.settings")
            await soon(pilot, lambda: "notifications" in screen_text(app) and "slow link" in screen_text(app))
            assert "settings.toml" in re.sub(r"[\s│]", "", screen_text(app))  # a long path is broken anywhere
            await pilot.press(*["down"] * place, "enter")
            await pilot.press(key, "enter")
            await soon(pilot, lambda name=name, value=value: getattr(load_settings(), name) == value)
        app.perform("app.settings")
        await pilot.press(*["down"] * 4, "enter", "home", "down", "enter")
        await soon(pilot, lambda: load_settings().desktop == "osc9")
        assert "".join(written).startswith("\x1b]9;") or "]9;lora-tui" in "".join(written)


async def test_work_that_comes_after_the_end_finds_nothing_and_that_is_no_crash(project: Path) -> None:
    async with running(project, screen="loras") as (app, _pilot):
        screen = app.screen
        app.exit()
        screen.call_later(lambda: screen.query_one("#taken-down"))

        async def job() -> None:
            screen.query_one("#taken-down")

        start_job(screen, job, "late")
