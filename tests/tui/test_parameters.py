"""The parameter form through its keys: editing, checking, searching, saving, starting."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot
from textual.scrollbar import ScrollBar
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.seeing import app_on, sees, text_of

from lora_tui.config.load import load_config
from lora_tui.project import Project
from lora_tui.runs.folder import list_runs
from lora_tui.runs.status import inspect
from lora_tui.tui.app import LoraTuiApp
from lora_tui.tui.screens.parameters import ParametersScreen
from lora_tui.tui.scrollbar import AsciiScrollBarRender

pytestmark = pytest.mark.usefixtures("may_fetch")

FAKE_TRAINER = Path(__file__).resolve().parent.parent / "fake_trainer.py"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    make_dataset(tmp_path / "data")
    Project.create(tmp_path, purpose="character", trigger="hatgirl", name="hat", datasets=[tmp_path / "data"])
    return tmp_path


MODEL = "owner/model"
"""A hub name: nothing is read of it before the trainer, which is another program here."""


def form_of(pilot: Pilot[int]) -> ParametersScreen:
    screen = pilot.app.screen
    assert isinstance(screen, ParametersScreen)
    return screen


async def opened(pilot: Pilot[int]) -> ParametersScreen:
    await soon(pilot, lambda: form_of(pilot).workspace.plan is not None)
    return form_of(pilot)


async def go_to(pilot: Pilot[int], key: str) -> None:
    """Find a setting by its name and put the cursor on it."""
    await pilot.press("slash", *key, "enter", "escape")
    row = form_of(pilot).row
    assert row is not None and row.key == key, row


async def test_the_form_shows_groups_rows_help_and_plan_at_80x24(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("tab", "tab", "tab", "down")
        text = screen_text(pilot.app)
        for words in ("Model", "Saving", "rank", "from 1 to 320", "network_dim", "PLAN", "6 images", "= 120"):
            assert words in text, f"{words!r} is not in\n{text}"
        assert all(len(line) <= 80 for line in text.splitlines())


async def test_an_edit_is_checked_while_it_is_typed_and_planned_when_it_is_done(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot)
        await go_to(pilot, "steps.epochs")
        await pilot.press("enter", "0")
        assert "× a whole number, from 1 to 100000" in screen_text(pilot.app)
        await pilot.press("enter")
        assert screen.pane.editing and screen.form.config.steps.epochs == 10
        await pilot.press("backspace", "3", "enter")
        assert screen.form.config.steps.epochs == 3 and not screen.pane.editing
        await sees(pilot, "x 3 epochs = 36 steps")


async def test_a_digit_begins_a_new_value_and_escape_leaves_the_old_one(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await go_to(pilot, "network.rank")
        await pilot.press("6", "4")
        assert screen.pane.text == "64"
        await pilot.press("escape")
        assert screen.form.config.network.rank == 32 and not screen.pane.editing
        await pilot.press("6", "4", "enter")
        assert screen.form.config.network.rank == 64
        await pilot.press("u")
        assert screen.form.config.network.rank == 32
        await pilot.press("U")
        assert screen.form.config.network.rank == 64


async def test_tab_accepts_and_goes_on_editing_in_the_next_row(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await go_to(pilot, "network.rank")
        await pilot.press("enter", "8", "tab")
        assert screen.form.config.network.rank == 8
        assert screen.pane.editing and screen.row is not None and screen.row.key == "network.alpha"
        await pilot.press("4", "enter")
        assert screen.form.config.network.alpha == 4


async def test_switches_turn_and_choices_are_chosen(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await go_to(pilot, "captions.shuffle")
        await pilot.press("space")
        assert not screen.form.config.captions.shuffle  # which the preset for a character has turned on
        await pilot.press("space")
        assert screen.form.config.captions.shuffle
        assert "captions.keep_tokens" in [row.key for row in screen.form.rows()]
        await go_to(pilot, "learning.schedule")
        await pilot.press("right")
        assert screen.form.config.learning.schedule == "cosine_with_restarts"
        await pilot.press("enter")
        await sees(pilot, "polynomial")
        await pilot.press("home", "enter")
        await soon(pilot, lambda: screen.form.config.learning.schedule == "constant")


async def test_warnings_mark_the_group_and_n_goes_to_them(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot)
        await go_to(pilot, "network.alpha")
        await pilot.press("9", "6", "enter")
        assert any("Network" in line and "!" in line for line in text_of(screen.query_one("#groups")))
        await pilot.press("home", "n")
        assert screen.row is not None and screen.row.key == "model.base"
        await pilot.press("n")
        assert screen.row is not None and screen.row.key == "data.resolution"  # the images are small
        await pilot.press("n")
        assert screen.row is not None and screen.row.key == "network.alpha"


async def test_sample_prompts_are_added_filled_in_and_removed(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot)
        first = [sample.prompt for sample in screen.form.config.samples]
        assert len(first) == 2 and all("hatgirl" in prompt for prompt in first)
        await pilot.press("slash", *"sample_at", "enter", "a")
        await soon(pilot, lambda: screen.pane.editing)
        await pilot.press(*"a hat", "enter")
        assert [sample.prompt for sample in screen.form.config.samples] == [*first, "a hat"]
        await pilot.press("x")
        assert [sample.prompt for sample in screen.form.config.samples] == first
        await pilot.press("u")
        assert [sample.prompt for sample in screen.form.config.samples] == [*first, "a hat"]


async def test_markup_in_a_prompt_is_shown_and_not_obeyed(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot)
        screen.form.add("samples", prompt="[/b] [red]x\x1b[31m")
        screen.edited()
        await go_to(pilot, "sampling.at_start")
        await pilot.press("tab", "shift+tab")
        await sees(pilot, "[/b] [red]x␛[31m")


async def test_saving_writes_a_file_that_reads_back_equal_and_loading_brings_it(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot)
        await go_to(pilot, "network.rank")
        await pilot.press("1", "6", "enter", "ctrl+s")
        path = project / "configs" / "hat.toml"
        assert load_config(path) == screen.form.config
        assert not screen.unsaved and "hat.toml" in screen_text(pilot.app)
        await pilot.press("8", "enter")
        assert screen.unsaved and "hat.toml *" in screen_text(pilot.app)
        await pilot.press("o")
        await sees(pilot, "hat.toml has changes that are not saved.")
        await pilot.press("enter")
        await sees(pilot, "another file")
        await pilot.press("enter")
        await soon(pilot, lambda: screen.form.config.network.rank == 16)
        assert not screen.unsaved
        await pilot.press("u")
        assert screen.form.config.network.rank == 8


async def test_an_open_editor_is_taken_in_before_saving(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await go_to(pilot, "network.rank")
        await pilot.press("2", "4", "ctrl+s")
        await soon(pilot, (project / "configs" / "hat.toml").exists)
        assert load_config(project / "configs" / "hat.toml").network.rank == 24


async def test_a_preset_is_taken_and_undone(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot)
        before = screen.form.config
        await pilot.press("p")
        await sees(pilot, "Take the settings of a preset")
        await pilot.press("down", "enter")
        await soon(pilot, lambda: screen.form.config != before)
        await pilot.press("u")
        assert screen.form.config == before


async def test_a_run_does_not_start_while_something_is_wrong_and_the_cursor_shows_what(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot)
        await pilot.press("tab", "tab", "ctrl+r")
        assert screen.row is not None and screen.row.key == "model.base"
        assert "No base model is set" in screen_text(pilot.app)
        assert list_runs(project / "runs") == []


async def test_start_saves_asks_and_opens_the_run(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoraTuiApp, "trainer_command", [sys.executable, str(FAKE_TRAINER), "--steps", "3"])
    app = app_on(project, "parameters")
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot)
        screen.form.set(screen.form.row_of("model.base"), MODEL)
        screen.edited()
        await soon(pilot, lambda: not [f for f in screen.form.findings or () if f.severity == "error"])
        await soon(pilot, lambda: screen.workspace.plan is not None)
        await pilot.press("ctrl+r")
        await sees(pilot, "Start a training of 120 steps?")
        await pilot.press("enter")
        await sees(pilot, "LOSS", 30)
        (run,) = list_runs(project / "runs")
        await soon(pilot, lambda: inspect(run).state == "finished", 30)
        assert load_config(run.config_path).model.base == MODEL
        assert (project / "configs" / "hat.toml").is_file()


async def ready_to_start(pilot: Pilot[int]) -> ParametersScreen:
    """The form with nothing against a start."""
    screen = await opened(pilot)
    screen.form.set(screen.form.row_of("model.base"), MODEL)
    screen.edited()
    await soon(pilot, lambda: screen.shell.plan_ready)
    assert not [f for f in screen.form.findings or () if f.severity == "error"]
    return screen


async def test_a_disk_that_may_be_too_small_is_said_with_the_question(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LoraTuiApp, "trainer_command", [sys.executable, str(FAKE_TRAINER), "--steps", "3"])
    app = app_on(project, "parameters")
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await ready_to_start(pilot)
        for key, value in {"network.rank": "320", "steps.max_steps": "1000000", "saving.every_steps": "1"}.items():
            screen.form.set(screen.form.row_of(key), value)
        screen.edited()
        await soon(pilot, lambda: "disk.too_small" in [found.code for found in screen.form.findings or ()])
        await pilot.press("ctrl+r")
        await sees(pilot, "Start a training of")
        await sees(pilot, "The run writes up to")
        await pilot.press("enter")
        await soon(pilot, lambda: bool(list_runs(project / "runs")), 30)
        (run,) = list_runs(project / "runs")
        await soon(pilot, lambda: inspect(run).state == "finished", 30)


async def test_a_start_before_the_plan_is_ready_waits_for_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoraTuiApp, "trainer_command", [sys.executable, str(FAKE_TRAINER), "--steps", "3"])
    app = app_on(project, "parameters")
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await ready_to_start(pilot)
        await go_to(pilot, "steps.epochs")
        await pilot.press("3", "enter")
        app.workspace.scanned = 0  # as while images are read
        await pilot.press("ctrl+r")
        await sees(pilot, "Starts when the plan is ready.")
        await pilot.press("enter")
        await sees(pilot, "Starts when the plan is ready. Esc cancels.")
        app.workspace.scanned = -1
        await sees(pilot, "LOSS", 30)
        (run,) = list_runs(project / "runs")
        assert load_config(run.config_path).steps.epochs == 3
        await soon(pilot, lambda: inspect(run).state == "finished", 30)
        assert not screen.start.waiting


async def test_the_question_says_the_plan_when_it_comes(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(100, 30)) as pilot:
        await ready_to_start(pilot)
        await go_to(pilot, "steps.epochs")
        await pilot.press("3", "enter")
        app.workspace.scanned = 0  # as while images are read
        await pilot.press("ctrl+r")
        await sees(pilot, "Start this training?")
        app.workspace.scanned = -1
        await sees(pilot, "Start a training of 36 steps?")
        await pilot.press("escape")
        assert list_runs(project / "runs") == []


@pytest.mark.parametrize("key", ["escape", "u"])
async def test_a_waiting_start_ends_by_escape_and_by_a_change(project: Path, key: str) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await ready_to_start(pilot)
        await go_to(pilot, "steps.epochs")
        await pilot.press("3", "enter")
        app.workspace.scanned = 0  # as while images are read
        await pilot.press("ctrl+r", "enter")
        await sees(pilot, "Starts when the plan is ready. Esc cancels.")
        await pilot.press(key)
        await soon(pilot, lambda: not screen.start.waiting)
        assert "not started" in screen_text(pilot.app)
        app.workspace.scanned = -1
        await soon(pilot, lambda: not [worker for worker in app.workers if worker.group == "start"])
        assert list_runs(project / "runs") == []


@pytest.mark.parametrize("size", [(60, 15), (60, 16), (70, 18), (80, 20), (80, 24)])
async def test_settings_can_be_read_and_edited_at_every_size(project: Path, size: tuple[int, int]) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=size) as pilot:
        screen = await opened(pilot)
        await pilot.press("tab", "tab", "tab")
        rows = screen.pane.rows
        assert rows.size.height >= 4
        text = screen_text(pilot.app)
        for words in ("Network", "rank", "alpha", "? keys"):
            assert words in text, text
        await pilot.press("down", "4", "8", "enter")
        assert screen.form.config.network.rank == 48
        await pilot.press("end")
        assert any("train text encoder" in line for line in text_of(rows))


async def test_the_changed_settings_stand_together_and_go_back_one_by_one(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot)
        await go_to(pilot, "network.rank")
        await pilot.press("6", "4", "enter")
        await go_to(pilot, "steps.epochs")
        await pilot.press("3", "enter", "c")
        shown = {row.key for row in screen.form.rows() if row.spec is not None}
        assert {"network.rank", "steps.epochs"} <= shown and "network.alpha" not in shown
        assert any("rank" in line and "64" in line and "default 32" in line for line in text_of(screen.pane.rows))
        assert screen.row is not None and screen.row.key == "steps.epochs"
        await pilot.press("d")
        assert screen.form.config.steps.epochs == 10 and "back to 10" in screen_text(pilot.app)
        await pilot.press("u", "u", "u")
        assert screen.form.config.network.rank == 32
        await pilot.press("U")
        assert screen.row is not None and screen.row.key == "network.rank"  # where something changed
        await pilot.press("escape")
        assert "Changed from the defaults" not in screen_text(pilot.app)


async def test_the_help_is_wrapped_anew_when_the_terminal_grows(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await pilot.resize_terminal(200, 50)
        await soon(pilot, lambda: "relatives." in " ".join(text_of(screen.query_one("#detail"))))
        await sees(pilot, "BUCKETS")
        assert not any("…" in line for line in text_of(screen.query_one("#detail"))[:4])


async def test_on_a_tall_terminal_all_groups_stand_below_each_other(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(200, 50)) as pilot:
        screen = await opened(pilot)
        text = screen_text(pilot.app)
        assert "base model" in text and "learning rate" in text and "batch size" in text
        for _press in range(4):
            await pilot.press("down")
        assert screen.row is not None and screen.row.kind != "head"
        assert screen.form.group == screen.row.group == 1
        await pilot.press("tab")
        assert screen.row is not None and screen.row.key == "captions.shuffle"


async def test_ascii_mode_draws_ascii_alone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScrollBar, "renderer", AsciiScrollBarRender)  # as the program does when it starts
    app = app_on(project, "parameters", ascii_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        assert screen_text(pilot.app).isascii(), [c for c in screen_text(pilot.app) if not c.isascii()]


async def test_keys_typed_ahead_of_the_editor_are_not_lost(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await go_to(pilot, "network.rank")
        for key in ("enter", "6", "4", "enter"):
            app.post_message(events.Key(key, key if len(key) == 1 else "\r"))
        await soon(pilot, lambda: screen.form.config.network.rank == 64)
        assert not screen.pane.editing


async def test_a_folder_is_chosen_on_disk(project: Path) -> None:
    (project / "more").mkdir()
    app = app_on(project, "parameters")
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await opened(pilot)
        await pilot.press("tab", "a")
        await sees(pilot, "Add a folder of images")
        await pilot.press(*"more", "enter")
        await soon(pilot, lambda: len(screen.form.config.datasets) == 2)
        assert screen.form.config.datasets[1].path == str(project / "more")


async def test_the_file_as_it_will_be_written_can_be_read(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await pilot.press("t")
        await sees(pilot, "[model]")
        await pilot.press("escape")
        await sees(pilot, "PLAN")


async def test_a_path_in_the_form_is_completed_as_in_a_shell(tmp_path: Path) -> None:
    models = tmp_path / "models"
    (models / "flat").mkdir(parents=True)
    for name in ("anything-one.safetensors", "anything-two.safetensors", "note.txt"):
        (models / name).write_bytes(b"")
    async with running(tmp_path, screen="parameters", size=(100, 30)) as (app, pilot):
        screen = app.screen
        assert isinstance(screen, ParametersScreen)
        screen.go_to("model.base")
        await pilot.press("enter", *str(tmp_path / "mod"), "tab")
        await soon(pilot, lambda: screen.pane.text == f"{models}/")
        await pilot.press("a", "right")
        await soon(pilot, lambda: screen.pane.text == f"{models}/anything-")
        await pilot.press("tab")
        await soon(pilot, lambda: "anything-one.safetensors  anything-two.safetensors" in screen_text(app))
        assert screen.pane.editing  # there is a choice
        await pilot.press("o", "tab")
        await soon(pilot, lambda: screen.pane.text == f"{models}/anything-one.safetensors")
        await pilot.press("tab")  # nothing to add: on to the next setting
        await soon(pilot, lambda: screen.form.config.model.base == f"{models}/anything-one.safetensors")


async def test_while_a_value_is_typed_the_keys_say_what_becomes_of_it(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        await go_to(pilot, "network.rank")
        titles = [hint.title for hint in screen.key_hints()]
        assert titles[0] == "edit" and "keep" not in titles
        await pilot.press("6")
        assert [(hint.key, hint.title) for hint in screen.key_hints()][:2] == [("Enter", "keep"), ("Esc", "cancel")]
        await pilot.press("escape")
        assert screen.key_hints()[0].title == "edit"
