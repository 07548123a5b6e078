"""The screen of grids, driven by keys: the list, the cells as they come, blinking, comparing, the best and its undo."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from painted_grids import new_painted, paint, painted_project
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset

from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.grids.axes import Axis, Value
from lora_tui.grids.folder import GridFolder, create
from lora_tui.grids.grid import Grid
from lora_tui.grids.looking import GridReader, GridsReader
from lora_tui.records.notes import change_notes, read_notes
from lora_tui.runs.folder import RunFolder, list_runs
from lora_tui.scores.told import CellScores, Choice, Recommendation, Scores
from lora_tui.tui.screens.grids import GridsScreen
from lora_tui.tui.widgets.cell_grid import CellGrid
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.text_view import TextView

ESCAPE = "\x1b"


def screen(app: Any) -> GridsScreen:
    found = app.screen
    assert isinstance(found, GridsScreen)
    return found


async def listed(app: Any, pilot: Any, number: int) -> GridsScreen:
    await pilot.press("f6")
    await soon(pilot, lambda: isinstance(app.screen, GridsScreen) and len(screen(app).rows or ()) == number)
    return screen(app)


async def opened(app: Any, pilot: Any) -> GridsScreen:
    await listed(app, pilot, 1)
    await pilot.press("enter")
    await soon(pilot, lambda: screen(app).grid.page is not None)
    return screen(app)


def table(app: Any) -> CellGrid:
    found = screen(app).query_one("#grid-cells")
    assert isinstance(found, CellGrid)
    return found


async def test_grids_are_listed_with_what_varies_and_how_far_they_are(tmp_path: Path) -> None:
    painted_project(tmp_path, drawn=5)
    other = new_painted(tmp_path / "grids", None, prompts=1, title=f"x{ESCAPE}[31m [/b]")
    paint(other, 1)
    (other.root.parent / "20260101-000000-torn").mkdir()
    (other.root.parent / "20260101-000000-torn" / "grid.json").write_text('{"format": 1}')
    async with running(tmp_path, size=(170, 40)) as (app, pilot):
        await listed(app, pilot, 3)
        text = screen_text(app)
        for words in ("3 grids", "strength 4 × checkpoint 3 × prompt 2", "7 of 24", "cannot be read"):
            assert words in text, words
        assert ESCAPE not in text
        picture = screen(app).query_one("#grid-picture", ImageView)
        await soon(pilot, lambda: picture.shown is not None and picture.shown.parent == other.cells)
        (other.root / "sheet.png").write_bytes(next(other.cells.glob("*.png")).read_bytes())
        await pilot.press("down", "up")
        await soon(pilot, lambda: picture.shown == other.root / "sheet.png")
        for _row in range(3):
            await pilot.press("down")
            await pilot.pause()
        await soon(pilot, lambda: "Make the grid" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: "cannot be read" in screen_text(app).splitlines()[-2])


async def test_an_empty_place_says_which_key_makes_a_grid(tmp_path: Path) -> None:
    async with running(make_dataset(tmp_path, 2)) as (app, pilot):
        await listed(app, pilot, 0)
        assert "X in F5 makes one" in screen_text(app)
        await pilot.press("x")
        await soon(pilot, lambda: "Open a grid first" in screen_text(app))


async def test_arrows_go_over_the_cells_and_enter_shows_one_in_full(tmp_path: Path) -> None:
    folder = painted_project(tmp_path)
    async with running(tmp_path) as (app, pilot):
        found = await listed(app, pilot, 1)
        await pilot.press("enter", "right")  # typed before it is read, and meant for its cells
        await soon(pilot, lambda: found.grid.page is not None and table(app).cursor == 1)
        await pilot.press("left")
        await soon(pilot, lambda: "24 of 24 cells" in screen_text(app) and table(app).is_drawn(0))
        text = screen_text(app)
        for words in ("checkpoint × strength", "prompt 1 of 2", "0.4", "150", "▀"):
            assert words in text, words
        await pilot.press("down", "right", "right", "left", "right")
        await soon(pilot, lambda: "strength 0.8" in screen_text(app) and "checkpoint 100" in screen_text(app))
        await pilot.press("enter")
        view = found.query_one("#full-right-image", ImageView)
        here = found.grid.here
        assert here is not None
        await soon(pilot, lambda: view.shown == folder.picture(here.key))
        assert "hatgirl 0 [/x]" in screen_text(app)
        await pilot.press("right")
        await soon(
            pilot, lambda: "strength 1" in screen_text(app) and view.shown not in (None, folder.picture(here.key))
        )
        await pilot.press("tab")
        await soon(pilot, lambda: "hatgirl 1 [/x]" in screen_text(app))
        await pilot.press("escape", "escape")
        await soon(pilot, lambda: found.view == "list")


async def test_cells_arrive_while_it_is_looked_at_and_failed_ones_say_why(tmp_path: Path) -> None:
    folder = painted_project(tmp_path, drawn=2, prompts=1)
    async with running(tmp_path) as (app, pilot):
        found = await opened(app, pilot)
        assert "4 of 12 cells" in screen_text(app)
        paint(folder, 4, fail=1)
        found.grid.look()
        await soon(pilot, lambda: "6 of 12 cells, 1 failed" in screen_text(app))
        place = next(at for at, one in enumerate(found.grid.page.cells) if one.state == "failed")  # type: ignore[union-attr]
        table(app).cursor = place
        await soon(pilot, lambda: "[/memory]" in screen_text(app))
        await pilot.press("r")
        await soon(pilot, lambda: isinstance(app.screen, TextView) and "not enough [/memory]" in screen_text(app))


async def test_blinking_shows_the_base_and_two_cells_stand_beside_each_other(tmp_path: Path) -> None:
    folder = painted_project(tmp_path, prompts=1)
    async with running(tmp_path, size=(100, 30)) as (app, pilot):
        found = await opened(app, pilot)
        await pilot.press("right")
        await pilot.press("c")
        await soon(pilot, lambda: "Mark the cell" in screen_text(app))
        base, here = found.grid.at(0), found.grid.at(1)
        assert base is not None and here is not None and found.grid.base_here == base
        await pilot.press("b")
        assert found.grid.tile(1).path == folder.picture(base.key)
        await pilot.press("b")
        assert found.grid.tile(1).path == folder.picture(here.key)
        await pilot.press("m", "down", "right", "c")
        left, right = (found.query_one(f"#full-{side}-image", ImageView) for side in ("left", "right"))
        other = found.grid.at(6)
        assert other is not None
        await soon(pilot, lambda: (left.shown, right.shown) == (folder.picture(here.key), folder.picture(other.key)))
        await pilot.press("b")
        await soon(pilot, lambda: right.shown == folder.picture(base.key))
        assert "the base model in its place" in screen_text(app)
        await pilot.press("escape", "escape", "escape")
        assert found.view == "cells" and not found.grid.blinking


async def test_the_best_goes_into_the_record_of_the_run_and_is_undone(tmp_path: Path) -> None:
    painted_project(tmp_path, prompts=1)
    run = list_runs(tmp_path / "runs")[0]
    change_notes(run, best="checkpoints/hat-girl-000050.safetensors")
    async with running(tmp_path, size=(110, 30)) as (app, pilot):
        found = await opened(app, pilot)
        await pilot.press("x")
        await soon(pilot, lambda: "base model without a LoRA" in screen_text(app))
        await pilot.press("down", "right", "right", "x")
        await soon(pilot, lambda: read_notes(run).best_strength == 0.8)
        notes = read_notes(run)
        assert notes.best == "checkpoints/hat-girl-000100.safetensors"
        assert "checkpoint 100, strength 0.8" in notes.best_reason
        await soon(pilot, lambda: "✓ best" in screen_text(app) and found.grid.tile(6).line[0].text == "✓")
        await pilot.press("f8")
        await soon(pilot, lambda: "best @100 at 0.8" in screen_text(app))
        await pilot.press("f6", "u")
        await soon(pilot, lambda: read_notes(run).best_strength is None)
        assert read_notes(run).best == "checkpoints/hat-girl-000050.safetensors"
        await pilot.press("u")
        await soon(pilot, lambda: "Nothing was noted here" in screen_text(app))
        await pilot.press("x")
        await soon(pilot, lambda: read_notes(run).best_strength == 0.8)
        change_notes(run, best_strength=0.7)
        await pilot.press("u")
        await soon(pilot, lambda: "Another was noted since" in screen_text(app))
        assert read_notes(run).best_strength == 0.7


def scored(folder: GridFolder) -> Scores:
    """Numbers as a model would give them; the second checkpoint at 0.8 is recommended, at 0.4 it is as good."""
    cells = GridReader(folder).read().cells
    by_choice = {one.labels[:2]: one.key for one in cells}
    choices = tuple(
        Choice(
            checkpoint,
            strength,
            step=int(checkpoint),
            weight=float(strength),
            cells=(by_choice[strength, checkpoint],),
            likeness=0.5 + int(checkpoint) / 1000,
            prompt=0.3,
            variety=0.62,
            tied=strength in ("0.4", "0.8"),
        )
        for checkpoint in ("50", "100", "150")
        for strength in ("0.4", "0.8")
    )
    best = by_choice["0.8", "100"]
    return Scores(
        cells={best: CellScores(likeness=0.81, prompt=0.74, nearest=0.66)},
        choices=choices,
        recommendation=Recommendation(
            "100",
            "0.8",
            cells=(best,),
            close=True,
            reasons=("It is [most] like them.",),
            tied_cells=(by_choice["0.4", "100"],),
        ),
        notes=("One seed only.",),
    )


async def test_scores_and_the_recommendation_stand_beside_the_pictures(tmp_path: Path) -> None:
    folder = painted_project(tmp_path, prompts=1)
    async with running(tmp_path, size=(120, 40)) as (app, pilot):
        found = await opened(app, pilot)
        assert "likeness" not in screen_text(app)
        (folder.root / "scores.json").write_text(json.dumps(scored(folder).as_json()))
        found.grid.look()
        await pilot.press("down", "right", "right")
        await soon(pilot, lambda: "0.81" in screen_text(app))
        text = screen_text(app)
        for words in (
            "prompt     0.74",
            "variety    0.62",
            "0.66  ok",
            "recommended",
            "100 at 0.8",
            "too close to call",
        ):
            assert words in text, words
        assert "CURVES  by step at 0.8" in text and found.grid.tile(6).line[0].text == "+"
        assert "+ recommended" in text  # what the sign at the picture says
        legend = "+ recommended  ~ too close to call  nearest: training image"
        for size in ((80, 24), (120, 40)):  # and what all of them say, in a line
            await pilot.resize_terminal(*size)
            await soon(pilot, lambda: legend in screen_text(app))
        await pilot.press("r")
        await soon(
            pilot, lambda: "It is [most] like them." in screen_text(app) and "One seed only." in screen_text(app)
        )
        (folder.root / "scores.json").write_text("[1]")
        await pilot.press("escape")
        found.grid.look()
        await soon(pilot, lambda: "recommended" not in screen_text(app))


async def test_one_key_scores_by_validation_loss_where_no_model_is_known(tmp_path: Path) -> None:
    folder = painted_project(tmp_path, prompts=1)
    async with running(tmp_path, size=(120, 40)) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("e")
        await soon(pilot, lambda: (folder.root / "scores.json").exists(), 120)
        await soon(pilot, lambda: "recommended" in screen_text(app), 60)


async def test_values_are_added_in_the_words_of_the_command_and_mistakes_told_first(tmp_path: Path) -> None:
    folder = painted_project(tmp_path, prompts=1)
    asked_for = (folder.root / "grid.json").read_bytes()
    async with running(tmp_path, size=(110, 30)) as (app, pilot):
        await opened(app, pilot)
        await pilot.press("+")
        await soon(pilot, lambda: "strength" in screen_text(app) and "add" in screen_text(app))
        await pilot.press(*"stre", "tab", *"99")
        await soon(pilot, lambda: "99" in screen_text(app) and "10" in screen_text(app).splitlines()[-3])
        await pilot.press("enter")
        await pilot.press("backspace", "backspace", *"1.2,1.4")
        await soon(pilot, lambda: "6 new pictures" in screen_text(app))
        assert (folder.root / "grid.json").read_bytes() == asked_for
        await pilot.press("escape")
        assert screen(app).view == "cells"


async def test_the_cursor_stays_on_its_cell_where_values_are_added(tmp_path: Path) -> None:
    folder = painted_project(tmp_path, prompts=1)
    async with running(tmp_path, size=(110, 30)) as (app, pilot):
        found = await opened(app, pilot)
        await pilot.press("down", "right", "right")
        grid = folder.read()
        across = grid.axes[0]
        more = replace(across, values=(Value("0.2", {"strength": 0.2}), *across.values))
        folder.write(replace(grid, axes=(more, *grid.axes[1:])))
        found.grid.look(anew=True)
        await soon(pilot, lambda: "12 of 15 cells" in screen_text(app))
        assert found.grid.here is not None and found.grid.here.labels[:2] == ("0.8", "100")
        await pilot.press("enter", "z")
        await soon(pilot, lambda: "It is as large as it fits." in screen_text(app))


async def test_a_new_grid_is_planned_before_anything_is_written(tmp_path: Path) -> None:
    painted_project(tmp_path, prompts=1)
    async with running(tmp_path, size=(100, 30)) as (app, pilot):
        await listed(app, pilot, 1)
        await pilot.press("n")
        await soon(pilot, lambda: "checkpoint=all" in screen_text(app) and "18 cells" in screen_text(app))
        assert "16 different pictures" in screen_text(app) and "w draw it" in screen_text(app)
        await pilot.press("enter")
        await soon(pilot, lambda: "take it" in screen_text(app))
        await pilot.press(*",nonsense", "enter")
        await soon(pilot, lambda: "nonsense is no" in screen_text(app))
        assert "draw it" not in screen_text(app)
        await pilot.press("down", "down", "enter", *"sam", "tab", *"Euler, DDIM", "enter")
        await soon(pilot, lambda: "sampler=Euler, DDIM" in screen_text(app))
        await pilot.press("up", "up", "enter", "ctrl+u", *"seed=1-3", "enter")
        await soon(pilot, lambda: "18 cells: seed 3" in screen_text(app))
        await pilot.press("escape")
        await soon(pilot, lambda: isinstance(app.screen, GridsScreen))
        assert len(list((tmp_path / "grids").iterdir())) == 1


async def test_thousands_of_cells_stay_quick_and_larger_pictures_scroll(tmp_path: Path) -> None:
    make_dataset(tmp_path, 2)
    settings = dict(new_painted(tmp_path / "elsewhere", None).read().settings)
    seeds = tuple(Value(str(n), {"seed": n}) for n in range(100))
    steps = tuple(Value(str(n), {"steps": n}) for n in range(1, 51))
    create(tmp_path / "grids", Grid("many", "sd15", settings, (Axis("seed", seeds), Axis("steps", steps))), Config())
    async with running(tmp_path) as (app, pilot):
        await listed(app, pilot, 1)
        await pilot.press("enter")
        await soon(pilot, lambda: screen(app).grid.page is not None)
        cells = table(app)
        asked: list[int] = []
        tile = screen(app).grid.tile
        cells._tile = lambda index: (asked.append(index), tile(index))[1]  # type: ignore[method-assign, func-returns-value]
        await pilot.press("end")
        await soon(pilot, lambda: "seed 99" in screen_text(app) and "steps 50" in screen_text(app))
        assert len(set(asked)) < 100  # of five thousand
        width = cells.tile_size[0]
        await pilot.press("z")
        assert cells.tile_size[0] > width
        await pilot.press("Z")
        assert cells.tile_size[0] == width


def test_a_page_too_large_to_be_shown_is_told(tmp_path: Path) -> None:
    folder = new_painted(tmp_path, None)
    grid = folder.read()
    seeds = tuple(Value(str(n), {"seed": n}) for n in range(300))
    guidance = tuple(Value(str(n), {"guidance": n / 10}) for n in range(300))
    folder.write(replace(grid, axes=(Axis("seed", seeds), Axis("guidance", guidance))))
    with pytest.raises(UserError) as refused:
        GridReader(folder).read()
    assert refused.value.code == "grid.page"
    assert GridsReader().read(tmp_path)[0].cells == 90_000


@pytest.mark.parametrize("size", [(60, 15), (200, 50)])
async def test_every_size_of_terminal_shows_cells(tmp_path: Path, size: tuple[int, int]) -> None:
    painted_project(tmp_path)
    async with running(tmp_path, size=size) as (app, pilot):
        await opened(app, pilot)
        await soon(pilot, lambda: table(app).is_drawn(0))
        await pilot.press("end")
        await soon(pilot, lambda: "strength 1" in screen_text(app) and "150" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: "hatgirl 0" in screen_text(app))


async def test_one_key_on_a_run_says_what_lacks(tmp_path: Path) -> None:
    painted_project(tmp_path, prompts=1)
    for path in (list_runs(tmp_path / "runs")[0].checkpoints_dir).iterdir():
        path.unlink()
    async with running(tmp_path, size=(100, 30)) as (app, pilot):
        await pilot.press("f8")
        await soon(pilot, lambda: "hat-girl" in screen_text(app))
        await pilot.press("X")
        await soon(pilot, lambda: "there is no run with LoRA files" in screen_text(app))


def test_the_list_is_read_again_only_where_something_changed(tmp_path: Path) -> None:
    folder = painted_project(tmp_path, drawn=3)
    reader = GridsReader()
    first = reader.read(folder.root.parent)
    assert reader.read(folder.root.parent)[0] is first[0]
    paint(folder, 4)
    assert reader.read(folder.root.parent)[0].counts["drawn"] > first[0].counts["drawn"]
    assert RunFolder(Path(first[0].run)).root.is_dir()


async def test_a_picture_that_stands_in_several_cells_is_shown_in_all(tmp_path: Path) -> None:
    painted_project(tmp_path, drawn=100)  # strength 0 is one picture for all checkpoints
    async with running(tmp_path, size=(110, 40)) as (app, pilot):
        await opened(app, pilot)
        await soon(pilot, lambda: "▀" in screen_text(app))
        await soon(pilot, lambda: "·" not in "".join(screen_text(app).splitlines()[5:-3]))
