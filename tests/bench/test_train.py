"""The measurement of a training step runs and compares like with like."""

from __future__ import annotations

import argparse
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lora_tui.bench import around, loops, train
from lora_tui.bench.__main__ import main
from lora_tui.bench.alike import BARS, Passes, apart
from lora_tui.bench.common import Measure
from lora_tui.bench.folders import LARGE, PIECE, quick_draws
from lora_tui.bench.loops import Loop, Setup, bare, ours
from lora_tui.bench.train import Steps, compare, gpu_peak, kept_apart
from lora_tui.families import devices


class NothingFetched(TorchDispatchMode):
    """Refuses what would make a step wait for the device: asking for a value, or for a size that depends on values."""

    WAITING = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "unique", "bincount")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name().removeprefix("aten::").partition(".")[0]
        assert name not in self.WAITING, name
        return func(*args, **(kwargs or {}))


def test_what_would_wait_for_the_device_is_noticed() -> None:
    with pytest.raises(AssertionError, match="local_scalar"), NothingFetched():
        float(torch.ones(1))


@pytest.mark.parametrize(
    ("family", "text_encoder"),
    [
        ("sd15", False),
        ("sd15", True),
        ("sdxl", True),
        ("sd2", True),
        ("sd3", False),
        ("flux", False),
        ("chroma", False),
        ("flux2", False),
        ("zimage", False),
        ("qwen", False),
    ],
)
def test_both_loops_train_the_same_layers(family: str, text_encoder: bool, tmp_path: Path) -> None:
    setup = Setup(family, "micro", 64, 2, 4, "fp32", text_encoder, tmp_path)
    one, other = ours(setup), bare(setup)
    counts = []
    with NothingFetched():
        one.work(2)
    other.work(2)
    for loop in (one, other):
        weights = [weight for group in loop.optimizer.param_groups for weight in group["params"]]
        counts.append((len(weights), sum(weight.numel() for weight in weights)))
        assert all(weight.dtype.itemsize == 4 and weight.requires_grad for weight in weights)
        assert {float(state["step"]) for state in loop.optimizer.state.values()} == {2.0}
        encoders = (2 if family == "sdxl" else 1) if text_encoder else 0
        assert len(loop.modules) == 1 + encoders  # no VAE, and text encoders only where they are trained
    assert counts[0] == counts[1]


def test_they_are_timed_in_turns_and_let_go(tmp_path: Path) -> None:
    found = compare(Setup("sd15", "micro", 64, 1, 4, "fp32", True, tmp_path), pairs=2, steps=1)
    assert len(found.ratios) == 2
    assert found.apart is None and found.levers == ""
    assert len(found.saves) == around.SAVES and all(0 < kept <= whole for kept, whole in found.saves)
    assert min(*found.ratios, found.seconds) > 0
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("loader")]


@pytest.mark.slow
def test_a_start_is_told_by_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(around, "STARTS", 1)
    found = around.starts(Setup("sd15", "micro", 64, 1, 4, "fp32", False, tmp_path))
    assert [set(start.parts) for start in found] == [{"libraries", "loading", "caching", "step"}]
    saved, start = around.measures([(0.1, 0.4), (0.3, 0.5), (0.2, 0.6)], found)
    assert (saved.value, start.value) == (pytest.approx(200), found[0].seconds)
    assert "500.0 ms" in saved.detail and "libraries" in start.detail


@pytest.mark.parametrize(("family", "precision"), [("sd15", "fp32"), ("sd2", "fp32"), ("sdxl", "bf16")])
def test_both_loops_find_the_same_of_a_batch(family: str, precision: str, tmp_path: Path) -> None:
    setup = Setup(family, "micro", 64, 2, 4, precision, False, tmp_path)
    one, other = ours(setup), bare(setup)
    one.work(2)
    assert one.passes and other.repeat
    random = torch.get_rng_state()
    batch = one.passes()
    again = other.repeat(batch)
    found = apart(batch, again)
    assert 0 < found.gradients < (1e-4 if precision == "fp32" else BARS[precision])
    assert found.loss == pytest.approx(found.other, rel=1e-5 if precision == "fp32" else 1e-2)
    assert batch.weights.keys() == batch.gradients.keys() and any(up.any() for up in batch.weights.values())
    assert torch.equal(random, torch.get_rng_state())
    assert all(weight.grad is None for loop in (one, other) for weight in loop.optimizer.param_groups[0]["params"])
    measure = found.measure(precision)
    assert measure.holds and f"{found.other:.6f}" in measure.detail
    less = dict(list(batch.gradients.items())[1:])
    assert not apart(Passes(batch.batch, batch.weights, less, batch.loss), again).measure(precision).holds


def test_what_a_run_warns_of_is_none_of_the_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    setup = Setup("sd15", "micro", 64, 1, 4, "fp32", False, tmp_path)
    (setup.images() / "none.png").write_bytes(b"none")
    ours(setup)
    told = capsys.readouterr()
    assert not told.out and "none.png" in told.err


def test_of_a_large_tensor_a_piece_is_drawn() -> None:
    with quick_draws():
        torch.manual_seed(1)
        large = torch.empty(LARGE + 3, dtype=torch.bfloat16).normal_(2.0, 0.5)
        small = torch.empty(8).uniform_(-1.0, 1.0)
    torch.manual_seed(1)
    piece = torch.empty(PIECE, dtype=torch.bfloat16).normal_(2.0, 0.5)
    assert torch.equal(small, torch.empty(8).uniform_(-1.0, 1.0))
    assert all(torch.equal(part, piece[: len(part)]) for part in large.split(PIECE))


def asked(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    train.build(parser)
    return parser.parse_args(words)


def test_memory_is_measured_on_the_model_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def run(command: list[str], **_more: object) -> subprocess.CompletedProcess[str]:
        seen.append(command)
        return subprocess.CompletedProcess(command, 0, '{"measures": [{"value": 5}]}', "")

    monkeypatch.setattr(train.subprocess, "run", run)
    given = asked("--family", "flux", "--cap", "24", "--graphs", "--checkpointing")
    assert train._peak_elsewhere(given, "ours", tmp_path) == 5.0
    again = asked(*[word for word in seen[0][seen[0].index("train") + 1 :] if word != "--json"])
    assert (again.at, again.cap, again.peak) == (tmp_path, 24.0, "ours")
    assert {**vars(again), "at": None, "peak": None} == vars(given)


def test_the_brief_measurement_starts_no_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_args: object) -> None:
        raise AssertionError

    measured: list[bool] = []

    def compared(setup: Setup, _pairs: int, _steps: int) -> Steps:
        measured.append(setup.text_encoder)
        return Steps([0.5], 1.0, saves=[(0.1, 0.2)], levers="steps played")

    monkeypatch.setattr(train, "compare", compared)
    monkeypatch.setattr(train.around, "starts", never)
    monkeypatch.setattr(train, "_peak_elsewhere", lambda *_args: 2.0)
    found = train.measure(asked("--brief", "--size", "micro"))
    assert measured == [False]
    assert found[0].detail.endswith(", steps played") and len(found) == 5
    assert all(isinstance(one, Measure) and one.holds for one in found)


def test_a_large_model_may_take_its_time_to_begin() -> None:
    found = around.Beginning(99.0, {"libraries": 99.0})
    assert [list(around.measures([(0.1, 0.2)], [found], small=small))[1].holds for small in (True, False)] == [
        False,
        True,
    ]


def test_what_cannot_be_measured_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--products", "8bit"]) == 2
    assert "--products" in capsys.readouterr().err
    streamed: list[bool] = []

    def full(args: argparse.Namespace, _folder: Path) -> list[Measure]:
        streamed.append(args.checkpointing)
        raise RuntimeError("CUDA error: out of memory")  # as pinned memory says it

    monkeypatch.setattr(train, "_measured", full)
    assert main(["train", "--streamed", "2"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("lora-tui: ") and "memory ran out" in told and told.count("\n") == 1
    assert streamed == [True]


def test_what_recordings_keep_is_counted() -> None:
    segments = [
        {"segment_pool_id": (0, 0), "total_size": 100, "allocated_size": 40},
        {"segment_pool_id": (0, 1), "total_size": 50, "allocated_size": 8},
    ]
    assert kept_apart(segments) == 42


def test_both_loops_are_on_the_emptiest_gpu_in_what_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(devices, "choose_device", lambda wanted: torch.device("cuda", 1))
    monkeypatch.setattr(torch.cuda, "set_device", told.append)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (1, 48_000_000_000))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", told.append)
    for cap in (0.0, 24.0, 400.0):
        train._take_gpu(cap)
    one = torch.device("cuda", 1)
    assert told == [one, one, 0.5, one, 1.0]


def test_memory_of_a_step_alone_is_that_at_its_highest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver has given back what loading took, and recordings hold what torch counts as free."""
    counts = {"max_memory_allocated": iter((70, 30)), "max_memory_reserved": iter((90, 40))}
    for name, found in counts.items():
        monkeypatch.setattr(torch.cuda, name, lambda found=found: next(found))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 40)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (100, 150))
    kept = {"segment_pool_id": (0, 1), "total_size": 50, "allocated_size": 5}
    monkeypatch.setattr(torch.cuda, "memory_snapshot", lambda: [kept])
    monkeypatch.setattr(train, "gpu_name", lambda: "NVIDIA H200")
    loop = Loop(lambda _count: None, [], torch.optim.SGD([torch.zeros(1)]), levers=lambda: "attention: flash")
    monkeypatch.setattr(loops, "ours", lambda _setup: loop)
    step, peak, driver = train._alone(asked("--alone"), tmp_path, "place")
    assert (step.detail, peak.value, driver.value) == ("place, attention: flash", 75.0, 100.0)


@pytest.mark.gpu
def test_recordings_of_a_gpu_are_counted() -> None:
    from lora_tui.trainer.graphs import CudaRecorder

    recorder, made = CudaRecorder(), torch.ones(1 << 22, device="cuda")
    _found, play = recorder.record(lambda: (made * 2).sum())
    torch.cuda.reset_peak_memory_stats()
    play()
    torch.cuda.synchronize()
    assert gpu_peak() >= torch.cuda.memory_allocated() + made.nbytes


@pytest.mark.gpu
@pytest.mark.parametrize("family", ["sd15", "sdxl", "sd3", "flux", "chroma", "flux2", "zimage", "qwen"])
def test_neither_loop_waits_for_a_gpu(family: str, tmp_path: Path) -> None:
    """But where diffusers itself asks for lengths, as in Z-Image."""
    setup = Setup(family, "micro", 64, 2, 4, "bf16", False, tmp_path)
    for loop in (ours(setup), *([bare(setup)] if family in ("sd15", "sdxl", "sd3", "flux") else ())):
        loop.work(4)
        torch.cuda.set_sync_debug_mode("error")
        try:
            loop.work(1)
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("lever", [{}, {"graphs": True}, {"channels_last": True}])
def test_on_a_gpu_both_loops_find_the_same_of_a_batch(
    family: str, precision: str, lever: dict[str, bool], tmp_path: Path
) -> None:
    setup = Setup(family, "micro", 64, 2, 4, precision, False, tmp_path, **lever)
    one, other = ours(setup), bare(setup)
    one.work(4)
    assert one.passes and other.repeat
    batch = one.passes()
    found = apart(batch, other.repeat(batch))
    assert found.measure(precision).holds, found
    if "graphs" in lever:
        assert "1 shape" in one.levers(), one.levers()
