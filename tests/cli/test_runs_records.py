"""``runs`` as the record of a project: find, note, compare, clone, export, publish, clear away."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from run_folders import write_run

from lora_tui.cli.main import run as command
from lora_tui.config.load import dump_config, load_config, set_values
from lora_tui.config.schema import Config
from lora_tui.runs.folder import RunFolder, list_runs


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[RunFolder]:
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    made = []
    for rank, ending in ((32, "completed"), (64, "died")):
        run = write_run(tmp_path / "project" / "runs", steps=60, total=60, ending=ending, name=f"r{rank}")
        run.config_path.write_text(dump_config(set_values(Config(), [f"network.rank={rank}", "saving.name=hat"])))
        made.append(run)
    monkeypatch.chdir(tmp_path / "project")
    return made


def asked(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert command(["runs", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_notes_tags_ratings_and_the_list(runs: list[RunFolder], capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(capsys, "tag", "1", "good", "soft")["tags"] == ["good", "soft"]
    assert asked(capsys, "tag", "1", "--remove", "soft")["tags"] == ["good"]
    assert asked(capsys, "rate", "1", "4")["rating"] == 4
    assert asked(capsys, "note", "1", "too", "soft")["note"] == "too soft"
    assert asked(capsys, "note", "1", "again", "--append")["note"] == "too soft\nagain"
    assert command(["runs", "note", "1"]) == 0
    assert capsys.readouterr().out == "too soft\nagain\n"
    shown = asked(capsys, "show", "1")
    assert (shown["rating"], shown["tags"], Path(shown["best"]).name) == (4, ["good"], "hat-girl-000050.safetensors")
    assert command(["runs", "show", "1"]) == 0
    assert "****  good\ntoo soft\nagain\nbest: hat-girl-000050.safetensors  validation" in capsys.readouterr().out
    (found,) = asked(capsys, "list", "--where", "tag:good rating>=4")["runs"]
    assert (found["number"], found["best_step"], found["best_why"]) == (1, 50, "validation")
    assert [one["number"] for one in asked(capsys, "list", "--where", "-tag:good")["runs"]] == [2]
    assert [one["number"] for one in asked(capsys, "list", "--sort", "-rank")["runs"]] == [2, 1]
    assert command(["runs", "list"]) == 0
    assert "****  good" in capsys.readouterr().out
    assert command(["runs", "list", "--csv"]) == 0
    assert next(csv.DictReader(io.StringIO(capsys.readouterr().out)))["network.rank"] == "64"
    assert command(["runs", "list", "--where", "rank>999"]) == 0
    assert "No run fits" in capsys.readouterr().err
    for wrong in (["list", "--where", "rnk:3"], ["list", "--sort", "x"], ["rate", "1", "9"], ["tag", "1", "a:b"]):
        assert command(["runs", *wrong]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_compare_export_and_clone(runs: list[RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(capsys, "compare", "1", "2")["settings"]["network.rank"] == ["32", "64"]
    assert command(["runs", "compare", "--where", "rank>0"]) == 0
    assert "network.rank" in capsys.readouterr().out
    assert command(["runs", "compare", "1"]) == 2
    assert "At least 2" in capsys.readouterr().err
    files = asked(capsys, "export", "1", "--to", str(tmp_path / "out"), "--format", "md,csv,tensorboard")["files"]
    assert {Path(file).suffix for file in files} >= {".md", ".csv"} and any("tfevents" in file for file in files)
    assert command(["runs", "export", "1", "--format", "pdf"]) == 2
    capsys.readouterr()
    path = Path(asked(capsys, "clone", "2", "--name", "new", "--set", "network.rank=16", "--go-on")["config"])
    config = load_config(path)
    assert (path.name, config.saving.name, config.network.rank) == ("new.toml", "new", 16)
    assert config.network.start_from.endswith("hat-girl-000050.safetensors")
    assert command(["runs", "clone", "2", str(path)]) == 2
    assert "exists" in capsys.readouterr().err


def test_publish_with_a_place_that_is_kept(
    runs: list[RunFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["runs", "publish", "1"]) == 2
    capsys.readouterr()
    (tmp_path / "home" / "config").mkdir(parents=True, exist_ok=True)
    (tmp_path / "loras").mkdir()
    (tmp_path / "home" / "config" / "settings.toml").write_text(f'publish = "{tmp_path / "loras"}"\n')
    told = asked(capsys, "publish", "1", "--trigger", "hatgirl")
    assert (told["step"], told["why"]) == (50, "validation") and (tmp_path / "loras" / "hat.safetensors").is_file()
    assert command(["runs", "publish", "1", "--to", "box:/loras", "--file", "50", "--name", "other"]) == 0
    assert capsys.readouterr().out.startswith("scp ")
    assert command(["runs", "best", "1", "50"]) == 0
    assert "chosen by you" in capsys.readouterr().out


def test_nothing_goes_before_it_is_agreed_to(runs: list[RunFolder], capsys: pytest.CaptureFixture[str]) -> None:
    costs = asked(capsys, "disk")["runs"]
    assert {one["run"] for one in costs} == {str(run.root) for run in runs}
    told = asked(capsys, "prune", "--what", "states")
    assert not told["done"] and (runs[0].state_dir / "000050").is_dir()
    assert asked(capsys, "prune", "--what", "states", "--yes")["done"]
    assert not (runs[0].state_dir / "000050").is_dir() and (runs[1].state_dir / "000050").is_dir()
    assert asked(capsys, "remove", "2")["files"] and len(list_runs(runs[0].root.parent)) == 2
    assert asked(capsys, "remove", "2", "--yes")["done"] and len(list_runs(runs[0].root.parent)) == 1
    assert len(asked(capsys, "trash")["trash"]) == 2
    assert command(["runs", "trash"]) == 0
    listed = capsys.readouterr().out
    assert all(file in listed for one in asked(capsys, "trash")["trash"] for file in one["files"]), "each is named"
    asked(capsys, "trash", "--restore", "last")
    assert len(list_runs(runs[0].root.parent)) == 2
    assert asked(capsys, "trash", "--empty")["freed"] >= 0
    assert asked(capsys, "remove", "1", "2", "--yes")["done"] and not list_runs(runs[0].root.parent)
    asked(capsys, "trash", "--restore", "last")
    assert len(list_runs(runs[0].root.parent)) == 2, "what went together comes back together"
    for wrong in (
        ["remove"],
        ["prune", "--what", "everything"],
        ["prune", "--older-than", "x"],
        ["trash", "--restore", "x"],
    ):
        assert command(["runs", *wrong]) == 2
