"""The measurement of a training step runs and compares like with like."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lora_tui.bench.loops import Setup, bare, ours
from lora_tui.bench.train import compare


@pytest.mark.parametrize(("family", "text_encoder"), [("sd15", False), ("sd15", True), ("sdxl", True), ("sd2", True)])
def test_both_loops_train_the_same_layers(family: str, text_encoder: bool, tmp_path: Path) -> None:
    setup = Setup(family, "micro", 64, 2, 4, "fp32", text_encoder, tmp_path)
    one, other = ours(setup), bare(setup)
    counts = []
    for loop in (one, other):
        loop.work(2)
        weights = [weight for group in loop.optimizer.param_groups for weight in group["params"]]
        counts.append((len(weights), sum(weight.numel() for weight in weights)))
        assert all(weight.dtype.itemsize == 4 and weight.requires_grad for weight in weights)
        assert {float(state["step"]) for state in loop.optimizer.state.values()} == {2.0}
        encoders = (2 if family == "sdxl" else 1) if text_encoder else 0
        assert len(loop.modules) == 1 + encoders  # no VAE, and text encoders only where they are trained
    assert counts[0] == counts[1]


@pytest.mark.parametrize("text_encoder", [False, True])
def test_they_are_timed_in_turns_and_let_go(text_encoder: bool, tmp_path: Path) -> None:
    found = compare(Setup("sd15", "micro", 64, 1, 4, "fp32", text_encoder, tmp_path), pairs=2, steps=1)
    assert len(found.ratios) == 2
    assert min(*found.ratios, found.seconds) > 0
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("loader")]
