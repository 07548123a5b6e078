"""After a training, in a real terminal: one key, cells come, leave, come back, choose the best; the record names it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from lives import draw_dataset, lean_config
from support import until
from terminal import LORA_TUI, Terminal

from lora_tui.config.load import save_config
from lora_tui.demo.project import MICRO
from lora_tui.grids.folder import list_grids
from lora_tui.grids.looking import GridReader
from lora_tui.project import Project
from lora_tui.records.notes import read_notes
from lora_tui.runs.folder import list_runs

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
LONG = 180.0
"""Seconds for a process that loads torch, on a machine that does much else."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Four pictures, the shipped small model, a training of four steps that saves twice."""
    root = tmp_path / "discs"
    Project.create(root, name="Discs", purpose="character", trigger="blob", datasets=[Path("pictures")])
    draw_dataset(root / "pictures", 4)
    config = lean_config(
        MICRO,
        root / "pictures",
        steps={"max_steps": 4, "epochs": 9, "batch_size": 2},
        sampling={"every_epochs": 0},
        saving={"name": "blob", "every_epochs": 0, "every_steps": 2, "state_every_epochs": 0},
        samples=[{"prompt": "blob, disc", "width": 64, "height": 64, "steps": 2}],
    )
    (root / "configs").mkdir(exist_ok=True)
    save_config(config, root / "configs" / "blob.toml")
    return root


@pytest.fixture
def terminal(tmp_path: Path, project: Path) -> Iterator[Terminal]:
    with Terminal(tmp_path / "home", {"HF_HUB_OFFLINE": "1"}) as opened:
        yield opened.start([*LORA_TUI, str(project)])


def test_one_key_after_a_training_and_the_best_of_its_grid_is_in_the_record(
    project: Path, terminal: Terminal, tmp_path: Path
) -> None:
    t = terminal
    t.wait_for("Dataset")
    t.send("F4")
    t.wait_for("batches of")
    t.send("C-r")
    t.wait_for("Start a training of 4 steps")
    t.send("Enter")
    t.wait_for("finished", LONG)

    t.send("X")
    t.wait_for("checkpoint × strength")
    folder = until(lambda: list_grids(project / "grids"))[0]
    until(lambda: len(folder.there()) > 1, LONG)
    t.wait_for("▀▀▀")
    t.send("F2")
    t.wait_for("images")
    t.send("F6")
    t.wait_for("checkpoint × strength")
    t.wait_for("12 of 12 cells", LONG)

    t.send("Down", "Right", "Right")
    t.wait_for("strength 0.4")
    t.send("x")
    t.wait_for("at 0.4  u undo")
    run = list_runs(project / "runs")[0]
    notes = read_notes(run)
    assert run.root / notes.best in {lora.path for one in GridReader(folder).read().cells for lora in one.cell.loras}
    assert notes.best_strength == 0.4
    t.send("F8")
    t.wait_for("at 0.4")
    line = [*LORA_TUI, "runs", "show", str(run.root)]
    shown = subprocess.run(line, capture_output=True, text=True, check=True, env=_env(tmp_path / "home")).stdout
    assert f"best: {Path(notes.best).name} at 0.4" in shown


def _env(home: Path) -> dict[str, str]:
    import os

    return {**os.environ, "LORA_TUI_HOME": str(home), "LC_ALL": "C.UTF-8"}
