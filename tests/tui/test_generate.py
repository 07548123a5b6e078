"""The form that generates pictures, driven by keys; what draws them is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lora_builders import write_small
from model_headers import write_checkpoint
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset, picture

from lora_tui.generate.ask import Order
from lora_tui.tasks.folder import create
from lora_tui.tui.screens import generate
from lora_tui.tui.screens.generate import Generate
from lora_tui.tui.screens.grids import GridsScreen
from lora_tui.tui.screens.loras import LorasScreen


def project(root: Path) -> Path:
    """One LoRA file, and a configuration whose base model is whole by its header."""
    make_dataset(root, 1)
    write_small(root / "loras" / "hat.safetensors")
    write_checkpoint(root / "base.safetensors")
    (root / "configs").mkdir()
    (root / "configs" / "a.toml").write_text(
        f'schema_version = 1\n[model]\nbase = "{root / "base.safetensors"}"\n'
        '[[samples]]\nprompt = "a hat"\nwidth = 64\nheight = 64\n'
    )
    (root / "lora-tui.toml").write_text('schema_version = 1\nname = "small"\n')
    return root


def drawn_elsewhere(order: Order) -> Any:
    """A task that nobody works on, and its first picture as if it had."""
    order.folder.mkdir()
    files = [order.folder / f"p-{number:04d}-{cell.seed}.png" for number, cell in enumerate(order.cells, start=1)]
    picture((64, 64), 1).save(files[0])
    return create(order.folder, "generate", order.title, {}), files


async def test_what_will_be_drawn_is_said_and_the_pictures_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "_begun", drawn_elsewhere)
    async with running(project(tmp_path / "p"), size=(120, 40)) as (app, pilot):
        await pilot.press("f7")
        await soon(pilot, lambda: isinstance(app.screen, LorasScreen) and app.screen.row_here is not None)
        await pilot.press("o", "g")
        await soon(pilot, lambda: isinstance(app.screen, Generate) and "1 picture in" in screen_text(app), 8)
        assert "hat 1" in screen_text(app) and "64 x 64 px" in screen_text(app)
        await pilot.press("down", "down", "down", "enter", "backspace", "backspace", "x", "enter")  # the seeds
        await soon(pilot, lambda: "is no whole number" in screen_text(app))
        await pilot.press("w")
        assert isinstance(app.screen, Generate) and not (tmp_path / "p" / "generated").exists()
        await pilot.press("enter", "backspace", *"7,8", "enter")
        await soon(pilot, lambda: "2 pictures in" in screen_text(app))
        await pilot.press("w")
        await soon(pilot, lambda: "0001  #7" in screen_text(app))
        assert "0002" not in screen_text(app)
        await pilot.press("escape")
        await soon(pilot, lambda: isinstance(app.screen, LorasScreen))
        await pilot.press("f6")
        await soon(pilot, lambda: isinstance(app.screen, GridsScreen))
        await pilot.press("i")
        await soon(pilot, lambda: isinstance(app.screen, Generate) and "without a LoRA" in screen_text(app))
