"""Grids for tests whose pictures are painted instead of drawn: folders as a task leaves them, without a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from run_folders import write_run
from tui.projects import make_dataset, picture

from lora_tui.config.schema import Config, SamplePrompt
from lora_tui.config.write import save_config
from lora_tui.demo.project import MICRO
from lora_tui.grids.axes import Axis, Value
from lora_tui.grids.folder import GridFolder, create
from lora_tui.grids.grid import Grid
from lora_tui.runs.folder import RunFolder

SIZE = 64
STRENGTHS = (0.0, 0.4, 0.8, 1.0)


def painted_project(root: Path, *, drawn: int = 100, prompts: int = 2, title: str = "hat-girl") -> GridFolder:
    """A project with a run of three checkpoints and its grid against four strengths; see :func:`paint`."""
    make_dataset(root, 2)
    run = write_run(root / "runs", steps=150, total=150, ending="completed")
    for path in run.checkpoints_dir.iterdir():
        path.write_bytes(path.name.encode())  # files that hold the same draw the same
    config = Config(samples=[SamplePrompt(prompt="hatgirl", width=SIZE, height=SIZE, steps=4)])
    config.model.base = str(MICRO)
    save_config(config, run.config_path)
    folder = new_painted(root / "grids", run, prompts=prompts, title=title)
    paint(folder, drawn)
    return folder


def new_painted(
    parent: Path, run: RunFolder | None, *, prompts: int = 2, title: str = "hat-girl", **settings: Any
) -> GridFolder:
    """A grid of which no cell is there yet: the run's checkpoints down, strengths across, prompts as pages."""
    files = sorted(run.checkpoints_dir.iterdir()) if run is not None else []
    values = {
        "base": "base", "vae": "", "clip_skip": 1, "lora": None, "strength": 1.0, "unet": None, "text": None,
        "blocks": "", "second": None, "more": [], "prompt": "hatgirl", "negative": "", "width": SIZE, "height": SIZE,
        "steps": 4, "guidance": 3.0, "seed": 5, "sampler": "ddim",
    }  # fmt: skip
    texts = [f"hatgirl {number} [/x]" for number in range(prompts)]
    axes = [
        Axis("strength", tuple(Value(f"{number:g}", {"strength": number}) for number in STRENGTHS)),
        Axis("checkpoint", tuple(Value(str(int(path.stem[-6:])), {"lora": str(path)}) for path in files)),
        Axis("prompt", tuple(Value(text, {"prompt": text}) for text in texts)),
    ]  # fmt: skip
    told = tuple(axis for axis in axes if len(axis.values) > 1)
    run_root = str(run.root) if run is not None else ""
    return create(parent, Grid(title, "sd15", {**values, **settings}, told, run=run_root), Config())


def paint(folder: GridFolder, most: int = 100, *, fail: int = 0) -> None:
    """Put pictures for the first ``most`` cells that differ; the next ``fail`` failed."""
    grid = folder.read()
    cells = list(dict.fromkeys(grid.cell(place) for place in grid.places()))
    keys = folder.keys(cells)
    for number, cell in enumerate(cells[:most]):
        if keys[cell] not in folder.there():
            picture((SIZE, SIZE), number).save(folder.picture(keys[cell]))
    failed = cells[most : most + fail]
    folder.note_failures({keys[cell]: {"message": "not enough [/memory]", "place": "cell"} for cell in failed})
    folder.note_contents(cells)
