"""The list draws what is seen, moves by keys, and keeps its place."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import on
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from tui.driving import screen_text

from lora_tui.tui.cells import Cell
from lora_tui.tui.widgets.virtual_list import Column, Row, VirtualList, lay_out

COLUMNS = (Column(3, "n", align="right"), Column(6, "name", share=1), Column(8, since=60))


class ListApp(App[None]):
    """A list of ``count`` rows that notes which rows were asked for."""

    def __init__(self, count: int, **options: object) -> None:
        super().__init__()
        self.rows = count
        self.options = options
        self.asked: set[int] = set()
        self.moved: list[int] = []
        self.edges: list[bool] = []
        self.chosen: list[int] = []

    def compose(self) -> ComposeResult:
        yield VirtualList(COLUMNS, self.row, count=self.rows, empty="Nothing here yet.", **self.options)  # type: ignore[arg-type]

    def row(self, index: int) -> Row:
        self.asked.add(index)
        return (str(index), Cell(f"[/row] {index}", "accent"), "extra")

    @property
    def list(self) -> VirtualList:
        return self.query_one(VirtualList)

    @on(VirtualList.Moved)
    def note_move(self, event: VirtualList.Moved) -> None:
        self.moved.append(event.index)

    @on(VirtualList.Edge)
    def note_edge(self, event: VirtualList.Edge) -> None:
        self.edges.append(event.down)

    @on(VirtualList.Chosen)
    def note_choice(self, event: VirtualList.Chosen) -> None:
        self.chosen.append(event.index)


def lines(app: App[None]) -> list[str]:
    return screen_text(app).splitlines()


async def press(pilot: Pilot[None], *keys: str) -> None:
    await pilot.press(*keys)
    await pilot.pause()


async def test_a_hundred_thousand_rows_draw_a_screenful() -> None:
    app = ListApp(100_000)
    async with app.run_test(size=(60, 20)) as pilot:
        await press(pilot, "G", "g", "pagedown")
        assert len(app.asked) < 100
        assert app.list.virtual_size.height == 100_001


async def test_keys_move_the_cursor_and_keep_it_in_sight() -> None:
    app = ListApp(100)
    async with app.run_test(size=(60, 11)) as pilot:
        for key, row in (
            ("down", 1),
            ("j", 2),
            ("k", 1),
            ("end", 99),
            ("home", 0),
            ("pagedown", 9),
            ("pagedown", 18),
            ("pageup", 9),
            ("G", 99),
            ("down", 99),
            ("g", 0),
            ("up", 0),
        ):
            await press(pilot, key)
            assert app.list.cursor == row, key
            assert any(line.split()[-1:] == [str(row)] or f"[/row] {row} " in line for line in lines(app)), key
        assert app.edges == [True, False]
        assert app.moved[-1] == 0


async def test_titles_stay_and_the_cursor_row_is_marked() -> None:
    app = ListApp(50)
    async with app.run_test(size=(60, 10)) as pilot:
        await press(pilot, "G")
        shown = lines(app)
        assert shown[0].split() == ["n", "name"]
        assert [line for line in shown if line.startswith("▌")] == [line for line in shown if "[/row] 49" in line]


async def test_a_new_size_keeps_the_cursor_in_sight() -> None:
    app = ListApp(100)
    async with app.run_test(size=(80, 30)) as pilot:
        for _step in range(25):
            await pilot.press("down")
        await pilot.resize_terminal(40, 8)
        await pilot.pause()
        assert app.list.cursor == 25
        assert "[/row] 25" in screen_text(app)


async def test_a_new_count_keeps_the_cursor_as_near_as_it_can() -> None:
    app = ListApp(100)
    async with app.run_test(size=(60, 10)) as pilot:
        await press(pilot, "G")
        app.list.set_count(40)
        await pilot.pause()
        assert app.list.cursor == 39
        assert "[/row] 39" in screen_text(app)
        app.list.set_count(0)
        await pilot.pause()
        assert app.list.cursor == -1
        assert "Nothing here yet." in screen_text(app)
        app.list.set_count(5)
        await pilot.pause()
        assert app.list.cursor == 0
        assert app.moved[-3:] == [39, -1, 0]


async def test_other_content_is_asked_for_again() -> None:
    app = ListApp(5)
    async with app.run_test(size=(60, 10)) as pilot:
        await pilot.pause()
        app.asked.clear()
        app.list.reload_row(3)
        await pilot.pause()
        assert app.asked == {3}
        app.list.reload()
        await pilot.pause()
        assert app.asked == {0, 1, 2, 3, 4}


async def test_one_step_repaints_two_rows() -> None:
    app = ListApp(100)
    async with app.run_test(size=(60, 30)) as pilot:
        await pilot.pause()
        app.asked.clear()
        await press(pilot, "down")
        assert app.asked == {0, 1}


async def test_a_click_moves_and_a_second_one_chooses() -> None:
    app = ListApp(10)
    async with app.run_test(size=(60, 12)) as pilot:
        await pilot.click(VirtualList, offset=(5, 4))
        assert app.list.cursor == 3
        await pilot.click(VirtualList, offset=(5, 4), times=2)
        assert app.chosen == [3]


async def test_a_quiet_list_shows_no_cursor_without_the_focus() -> None:
    app = ListApp(10, quiet=True)
    async with app.run_test(size=(60, 12)) as pilot:
        await pilot.pause()
        assert "▌" in screen_text(app)
        app.set_focus(None)
        await pilot.pause()
        assert "▌" not in screen_text(app)


async def test_columns_come_with_the_width() -> None:
    app = ListApp(3)
    async with app.run_test(size=(50, 10)) as pilot:
        assert "extra" not in screen_text(app)
        await pilot.resize_terminal(80, 10)
        await pilot.pause()
        assert "extra" in screen_text(app)


columns = st.builds(
    Column,
    width=st.integers(1, 20),
    share=st.integers(0, 3),
    since=st.integers(0, 60),
    most=st.sampled_from([0, 25]),
)


@given(st.lists(columns, min_size=1, max_size=6), st.integers(1, 120), st.integers(0, 3))
def test_columns_never_take_more_than_there_is(given: list[Column], width: int, gap: int) -> None:
    shown = lay_out(given, width, gap)
    assert sum(cells for _number, cells in shown) + gap * max(len(shown) - 1, 0) <= width
    assert [number for number, _cells in shown] == sorted(number for number, _cells in shown)
    assert len(shown) >= 1 or all(column.since > width for column in given)


@given(st.integers(30, 200))
def test_sharing_columns_take_what_is_left(width: int) -> None:
    shown = lay_out([Column(3), Column(5, share=1), Column(4)], width, 1)
    assert sum(cells for _number, cells in shown) + 2 == width


@pytest.mark.parametrize("width", [1, 2, 3])
async def test_hardly_any_room_is_no_error(width: int) -> None:
    app = ListApp(3)
    async with app.run_test(size=(width, 3)) as pilot:
        await press(pilot, "down")
        assert app.list.cursor == 1


async def test_over_a_slow_link_rows_move_seldom_and_far() -> None:
    app = ListApp(100)
    app.settings = SimpleNamespace(slow=True)  # type: ignore[attr-defined]
    async with app.run_test(size=(40, 13)) as pilot:
        tops = []
        for _key in range(40):
            await press(pilot, "down")
            tops.append(app.list.scroll_offset.y)
            assert tops[-1] <= app.list.cursor < tops[-1] + 12
        assert len(set(tops)) <= 9
        await press(pilot, "end")
        assert app.list.scroll_offset.y == 100 - 12
        await press(pilot, *["up"] * 12)
        assert app.list.scroll_offset.y == 87 - 4
        await press(pilot, "home")
        assert (app.list.cursor, app.list.scroll_offset.y) == (0, 0)
