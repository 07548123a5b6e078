"""``new`` makes a project that every other command understands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lora_tui.cli.main import run
from lora_tui.project import Project


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("LORA_TUI_LANG", "en")


def test_a_project_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["new", str(tmp_path / "hat"), "--purpose", "character", "--trigger", "hatgirl", "--price", "0.4"]) == 0
    project = Project.load(tmp_path / "hat")
    assert (project.purpose, project.trigger, project.price_per_hour) == ("character", "hatgirl", 0.4)
    assert str(tmp_path / "hat" / "images") in capsys.readouterr().out


def test_a_document_for_scripts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pictures").mkdir()
    command = ["new", str(tmp_path / "hat"), "--dataset", str(tmp_path / "pictures"), "--json", "--base", "owner/model"]
    assert run(command) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["datasets"] == [str(tmp_path / "pictures")]
    assert found["base_model"] == "owner/model"
    assert Path(found["file"]).is_file()


def test_a_relative_base_model_is_that_of_the_present_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["new", "hat", "--base", "models/x.safetensors"]) == 0
    assert Project.load(tmp_path / "hat").base_model == str(tmp_path / "models" / "x.safetensors")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--purpose", "concept"],
        ["--purpose", "charcter"],
        ["--price", "-1"],
        ["--dataset", "/nowhere/at/all"],
    ],
)
def test_wrong_input_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert run(["new", str(tmp_path / "hat"), *arguments]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not (tmp_path / "hat").exists()


def test_a_second_project_in_one_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["new", str(tmp_path)]) == 0
    capsys.readouterr()
    assert run(["new", str(tmp_path), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "project.exists"
