"""The app and a cluster: a run is sent from the form, waits with its reason, and is taken back. Slurm is played."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tui.driving import running, screen_text, soon
from tui.projects import make_dataset
from tui.seeing import sees

from lora_tui.bench.model import write_model
from lora_tui.config.load import parse_config, save_config
from lora_tui.jobs.slurm.submission import read_submission
from lora_tui.project import Project
from lora_tui.runs.folder import list_runs


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "base", seed=1)


def made(tmp_path: Path, base: Path) -> Path:
    Project.create(tmp_path, purpose="character", trigger="hatgirl")
    make_dataset(tmp_path, 4)
    images = next(tmp_path.rglob("4_hat"))
    values = {"model": {"base": str(base)}, "datasets": [{"path": str(images)}], "samples": []}
    (tmp_path / "configs").mkdir(exist_ok=True)
    save_config(parse_config(values, base=None, place="test"), tmp_path / "configs" / "hat.toml")
    return tmp_path


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Slurm's programs, played by scripts that keep one job."""
    folder = tmp_path / "bin"
    folder.mkdir()
    jobs = tmp_path / "jobs"
    played = {
        "sbatch": f"grep job-name= slurm.sh | cut -d= -f2 > {jobs}; [ -e {jobs}.no ] && exit 1; echo 31",
        "squeue": f'[ -e {jobs} ] && echo "31|PENDING|Resources|||N/A|$(cat {jobs})"',
        "scancel": f"rm {jobs}",
    }
    for name, text in played.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


async def test_a_run_is_sent_from_the_form_waits_with_its_reason_and_is_taken_back(
    tmp_path: Path, base: Path, slurm: Path
) -> None:
    project = made(tmp_path, base)
    async with running(project, screen="parameters") as (app, pilot):
        await pilot.press("ctrl+r")
        await sees(pilot, "C sends it to Slurm instead.")
        await pilot.press("escape", "C")
        await sees(pilot, "Send this training to Slurm?")
        await pilot.press(*"partition=gpu tims=4h", "enter")
        await sees(pilot, "tims=4h is no option")
        await pilot.press("ctrl+u", *"partition=gpu time=4h", "enter")
        await soon(pilot, lambda: app.current_mode == "training")
        await sees(pilot, "waits in Slurm for free nodes or GPUs, job 31")
        (run,) = list_runs(tmp_path / "runs")
        assert b"#SBATCH --partition=gpu\n#SBATCH --time=0-04:00:00\n" in (run.root / "slurm.sh").read_bytes()
        await pilot.press("f8")
        await sees(pilot, "waits in Slurm")
        await pilot.press("f5", "s")
        await sees(pilot, "out of Slurm?")
        await pilot.press("enter")
        await sees(pilot, "Job 31 was taken out of Slurm")
        known = read_submission(run.root)
        assert known is not None and (known.state, known.word) == ("over", "CANCELLED")


async def test_without_slurm_nothing_speaks_of_it(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lora_tui.jobs.slurm.calls.here", lambda: False)
    async with running(made(tmp_path, base), screen="parameters") as (app, pilot):
        await pilot.press("ctrl+r")
        await sees(pilot, "Start a training of")
        assert "Slurm" not in screen_text(app)
        await pilot.press("escape", "C")
        await sees(pilot, "sbatch is not on this machine")
