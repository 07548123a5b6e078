"""What is seen can be told apart and read: in sixteen colours, in ASCII, in small terminals, in Chinese."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.seeing import sees, text_of

from lora_tui.project import Project
from lora_tui.settings import Settings
from lora_tui.text import _, set_language
from lora_tui.tui.app import LoraTuiApp
from lora_tui.tui.marks import ASCII, UNICODE
from lora_tui.tui.screens import dataset, runs
from lora_tui.tui.theme import load_themes
from lora_tui.tui.widgets.dialog import Choice, Choose
from lora_tui.tui.widgets.footer import Keys
from lora_tui.tui.widgets.virtual_list import VirtualList

pytestmark = pytest.mark.usefixtures("may_fetch")

SIXTEEN = Settings(theme="sixteen")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    Project.create(make_dataset(tmp_path, 6), purpose="character", trigger="hatgirl", base_model="owner/model")
    return tmp_path


def row(rows: VirtualList, y: int) -> list[tuple[str, Style]]:
    """The pieces of a line of a list that say something, with their styles."""
    return [(text, style) for text, style, _control in rows.render_line(y) if text.strip() and style is not None]


def all_segments(app: LoraTuiApp) -> Iterator[Segment]:
    for strip in app.screen._compositor.render_strips():
        yield from strip


async def test_of_sixteen_colours_only_the_cursor_s_own_stand_on_its_row(project: Path) -> None:
    async with running(project, settings=SIXTEEN) as (app, pilot):
        road = app.screen.query_one("#road", VirtualList)
        looks = {(style.color, style.bgcolor) for _text, style in row(road, 0)}
        assert len(looks) == 1, looks
        assert len({style.color for _text, style in row(road, 1)}) > 1  # other rows have the colours of their marks
        await pilot.press("f4")
        await sees(pilot, "base model")
        form = app.screen.query_one("FormList", VirtualList)
        assert len({(style.color, style.bgcolor) for _text, style in row(form, 0)}) == 1


async def test_muted_text_is_faint_where_the_terminal_chooses_its_colours(project: Path) -> None:
    """Bright black is the ground itself in some palettes."""
    async with running(project, settings=SIXTEEN) as (app, _pilot):
        faint = app.screen.query_one(Keys).get_component_rich_style("keys--off", partial=True)
        assert faint.dim
        assert all(style.color is None or style.color.name != "bright_black" for style in _styles(app, letters=True))


def _styles(app: LoraTuiApp, *, letters: bool) -> list[Style]:
    return [one.style for one in all_segments(app) if one.style and (one.text.strip(" ─│") or not letters)]


async def test_what_cannot_be_done_now_can_still_be_read(project: Path) -> None:
    async with running(project, screen="runs") as (app, pilot):
        for name, spec in load_themes()[0].items():
            app.theme = name
            await pilot.pause()
            off = app.screen.query_one(Keys).get_component_rich_style("keys--off", partial=True)
            key = app.screen.query_one(Keys).get_component_rich_style("keys--key", partial=True)
            assert off != key, name
            muted = off.color is not None and off.color.get_truecolor().hex.lower() == spec.colours["muted"]
            assert spec.ansi or muted, name


async def test_the_list_that_keys_are_for_has_another_mark_than_the_others(project: Path) -> None:
    async with running(project, screen="tags") as (app, pilot):
        await sees(pilot, "hatgirl")
        screen = screen_text(app).splitlines()
        assert sum(line.count(UNICODE.cursor) for line in screen) == 1
        assert sum(line.count(UNICODE.resting) for line in screen) == 2
        title = next(iter(app.screen.query_one("#files-title").render_line(0)))
        other = next(iter(app.screen.query_one("#vocab-title").render_line(0)))
        assert title.style is not None and title.style.bold  # in NO_COLOR weight alone tells
        assert other.style is not None and not other.style.bold
        await pilot.press("tab")
        assert screen_text(app).splitlines()[3].count(UNICODE.cursor) == 1


async def test_errors_have_another_mark_than_warnings(project: Path) -> None:
    folder = project / "4_hat"
    (folder / "0000.png").write_bytes((folder / "0001.png").read_bytes()[:60])
    (folder / "0002.txt").unlink()
    async with running(project, size=(100, 30), screen="dataset") as (app, pilot):
        await sees(pilot, "! 4_hat/")
        await sees(pilot, "∅ 0002.png")
        await pilot.press("home", "down")  # the folder's row comes with the checks, the cursor stays on its file
        await sees(pilot, "× The image")
        await pilot.press("f4")
        await soon(pilot, lambda: "! 1 warning" in screen_text(app) or "warnings" in screen_text(app))
        await pilot.press("tab", "tab", "tab", "down", "enter", "0")  # the rank
        await sees(pilot, "× a whole number")


async def test_ascii_is_ascii_everywhere(project: Path) -> None:
    thumb = "▁▂▃▄▅▆▇"  # the app gives scroll bars their ASCII form for the whole process, where it begins
    async with running(project, settings=Settings(ascii=True)) as (app, pilot):
        for keys in ("", "f2", "f3", "space", "escape f4", "f5", "f8", "f1", "escape ctrl+p"):
            await pilot.press(*keys.split())
            if keys in ("f3", "space"):
                await sees(pilot, "hatgirl" if keys == "f3" else "prune assistant")
            odd = {character for character in screen_text(app) if not character.isascii()} - set(thumb)
            assert not odd, keys
    assert all(mark.isascii() and len(mark) == 1 for mark in vars(ASCII).values())


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_titles_of_columns_fit(language: str) -> None:
    set_language(language)
    for column in (*dataset.COLUMNS, *runs.COLUMNS):
        assert cell_len(_(column.title) if column.title else "") <= column.width, column.title


async def test_words_of_wide_characters_in_an_empty_chart_keep_its_width(project: Path) -> None:
    set_language("zh_CN")
    run = project / "runs" / "20250101-000000-a"
    run.mkdir(parents=True)
    (run / "config.toml").write_text("schema_version = 1\n")
    (run / "events.jsonl").write_text('{"time": 1.0, "type": "run", "total_steps": 4, "epochs": 1}\n')
    async with running(project, screen="training") as (app, pilot):
        chart = app.screen.query_one("#chart")
        await soon(pilot, lambda: any(cell_len(line) > len(line) for line in text_of(chart)))
        for y in range(chart.size.height):
            assert cell_len(chart.render_line(y).text) == chart.size.width


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (120, 35)])
async def test_the_palette_keeps_its_height_and_its_keys(project: Path, size: tuple[int, int]) -> None:
    async with running(project, size=size) as (app, pilot):
        await pilot.press("ctrl+p")
        await sees(pilot, "Esc cancel")
        rows = app.screen.query_one(VirtualList)
        height = rows.size.height
        assert height >= 7
        assert "leads" in text_of(app.screen.query_one("#about"))[0]  # what the first row is, before any key
        await pilot.press(*"theme")
        await sees(pilot, "Choose the colours")
        assert rows.size.height == height
        assert "Esc cancel" in screen_text(app)


@pytest.mark.parametrize("size", [(60, 15), (80, 24)])
async def test_a_dialog_always_says_how_to_leave_it(project: Path, size: tuple[int, int]) -> None:
    async with running(project, size=size, screen="tags") as (app, pilot):
        await sees(pilot, "hatgirl")
        await pilot.press("space", "p")
        await sees(pilot, "Esc cancel")
        await pilot.press("escape", "f9", "n")
        await sees(pilot, "New project")
        assert "Tab complete" in screen_text(app) and "Esc cancel" in screen_text(app)
        await pilot.press("escape", "f4", "ctrl+r")
        await sees(pilot, "Start a training of")
        assert "Enter start" in screen_text(app) and "Esc cancel" in screen_text(app)
        await pilot.press("escape")


async def test_a_remark_that_is_cut_is_whole_below_the_choices(project: Path) -> None:
    remark = "what there is to say of it, which is more than one row of the list has room for, all told"
    choices = [Choice(name, name, remark if name == "one" else "short") for name in ("one", "two")]
    async with running(project) as (app, pilot):
        app.push_screen(Choose("Which", choices))
        await sees(pilot, "which is more than")
        assert "all told" in " ".join(text_of(app.screen.query_one("#about")))
        await pilot.press("down")
        await soon(pilot, lambda: text_of(app.screen.query_one("#about"))[0].strip() == "short")
        app.pop_screen()
        app.push_screen(Choose("Which", choices[1:]))
        await sees(pilot, "two")
        assert not app.screen.query_one("#about").display


async def test_the_line_of_the_zone_is_not_cut(project: Path) -> None:
    (project / "4_hat" / "0000.txt").write_text("hatgirl ||| hat, smile", encoding="utf-8")
    async with running(project, screen="tags") as (app, pilot):
        await sees(pilot, "fixed up to here")
        line = next(line for line in screen_text(app).splitlines() if "fixed up to here" in line)
        assert UNICODE.ellipsis not in line.partition("fixed")[2]


@pytest.mark.parametrize(
    ("title", "width", "shown"), [("hat", 110, True), ("hat", 80, False), ("a-project-of-a-very-long-name", 90, False)]
)
async def test_one_key_leads_to_the_start_from_anywhere(tmp_path: Path, title: str, width: int, shown: bool) -> None:
    Project.create(make_dataset(tmp_path, 2), name=title, purpose="character", trigger="hatgirl")
    async with running(tmp_path, size=(width, 24), screen="dataset") as (app, pilot):
        await sees(pilot, "0001.png")
        assert ("F9 Home" in screen_text(app).splitlines()[0]) is shown
        await pilot.press("f9")
        await soon(pilot, lambda: app.current_mode == "home")
        await pilot.press("f1", *"home")
        await sees(pilot, "The road from pictures")
        assert any("F9" in line and "Home" in line for line in screen_text(app).splitlines())


@pytest.mark.parametrize("size", [(60, 15), (80, 24), (200, 50)])
async def test_the_words_above_the_files_end_where_their_columns_do(project: Path, size: tuple[int, int]) -> None:
    async with running(project, size=size, screen="tags") as (app, pilot):
        await sees(pilot, "hatgirl")
        title, first = (
            text_of(app.screen.query_one("#files-title"))[0],
            text_of(app.screen.query_one("#files"))[0],
        )
        numbers = first.split()[2:]  # the mark, the name, then tags and tokens
        assert title.split()[2:] == ["tags", "tokens"][: len(numbers)]
        place = 0
        for word, number in zip(title.split()[2:], numbers, strict=True):
            place = first.index(number, max(place, title.index(word))) + len(number)
            assert title.index(word) + len(word) == place


async def test_a_notice_is_ascii_in_ascii(project: Path) -> None:
    async with running(project, settings=Settings(ascii=True)) as (app, pilot):
        app.notify_plain("something is wrong", "warning")
        await sees(pilot, "something is wrong")
        assert screen_text(app).isascii()
