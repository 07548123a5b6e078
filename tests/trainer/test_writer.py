"""What is saved is written beside the training: in its order, as it was at its moment, and told once it stands."""

from __future__ import annotations

import errno
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from lives import events, lean_config, live_here, new_run
from support import until

from lora_tui.errors import UserError
from lora_tui.runs.folder import RunFolder
from lora_tui.trainer import copies, state, writer
from lora_tui.trainer.copies import Copies, PinnedCopies
from lora_tui.trainer.failures import explain
from lora_tui.trainer.outputs import Checkpoints, sample_progress
from lora_tui.trainer.writer import BESIDE_BYTES, Taken, Writer
from lora_tui.weights.lora_file import write_lora
from lora_tui.weights.ordered import bytes_of

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


def short_of_memory(done: list[str], name: str, times: int, error: Exception) -> Taken:
    """Runs out of memory so many times."""
    tries: list[str] = []

    def write() -> Path:
        tries.append(threading.current_thread().name)
        if len(tries) <= times:
            raise error
        done.append(f"{name} {tries[-1]}")
        return Path(name)

    return Taken(write, 0)


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOMEM, "Cannot allocate memory")])
def test_what_memory_ran_out_for_is_written_by_the_loop_and_what_came_after_it_behind(error: Exception) -> None:
    done: list[str] = []
    gate, loop = threading.Event(), threading.current_thread().name
    writer = Writer(CPU, lambda: done.append("told"))
    writer.begin(1)
    writer.add(taken(done, "first", gate))
    writer.add(short_of_memory(done, "file", 1, error))
    writer.add(short_of_memory(done, "state", 0, error))
    gate.set()
    until(lambda: "writer" not in [thread.name for thread in threading.enumerate()], 60)
    writer.add(short_of_memory(done, "last", 0, error))
    assert done == ["first"]
    writer.check()
    assert done == ["first", "told", f"file {loop}", f"state {loop}", f"last {loop}"]
    writer.begin(2)
    writer.add(short_of_memory(done, "next", 0, error))
    writer.settle()
    assert done[-1] == "next writer"


def test_where_memory_runs_out_once_more_it_is_an_error_and_nothing_comes_after_it() -> None:
    done: list[str] = []
    writer = Writer(CPU)
    writer.begin(1)
    writer.add(short_of_memory(done, "file", 2, MemoryError()))
    writer.add(taken(done, "state"))
    with pytest.raises(MemoryError):
        writer.settle()
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


def _config(base: Path, few: Path, precision: str = "fp32", **sections: Any) -> Any:
    saving = {"every_steps": 1, "state_every_steps": 1, "keep_states": 9, "precision": precision}
    steps = {"epochs": 1, "batch_size": 4}
    return lean_config(base, few, steps=steps, saving={"name": "blob", **saving}, **sections)


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


@pytest.fixture(scope="module")
def reference(base: Path, few: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that nothing was done to."""
    run = new_run(tmp_path_factory.mktemp("reference"), _config(base, few))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORA_TUI_HOME", str(tmp_path_factory.mktemp("home")))
        assert live_here(run) == 0
    return run


def test_the_training_goes_on_and_what_is_written_is_of_its_moment(
    reference: RunFolder, base: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path, _config(base, few))
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


def test_a_run_goes_on_where_memory_runs_out_beside_it(
    reference: RunFolder, base: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path, _config(base, few))
    failed: list[int] = []

    def once(step: int) -> None:
        if step == 2 and not failed:
            failed.append(step)
            raise MemoryError

    _each_state(monkeypatch, once)
    assert live_here(run) == 0
    assert failed and _files(run) == _files(reference)
    (told,) = events(run, "warning")
    assert told["code"] == "saving.memory"
    assert [event["step"] for event in events(run, "state")] == [1, 2, 3]


def test_copies_in_memory_that_is_kept_make_the_same_files(
    base: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, whose pinned memory holds each save; shown here in plain memory that holds something else before."""
    own = {"learning": {"unet_lr": 1e-2, "ema_decay": 0.9}, "optimizer": {"type": "adafactor"}}
    config = _config(base, few, "bf16", **own)
    reference, run = (new_run(tmp_path / name, config) for name in ("reference", "kept"))
    assert live_here(reference) == 0
    made: list[int] = []

    def memory(size: int) -> torch.Tensor:
        made.append(size)
        return torch.full((size,), 255, dtype=torch.uint8)

    monkeypatch.setattr(copies, "pinned", memory)
    monkeypatch.setattr(copies, "queued", lambda: lambda: None)
    monkeypatch.setattr(writer, "copies_of", lambda _device: PinnedCopies())
    assert live_here(run) == 0
    assert _files(run) == _files(reference)
    assert len(made) == 3, "a file, its average and a state; the next ones lie where these did"


def _bytes(tensors: Mapping[Any, torch.Tensor]) -> dict[Any, bytes]:
    return {name: bytes(bytes_of(tensor)) for name, tensor in tensors.items()}


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_a_gpu_saves_is_the_same_to_the_byte(
    precision: str, base: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside plain copies of the same moment: two runs on a GPU may differ by rounding."""
    memory = {"precision": "bf16", "device": "cuda"}
    config = _config(base, few, precision, learning={"unet_lr": 1e-2, "ema_decay": 0.9}, memory=memory)
    same: list[bool] = []
    make, tensors_of = copies.pinned, Checkpoints._tensors

    def pinned(size: int) -> torch.Tensor:
        same.append((found := make(size)).is_pinned())
        return found

    class Both(PinnedCopies):
        def of(self, tensors: Mapping[Any, torch.Tensor]) -> tuple[dict[Any, torch.Tensor], Callable[[], object]]:
            found, wait = super().of(tensors)
            plain, _wait = Copies().of(tensors)
            wait()
            same.append(_bytes(found) == _bytes(plain))
            return found, wait

    def both(self: Checkpoints, kept: Copies) -> Any:
        found, wait = tensors_of(self, kept)
        plain, _wait = tensors_of(self, Copies())
        wait()
        same.append(_bytes(found) == _bytes(plain))
        return found, wait

    monkeypatch.setattr(copies, "pinned", pinned)
    monkeypatch.setattr(writer, "copies_of", lambda _device: Both())
    monkeypatch.setattr(Checkpoints, "_tensors", both)
    assert live_here(new_run(tmp_path, config)) == 0
    assert len(same) > 9 and all(same)


@pytest.mark.gpu
def test_a_copy_of_a_gpu_holds_what_was_there_when_it_was_made() -> None:
    kept, busy = PinnedCopies(), torch.randn(4096, 4096, device="cuda")
    tensors = {
        "whole": torch.randn(1000, 1000, device="cuda"),
        "turned": torch.randn(30, 70, device="cuda").t(),
        "half": torch.randn(33, device="cuda", dtype=torch.bfloat16),
        "step": torch.tensor(3.0),
        "none": torch.empty(0, 4, device="cuda"),
    }
    wanted = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    for _ in range(50):
        busy = busy @ busy / 64
    found, wait = kept.of(tensors)
    for tensor in tensors.values():
        tensor.zero_()
    wait()
    assert all(torch.equal(wanted[name], found[name]) and found[name].is_contiguous() for name in tensors)


def test_a_run_that_is_deleted_ends_with_its_place_and_does_not_come_back(
    base: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path, _config(base, few))
    _each_state(monkeypatch, lambda step: shutil.rmtree(run.root) if step == 2 else None)
    with pytest.raises(UserError) as caught:
        live_here(run)
    told = explain(caught.value)
    assert (told.code, told.message, told.status) == ("gone", f"{run.root}: The run folder is gone.", 1)
    assert not run.root.exists()
    with pytest.raises(FileNotFoundError):
        write_lora(run.checkpoints_dir / "blob.safetensors", {"a": torch.ones(3)}, {})
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


def test_while_samples_are_drawn_it_says_which_and_at_which_of_its_steps() -> None:
    told: list[tuple[int, int, str]] = []
    second = sample_progress(lambda *said: told.append(said), (2, 3), (12, 12, 36))
    for at, calls in ((0, 12), (8, 12), (23, 24), (24, 24)):  # Heun's method takes two calls a step
        second(at, calls)
    steps = [f"sample 2 of 3, step {step} of 12" for step in (1, 9, 12, 12)]
    assert told == list(zip((12, 20, 23, 24), (36,) * 4, steps, strict=True))
