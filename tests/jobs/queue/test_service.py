"""The queue at work with real processes: order, crashes, death of the queue itself; nothing twice, nothing lost."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image
from scored_grids import scored_grid, scored_run
from support import until
from tagger_builders import make_images, make_wd14
from terminal import Terminal

from lora_tui.cli.main import run as command
from lora_tui.config.load import parse_config, save_config
from lora_tui.demo.project import MICRO
from lora_tui.jobs.job import read_job
from lora_tui.jobs.lock import RunLock
from lora_tui.jobs.queue import door, process
from lora_tui.jobs.queue.door import Wish, add
from lora_tui.jobs.queue.journal import job_dir, read_queue
from lora_tui.jobs.queue.service import Service
from lora_tui.runs.folder import list_runs
from lora_tui.scores.told import read_scores
from lora_tui.tasks.folder import TaskFolder

from .conftest import ROOT, processes


@pytest.fixture
def asked(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """A command's JSON."""

    def ask(*words: object) -> Any:
        status = command([*(str(word) for word in words), "--json"])
        told = capsys.readouterr()
        assert status == 0, told.out + told.err
        return json.loads(told.out)

    return ask


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Three configurations over four images."""
    root = tmp_path / "project"
    images = root / "images"
    images.mkdir(parents=True)
    for number in range(4):
        Image.new("RGB", (64, 64), (number * 60, 90, 200)).save(images / f"{number}.png")
        (images / f"{number}.txt").write_text("blob")
    for name in ("one", "two", "three"):
        values = {
            "model": {"base": str(MICRO)},
            "datasets": [{"path": str(images)}],
            "data": {"resolution": 64, "bucket_min": 64, "bucket_max": 64},
            "steps": {"epochs": 1},
            "network": {"rank": 2, "alpha": 2.0},
            "memory": {"precision": "fp32", "threads": 1, "device": "cpu"},
            "sampling": {"at_start": False, "every_epochs": 0},
            "saving": {"name": name},
        }
        save_config(parse_config(values, base=None, place="test"), root / f"{name}.toml")
    return root


def state(number: int) -> str:
    return read_queue().jobs[number].state


def comes(number: int, wanted: str, seconds: float = 60) -> None:
    """Wait until a job is in a state, and say how all stand if it does not come."""
    try:
        until(lambda: state(number) == wanted, seconds)
    except AssertionError:
        told = {job.id: (job.state, job.message) for job in read_queue().in_order()}
        raise AssertionError(f"job {number} is not {wanted}: {told} {process.word()}") from None


def kill_queue() -> None:
    pid = process.process_of()
    assert pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: process.process_of() is None)


def test_jobs_run_in_order_without_a_terminal_though_one_crashes_one_is_held_and_the_queue_is_killed(
    project: Path, ours: dict[str, str], asked: Callable[..., Any]
) -> None:
    gates = Path(ours["QUEUE_GATES"])
    asked("queue", "hold")
    for name in ("one", "two", "three"):
        asked("queue", "add", "train", project / f"{name}.toml")
    asked("queue", "add", "--title", "look", "captions", "list", project / "images")
    asked("queue", "hold", 3)
    with Terminal(Path(ours["LORA_TUI_HOME"]), env=ours) as terminal:
        terminal.start([sys.executable, "-m", "lora_tui", "queue", "start"])
        until(process.process_of)
    asked("queue", "release")
    comes(1, "running")
    assert [job.state for job in read_queue().in_order()] == ["running", "waiting", "waiting", "waiting"]
    kill_queue()
    (gates / "one").write_text("finish")  # it ends while there is no queue
    place = Path(read_queue().jobs[1].place)
    until(lambda: (job := read_job(place)) is not None and job.ended)
    assert state(1) == "running"
    process.start()
    comes(1, "done")
    comes(2, "running")
    kill_queue()
    process.start()  # it takes over the living training
    (gates / "two").write_text("crash")
    comes(2, "failed")
    assert "made to crash" in read_queue().jobs[2].message
    comes(4, "done")
    ended = {job.id: job for job in read_queue().ended()}
    assert {number: job.state for number, job in ended.items()} == {1: "done", 2: "failed", 4: "done"}
    starts = [ended[number].started or 0 for number in (1, 2, 4)]
    assert starts == sorted(starts)
    assert state(3) == "waiting"
    runs = list_runs(project / "runs")
    assert sorted(run.name.partition("-")[2].partition("-")[2] for run in runs) == ["one", "two"]
    assert [(job := read_job(run.root)) and job.attempt for run in runs] == [1, 1]


def test_two_queues_at_once_one_says_who_has_it(ours: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    pid = process.start()
    assert command(["queue", "start"]) == 2
    assert f"process {pid} has it" in capsys.readouterr().err
    assert process.stop()
    assert process.process_of() is None


def ledger_of(env: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    ledger = tmp_path / "ledger"
    monkeypatch.setenv("QUEUE_LEDGER", str(ledger))
    return ledger


def killed_at_random(count: int, seed: int, ledger: Path, gates: str, tmp_path: Path) -> None:
    """Run ``count`` jobs while the queue and its starters are killed again and again; each was run once."""
    chance = random.Random(seed)
    jobs = add([Wish(("captions", "list", str(number)), folder=str(tmp_path)) for number in range(count)])
    lives = 0
    while not all(job.over for job in read_queue().jobs.values()):
        end = chance.uniform(0.05, 0.7)
        victims = "lora_tui.jobs.queue" if chance.random() < 0.5 else "-m lora_tui.jobs.queue --"
        with_pause(end)
        for victim in processes(gates, victims):
            with suppressed():
                victim.send_signal(signal.SIGKILL)
        until(lambda: process.process_of() is None)
        process.start()
        lives += 1
        if lives > 4:  # then it may finish in peace
            for job in jobs:
                until(lambda number=job.id: read_queue().jobs[number].over, 90)
    assert {job.state for job in read_queue().jobs.values()} == {"done"}, [
        (job.state, job.message, job.starts) for job in read_queue().jobs.values()
    ]
    told = Counter(ledger.read_text().splitlines())
    wanted = [f"{word} captions list {number}" for word in ("begun", "done") for number in range(count)]
    assert told == Counter(wanted)


def with_pause(seconds: float) -> None:
    """Let the others run for a moment, of which length is of no matter."""
    import threading

    threading.Event().wait(seconds)


def suppressed() -> Any:
    import contextlib

    return contextlib.suppress(psutil.Error)


def test_killed_at_any_moment_it_runs_nothing_twice_and_loses_nothing(
    ours: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ledger = ledger_of(ours, monkeypatch, tmp_path)
    killed_at_random(2, 1, ledger, ours["QUEUE_GATES"], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 8))
def test_killed_at_many_moments(
    ours: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seed: int
) -> None:
    ledger = ledger_of(ours, monkeypatch, tmp_path)
    killed_at_random(12, seed, ledger, ours["QUEUE_GATES"], tmp_path)


@pytest.fixture
def gated(ours: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Adds a job that waits at its gate until ``open`` is called with its name; the number of the job."""
    monkeypatch.setenv("QUEUE_LEDGER", str(tmp_path / "ledger"))
    gates = Path(ours["QUEUE_GATES"])

    def gated(name: str, **more: Any) -> int:
        (gates / f"{name}.wait").touch()
        return add([Wish(("captions", "list", name), folder=str(tmp_path), **more)])[0].id

    return gated


def begun(number: int, name: str, ours: dict[str, str]) -> str:
    """Wait until a gated job is at work; the GPUs that it sees."""
    comes(number, "running")
    sees = Path(ours["QUEUE_GATES"]) / f"{name}.sees"
    until(sees.exists)
    return until(sees.read_text)


def open_gate(name: str, ours: dict[str, str]) -> None:
    (Path(ours["QUEUE_GATES"]) / name).touch()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_same_with_the_real_programs(
    project: Path, tmp_path: Path, ours: dict[str, str], asked: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three trainings, a tagging and a grid, no terminal: one crashes, one is held, the queue is killed."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pictures = make_images(tmp_path / "pictures", {"red": (255, 0, 0)})
    asked("queue", "hold")
    for name, epochs in (("one", 2), ("two", 500), ("three", 1)):
        asked("queue", "add", "train", project / f"{name}.toml", "--set", f"steps.epochs={epochs}")
    asked("queue", "add", "tag", pictures, "--tagger", "wd14", "--model", make_wd14(tmp_path / "tagger"))
    grid = ("--x", "strength=0,1", "--prompt", "a circle", "--steps", "2", "--size", "64x64", "--out", tmp_path / "g")
    asked("queue", "add", "--after", 1, "grid", "run", "one", "--dir", project, *grid)  # of what is trained by then
    asked("queue", "hold", 3)
    with Terminal(Path(ours["LORA_TUI_HOME"]), env=dict(os.environ)) as terminal:
        terminal.start([sys.executable, "-m", "lora_tui", "queue", "release"])
        comes(1, "running")
    kill_queue()
    process.start()
    comes(1, "done", 600)
    comes(2, "running", 600)
    place = Path(read_queue().jobs[2].place)
    until(lambda: '"kind":"step"' in (place / "events.jsonl").read_text(), 600)
    word = read_job(place)
    assert word is not None
    os.kill(word.child_pid, signal.SIGKILL)
    comes(2, "failed")
    comes(5, "running", 600)
    kill_queue()
    process.start()
    comes(5, "done", 600)
    assert [state(number) for number in (1, 2, 3, 4, 5)] == ["done", "failed", "waiting", "done", "done"]
    assert len(list_runs(project / "runs")) == 2
    assert len(list((Path(read_queue().jobs[1].place) / "checkpoints").glob("*.safetensors"))) >= 1
    assert (pictures / "red.txt").exists()
    assert len(list((tmp_path / "g").glob("*/cells/*.png"))) == 2


def test_a_grid_is_scored_as_a_task_of_its_own_kind(
    tmp_path: Path, ours: dict[str, str], asked: Callable[..., Any]
) -> None:
    grid = scored_grid(scored_run(tmp_path / "scored", images=1), "strength=0,1", "checkpoint=all", "seed=1")
    job = asked("queue", "add", "grid", "score", grid.root)
    assert (job["kind"], job["gpus"]) == ("score", 1)
    comes(job["id"], "done")
    assert TaskFolder(Path(read_queue().jobs[job["id"]].place)).name.endswith("-score")
    found = read_scores(grid.root)
    assert found is not None and found.recommendation is not None and found.recommendation.checkpoint == "200"


def test_a_stopped_job_goes_on_by_retry_and_one_that_the_machine_took_down_by_itself(
    ours: dict[str, str], gated: Callable[..., int]
) -> None:
    job = gated("a")
    begun(job, "a", ours)
    door.stop_jobs([job])
    comes(job, "stopped")
    door.retry([job])
    comes(job, "running")
    place = Path(read_queue().jobs[job].place)
    until(lambda: (word := read_job(place)) is not None and word.attempt == 2 and not word.ended)
    for victim in processes(ours["QUEUE_GATES"]):
        with suppressed():
            victim.send_signal(signal.SIGKILL)
    until(lambda: process.process_of() is None)
    open_gate("a", ours)
    process.start()
    comes(job, "done")
    assert (word := read_job(place)) is not None
    assert word.attempt == 3
    assert len(list(place.parent.iterdir())) == 1, "each goes on in its folder"
    assert read_queue().jobs[job].restarts == 1


def test_jobs_that_cannot_be_done_fail_in_words_and_the_next_goes_on(
    project: Path, ours: dict[str, str], gated: Callable[..., int], asked: Callable[..., Any], tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    door.hold_all()
    (no_folder,) = (job.id for job in add([Wish(("captions", "list", "a"), folder=str(gone))]))
    damaged = asked("queue", "add", "train", project / "one.toml")["id"]
    deleted, last = gated("b"), gated("c")
    gone.rmdir()
    (job_dir(damaged) / "config.toml").write_text("[network]\nrnak = 3\n")
    open_gate("c", ours)
    door.release_all()
    begun(deleted, "b", ours)
    place = read_queue().jobs[deleted].place
    shutil.rmtree(place)
    comes(last, "done")
    assert [state(number) for number in (no_folder, damaged, deleted)] == ["failed"] * 3
    assert "gone" in read_queue().jobs[no_folder].message
    assert "rnak" in read_queue().jobs[damaged].message
    assert read_queue().jobs[deleted].message == f"The folder in which it worked is gone: {place}."
    assert not list_runs(project / "runs")


def test_jobs_have_a_gpu_each_and_one_that_disappears_is_waited_for(
    ours: dict[str, str], gated: Callable[..., int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    driver = tmp_path / "driver"
    driver.write_text('["GPU-a", "GPU-b"]')
    monkeypatch.setenv("QUEUE_GPUS", str(driver))
    monkeypatch.setattr(door, "gpu_list", lambda: [{"name": "a"}, {"name": "b"}])
    door.hold_all()
    one, two, last, none = (gated(name, gpus=0 if name == "d" else 1) for name in "abcd")
    door.release_all()
    assert [begun(number, name, ours) for number, name in ((one, "a"), (two, "b"))] == ["GPU-a", "GPU-b"]
    assert begun(none, "d", ours) == "none"
    assert process.word().waits[last].code == "gpus_used"
    driver.write_text("[]")
    open_gate("b", ours)
    comes(two, "done")
    until(lambda: process.word().waits[last].code == "gpus_gone")
    driver.write_text('["GPU-b"]')
    assert begun(last, "c", ours) == "GPU-b"
    assert state(one) == "running"


def test_a_fault_that_the_disk_has_no_room_to_tell_of_does_not_end_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunLock.acquire(tmp_path / "lock") as lock:
        service, looks = Service(lock), []

        def full() -> None:
            looks.append(len(looks))
            if len(looks) == 3:
                service.over.set()
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("lora_tui.jobs.queue.service.read_queue", full)
        monkeypatch.setattr("lora_tui.jobs.queue.service.AFTER_A_FAULT", 0.01)
        with contextlib.suppress(OSError), Path("/dev/full").open("w", buffering=1) as log:  # closing it fails, too
            monkeypatch.setattr(sys, "stderr", log)
            service.run()
    assert len(looks) == 3
