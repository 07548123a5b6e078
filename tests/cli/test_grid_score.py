"""``grid score``: as a task, in words and as JSON; mistakes are told before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scored_grids import as_trained, paint, scored_grid, scored_run

from lora_tui.cli.main import run
from lora_tui.grids.folder import GridFolder
from lora_tui.settings import Settings, save_settings
from lora_tui.tasks.folder import tasks_of


@pytest.fixture
def folder(tmp_path: Path) -> GridFolder:
    found = scored_grid(scored_run(tmp_path, images=6), "strength=0,1", "checkpoint=all", "seed=1,2")
    paint(found, as_trained)
    return found


def test_a_grid_is_scored_as_a_task_and_shown(folder: GridFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["grid", "score", str(folder.root), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["kind"]) == ("finished", "score")
    assert told["scores"]["recommendation"]["checkpoint"] == "200"
    assert run(["grid", "show", str(folder.root)]) == 0
    shown = capsys.readouterr().out
    assert "recommended: 200 at 1" in shown and "No model looked at the pictures" in shown
    assert run(["grid", "show", str(folder.root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"] == told["scores"]
    assert len(tasks_of(folder.root)) == 1


def test_a_model_that_is_none_is_told_before_anything_starts(
    folder: GridFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["grid", "score", str(folder.root), "--encoder", str(tmp_path / "nowhere")]) == 2
    assert "no such model folder" in capsys.readouterr().err
    save_settings(Settings(encoders=(str(tmp_path),)))
    assert run(["grid", "score", str(folder.root)]) == 2
    assert "config.json" in capsys.readouterr().err
    assert run(["grid", "run", str(folder.root), "--score"]) == 2
    assert tasks_of(folder.root) == []
