"""A run tried from the form: two real steps and a sample, shown and kept for the plan."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from tui.driving import screen_text, soon
from tui.seeing import app_on, sees

from lora_tui.bench.model import write_model
from lora_tui.config.load import save_config, set_values
from lora_tui.config.schema import Config
from lora_tui.project import Project
from lora_tui.tui.screens.parameters import ParametersScreen


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    (tmp_path / "images").mkdir()
    for number in range(4):
        Image.new("RGB", (64, 64), (number * 60, 90, 200)).save(tmp_path / "images" / f"{number}.png")
        (tmp_path / "images" / f"{number}.txt").write_text("blob")
    said = ["data.resolution=64", "data.bucket_min=64", "data.bucket_max=64", "network.rank=2", "saving.name=blob"]
    said += [f"model.base={write_model(tmp_path / 'base', seed=1)}", f"datasets.0.path={tmp_path / 'images'}"]
    said += ["memory.device=cpu", "memory.precision=fp32", "memory.threads=1", "samples.0.prompt=blob"]
    said += ["samples.0.width=64", "samples.0.height=64", "samples.0.steps=2"]
    Project.create(tmp_path, purpose="character", trigger="blob", name="blob", datasets=[tmp_path / "images"])
    save_config(set_values(Config(), said), tmp_path / "configs" / "blob.toml")
    return tmp_path


async def test_a_run_is_tried_stopped_and_tried_whole(project: Path) -> None:
    app = app_on(project, "parameters")
    async with app.run_test(size=(80, 24)) as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, ParametersScreen)
        await soon(pilot, lambda: screen.workspace.plan is not None)
        await pilot.press("T")
        await sees(pilot, "Try two steps")
        await pilot.press("enter")
        await sees(pilot, "Esc stops it")
        assert screen.refusal("parameters.probe") == "A probe is running."
        await pilot.press("escape")
        await sees(pilot, "The probe was stopped.")
        await soon(pilot, lambda: not screen.refusal("parameters.probe"))
        await pilot.press("T")
        await sees(pilot, "Try two steps")
        await pilot.press("enter")
        await soon(pilot, lambda: "What two steps and a sample took" in screen_text(pilot.app), 60)
        assert "a step" in screen_text(pilot.app) and "training" in screen_text(pilot.app)
        await pilot.press("escape")
        await soon(pilot, lambda: screen.workspace.plan is not None and "probe" in str(screen.workspace.plan.source))
    assert not (project / "runs").exists()
