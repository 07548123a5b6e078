"""A run made to overfit, in a real terminal: settings mended by keys, the alarm with no terminal open, the record."""

from __future__ import annotations

import csv
import random
import signal
from pathlib import Path

import pytest
from lives import events, micro_config
from run_folders import write_run
from support import until
from terminal import LORA_TUI, Terminal
from webhook_server import WebhookServer, serving

from lora_tui.config.load import load_config, save_config
from lora_tui.demo.project import MICRO
from lora_tui.demo.world.draw import draw_scene
from lora_tui.demo.world.scene import sample_scene
from lora_tui.jobs.lock import holder
from lora_tui.project import Project
from lora_tui.runs.folder import RunFolder, list_runs

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Four scenes of one caption, half of them held out: what is learned of two of them is wrong for the others."""
    root = tmp_path / "blobs"
    Project.create(root, name="Blobs", purpose="character", trigger="blob", datasets=[Path("pictures")])
    (root / "pictures").mkdir(exist_ok=True)
    chance = random.Random(3)
    for number in range(4):
        draw_scene(sample_scene(chance), 128, chance).save(root / "pictures" / f"{number}.png")
        (root / "pictures" / f"{number}.txt").write_text("blob", "utf-8")
    config = micro_config(
        MICRO,
        root / "pictures",
        data={"bucket_step": 64},
        steps={"epochs": 4000, "batch_size": 2},
        learning={"unet_lr": 3e-3, "schedule": "constant"},
        network={"rank": 16, "alpha": 16.0, "text_encoder": False},
        samples=[{"prompt": "a red circle", "width": 64, "height": 64, "steps": 3}],
        sampling={"every_epochs": 0, "at_start": False},
        validation={"mode": "on", "share": 0.5, "every_epochs": 5},
        saving={"every_epochs": 0, "state_every_epochs": 0, "name": "blob"},
    )
    (root / "configs").mkdir(exist_ok=True)
    save_config(config, root / "configs" / "blob.toml")
    write_run(root / "runs", ending="completed")
    return root


def test_a_run_that_overfits_from_its_settings_to_its_record(project: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serving() as hook:
        environment = {"HF_HUB_OFFLINE": "1", "LORA_TUI_WEBHOOK": f"http://{hook.host}/notices"}
        with Terminal(home, environment) as terminal:
            terminal.start([*LORA_TUI, str(project)])
            _mend_a_setting(terminal)
            run = _begin(terminal, project)
            terminal.kill(signal.SIGKILL)
            terminal.hang_up()
        _alarm_with_no_terminal(hook, run)
    with Terminal(home, environment) as terminal:
        terminal.start([*LORA_TUI, "attach"])
        _draw_and_stop(terminal, run)
        _keep_a_record(terminal, run)
        _compare_and_export(terminal, project, run)
        _clone(terminal, project)
    assert len(list_runs(project / "runs")) == 2


def _mend_a_setting(terminal: Terminal) -> None:
    """A preset, a rank that no layer has, found by the name of another program, and what the plan says then."""
    terminal.wait_for("Dataset")
    terminal.send("F4")
    terminal.wait_for("1 batch of 2 x 4,000 epochs = 4,000 steps")
    terminal.send("/")
    terminal.type("network_dim")
    terminal.wait_for("rank ")
    terminal.send("Enter", "Enter", "C-u")
    terminal.type("2000")
    terminal.send("Enter")
    terminal.wait_for("× a whole number, from 1 to 320")
    terminal.send("C-u")
    terminal.type("24")
    terminal.send("Enter")
    terminal.wait_gone("×")
    until(lambda: "24 " in terminal.screen() and "edited" in terminal.screen())


def _begin(terminal: Terminal, project: Path) -> RunFolder:
    before = set(list_runs(project / "runs"))
    terminal.send("C-r")
    terminal.wait_for("Start a training of 4,000 steps?")
    terminal.send("Enter")
    (run,) = until(lambda: [one for one in list_runs(project / "runs") if one not in before])
    until(lambda: events(run, "step"), 60)
    terminal.wait_for("run 2  training")
    assert load_config(run.config_path).network.rank == 24
    return run


def _alarm_with_no_terminal(hook: WebhookServer, run: RunFolder) -> None:
    until(lambda: hook.got, 90)
    path, _headers, told = hook.got[0]
    turned = events(run, "alarm")[0]["at"]
    assert (path, told["code"], told["run"], told["at"]) == ("/notices", "overfitting", run.name, turned)
    lowest = min(events(run, "validation"), key=lambda event: event["loss"])
    assert abs(turned - lowest["step"]) <= 15, "the step named is that of the lowest validation, but for its noise"
    assert holder(run.lock_path) is not None, "the run goes on; to stop it is up to a person"


def _draw_and_stop(terminal: Terminal, run: RunFolder) -> None:
    terminal.wait_for("run 2  training")
    terminal.wait_for("verfitting")
    terminal.send("I")
    terminal.wait_for("Draw now")
    terminal.type("a blue star --d 5")
    terminal.send("Enter")
    (drawn,) = until(lambda: events(run, "sample"))
    assert drawn["text"] == "a blue star" and (run.root / drawn["path"]).is_file()
    terminal.wait_for("a blue star")
    terminal.send("s")
    terminal.wait_for("and save?")
    terminal.send("Enter")
    terminal.wait_for("run 2  stopped")
    until(lambda: holder(run.lock_path) is None)


def _keep_a_record(terminal: Terminal, run: RunFolder) -> None:
    terminal.send("F8")
    terminal.wait_for("adapter")
    terminal.wait_for("2 stopped")
    terminal.send("2")
    terminal.wait_for("**")
    terminal.send("n")
    terminal.wait_for("Note on run 2")
    terminal.type("Too few pictures: twenty next time.")
    terminal.send("Enter")
    terminal.wait_for("Too few pictures")


def _compare_and_export(terminal: Terminal, project: Path, run: RunFolder) -> None:
    terminal.send("c")
    shown = terminal.wait_for("lowest validation")
    assert "finished" in shown and "stopped" in shown
    terminal.send("Down")
    terminal.send("Escape")
    terminal.wait_for("Too few pictures")
    terminal.send("x")
    terminal.wait_for("Export 1 run")
    terminal.send("Enter")
    folder = project / "exports" / run.name
    report = until(lambda: (folder / "report.md").read_text("utf-8") if (folder / "report.md").exists() else "")
    assert "Too few pictures" in report
    terminal.wait_for(" files in ")
    with (folder / f"{run.name}.csv").open(encoding="utf-8", newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file) if row["loss"]]
    assert losses == pytest.approx([event["loss"] for event in events(run, "step")])


def _clone(terminal: Terminal, project: Path) -> None:
    before = set((project / "configs").iterdir())
    terminal.send("y")
    terminal.wait_for("in no file yet")
    terminal.send("C-s")
    saved = until(lambda: [path for path in {*(project / "configs").iterdir()} - before if _rank(path) == 24])
    assert len(saved) == 1


def _rank(path: Path) -> int:
    return load_config(path).network.rank if path.suffix == ".toml" else 0
