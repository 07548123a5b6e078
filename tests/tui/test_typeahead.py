"""Keys that arrive together: each is done before the next is given out, and an opening screen loses none."""

from __future__ import annotations

import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from lora_builders import write_small
from run_folders import write_run
from textual import events
from textual.keys import _character_to_key
from textual.pilot import Pilot
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.seeing import app_on

from lora_tui.dataset.notes import load_notes
from lora_tui.grids.folder import GridFolder
from lora_tui.grids.looking import GridsReader
from lora_tui.jobs.queue import door
from lora_tui.jobs.queue.journal import read_queue, turn
from lora_tui.records import disk
from lora_tui.records.notes import read_notes
from lora_tui.runs.folder import RunFolder
from lora_tui.settings import Settings
from lora_tui.tui import typeahead
from lora_tui.tui.app import LoraTuiApp
from lora_tui.tui.screens import grids_cells, loras_acts, loras_read, parameters_start, tags_edit, training
from lora_tui.tui.screens.grids import GridsScreen
from lora_tui.tui.screens.grids_new import NewGrid
from lora_tui.tui.screens.help import HelpScreen
from lora_tui.tui.screens.parameters import ParametersScreen
from lora_tui.tui.screens.tags import TagsScreen
from lora_tui.tui.tags.editor import Editor
from lora_tui.tui.widgets.dialog import Choose, Confirm
from lora_tui.tui.widgets.finder import Finder
from lora_tui.tui.widgets.prompt import Prompt
from lora_tui.tui.widgets.text_field import TextField
from lora_tui.tui.widgets.text_view import TextView
from lora_tui.tui.widgets.virtual_list import VirtualList
from lora_tui.tui.workspace import RunsReader


def all_at_once(app: LoraTuiApp, *keys: str) -> None:
    """What a terminal sends in one piece."""
    for key in keys:
        character = key if len(key) == 1 else None
        app.post_message(events.Key(_character_to_key(key) if character else key, character))


async def test_what_follows_a_key_that_opens_a_line_is_typed_into_it(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: isinstance(app.screen, TagsScreen) and app.screen.editor is not None)
        all_at_once(app, "/", *"mat -hat", "enter")
        await soon(pilot, lambda: "FILTER mat -hat" in screen_text(app))


async def test_a_setting_is_found_and_changed_by_keys_in_one_piece(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, screen="parameters") as (app, pilot):
        await soon(pilot, lambda: isinstance(app.screen, ParametersScreen) and app.screen.form.findings is not None)
        assert isinstance(app.screen, ParametersScreen)
        all_at_once(app, "/", *"network.rank", "enter", "enter", *"77", "enter")
        form = app.screen.form
        await soon(pilot, lambda: form.config.network.rank == 77)
        assert form.query == "network.rank"


async def test_keys_wait_for_a_screen_that_is_opening(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path) as (app, pilot):
        all_at_once(app, "f3", "/", *"hat", "enter")
        await soon(pilot, lambda: "FILTER hat" in screen_text(app))


async def test_a_key_of_the_app_does_not_wait_and_drops_what_does(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path) as (app, pilot):
        all_at_once(app, "f3", "x", "f2")
        await soon(pilot, lambda: app.current_mode == "dataset")
        await soon(pilot, lambda: "0000.png" in screen_text(app))


async def test_a_pair_of_keys_in_one_piece_is_a_pair(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: isinstance(app.screen, TagsScreen) and app.screen.editor is not None)
        all_at_once(app, " ", "o")
        await soon(pilot, lambda: "by name" in screen_text(app))


async def test_no_key_is_given_out_early_on_a_machine_that_has_much_else_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(typeahead, "PATIENCE_SECONDS", 0.001)
    make_dataset(tmp_path, 3)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: isinstance(app.screen, TagsScreen) and app.screen.editor is not None)
        editor = app.screen.editor
        for _round in range(5):
            all_at_once(app, "/", *"hat -mat", "enter", "a", *"zebra", "enter", "u", " ", "h")
            await soon(pilot, lambda: isinstance(app.screen, Choose) and 'add "zebra"' in screen_text(app))
            assert editor is not None
            assert editor.filter == "hat -mat"
            await pilot.press("escape")


async def test_what_is_typed_for_a_dialog_waits_for_it(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: isinstance(app.screen, TagsScreen) and app.screen.editor is not None)
        all_at_once(app, "T", *"cap", "enter")
        await soon(pilot, lambda: "trigger cap   all 3: 3 images" in screen_text(app))
        await pilot.press("escape")
        all_at_once(app, "T", "escape", " ", "k", "escape", "T", "escape", "m")  # dialogs asked for and left
        await soon(pilot, lambda: "union of 1 marked" in screen_text(app))


async def test_what_follows_a_filter_waits_until_it_is_found(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: isinstance(app.screen, TagsScreen) and app.screen.editor is not None)
        all_at_once(app, "/", *'phrase:"number 1"', "enter", "A", *"ohwx woman", "enter")
        caption = tmp_path / "4_hat" / "0001.txt"
        await soon(pilot, lambda: caption.read_text().endswith(", ohwx woman"))
        assert "ohwx" not in (tmp_path / "4_hat" / "0000.txt").read_text()


async def test_what_follows_a_filter_that_is_refused_does_nothing(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: isinstance(app.screen, TagsScreen) and app.screen.editor is not None)
        all_at_once(app, "/", *"any(hat", "enter", "A", *"x", "enter")
        await soon(pilot, lambda: "is wanted here" in screen_text(app))
        assert app.screen.query_one(Prompt).value == "any(hat"


async def test_what_follows_a_pair_of_keys_is_typed_into_the_line_that_they_open(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: isinstance(app.screen, TagsScreen) and app.screen.editor is not None)
        all_at_once(app, " ", "s", *"hat", "enter", "n")
        await soon(pilot, lambda: "2 of 3" in screen_text(app))
        caption = tmp_path / "4_hat" / "0000.txt"
        await soon(pilot, lambda: caption.read_text() == "hatgirl, number 0")


@pytest.mark.parametrize("opens", ["?", "ctrl+p"])
async def test_the_first_letter_typed_for_a_list_of_keys_is_its(tmp_path: Path, opens: str) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, screen="tags") as (app, pilot):
        await soon(pilot, lambda: isinstance(app.screen, TagsScreen) and app.screen.editor is not None)
        for _round in range(4):
            all_at_once(app, opens, *"edit")
            await soon(pilot, lambda: isinstance(app.screen, Finder) and bool(app.screen.query(TextField)))
            await soon(pilot, lambda: app.screen.query_one(TextField).value.endswith("it"))
            assert app.screen.query_one(TextField).value == "edit"
            await pilot.press("escape")
            await soon(pilot, lambda: isinstance(app.screen, TagsScreen))


@pytest.mark.parametrize("screen", ["dataset", "tags"])
async def test_a_line_that_is_left_and_opened_again_at_once_loses_nothing(tmp_path: Path, screen: str) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, screen=screen) as (app, pilot):
        await soon(pilot, lambda: getattr(app.screen, "editor", app.screen) is not None and app.screen.query(Prompt))
        for text in ("00", "01", "02"):
            all_at_once(app, "/", "9", "escape", "/", *text)
            await soon(pilot, lambda text=text: app.screen.query_one(Prompt).is_open and text in screen_text(app))
            assert app.screen.query_one(Prompt).value == text
            all_at_once(app, "escape")
            await soon(pilot, lambda: not app.screen.query_one(Prompt).is_open)


async def test_what_follows_the_line_of_a_dialog_is_for_the_screen_below(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    run = write_run(tmp_path / "runs", ending="completed")
    async with running(tmp_path, screen="runs") as (app, pilot):
        await soon(pilot, lambda: "finished" in screen_text(app))
        all_at_once(app, "n", *"fair", "enter", "4")
        await soon(pilot, lambda: (notes := read_notes(run)).note == "fair" and notes.rating == 4)


@contextmanager
def held(monkeypatch: pytest.MonkeyPatch, name: str, of: Any = Editor) -> Iterator[threading.Event]:
    """What the editor, or another, does in a thread does not end before the event is set."""
    go_on, real = threading.Event(), getattr(of, name)

    def waiting(*given: Any, **named: Any) -> Any:
        go_on.wait()
        return real(*given, **named)

    monkeypatch.setattr(of, name, waiting)
    try:
        yield go_on
    finally:
        go_on.set()


def captions(folder: Path) -> list[str]:
    """The captions, in the order of their names."""
    return [path.read_text() for path in sorted((folder / "4_hat").glob("*.txt"))]


@asynccontextmanager
async def tag_editor(folder: Path) -> AsyncIterator[tuple[LoraTuiApp, Pilot[int | None], list[str]]]:
    """The tag editor on three captions, which are told, too."""
    make_dataset(folder, 3)
    async with running(folder, screen="tags") as (app, pilot):
        await soon(pilot, lambda: isinstance(app.screen, TagsScreen) and app.screen.editor is not None)
        yield app, pilot, captions(folder)


def said(app: LoraTuiApp) -> str:
    """All notices that are seen."""
    return " ".join(notice.message for notice in app._notifications)


async def test_what_is_typed_while_an_undo_is_under_way_is_done_once_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with tag_editor(tmp_path) as (app, pilot, before):
        all_at_once(app, "a", *"zebra", "enter")
        await soon(pilot, lambda: "zebra" in captions(tmp_path)[0])
        with held(monkeypatch, "turn") as go_on:
            all_at_once(app, "u", "J", ":", *"redo all", "enter")
            await soon(pilot, lambda: "10 keys wait, Esc drops them" in screen_text(app))
            assert not app.screen.query_one(Prompt).is_open
            assert app.screen.panes.number == 1  # who only looks is not kept waiting
            go_on.set()
        await soon(pilot, lambda: "again in 1 file" in screen_text(app))
        assert "zebra" in captions(tmp_path)[0]
        all_at_once(app, *":undo all", "enter", *":redo all", "enter", *":undo all", "enter", "a", *"lion", "enter")
        await soon(pilot, lambda: captions(tmp_path) == [before[0], before[1] + ", lion", before[2]])


async def test_esc_goes_before_the_keys_that_wait_and_stops_what_has_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with tag_editor(tmp_path) as (app, pilot, before):
        all_at_once(app, "a", *"zebra", "enter", "a", *"lion", "enter")
        await soon(pilot, lambda: captions(tmp_path)[0] == before[0] + ", zebra, lion")
        with held(monkeypatch, "turn") as go_on:
            all_at_once(app, "u", "u", "u", "x", "escape")
            await soon(pilot, lambda: "1 key that waited was dropped" in said(app))
            go_on.set()
        await soon(pilot, lambda: "undone in 1 file" in screen_text(app))
        assert isinstance(app.screen, TagsScreen)
        assert not app.screen.busy
        await soon(pilot, lambda: captions(tmp_path)[0] == before[0] + ", zebra")


async def test_keys_that_wait_for_a_screen_that_is_left_are_dropped_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with tag_editor(tmp_path) as (app, pilot, _before):
        all_at_once(app, "a", *"zebra", "enter")
        await soon(pilot, lambda: "zebra" in captions(tmp_path)[0])
        monkeypatch.setattr(typeahead, "HELD", 4)
        with held(monkeypatch, "turn") as go_on:
            all_at_once(app, "u")
            await soon(pilot, lambda: getattr(app.screen, "busy", ""))
            all_at_once(app, "/", *"hatters", "enter")
            await soon(pilot, lambda: "4 keys wait; what is typed on is dropped" in said(app))
            app.show_screen("dataset")  # as a click on the road does
            await soon(pilot, lambda: "4 keys that waited were dropped" in said(app))
            go_on.set()
        assert not app.screen.query_one(Prompt).is_open


async def test_what_is_typed_while_many_captions_are_changed_waits_and_an_undo_is_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tags_edit, "AT_ONCE", 2)
    async with tag_editor(tmp_path) as (app, pilot, before):
        with held(monkeypatch, "apply") as go_on:
            all_at_once(app, "s", ":", *"add zebra", "enter")
            await soon(pilot, lambda: "Enter apply" in screen_text(app))
            all_at_once(app, "enter", "u", "s", "a", *"lion", "enter")
            await soon(pilot, lambda: "8 keys wait" in screen_text(app))
            go_on.set()
        await soon(pilot, lambda: captions(tmp_path) == [before[0] + ", lion", *before[1:]])


async def test_what_follows_a_filter_typed_as_a_command_is_for_what_it_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with tag_editor(tmp_path) as (app, pilot, before):
        with held(monkeypatch, "select") as go_on:
            all_at_once(app, ":", *'filter phrase:"number 1"', "enter", "A", *"ohwx", "enter")
            await soon(pilot, lambda: app.keys_waiting == 6)
            go_on.set()
        await soon(pilot, lambda: captions(tmp_path) == [before[0], before[1] + ", ohwx", before[2]])


async def test_a_key_on_the_training_screen_waits_until_it_is_known_whether_there_is_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_dataset(tmp_path, 3)
    write_run(tmp_path / "runs", ending="completed")
    app = app_on(tmp_path, "home")
    with held(monkeypatch, "read", RunsReader) as go_on:
        async with app.run_test(size=(80, 24)) as pilot:
            all_at_once(app, "f5", "r")
            await soon(pilot, lambda: app.current_mode == "training" and app.keys_waiting == 1)
            go_on.set()
            await soon(pilot, lambda: isinstance(app.screen, TextView))


async def test_a_folder_of_lora_files_that_does_not_answer_can_be_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_dataset(tmp_path, 3)
    settings = Settings(lora_folders=(str(tmp_path / "elsewhere"),))
    async with running(tmp_path, settings=settings) as (app, pilot):
        with held(monkeypatch, "find_files", loras_read):
            all_at_once(app, "f7", "D", "enter", "r")
            await soon(pilot, lambda: app.settings.lora_folders == () and app.keys_waiting == 1)


async def test_what_follows_the_key_that_starts_is_for_its_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, screen="parameters") as (app, pilot):
        await soon(pilot, lambda: isinstance(app.screen, ParametersScreen) and app.screen.form.findings is not None)
        assert isinstance(app.screen, ParametersScreen)
        form = app.screen
        monkeypatch.setattr(form.start, "_refused", lambda: False)
        with held(monkeypatch, "neighbour_lines", parameters_start) as go_on:
            all_at_once(app, "ctrl+r", "enter")
            await soon(pilot, lambda: app.keys_waiting == 1)
            assert not form.pane.editing
            await pilot.press("escape")
            await soon(pilot, lambda: "1 key that waited was dropped" in said(app))
            go_on.set()
        await soon(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("escape")
        await soon(pilot, lambda: not form.start.busy)


async def test_taking_back_is_for_the_act_before_it(tmp_path: Path) -> None:
    make_dataset(tmp_path, 3)
    async with running(tmp_path, screen="dataset", size=(100, 30)) as (app, pilot):
        await soon(pilot, lambda: app.screen.query_one("#files", VirtualList).count == 3)
        all_at_once(app, "x", "u")
        await soon(pilot, lambda: "undone: 1 image left out" in screen_text(app))
        assert not load_notes(tmp_path).excluded


async def test_each_key_of_the_queue_is_for_what_the_one_before_has_made_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with turn() as change:
        change.say(stopped=True)
    (job,) = door.add([door.Wish(("captions", "list", "a"), folder=str(tmp_path), title="a job")])
    async with running(tmp_path, screen="queue") as (app, pilot):
        with held(monkeypatch, "hold", door) as go_on:
            all_at_once(app, "h", "h")
            await soon(pilot, lambda: app.keys_waiting == 1)
            go_on.set()
        await soon(pilot, lambda: f"Job {job.id} goes on" in screen_text(app))
        assert not read_queue().jobs[job.id].held


# -- screens whose disk does not answer


async def test_on_the_list_of_runs_only_what_needs_it_waits_and_what_is_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_dataset(tmp_path, 2)
    write_run(tmp_path / "runs", ending="completed")
    app = app_on(tmp_path, "home")
    with held(monkeypatch, "read", RunsReader) as go_on:
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            all_at_once(app, "f8", "r")
            await soon(pilot, lambda: "Reading the runs: " in screen_text(app) and app.keys_waiting == 1)
            assert "1 key waits, Esc drops it" in screen_text(app)
            await soon(pilot, lambda: re.search("Reading the runs: [1-9]", screen_text(app)))  # it is counted
            all_at_once(app, "escape")
            await soon(pilot, lambda: app.current_mode == "home" and "1 key that waited was dropped" in said(app))
            all_at_once(app, "f8", "Q")
            await soon(pilot, lambda: app.current_mode == "queue")
            all_at_once(app, "f8", "?")
            await soon(pilot, lambda: isinstance(app.screen, HelpScreen))
            all_at_once(app, "escape", "r")
            await soon(pilot, lambda: app.current_mode == "runs" and app.keys_waiting == 1)
            go_on.set()
            await soon(pilot, lambda: isinstance(app.screen, TextView))
            await pilot.press("escape")
            await soon(pilot, lambda: "Reading the runs" not in screen_text(app))


async def test_a_grid_is_described_while_the_list_is_read_and_one_that_does_not_answer_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_dataset(tmp_path, 2)
    async with running(tmp_path) as (app, pilot):
        with held(monkeypatch, "read", GridsReader):
            all_at_once(app, "f6", "n")
            await soon(pilot, lambda: isinstance(app.screen, NewGrid))
            all_at_once(app, "escape", "down")
            await soon(pilot, lambda: app.keys_waiting == 1 and "Looking for grids: " in screen_text(app))
        await soon(pilot, lambda: app.keys_waiting == 0)
        assert isinstance(app.screen, GridsScreen)
        grids = app.screen
        with pytest.MonkeyPatch.context() as patch, held(patch, "_read_all", grids_cells):
            grids.open_grid(GridFolder(tmp_path / "grids" / "one"))
            all_at_once(app, "z")
            await soon(pilot, lambda: app.keys_waiting == 1 and "Reading the grid: " in screen_text(app))
            all_at_once(app, "escape")
            await soon(pilot, lambda: grids.view == "list" and app.keys_waiting == 0)
            patch.undo()  # others answer
            grids.open_grid(GridFolder(tmp_path / "grids" / "other"))
            await soon(pilot, lambda: "cannot be read" in grids.grid.trouble)


async def test_a_run_that_does_not_answer_keeps_nobody_from_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_dataset(tmp_path, 2)
    old, _new = (write_run(tmp_path / "runs", name=name, ending="completed") for name in ("a-first", "b-second"))
    async with running(tmp_path) as (app, pilot):
        real, go_on = training.inspect, threading.Event()

        def inspect(run: RunFolder) -> Any:
            if run.root == old.root:
                go_on.wait()
            return real(run)

        monkeypatch.setattr(training, "inspect", inspect)
        try:
            app.open_run(old)
            all_at_once(app, "r")
            await soon(pilot, lambda: "Reading the run: " in screen_text(app) and app.keys_waiting == 1)
            all_at_once(app, "f5", "o", "r")
            await soon(pilot, lambda: isinstance(app.screen, TextView) and "b-second" in screen_text(app))
        finally:
            go_on.set()


async def test_a_check_of_lora_files_says_how_long_it_takes_keeps_keys_and_can_be_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_small(make_dataset(tmp_path, 2) / "loras" / "hat.safetensors")
    async with running(tmp_path) as (app, pilot):
        with held(monkeypatch, "said_apart", loras_acts):
            all_at_once(app, "f7", "c", "m")
            await soon(pilot, lambda: "checking 1 file: " in screen_text(app) and app.keys_waiting == 1)
            all_at_once(app, "escape")
            await soon(pilot, lambda: "1 key that waited was dropped" in said(app))
            await soon(pilot, lambda: "checking" not in screen_text(app))
            all_at_once(app, "m")
            await soon(pilot, lambda: "1 marked" in screen_text(app))
        assert app.current_mode == "loras" and not isinstance(app.screen, TextView)


# -- what was asked for by a screen that was left


async def test_a_question_is_not_asked_over_another_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_dataset(tmp_path, 2)
    write_run(tmp_path / "runs", ending="completed")
    async with running(tmp_path, screen="runs") as (app, pilot):
        with held(monkeypatch, "cost_of", disk) as go_on:
            all_at_once(app, "D")
            await soon(pilot, lambda: "Reading: " in screen_text(app))
            all_at_once(app, "f9")
            await soon(pilot, lambda: app.current_mode == "home")
            go_on.set()
            await soon(pilot, lambda: "Not asked, for Runs is not in front any more: 1 run takes" in said(app))
        assert len(app.screen_stack) == 1
        with held(monkeypatch, "cost_of", disk) as go_on:
            all_at_once(app, "f8", "D")
            await soon(pilot, lambda: "Reading: " in screen_text(app))
            all_at_once(app, "f1")
            await soon(pilot, lambda: isinstance(app.screen, HelpScreen))
            go_on.set()
            await soon(pilot, lambda: said(app).count("Not asked") == 2)
            assert isinstance(app.screen, HelpScreen)
            await pilot.press("escape")
        all_at_once(app, "f8", "D")
        await soon(pilot, lambda: isinstance(app.screen, Choose))


async def test_what_was_looked_up_is_read_where_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_small(make_dataset(tmp_path, 2) / "loras" / "hat.safetensors")
    monkeypatch.setattr(loras_acts, "said_apart", lambda *_given: ["all is well"])
    async with running(tmp_path) as (app, pilot):
        with held(monkeypatch, "said_apart", loras_acts) as go_on:
            all_at_once(app, "f7", "c")
            await soon(pilot, lambda: "checking 1 file: " in screen_text(app))
            all_at_once(app, "f9")
            await soon(pilot, lambda: app.current_mode == "home")
            go_on.set()
            await soon(pilot, lambda: "Ready to read on LoRAs: Check" in said(app))
            assert len(app.screen_stack) == 1
        all_at_once(app, "f7")
        await soon(pilot, lambda: isinstance(app.screen, TextView) and "all is well" in screen_text(app))
