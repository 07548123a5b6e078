"""The measurement of a training step runs and compares like with like."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lora_tui.bench import around
from lora_tui.bench.loops import Setup, bare, ours
from lora_tui.bench.train import compare


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
