"""The training screen of a real run, as the app draws it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from PIL import Image

from lora_tui.runs.folder import RunFolder
from lora_tui.tui.app import LoraTuiApp
from tools.pictures.cells import draw_cells

WAIT_SECONDS = 30.0
STILL = 12
"""The screen is ready when it has not changed for this many looks."""


def training_screen(project: Path, run: Path, columns: int, rows: int) -> Image.Image:
    """The picture of the run's screen in a terminal of ``columns`` x ``rows`` cells."""
    return asyncio.run(_training_screen(project, run, columns, rows))


async def _training_screen(project: Path, run: Path, columns: int, rows: int) -> Image.Image:
    app = LoraTuiApp(project, screen="training", run=RunFolder(run))
    async with app.run_test(size=(columns, rows)) as pilot:
        before, still, waited = b"", 0, 0.0
        while still < STILL and waited < WAIT_SECONDS:
            await pilot.pause(0.1)
            waited += 0.1
            strips = app.screen._compositor.render_strips()
            now = "\n".join(strip.text for strip in strips).encode()
            before, still = now, still + 1 if now == before else 0
        return draw_cells(app.screen._compositor.render_strips(), columns)
