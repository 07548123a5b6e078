"""The record of a project in a real terminal of 80x24, with keys alone: find, note, compare, export, clone, publish."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from run_folders import write_run
from support import until
from terminal import LORA_TUI, Terminal

from lora_tui.config.load import dump_config, load_config, set_values
from lora_tui.config.schema import Config
from lora_tui.project import Project
from lora_tui.records.notes import read_notes
from lora_tui.runs.folder import RunFolder

pytestmark = pytest.mark.e2e


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "hat-girl"
    Project.create(root, name="Hat girl", purpose="character", trigger="hatgirl")
    (tmp_path / "ComfyUI" / "models" / "loras").mkdir(parents=True)
    return root


@pytest.fixture
def runs(project: Path) -> list[RunFolder]:
    made = []
    for rank, steps in ((16, 100), (32, 100), (64, 60)):
        ending = "completed" if steps == 100 else "died"
        run = write_run(project / "runs", steps=steps, total=100, ending=ending, name=f"r{rank}")
        sets = [f"network.rank={rank}", "saving.name=hat", "saving.trigger=hatgirl"]
        run.config_path.write_text(dump_config(set_values(Config(), sets)))
        made.append(run)
    return made


@pytest.fixture
def terminal(tmp_path: Path, project: Path, runs: list[RunFolder]) -> Iterator[Terminal]:
    with Terminal(tmp_path / "home") as opened:
        yield opened.start([*LORA_TUI, str(project)])


def test_runs_are_found_noted_compared_handed_on_and_begun_anew(
    tmp_path: Path, project: Path, runs: list[RunFolder], terminal: Terminal
) -> None:
    t = terminal
    t.send("F8")
    t.wait_for("LoRA 64")
    t.send("n")
    t.wait_for("Note on run 3")
    t.type("died too soon")
    t.send("Enter")
    until(lambda: read_notes(runs[2]).note == "died too soon")

    t.send("/")
    t.type("is:finished rank<50")
    t.send("Enter")
    t.wait_for("2 of 3 runs")
    t.send("M", "5", "a")
    t.wait_for("Tags that 2 runs have")
    t.type("good")
    t.send("Enter")
    until(lambda: all(read_notes(run).tags == ("good",) and read_notes(run).rating == 5 for run in runs[:2]))

    t.send("c")
    t.wait_for("Settings that differ")
    t.send("Tab", "Tab")
    t.wait_for("loss, smoothed")
    t.send("Tab")
    t.wait_for("hatgirl, smile")
    t.send("x")
    t.wait_for("Export the comparison")
    t.send("Enter")
    t.wait_for("files in")
    assert "| network.rank | 16 | 32 |" in (project / "exports" / "comparison" / "report.md").read_text()

    t.hang_up()  # the terminal goes in the middle: what was noted is there
    t.close()
    with Terminal(tmp_path / "home") as again:
        again.start([*LORA_TUI, str(project)])
        again.send("F8")
        again.wait_for("LoRA 64")
        again.send("/")
        again.type("tag:good")
        again.send("Enter")
        again.wait_for("2 of 3 runs")
        again.send("P")
        again.wait_for("Where are LoRA files published?")
        again.type(str(tmp_path / "ComfyUI"))
        again.send("Enter")
        until((tmp_path / "ComfyUI" / "models" / "loras" / "hat.safetensors").exists)
        again.wait_for("hat.safetensors is in")
        again.send("y")
        again.wait_for("in no file yet")
        again.send("C-s")
        until(lambda: list((project / "configs").glob("*.toml")))
        (config,) = (project / "configs").glob("*.toml")
        assert load_config(config).network.rank == 32
