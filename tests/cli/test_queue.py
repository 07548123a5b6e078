"""``lora-tui queue``: what its words mean, and what is refused before it is added."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lora_tui.cli.main import run
from lora_tui.cli.queue_add import split
from lora_tui.config.load import parse_config, save_config
from lora_tui.demo.project import MICRO
from lora_tui.jobs.queue.journal import job_dir, read_queue, turn
from lora_tui.jobs.queue.record import QueueJob

Asked = Callable[..., tuple[int, Any, str]]


@pytest.fixture(autouse=True)
def stopped() -> None:
    """Nothing is started by what is added here."""
    with turn() as change:
        change.say(stopped=True)


@pytest.fixture
def asked(capsys: pytest.CaptureFixture[str]) -> Asked:
    """A command: its exit status, its JSON, and what it said."""

    def ask(*words: object) -> tuple[int, Any, str]:
        status = run([str(word) for word in words])
        told = capsys.readouterr()
        try:
            return status, json.loads(told.out), told.err
        except ValueError:
            return status, None, told.out + told.err

    return ask


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    images = tmp_path / "images"
    images.mkdir()
    for number in range(4):
        Image.new("RGB", (64, 64), (number * 60, 90, 200)).save(images / f"{number}.png")
        (images / f"{number}.txt").write_text("blob")
    values = {
        "model": {"base": str(MICRO)},
        "datasets": [{"path": str(images)}],
        "data": {"resolution": 64, "bucket_min": 64, "bucket_max": 64},
        "steps": {"epochs": 1},
        "memory": {"precision": "fp32"},
        "saving": {"name": "blob"},
    }
    save_config(parse_config(values, base=None, place="test"), tmp_path / "blob.toml")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "blob.toml"


def only() -> QueueJob:
    (job,) = read_queue().jobs.values()
    return job


def test_a_training_is_added_with_its_settings_and_what_the_queue_is_told(config: Path, asked: Asked) -> None:
    status, told, _err = asked(
        "queue",
        "add",
        "train",
        "blob.toml",
        "--set",
        "network.rank=5",
        "--hold",
        "--gpus",
        "2",
        "--title",
        "x",
        "--json",
    )
    assert status == 0
    job = only()
    assert (job.kind, job.gpus, job.held, job.title, told["id"]) == ("train", 2, True, "x", job.id)
    assert "rank = 5" in (job_dir(job.id) / "config.toml").read_text()
    assert job.source == str(config)
    config.unlink()  # what was added does not need it
    assert asked("queue", "show", job.id, "--json")[1]["state"] == "waiting"


def test_the_short_door_is_train_queue(config: Path, asked: Asked) -> None:
    assert asked("train", "blob.toml", "--queue", "--json")[0] == 0
    assert only().gpus == 1


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["train", "none.toml"], "config.missing"),
        (["train", "blob.toml", "--set", "network.rnak=3"], "config.unknown_key"),
        (["train", "blob.toml", "--set", "model.base=/nowhere"], "model.not_found"),
        (["train", "blob.toml", "--after", "9"], "queue.not_found"),
        (["train", "blob.toml", "--after", "x"], "usage"),
        (["train", "blob.toml", "--gpus", "-1"], "usage"),
        (["train"], "usage"),
        (["train", "blob.toml", "--partition", "night"], "usage"),
        (["tag", "images", "--existing", "maybe"], "usage"),
        (["attach"], "usage"),
        (["queue", "list"], "usage"),
        (["rm", "-rf", "/"], "usage"),
        ([], "usage"),
    ],
)
def test_what_is_wrong_is_refused_when_it_is_added(config: Path, asked: Asked, words: list[str], code: str) -> None:
    status, told, err = asked("queue", "add", *words, "--json")
    assert status == 2
    assert told["error"]["code"] == code, err
    assert not read_queue().jobs


def test_without_sbatch_nothing_is_queued_for_a_cluster(
    config: Path, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    status, told, _err = asked("queue", "add", "train", "blob.toml", "--on", "slurm", "--json")
    assert (status, told["error"]["code"]) == (2, "slurm.missing")
    assert not read_queue().jobs


def test_a_training_after_others_may_lack_what_they_make(config: Path, asked: Asked) -> None:
    asked("queue", "add", "prepare", "images", "made", "--size", "64")
    status, told, err = asked(
        "queue", "add", "train", "blob.toml", "--set", "datasets.0.path=made", "--after", "1", "--json"
    )
    assert (status, told["after"], told["waits"]) == (0, [1], "")
    assert "As things are now" in err


def test_a_grid_that_is_not_there_is_scored_only_after_what_makes_it(config: Path, asked: Asked) -> None:
    status, told, _err = asked("queue", "add", "grid", "score", "light", "--json")
    assert (status, told["error"]["code"]) == (2, "grid.not_found")
    assert "there is no grid light" in told["error"]["message"] and "--after ID" in told["error"]["remedy"]
    assert not read_queue().jobs
    asked("queue", "add", "prepare", "images", "made", "--size", "64")
    status, told, err = asked("queue", "add", "grid", "score", "light", "--after", "1", "--json")
    assert (status, told["kind"]) == (0, "score") and "there is no grid light" in err


def test_any_command_that_ends_can_be_queued_and_says_what_it_is(config: Path, asked: Asked) -> None:
    asked("queue", "add", "prepare", "images", "made", "--size", "64", "--detach")
    asked("queue", "add", "tag", "images", "--model", "x", "--after", "1")
    asked("queue", "add", "--", "captions", "list", "images", "--json")
    jobs = read_queue().jobs
    assert [job.kind for job in jobs.values()] == ["prepare", "tag", "command"]
    assert jobs[1].command == ("dataset", "prepare", "images", "made", "--size", "64")
    assert jobs[2].after == (1,)
    assert jobs[3].command[-1] == "--json"
    assert {job.folder for job in jobs.values()} == {str(config.parent)}


def test_own_words_stand_anywhere_but_behind_two_dashes() -> None:
    words = ["--after", "1", "tag", "x", "--gpus=0", "--", "--hold", "--after"]
    assert split(words) == (["--after", "1", "--gpus=0"], ["tag", "x", "--hold", "--after"])


def test_jobs_are_moved_held_and_removed_by_number(config: Path, asked: Asked) -> None:
    for word in "abc":
        asked("queue", "add", "captions", "list", word)
    assert [job["id"] for job in asked("queue", "move", "3", "first", "--json")[1]["jobs"]] == [3, 1, 2]
    assert [job["id"] for job in asked("queue", "move", "3", "2", "--json")[1]["jobs"]] == [1, 3, 2]
    assert asked("queue", "move", "3", "sideways", "--json")[1]["error"]["code"] == "usage"
    assert asked("queue", "hold", "1", "--json")[1][0]["waits"] == "held"
    assert asked("queue", "after", "2", "1", "--if-failed", "remove", "--json")[1][0]["if_failed"] == "remove"
    assert asked("queue", "remove", "1", "7", "--json")[1]["error"]["code"] == "queue.not_found"
    assert asked("queue", "remove", "1", "--json")[0] == 0
    assert asked("queue", "hold", "--json")[1]["held"] is True
    assert asked("queue", "release", "--json")[1]["held"] is False
    status, _none, told = asked("queue", "list")
    assert status == 0 and "1 did not do its work" in told


def test_the_unit_is_printed_and_written_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: Asked
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "a b%"))
    monkeypatch.setenv("PATH", str(tmp_path))  # no systemctl
    told = asked("queue", "unit", "--json")[1]
    path = tmp_path / "a b%" / "systemd" / "user" / "lora-tui-queue.service"
    assert told["path"] == str(path) and not path.exists()
    assert asked("queue", "unit", "--install", "--json")[1]["not_enabled"]
    text = path.read_text()
    assert text == told["unit"]
    assert "KillMode=process" in text and "--stay" in text
    assert f'Environment="XDG_CONFIG_HOME={tmp_path}/a b%%"' in text
