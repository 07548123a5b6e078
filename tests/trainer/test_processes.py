"""A run that several processes share ends as one with a single process does, whoever of them is killed on the way."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from kills import assert_same_bits
from lives import events, lean_config, live_here, lora, micro_config, new_run, start
from nursery import Life
from PIL import Image
from support import until

from lora_tui.config.load import dump_config
from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.jobs.control import request
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.record import read_record
from lora_tui.runs.status import inspect
from lora_tui.trainer import members
from lora_tui.trainer.failures import explain
from lora_tui.weights.header.loras import lora_info


def config(base: Path, data: Path, processes: int) -> Config:
    """Twelve updates of two batches each."""
    return lean_config(
        base, data, network={"dropout": 0.1, "module_dropout": 0.1},
        steps={"epochs": 4, "batch_size": 4, "gradient_accumulation": 2}, memory={"processes": processes},
        saving={"precision": "fp32", "every_epochs": 0, "state_every_steps": 2, "keep_states": 1},
        data={"flip": True},
    )  # fmt: skip


def other_of(life: Life) -> psutil.Process:
    """The second process of a run."""
    (other,) = psutil.Process(life.pid).children()
    return other


def steps(run: RunFolder, since: int = 0) -> list[int]:
    return [event["step"] for event in events(run)[since:] if event["kind"] == "step"]


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def listening(process: psutil.Process) -> set[str]:
    """Where it can be reached from."""
    return {link.laddr.ip for link in process.net_connections() if link.status == psutil.CONN_LISTEN}


@pytest.mark.timeout(600)
def test_killed_first_and_killed_second_and_still_the_bits_of_one(base: Path, data: Path, tmp_path: Path) -> None:
    """With two batches for an update the sums round alike, so that two processes give the very bits of one."""
    alone = new_run(tmp_path / "alone", config(base, data, 1))
    assert live_here(alone) == 0
    run = new_run(tmp_path / "shared", config(base, data, 2))

    life = start(run)
    try:
        until(lambda: len(steps(run)) >= 3, 240)
        second = other_of(life)
        assert listening(second) | listening(psutil.Process(life.pid)) == {"127.0.0.1"}
        life.kill()
        life.wait()
        until(lambda: is_gone(second), 20)

        since = len(events(run))
        life = start(run, "--resume")
        until(lambda: steps(run, since), 240)
        _pause_and_go_on(run, since)
        second = other_of(life)
        second.send_signal(signal.SIGKILL)
        assert life.wait(30) == 1
    finally:
        life.kill()
        life.wait()
    failed = events(run, "failed")
    assert [event["code"] for event in failed] == ["killed"]
    assert failed[0]["message"].startswith("process 2 of 2 ended: It was killed (SIGKILL)")
    assert inspect(run).state == "failed"

    assert live_here(run, resume=True) == 0
    assert_same_bits(alone, run)
    _assert_told_once(run)
    said = lora_info(run.checkpoints_dir / "blob.safetensors").metadata
    assert said["ss_gradient_accumulation_steps"] == "1"
    assert said["ss_total_batch_size"] == "8"
    assert said["ss_num_batches_per_epoch"] == "3"
    assert read_record(run)["device"]["processes"] == ["cpu", "cpu"]


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_two_gpus_learn_what_one_does(precision: str, base: Path, data: Path, tmp_path: Path) -> None:
    """Each in a process that has seen no GPU before; two of them pause on the way."""
    found = []
    for processes in (1, 2):
        settings = config(base, data, processes)
        settings.memory.device, settings.memory.precision = "cuda", precision  # type: ignore[assignment]
        run = new_run(tmp_path / str(processes), settings)
        with run.log_path.open("ab") as log:
            command = [sys.executable, "-m", "lora_tui.trainer", str(run.root)]
            life = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            if processes == 2:
                until(lambda run=run: steps(run), 240)
                _pause_and_go_on(run, 0)
            assert life.wait(240) == 0, run.log_path.read_text("utf-8")
        finally:
            life.kill()
            life.wait()
        found.append(lora(run))
        assert sorted(read_record(run)["device"]["processes"]) == [f"cuda:{number}" for number in range(processes)]
    one, two = found
    size = torch.cat([tensor.flatten() for tensor in one.values()]).float().norm()
    off = torch.cat([(two[name] - tensor).flatten() for name, tensor in one.items()]).float().norm()
    assert off < (1e-3 if precision == "fp32" else 0.05) * size


def test_one_that_fails_ends_the_run_with_its_reason(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is started here in its place says what the real one says where its GPU has no room for the model."""
    said = {"code": "gpu.memory", "message": "The GPU ran out of memory.", "advice": "Free some."}
    script = f"print({json.dumps(said)!r}); raise SystemExit(1)"
    monkeypatch.setattr(members, "python_command", lambda *_arguments: [sys.executable, "-c", script])
    run = new_run(tmp_path, config(base, data, 2))
    with pytest.raises(UserError) as caught:
        live_here(run)
    told = explain(caught.value)
    assert (told.code, told.status, told.advice) == ("gpu.memory", 1, "Free some.")
    assert told.message == "process 2 of 2 ended: The GPU ran out of memory."


def _pause_and_go_on(run: RunFolder, since: int) -> None:
    """Both leave the device and come back, and the steps go on."""

    def answered(kind: str) -> bool:
        wanted: dict[str, Any] = {"request": kind, "status": "done"}
        return any(wanted.items() <= event.items() for event in events(run)[since:])

    request(run.root, "pause")
    until(lambda: answered("pause"), 30)
    before = len(steps(run, since))
    request(run.root, "resume")
    until(lambda: answered("resume") and len(steps(run, since)) > before, 30)


def _assert_told_once(run: RunFolder) -> None:
    """Every line of the events is whole, and no step of a life is told by two processes."""
    lines = run.events_path.read_text("utf-8").splitlines()
    lives = 0
    told: Counter[tuple[int, int]] = Counter()
    for event in map(json.loads, lines):
        lives += event["kind"] == "run"
        if event["kind"] == "step":
            told[lives, event["step"]] += 1
    assert lives == 3
    assert set(told.values()) == {1}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_the_first_does_alone_leaves_the_bits_as_they_are(base: Path, data: Path, tmp_path: Path) -> None:
    """Samples, validation and averages between the steps, encoders at work in them, weights that learn elsewhere."""
    runs = []
    for processes in (1, 2):
        everything = micro_config(
            base, data, memory={"processes": processes, "cache_latents": False, "precision": "fp32", "threads": 1},
            steps={"epochs": 3, "batch_size": 3, "gradient_accumulation": 2}, network={"rank_dropout": 0.2},
            optimizer={"type": "adamw_schedulefree"}, learning={"schedule": "constant", "ema_decay": 0.9},
            data={"random_crop": True, "buckets": False, "flip": True}, saving={"precision": "fp32"},
            sampling={"every_steps": 3}, validation={"every_steps": 2},
        )  # fmt: skip
        run = new_run(tmp_path / str(processes), everything)
        assert live_here(run) == 0
        runs.append(run)
    alone, shared = runs
    assert_same_bits(alone, shared)
    for kind in ("validation", "sample", "checkpoint", "state"):
        one, two = (
            [(event["step"], event.get("loss"), event.get("path")) for event in events(run, kind)] for run in runs
        )
        assert one == two
    for path in alone.samples_dir.iterdir():
        with Image.open(path) as one, Image.open(shared.samples_dir / path.name) as two:
            assert one.tobytes() == two.tobytes()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_another_number_of_processes_goes_on_within_rounding(base: Path, data: Path, tmp_path: Path) -> None:
    """Four batches for an update, which two processes add up in another order; small steps magnify rounding little."""

    def of(processes: int, steps: int) -> Config:
        return micro_config(
            base, data, samples=[], validation={"mode": "off"}, memory={"processes": processes},
            steps={"max_steps": steps, "batch_size": 2, "gradient_accumulation": 4}, saving={"precision": "fp32"},
            optimizer={"type": "other", "kind": "torch.optim.SGD"},
            learning={"unet_lr": 0.01, "schedule": "constant"}, network={"text_encoder": False},
        )  # fmt: skip

    alone = new_run(tmp_path / "alone", of(1, 4))
    assert live_here(alone) == 0
    run = new_run(tmp_path / "shared", of(2, 2))
    assert live_here(run) == 0
    (run.checkpoints_dir / "blob.safetensors").unlink()
    run.config_path.write_text(dump_config(of(1, 4)), "utf-8")
    assert live_here(run, resume=True) == 0
    assert [event["code"] for event in events(run, "warning")] == ["resume.processes"]
    expected, found = lora(alone), lora(run)
    for name, tensor in expected.items():
        assert torch.allclose(found[name], tensor, atol=1e-6), name
    assert steps(run) == [1, 2, 3, 4]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_that_is_killed_while_the_first_meets_nobody_ends_the_run(base: Path, data: Path, tmp_path: Path) -> None:
    """In a pause, as while it draws or saves, the first process waits for none of the others."""
    run = new_run(tmp_path, config(base, data, 2))
    life = start(run)
    try:
        until(lambda: len(steps(run)) >= 2, 240)
        request(run.root, "pause")
        until(lambda: any(event["phase"] == "paused" for event in events(run, "phase")), 60)
        other_of(life).send_signal(signal.SIGKILL)
        assert life.wait(30) == 1
    finally:
        life.kill()
        life.wait()
    assert [(event["code"], event.get("by")) for event in events(run, "failed")] == [("killed", None)]
    assert read_record(run)["result"]["reason"] == "failed"
    assert inspect(run).state == "failed"
