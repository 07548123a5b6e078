"""The app decodes no image in its own process: what a file does to its decoder is said, and everything else goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from crashing import crash_over_images
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.projects import picture as draw
from tui.seeing import app_on

from lora_tui.dataset import decoder
from lora_tui.tui.app import LoraTuiApp
from lora_tui.tui.screens.dataset import DatasetScreen
from lora_tui.tui.widgets.image_view import ImageView
from lora_tui.tui.widgets.virtual_list import VirtualList


@pytest.fixture(autouse=True)
def own_decoder() -> Iterator[None]:
    """None of its processes was started before the test, and none stays."""
    decoder.the_decoder.cache_clear()
    yield
    decoder.the_decoder().end()
    decoder.the_decoder.cache_clear()


def picture(app: LoraTuiApp) -> ImageView:
    return app.screen.query_one(ImageView)


async def test_an_image_that_kills_its_decoder_is_named_and_the_app_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash_over_images(monkeypatch, tmp_path / "hook", "lora_tui.dataset.decoder_process")
    folder = make_dataset(tmp_path / "set", 4) / "4_hat"
    (folder / "0001.png").rename(folder / "0001 crash.png")
    (folder / "0001.txt").rename(folder / "0001 crash.txt")
    async with running(tmp_path / "set", screen="dataset", size=(100, 30)) as (app, pilot):
        await soon(pilot, lambda: picture(app).shown == folder / "0000.png")
        await pilot.press("down")
        await soon(pilot, lambda: "decoded the image died" in picture(app).problem)
        await pilot.press("down")
        await soon(pilot, lambda: picture(app).shown == folder / "0002.png")
        await soon(pilot, lambda: "× 0001 crash.png" in screen_text(app))  # the check has found it, too
        assert app.screen.query_one("#files", VirtualList).count == 4
        await pilot.press("v", "home")  # all four as small pictures
        await soon(pilot, lambda: screen_text(app).count("▀") > 100)


async def test_the_first_images_are_seen_while_many_are_still_being_read(tmp_path: Path) -> None:
    (folder := tmp_path / "set").mkdir()
    draw((8, 8), 1).save(folder / "000.png")
    for number in range(1, 300):
        os.link(folder / "000.png", folder / f"{number:03}.png")
    whole = (folder / "000.png").read_bytes()
    (folder / "zz.png").write_bytes(whole[:-12])  # it may be cut short: only its decoder can tell
    decoder.the_decoder().warm()
    (pid,) = decoder.the_decoder().pids
    os.kill(pid, signal.SIGSTOP)
    app = app_on(folder, "dataset")
    async with app.run_test(size=(100, 30)) as pilot:
        await soon(pilot, lambda: app.screen.query("#files"))
        files = app.screen.query_one("#files", VirtualList)
        await soon(pilot, lambda: files.count == 256)
        assert "000.png" in screen_text(app) and "reading images" in screen_text(app)
        await pilot.press("g", "down", "down", "i")
        await soon(pilot, lambda: "still being read" in screen_text(app))
        os.kill(pid, signal.SIGCONT)
        await soon(pilot, lambda: files.count > 300 and "301 images" in screen_text(app))
        assert isinstance(app.screen, DatasetScreen) and app.screen.here is not None
        assert app.screen.here.path == folder / "002.png"  # the cursor stayed on its file
