"""The whole road in a real terminal: fill in, start, watch, lose the terminal, come back, stop, hold a LoRA."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
from lives import draw_dataset, events, micro_config
from support import until
from terminal import LORA_TUI, Terminal

from lora_tui.config.load import save_config
from lora_tui.jobs.lock import holder
from lora_tui.project import Project
from lora_tui.runs.folder import RunFolder, list_runs
from lora_tui.weights.header.loras import lora_info

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A captioned folder, a micro base model and a configuration that trains for long."""
    from lora_tui.bench.model import write_model

    root = tmp_path / "discs"
    Project.create(root, name="Discs", purpose="character", trigger="blob", datasets=[Path("pictures")])
    draw_dataset(root / "pictures")
    config = micro_config(
        write_model(root / "base", seed=1),
        root / "pictures",
        steps={"epochs": 20_000, "batch_size": 4},
        sampling={"every_epochs": 10},
        saving={"every_epochs": 0, "state_every_epochs": 0, "name": "blob"},
    )
    (root / "configs").mkdir(exist_ok=True)
    save_config(config, root / "configs" / "blob.toml")
    return root


def _run(project: Path, terminal: Terminal) -> RunFolder:
    try:
        runs = until(lambda: list_runs(project / "runs"), 30)
    except AssertionError:
        raise AssertionError(f"no run was made; the screen:\n{terminal.screen()}") from None
    return runs[0]


def _shown_loss(screen: str) -> str:
    found = re.search(r"loss +([0-9]\.[0-9]+)", screen)
    return found.group(1) if found else ""


def test_start_lose_the_terminal_come_back_and_stop(project: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with Terminal(home, {"HF_HUB_OFFLINE": "1"}) as terminal:
        terminal.start([*LORA_TUI, str(project)])
        terminal.wait_for("Dataset")
        terminal.send("F4")
        terminal.wait_for("PARAMETERS", 15)
        terminal.wait_for("batches of", 15)
        terminal.send("C-r")
        until(lambda: "Start a training of" in (shown := terminal.screen()) or "Start this training?" in shown)
        terminal.send("Enter")
        run = _run(project, terminal)
        terminal.wait_for("step ", 60)
        until(lambda: _shown_loss(terminal.screen()), 90)
        first = _shown_loss(terminal.screen())
        until(lambda: _shown_loss(terminal.screen()) not in ("", first), 60)
        terminal.kill(signal.SIGKILL)

    trainer = holder(run.lock_path)
    assert trainer is not None
    steps = len(events(run, "step"))
    until(lambda: len(events(run, "step")) > steps + 3, 60)
    assert holder(run.lock_path) == trainer

    with Terminal(home, {"HF_HUB_OFFLINE": "1"}) as terminal:
        terminal.start([*LORA_TUI, "attach"])
        until(lambda: _shown_loss(terminal.screen()), 30)
        terminal.send("s")
        terminal.wait_for("and save?", 30)
        terminal.send("Enter")
        until(lambda: any(event["kind"] == "finished" for event in events(run)), 60)
        terminal.wait_for("stopped", 30)

    end = events(run, "finished")[-1]
    assert end["reason"] == "stopped"
    assert (run.state_dir / f"step-{end['step']:08d}" / "state.json").is_file()
    assert lora_info(run.root / end["path"]).family == "sd15"
    until(lambda: holder(run.lock_path) is None, 20)
