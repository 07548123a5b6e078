"""LoRA files in a real terminal of 80x24, with keys alone: inspect, check, edit, merge two, resize with the curve."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lora_builders import tensors_of, write_small
from support import until
from terminal import LORA_TUI, Terminal
from tui.projects import make_dataset

from lora_tui.weights.header.format import read_header
from lora_tui.weights.header.loras import lora_info

pytestmark = pytest.mark.e2e
LONG = 120.0
"""Seconds for a process that loads torch, on a machine that does much else."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = make_dataset(tmp_path / "hat-girl", 2)
    write_small(root / "loras" / "hat-a.safetensors", tensors_of(count=8, rank=8, seed=1))
    write_small(root / "loras" / "hat-b.safetensors", tensors_of(count=8, rank=4, alpha=4.0, seed=2))
    return root


@pytest.fixture
def terminal(tmp_path: Path, project: Path) -> Iterator[Terminal]:
    with Terminal(tmp_path / "home") as opened:
        yield opened.start([*LORA_TUI, str(project)])


def test_files_are_inspected_checked_edited_merged_and_resized(project: Path, terminal: Terminal) -> None:
    folder, t = project / "loras", terminal
    t.send("F7")
    t.wait_for("hat-b")
    t.wait_for("hatgirl 12")
    t.send("Enter")
    t.wait_for("learning rate of the image model")
    t.send("Escape")
    t.wait_gone("learning rate of the image model")

    t.send("c")
    t.wait_for("sound", LONG)
    t.wait_for("diffusers reads it")
    t.send("Escape")

    t.wait_gone("diffusers reads it")
    t.send("e")
    t.wait_for("ss_optimizer")
    t.send("t")
    t.wait_for("Which words")
    t.type("straw hat")
    t.send("Enter")
    t.wait_gone("Which words")
    t.send("w")
    until(lambda: read_header(folder / "hat-a.safetensors").metadata["modelspec.trigger_phrase"] == "straw hat")
    t.wait_for("hat-a.safetensors.bak")
    t.send("Escape")
    t.wait_for("trigger  straw hat")

    t.send("M")
    t.wait_for("2 marked")
    t.send("o")
    t.wait_for("and then")
    t.send("m")
    t.wait_for("the ranks add up")
    t.wait_for("rank 12", LONG)
    t.send("Down", "Down", "Down", "Enter")
    t.wait_for("subtract: the first less all others")
    t.send("End", "Enter")
    t.wait_for("how far")  # of lerp, and what it means below the fields
    t.wait_for("rank 12", LONG)
    t.send("w")
    until(lambda: (folder / "hat-a-merged.safetensors").exists(), LONG)
    t.wait_for("hat-a-merged", LONG)
    assert lora_info(folder / "hat-a-merged.safetensors").rank == 12

    t.wait_gone("Merge LoRA files", LONG)
    t.wait_gone("*   hat-a")  # what it was made of is marked no more
    t.send("o")
    t.wait_for("and then")
    t.send("r")
    t.wait_for("as many directions in every layer")
    t.send("c")
    t.wait_for("What files of each size would keep", LONG)
    t.wait_for("spread best")
    t.send("Escape")
    t.wait_gone("What files of each size would keep")
    t.send("w")
    made = folder / "hat-a-merged-resized.safetensors"
    until(made.exists, LONG)
    assert lora_info(made).rank == 8
