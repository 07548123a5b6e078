"""Tagging in the app, from the form to the captions: what is on the screen, on disk and in the journal."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from caption_folders import opened
from PIL import Image
from tagger_builders import make_images, make_wd14
from tagging_server import Reply, said, serving
from tui.driving import running, screen_text, soon
from tui.test_tags import ready, tags

from lora_tui.captions.journal.log import Journal, home_of
from lora_tui.dataset.buckets import Box, Size
from lora_tui.dataset.notes import Crop, change_notes
from lora_tui.project import Project
from lora_tui.tagging.known import remember
from lora_tui.tagging.request import Endpoint, ModelChoice, Request
from lora_tui.tagging.run import tag_dataset
from lora_tui.tui.app import LoraTuiApp
from lora_tui.tui.screens.tagging_tune import TuneScreen
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.virtual_list import VirtualList

COLOURS = {"a": "blue", "b": "lime", "c": "red"}


@pytest.fixture
def wd(tmp_path: Path) -> Path:
    return make_wd14(tmp_path / "models" / "wd-tiny")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_images(tmp_path / "data", COLOURS)


def asked(wd: Path, **fields: Any) -> Request:
    return Request((ModelChoice("wd14", str(wd)),), device="cpu", threads=1, **fields)


def keep(data: Path, request: Request) -> None:
    """Have the models answer, and remember the request as the last one."""
    session = opened(data)
    tag_dataset(session, range(3), replace(request, existing="append"), dry_run=True)
    session.close()
    remember(request)


def texts(data: Path) -> dict[str, str]:
    return {path.stem: path.read_text() for path in sorted(data.glob("*.txt"))}


def tune(app: LoraTuiApp) -> TuneScreen | None:
    return app.screen if isinstance(app.screen, TuneScreen) else None


def rows(app: LoraTuiApp, name: str) -> VirtualList:
    return app.screen.query_one(f"#{name}", VirtualList)


async def test_the_path_of_a_model_is_typed_where_one_is_chosen(data: Path, wd: Path) -> None:
    async with running(data, size=(100, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: rows(app, "files").count == 3)
        await pilot.press("t")
        await soon(pilot, lambda: "Tag with models" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: "Which model?" in screen_text(app))
        await pilot.press(*str(wd), "enter")
        await soon(pilot, lambda: "Which model?" not in screen_text(app) and wd.name in screen_text(app))
        assert "to fetch" not in screen_text(app)
        await pilot.press("ctrl+r")
        await soon(pilot, lambda: tune(app), 60)


async def test_models_are_asked_in_a_process_and_what_they_said_is_tuned_and_written(data: Path, wd: Path) -> None:
    remember(asked(wd))
    (data / "b.txt").write_text("mine")
    async with running(data, size=(100, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: rows(app, "files").count == 3)
        await pilot.press("t")
        await soon(pilot, lambda: "without a caption: 2 images" in screen_text(app))
        await pilot.press("ctrl+r")
        await soon(pilot, lambda: "The models are asked" in screen_text(app) or tune(app))
        await soon(pilot, lambda: tune(app), 60)
        assert "2 images change" in screen_text(app) and "+blue theme" in screen_text(app)
        assert texts(data) == {"b": "mine"}
        await pilot.press("]", "]", "]", "]")  # 0.75
        await soon(pilot, lambda: tune(app).counted.tags == 5)  # type: ignore[union-attr]
        await pilot.press("enter")
        await soon(pilot, lambda: "2 captions written" in screen_text(app))
        assert texts(data) == {"a": "blue theme, 1girl", "b": "mine", "c": "red theme, saber (fate), 1girl"}
        (record,) = Journal(home_of(data)).records()
        assert (record.author, record.scope, record.files) == ("tagger:wd-tiny", "is:untagged", 2)
        await pilot.press("u")
        await soon(pilot, lambda: texts(data) == {"b": "mine"})


async def test_thresholds_tags_and_images_are_chosen_without_the_model(data: Path, wd: Path) -> None:
    (data / "a.txt").write_text("mine, blue theme")
    with Image.open(data / "a.png") as first:
        size = Size(*first.size)
    crop = Crop(Box(0, 0, size.width // 2, size.height // 2), size)
    change_notes(data, lambda notes: notes.with_crop("a.png", crop))
    keep(data, asked(wd, existing="replace"))
    async with running(data, size=(120, 40), screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app) and app.screen.query_one(ImageView)._part == (0, 0, 0.5, 0.5))
        await pilot.press("*", "space", "a")
        await soon(pilot, lambda: "marked: 3 images" in screen_text(app))
        await pilot.press("ctrl+r")
        await soon(pilot, lambda: tune(app))
        screen = tune(app)
        assert screen is not None and not (data / ".lora-tui" / "tasks").exists()
        assert screen.query_one(ImageView)._part == (0, 0, 0.5, 0.5)  # what the model saw
        before = screen.counted
        assert "-mine" in screen_text(app) and before.go == 1
        await pilot.press("right", "right", "left")
        await soon(pilot, lambda: "0.36" in screen_text(app))
        await pilot.press("tab")  # the tags
        names = [line.tag for line in screen.lines]
        rows(app, "tags").cursor = names.index("1girl")
        await pilot.press("x")
        await soon(pilot, lambda: "1girl  never" in screen_text(app))
        assert screen.counted.come == before.come - 3
        await pilot.press("J", "J", "X")  # the red one is left as it is
        await soon(pilot, lambda: "1 left out" in screen_text(app))
        await pilot.press("enter")
        await soon(pilot, lambda: "2 captions written" in screen_text(app))
        await soon(pilot, lambda: texts(data) == {"a": "blue theme", "b": "^_^"})
        assert tags(app).editor.corpus.entries[0].tags == ("blue theme",)  # type: ignore[union-attr]
        await pilot.press("u")
        await soon(pilot, lambda: texts(data) == {"a": "mine, blue theme"})


async def test_the_trigger_word_is_not_dropped_and_a_narrow_terminal_has_the_picture(data: Path, wd: Path) -> None:
    keep(data, asked(wd))
    root = data.parent / "hat"
    Project.create(root, name="Hat", purpose="character", trigger="hatgirl", datasets=[data])
    async with running(root, size=(80, 24), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: rows(app, "files").count >= 3)
        await pilot.press("home", "*", "t")
        await soon(pilot, lambda: "MODELS" in screen_text(app))
        await pilot.press("ctrl+r")
        await soon(pilot, lambda: tune(app), 60)
        screen = tune(app)
        assert screen is not None
        await soon(pilot, lambda: screen.query_one(ImageView).size.height >= 5)
        await pilot.press("tab")
        rows(app, "tags").cursor = [line.tag for line in screen.lines].index("hatgirl")
        await pilot.press("x")
        await soon(pilot, lambda: "The trigger word is put into every caption" in screen_text(app))
        assert "hatgirl" not in screen.request.rules.undesired
        await pilot.press("X")
        await soon(pilot, lambda: "1 left out" in screen_text(app))
        assert "no caption" not in screen_text(app)
        await pilot.press("?")
        await soon(pilot, lambda: "Among thresholds of taggers" in screen_text(app))
        await pilot.press("escape")
        await soon(pilot, lambda: tune(app))
        await pilot.press("escape")


async def test_sentences_are_seen_before_they_are_written(data: Path) -> None:
    (data / "a.txt").write_text("hat")
    with serving(lambda number, body: said("A picture of a colour.")) as server:
        request = Request((ModelChoice("endpoint", "vision"),), endpoint=Endpoint(url=server.url, prompt="Say."))
        keep(data, replace(request, existing="append"))
        many = len(server.seen)
        async with running(data, size=(80, 24), screen="dataset") as (app, pilot):
            await soon(pilot, lambda: rows(app, "files").count == 3)
            await pilot.press("*", "t")
            await soon(pilot, lambda: "SERVER" in screen_text(app) or "MODELS" in screen_text(app))
            await pilot.press("ctrl+r")
            await soon(pilot, lambda: "3 images get a caption" in screen_text(app))
            assert "+A picture of a colour." in screen_text(app)
            await pilot.press("x")  # the first stays as it is
            await soon(pilot, lambda: "2 images get a caption" in screen_text(app))
            await pilot.press("enter")
            await soon(pilot, lambda: "2 captions written" in screen_text(app))
        assert texts(data) == {"a": "hat", "b": "A picture of a colour.", "c": "A picture of a colour."}
        assert len(server.seen) == many


async def test_models_that_are_left_at_work_are_found_again(data: Path) -> None:
    go = threading.Event()

    def reply(_number: int, _body: object) -> Reply:
        go.wait(60)
        return said("A colour.")

    with serving(reply) as server:
        remember(Request((ModelChoice("endpoint", "vision"),), endpoint=Endpoint(url=server.url)))
        async with running(data, size=(80, 24), screen="dataset") as (app, pilot):
            await soon(pilot, lambda: rows(app, "files").count == 3)
            await pilot.press("t")
            await soon(pilot, lambda: "MODELS" in screen_text(app))
            await pilot.press("ctrl+r")
            await soon(pilot, lambda: "The models are asked" in screen_text(app) and server.seen, 60)
            await pilot.press("escape")
            await soon(pilot, lambda: "t comes back to them" in screen_text(app))
            await pilot.press("t")
            await soon(pilot, lambda: "The models are asked" in screen_text(app))
            go.set()
            await soon(pilot, lambda: tune(app), 60)
            assert "3 images get a caption" in screen_text(app)
            await pilot.press("escape")


async def test_what_is_left_is_kept_and_said(data: Path, wd: Path) -> None:
    keep(data, asked(wd))
    async with running(data, size=(80, 24), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: rows(app, "files").count == 3)
        await pilot.press("t")
        await soon(pilot, lambda: "MODELS" in screen_text(app))
        await pilot.press("ctrl+r")
        await soon(pilot, lambda: tune(app))
        await pilot.press("]", "escape")
        await soon(pilot, lambda: "Nothing was written" in screen_text(app))
        assert texts(data) == {}
        await pilot.press("t")
        await soon(pilot, lambda: "0.45" in screen_text(app))  # the threshold is remembered
        await pilot.press("escape")


async def test_scores_of_the_image_are_shown_and_taken_over(data: Path, wd: Path) -> None:
    (data / "c.txt").write_text("mine, red theme")
    keep(data, asked(wd))
    async with running(data, size=(100, 40), screen="tags") as (app, pilot):
        await soon(pilot, lambda: ready(app))
        await pilot.press("+")
        await soon(pilot, lambda: "turns to the scores" in screen_text(app))
        await pilot.press("j", "j", "v", "v", "v", "v")
        await soon(pilot, lambda: "wd-tiny" in screen_text(app) and "✓ red theme" in screen_text(app))
        assert "threshold 0.35" in screen_text(app)
        await pilot.press("+")
        await soon(pilot, lambda: texts(data)["c"] == "mine, red theme, saber (fate)")
        await pilot.press("space", "+")
        await soon(pilot, lambda: texts(data)["c"] == "mine, red theme, saber (fate), 1girl, long hair")
        await pilot.press("+")
        await soon(pilot, lambda: "has it already" in screen_text(app) or "has every tag" in screen_text(app))
        await pilot.press("u")
        await soon(pilot, lambda: texts(data)["c"] == "mine, red theme, saber (fate)")


async def test_images_of_several_folders_are_tagged_at_once(tmp_path: Path, wd: Path) -> None:
    root = tmp_path / "hat"
    one, two = make_images(root / "one", {"a": "red"}), make_images(root / "two", {"b": "blue"})
    Project.create(root, name="Hat", purpose="character", trigger="hatgirl", datasets=[one, two])
    remember(asked(wd))
    async with running(root, size=(100, 30), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: rows(app, "files").count >= 2)
        await pilot.press("t")
        await soon(pilot, lambda: "hatgirl" in screen_text(app))  # the project's trigger word
        await pilot.press("ctrl+r")
        await soon(pilot, lambda: tune(app), 60)
        await pilot.press("enter")
        await soon(pilot, lambda: "2 captions written" in screen_text(app))
        found = texts(one) | texts(two)
        assert found == {"a": "hatgirl, red theme, saber (fate), 1girl, long hair", "b": "hatgirl, blue theme, 1girl"}
        await pilot.press("u")
        await soon(pilot, lambda: not texts(one) and not texts(two))


async def test_a_form_that_would_write_nothing_says_so_where_it_can_be_changed(data: Path, wd: Path) -> None:
    for name in COLOURS:
        (data / f"{name}.txt").write_text("mine")
    remember(asked(wd, existing="skip"))
    async with running(data, size=(80, 24), screen="dataset") as (app, pilot):
        await soon(pilot, lambda: rows(app, "files").count == 3)
        await pilot.press("t")
        await soon(pilot, lambda: "all: 3 images" in screen_text(app))
        await pilot.press("ctrl+r")
        await soon(pilot, lambda: "Every image has a caption already: choose what becomes of it." in screen_text(app))
        await pilot.press("right", "right", "ctrl+r")
        await soon(pilot, lambda: "Every image has" not in screen_text(app))
