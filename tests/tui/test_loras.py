"""The screen of LoRA files, driven by keys."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lora_builders import METADATA, tensors_of, write_raw, write_small
from run_folders import write_run
from safetensors.numpy import save_file
from textual import events
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset, picture

from lora_tui.loras import recipes
from lora_tui.settings import load_settings
from lora_tui.tui.screens import loras_making
from lora_tui.tui.screens.loras import LorasScreen
from lora_tui.tui.screens.loras_making import MakeLora
from lora_tui.tui.screens.loras_metadata import LoraMetadata
from lora_tui.tui.screens.training import TrainingScreen
from lora_tui.tui.widgets.dialog import AskPath
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.text_field import TextField
from lora_tui.tui.widgets.text_view import TextView
from lora_tui.weights.header.format import read_header

ESCAPE = "\x1b"


def collection(root: Path) -> Path:
    """A project with four files; one is damaged, one has a hostile name and says hostile things."""
    make_dataset(root, 2)
    folder = root / "loras"
    write_small(folder / "hat.safetensors")
    picture((64, 96), 1).save(folder / "hat.png")
    ink = METADATA | {"modelspec.trigger_phrase": "inkwash"}
    write_small(folder / "ink.safetensors", tensors_of("sdxl", rank=16), ink)
    write_small(folder / "deep" / f"x[b]{ESCAPE}[31m.safetensors", metadata={"ss_output_name": f"{ESCAPE}[2J[/x]"})
    (folder / "torn.safetensors").write_bytes((folder / "hat.safetensors").read_bytes()[:-5])
    return root


def screen(app: Any) -> LorasScreen:
    found = app.screen
    assert isinstance(found, LorasScreen)
    return found


async def listed(app: Any, pilot: Any, number: int) -> LorasScreen:
    await pilot.press("f7")
    await soon(pilot, lambda: isinstance(app.screen, LorasScreen) and len(app.screen.rows) == number)
    await soon(pilot, lambda: not screen(app).reading.busy)
    return screen(app)


async def at(app: Any, pilot: Any, name: str) -> None:
    """Put the cursor on a file and wait until it was looked at."""
    await pilot.press("home")
    for _row in range(20):
        here = screen(app).row_here
        if here is not None and here.name == name:
            break
        await pilot.press("down")
    await soon(pilot, lambda: screen(app).details is not None and screen(app).details.file.name == name)


async def test_files_are_listed_with_what_decides_and_their_pictures(tmp_path: Path) -> None:
    async with running(collection(tmp_path), size=(120, 30)) as (app, pilot):
        found = await listed(app, pilot, 4)
        await at(app, pilot, "hat")
        text = screen_text(app)
        for words in ("sd15", "sdxl", "16", "hatgirl", "base.safetensors", "1girl 9", "4 files in 1 folder"):
            assert words in text, words
        assert ESCAPE not in text
        view = found.query_one(ImageView)
        await soon(pilot, lambda: view.shown == tmp_path / "loras" / "hat.png")
        await at(app, pilot, "torn")
        await soon(pilot, lambda: "cut short" in screen_text(app))
        assert view.path is None


async def test_files_are_counted_and_named_alike_on_the_first_screen_and_on_their_own(tmp_path: Path) -> None:
    root = collection(tmp_path)
    save_file({"model.weight": np.zeros((2, 2), np.float32)}, root / "loras" / "no-lora.safetensors")
    async with running(root, size=(200, 50)) as (app, pilot):
        await soon(pilot, lambda: "4 files of this project" in screen_text(app))
        await pilot.press("f7")
        await soon(pilot, lambda: "4 files in 1 folder" in screen_text(app))
        text = screen_text(app)
        assert "loras/deep" in text and str(root) not in text  # folders of the project from there on


async def test_the_line_of_keys_says_how_files_are_made_of_files(tmp_path: Path) -> None:
    async with running(collection(tmp_path), size=(80, 24)) as (app, pilot):
        await pilot.press("f7")
        await soon(pilot, lambda: "o merge, resize" in screen_text(app))


async def test_filter_and_order(tmp_path: Path) -> None:
    async with running(collection(tmp_path), size=(120, 30)) as (app, pilot):
        found = await listed(app, pilot, 4)
        await pilot.press("/", *"family:sdxl rank>8", "enter")
        await soon(pilot, lambda: [one.name for one in found.shown] == ["ink"])
        await pilot.press("escape", "/", *"is:broken", "enter")
        await soon(pilot, lambda: [one.name for one in found.shown] == ["torn"])
        await pilot.press("escape", "s", "down", "down", "down", "down", "enter")
        await soon(pilot, lambda: found.find.sort == "-rank" and found.shown[0].name == "ink")
        await pilot.press("/", *"nothing:x")
        await soon(pilot, lambda: "No field of a LoRA file" in screen_text(app))


async def test_trigger_words_go_to_the_clipboard(tmp_path: Path) -> None:
    async with running(collection(tmp_path)) as (app, pilot):
        await listed(app, pilot, 4)
        await at(app, pilot, "ink")
        await pilot.press("y")
        await soon(pilot, lambda: "copied: inkwash" in screen_text(app))
        assert app.clipboard == "inkwash"
        await at(app, pilot, "torn")
        await pilot.press("y")
        await soon(pilot, lambda: "no trigger words" in screen_text(app))


async def test_metadata_are_edited_written_and_brought_back(tmp_path: Path) -> None:
    file = collection(tmp_path) / "loras" / "hat.safetensors"
    before = file.read_bytes()
    async with running(tmp_path) as (app, pilot):
        await listed(app, pilot, 4)
        await at(app, pilot, "hat")
        await pilot.press("e")
        await soon(pilot, lambda: isinstance(app.screen, LoraMetadata) and "ss_optimizer" in screen_text(app))
        await pilot.press("t", *"new words", "enter", "a", *"ssmd_rating", "enter", *"5", "enter")
        await soon(pilot, lambda: len(app.screen.edit.entries) == 3)  # with the version of ModelSpec
        await pilot.press("escape")
        await soon(pilot, lambda: "Leave 3 changes unwritten?" in screen_text(app))
        await pilot.press("n", "w")
        await soon(pilot, lambda: "hat.safetensors.bak" in screen_text(app))
        assert read_header(file).metadata["modelspec.trigger_phrase"] == "new words"
        assert read_header(file).metadata["ssmd_rating"] == "5"
        await pilot.press("escape")
        await soon(pilot, lambda: isinstance(app.screen, LorasScreen) and "new words" in screen_text(app))
        await pilot.press("e")
        await soon(pilot, lambda: isinstance(app.screen, LoraMetadata) and "ssmd_rating" in screen_text(app))
        await pilot.press("R", "y")
        await soon(pilot, lambda: file.read_bytes() == before)


async def test_a_file_is_checked_in_a_process_apart(tmp_path: Path) -> None:
    tensors = tensors_of()
    name = next(iter(tensors))
    tensors[name].view(-1)[0] = float("nan")
    (make_dataset(tmp_path, 2) / "loras").mkdir()
    write_raw(tmp_path / "loras" / "broken.safetensors", tensors)
    async with running(tmp_path) as (app, pilot):
        await listed(app, pilot, 1)
        await pilot.press("c")
        await soon(pilot, lambda: isinstance(app.screen, TextView) and "1 NaN" in screen_text(app))


async def test_a_file_of_a_run_has_its_sample_and_leads_to_it(tmp_path: Path) -> None:
    make_dataset(tmp_path, 2)
    run = write_run(tmp_path / "runs", steps=60)
    file = next(run.checkpoints_dir.glob("*.safetensors"))
    write_small(file)
    async with running(tmp_path) as (app, pilot):
        found = await listed(app, pilot, len(list(run.checkpoints_dir.glob("*.safetensors"))))
        await at(app, pilot, file.name.removesuffix(".safetensors"))
        details = found.details
        assert details is not None and details.origin is not None
        assert details.origin.run == run
        await pilot.press("R")
        await soon(pilot, lambda: isinstance(app.screen, TrainingScreen))


async def test_folders_that_are_added_are_remembered(tmp_path: Path) -> None:
    make_dataset(tmp_path / "project", 2)
    write_small(tmp_path / "elsewhere" / "sub" / "far.safetensors")
    async with running(tmp_path / "project") as (app, pilot):
        found = await listed(app, pilot, 0)
        await soon(pilot, lambda: "No LoRA file yet" in screen_text(app))
        await pilot.press("a", *str(tmp_path / "elsewhere"), "enter")
        await soon(pilot, lambda: [one.name for one in found.rows] == ["far"])
        await soon(pilot, lambda: load_settings().lora_folders == (str(tmp_path / "elsewhere"),))
        await pilot.press("D", "enter")
        await soon(pilot, lambda: not found.rows and load_settings().lora_folders == ())


async def test_an_operation_says_how_many_files_it_takes(tmp_path: Path) -> None:
    async with running(collection(tmp_path)) as (app, pilot):
        await listed(app, pilot, 4)
        await pilot.press("M", "o", "s")
        await soon(pilot, lambda: "more are marked" in screen_text(app))


async def test_the_forms_ask_for_what_matters_to_the_other_answers(tmp_path: Path) -> None:
    async with running(collection(tmp_path), size=(80, 24)) as (app, pilot):
        await listed(app, pilot, 4)
        await at(app, pilot, "hat")
        await pilot.press("o", "m")
        await soon(pilot, lambda: isinstance(app.screen, MakeLora) and "strength 1" in screen_text(app))
        assert "how far" not in screen_text(app)
        await pilot.press("down", "down", "enter")
        await soon(pilot, lambda: "lerp: between" in screen_text(app))
        await pilot.press("end", "enter")
        await soon(pilot, lambda: "how far" in screen_text(app))
        await pilot.press("down")
        await soon(pilot, lambda: "0: the first file, 1: the second" in screen_text(app))
        await pilot.press("escape", "o", "b")
        await soon(pilot, lambda: "base model is missing" in screen_text(app))
        await pilot.press("w")
        await soon(pilot, lambda: screen_text(app).count("base model is missing") == 2)
        (tmp_path / "diffusers").mkdir()
        await pilot.press("enter", *f"{tmp_path}/diffusers", "enter")
        await soon(pilot, lambda: "diffusers-baked" in screen_text(app))
        await pilot.press("escape", "o", "e")
        await soon(pilot, lambda: isinstance(app.screen, MakeLora) and "tuned model" in screen_text(app))
        assert app.screen._values["value"] == "16"


async def test_a_form_is_used_while_its_first_preview_and_its_disk_are_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What torch is needed for is said by a process apart; the app waits for nothing."""
    named, said = threading.Event(), threading.Event()
    real = recipes.out_start

    def slow(*given: Any) -> str:
        named.wait()
        return real(*given)

    def says(*_given: Any, **_named: Any) -> list[str]:
        said.wait()
        return ["it would have rank 4"]

    monkeypatch.setattr(recipes, "out_start", slow)
    monkeypatch.setattr(loras_making, "said_apart", says)
    try:
        async with running(collection(tmp_path)) as (app, pilot):
            await listed(app, pilot, 4)
            await at(app, pilot, "hat")
            await pilot.press("o", "r")
            await soon(pilot, lambda: isinstance(app.screen, MakeLora) and "reading: " in screen_text(app))
            await pilot.press("down", "down", "enter", *"6", "enter")
            assert isinstance(app.screen, MakeLora)
            form = app.screen
            await soon(pilot, lambda: form._values["value"] == "6")
            named.set()
            await soon(pilot, lambda: "hat-resized.safetensors" in screen_text(app))
            await soon(pilot, lambda: "looking at what it would come to: " in screen_text(app))
            await pilot.press("enter", *"7", "enter")
            await soon(pilot, lambda: form._values["value"] == "7")
            said.set()
            await soon(pilot, lambda: "it would have rank 4" in screen_text(app))
    finally:
        named.set()
        said.set()


async def named(app: Any, pilot: Any, path: Path) -> None:
    """Paste a path into the dialog that asks for one."""
    await soon(pilot, lambda: isinstance(app.screen, AskPath))
    app.post_message(events.Paste(str(path)))
    await soon(pilot, lambda: app.screen.query_one(TextField).value.endswith(path.name))
    await pilot.press("enter")


async def test_files_are_checked_with_a_base_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loras_making, "said_apart", lambda words, stop, **_named: [" ".join(words)])
    async with running(collection(tmp_path), size=(120, 30)) as (app, pilot):
        await listed(app, pilot, 4)
        await at(app, pilot, "hat")
        await pilot.press("o", "k")
        await soon(pilot, lambda: "check -- " in screen_text(app) and "hat.safetensors" in screen_text(app))
        (tmp_path / "base").mkdir()
        await pilot.press("enter")
        await named(app, pilot, tmp_path / "base")
        await soon(pilot, lambda: f"check --base {tmp_path}/base" in screen_text(app))


async def test_a_dylora_is_split_into_another_folder(tmp_path: Path) -> None:
    make_dataset(tmp_path, 2)
    (tmp_path / "loras").mkdir()
    stem = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    tensors = {f"{stem}.lora_down.weight": np.ones((8, 6)), f"{stem}.lora_up.weight": np.ones((5, 8))}
    metadata = {"ss_network_module": "networks.dylora", "ss_network_args": '{"unit": 4}'}
    save_file(
        {name: value.astype(np.float32) for name, value in tensors.items()},
        tmp_path / "loras" / "d.safetensors",
        metadata,
    )
    async with running(tmp_path) as (app, pilot):
        await listed(app, pilot, 1)
        await pilot.press("o", "s")
        await soon(pilot, lambda: "d-rank04.safetensors" in screen_text(app))
        await pilot.press("t")
        await named(app, pilot, tmp_path / "cut")
        await soon(pilot, lambda: "They are written into" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: (tmp_path / "cut" / "d-rank04.safetensors").exists())
        await soon(pilot, lambda: isinstance(app.screen, LorasScreen))
        assert not (tmp_path / "loras" / "d-rank04.safetensors").exists()


async def test_what_was_written_is_shown_although_a_filter_hid_it(tmp_path: Path) -> None:
    async with running(collection(tmp_path), size=(120, 30)) as (app, pilot):
        found = await listed(app, pilot, 4)
        await pilot.press("/", *"family:sdxl", "enter", "m")
        await soon(pilot, lambda: len(found.shown) == 1 and bool(found.find.marks))
        new = write_small(tmp_path / "loras" / "made.safetensors")
        found._written([new])
        await soon(pilot, lambda: found.row_here is not None and found.row_here.name == "made")
        assert not found.find.marks and len(found.shown) == 5
        found._written([tmp_path / "elsewhere.safetensors"])
        await soon(pilot, lambda: str(tmp_path / "elsewhere.safetensors") in screen_text(app))


async def test_the_cursor_stays_near_its_place_when_its_file_goes(tmp_path: Path) -> None:
    async with running(collection(tmp_path), size=(120, 30)) as (app, pilot):
        found = await listed(app, pilot, 4)
        await at(app, pilot, "ink")
        place = found.listed.cursor
        (tmp_path / "loras" / "ink.safetensors").unlink()
        found.read_again()
        await soon(pilot, lambda: len(found.rows) == 3)
        assert place and found.listed.cursor == place


async def test_the_cursor_waits_at_the_top_while_files_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lora_tui.tui.screens.loras_read.FIRST_PIECE", 0.0)  # each file is shown as it is read
    monkeypatch.setattr("lora_tui.tui.screens.loras_read.LONGEST_PIECE", 0.0)
    root = make_dataset(tmp_path, 2)
    write_small(root / "runs" / "20260101-000000-a" / "checkpoints" / "read-first.safetensors")
    write_small(root / "loras" / "stands-first.safetensors")
    async with running(tmp_path, size=(120, 30)) as (app, pilot):
        found = await listed(app, pilot, 2)
        assert found.row_here is not None and found.row_here.name == "stands-first"
