"""What is saved is written beside the training: in its order, as it was at its moment, and told once it stands."""

from __future__ import annotations

import errno
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lives import events, lean_config, live_here, new_run
from support import until

from lora_tui.errors import UserError
from lora_tui.runs.folder import RunFolder
from lora_tui.trainer import outputs, state
from lora_tui.trainer.failures import explain
from lora_tui.trainer.writer import BESIDE_BYTES, Taken, Writer

CPU = torch.device("cpu")


def taken(done: list[str], name: str, gate: threading.Event | None = None, size: int = 0) -> Taken:
    def write() -> Path:
        assert gate is None or gate.wait(60)
        done.append(name)
        return Path(name)

    return Taken(write, size)


def failing() -> Path:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_the_next_moment_waits_for_all_of_the_one_before() -> None:
    writer, gate = Writer(CPU), threading.Event()
    done: list[str] = []
    writer.begin(1)
    writer.add(taken(done, "file", gate))
    writer.begin(1)
    writer.add(taken(done, "state"))
    assert done == []
    gate.set()
    writer.begin(2)
    assert done == ["file", "state"]
    until(lambda: "writer" not in [thread.name for thread in threading.enumerate()], 60)


def test_an_error_is_raised_once_and_nothing_is_written_after_it() -> None:
    writer, gate = Writer(CPU), threading.Event()
    done: list[str] = []
    writer.begin(1)
    writer.add(taken(done, "first", gate))
    writer.add(Taken(failing, 0))
    writer.add(taken(done, "last"))
    gate.set()
    with pytest.raises(OSError, match="No space"):
        writer.settle()
    assert done == ["first"]
    writer.begin(2)
    writer.add(taken(done, "second"))
    writer.settle()
    assert done == ["first", "second"]


def test_nothing_is_written_after_what_failed_before_it_came() -> None:
    """A state that says that a file stands would be taken up without it."""
    writer = Writer(CPU)
    done: list[str] = []
    writer.begin(1)
    writer.add(Taken(failing, 0))
    until(lambda: "writer" not in [thread.name for thread in threading.enumerate()], 60)
    writer.add(taken(done, "state"))
    with pytest.raises(OSError, match="No space"):
        writer.settle()
    assert done == []


def test_where_the_system_gives_no_thread_it_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none)
    writer = Writer(CPU)
    done: list[str] = []
    writer.begin(1)
    writer.add(taken(done, "file"))
    writer.add(taken(done, "state"))
    assert done == ["file", "state"]
    writer.close()


def test_large_copies_in_the_memory_that_trains_are_written_at_once() -> None:
    """They would add to the most that the run takes; those of a GPU lie in another memory."""
    done: list[str] = []
    near, far, gate = Writer(CPU), Writer(torch.device("cuda")), threading.Event()
    near.begin(1)
    near.add(taken(done, "half", size=BESIDE_BYTES // 2))
    near.add(taken(done, "whole", size=BESIDE_BYTES // 2 + 1))
    assert done == ["half", "whole"]
    far.begin(1)
    far.add(taken(done, "far", gate, size=BESIDE_BYTES + 1))
    assert done == ["half", "whole"]
    gate.set()
    far.settle()
    assert done == ["half", "whole", "far"]


def _config(base: Path, few: Path) -> Any:
    saving = {"every_steps": 1, "state_every_steps": 1, "keep_states": 9, "precision": "fp32"}
    return lean_config(base, few, steps={"epochs": 1, "batch_size": 4}, saving={"name": "blob", **saving})


def _files(run: RunFolder) -> dict[str, bytes]:
    """Everything that was saved; what the metadata of a file says of its life is no part of it."""
    found = {path: path.read_bytes() for path in run.state_dir.rglob("*.safetensors")}
    for path in run.checkpoints_dir.glob("*.safetensors"):
        data = path.read_bytes()
        found[path] = data[8 + int.from_bytes(data[:8], "little") :]
    return {path.relative_to(run.root).as_posix(): data for path, data in found.items()}


def _each_state(monkeypatch: pytest.MonkeyPatch, before: Callable[[int], None]) -> None:
    """Have ``before`` called with the step of each state that is about to be written."""
    write = state._write_state

    def delayed(folder: Path, step: int, *more: Any) -> Path:
        before(step)
        return write(folder, step, *more)

    monkeypatch.setattr(state, "_write_state", delayed)


def test_the_training_goes_on_and_what_is_written_is_of_its_moment(
    base: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference, run = (new_run(tmp_path / name, _config(base, few)) for name in ("reference", "delayed"))
    assert live_here(reference) == 0
    total = events(reference, "run")[0]["total_steps"]
    assert total == 3

    def until_the_next_step(step: int) -> None:
        until(lambda: step == total or any(event["step"] > step for event in events(run, "step")), 60)

    _each_state(monkeypatch, until_the_next_step)
    assert live_here(run) == 0
    assert _files(run) == _files(reference)
    told = [(event["kind"], event["step"]) for event in events(run) if event["kind"] in ("checkpoint", "state", "step")]
    for step in range(1, total):
        assert told.index(("step", step + 1)) < told.index(("state", step)) < told.index(("checkpoint", step + 1))
    assert events(run)[-1]["kind"] == "finished" and events(run)[-2]["kind"] == "state"


@pytest.mark.parametrize("deleted_before", ["file", "state"])
def test_a_run_that_is_deleted_ends_with_its_place_and_does_not_come_back(
    deleted_before: str, base: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path, _config(base, few))
    if deleted_before == "state":
        _each_state(monkeypatch, lambda step: shutil.rmtree(run.root) if step == 2 else None)
    else:
        write = outputs.write_lora

        def delayed(path: Path, *more: Any) -> int:
            if path.stem == "blob-000002":
                shutil.rmtree(run.root)
            return write(path, *more)

        monkeypatch.setattr(outputs, "write_lora", delayed)
    with pytest.raises(UserError) as caught:
        live_here(run)
    told = explain(caught.value)
    assert (told.code, told.message, told.status) == ("gone", f"{run.root}: The run folder is gone.", 1)
    assert not run.root.exists()


def test_a_full_disk_ends_the_run_and_what_was_saved_before_stays(
    base: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path, _config(base, few))
    _each_state(monkeypatch, lambda step: failing() and None if step == 2 else None)
    with pytest.raises(OSError) as caught:
        live_here(run)
    assert explain(caught.value).code == "disk.full"
    assert [path.name for path in state.states(run.state_dir)] == ["step-00000001"]
    assert [event["step"] for event in events(run, "state")] == [1]
    assert not [event for event in events(run) if event["kind"] == "finished"]
