"""Runs that keep more activations where the memory measured in their first updates leaves room."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lives import draw_dataset, events, live_here, lora, micro_config, new_run, same_tensors
from squeeze import Limit, small_machine

from lora_tui.bench.flux_model import write_flux_model
from lora_tui.config.load import dump_config
from lora_tui.jobs.events import EventWriter
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.memory_policy import Policy, reached_by
from lora_tui.trainer.memory import room
from lora_tui.trainer.memory.ladder import Ladder
from lora_tui.trainer.memory.room import PATIENCE, UPDATES, Room, Use

CPU = torch.device("cpu")
Searched = Callable[..., tuple[Room, list[float]]]


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> Searched:
    """A search where ``use`` tells what a share takes; gives it, and the share of each update and of the next."""

    def run(use: Callable[[float], Use | None], *, asked: float = 1.0, updates: int) -> tuple[Room, list[float]]:
        search, taken = Room(CPU, asked), [asked]
        for _update in range(updates):
            monkeypatch.setattr(room, "use_of", lambda _device: use(taken[-1]))
            search.begin()
            share = search.next_share(taken[-1])
            taken.append(taken[-1] if share is None else share)
        return search, taken

    return run


@pytest.mark.parametrize(
    ("asked", "there", "found"),
    [
        (1.0, 1000, 0.0), (1.0, 999, 0.25), (1.0, 800, 0.5), (1.0, 700, 0.75),
        (1.0, 660, 1.0),  # what a quarter of the blocks keeps is already too much
        (1.0, 550, 1.0),  # there is no room at all
        (0.5, 1000, 0.0), (0.5, 999, 0.25), (0.3, 999, 0.25), (0.3, 1000, 0.0), (0.1, 1000, 0.0), (0.1, 999, 0.1),
    ],
)  # fmt: skip
def test_two_measures_tell_the_smallest_share_that_fits(
    asked: float, there: int, found: float, searched: Searched
) -> None:
    search, taken = searched(lambda share: Use(int(500 + 400 * (1 - share)), there), asked=asked, updates=3 * UPDATES)
    assert taken[-1] == found and not search.searching
    assert taken[:UPDATES] == [asked] * UPDATES


def test_nothing_is_looked_for_where_nobody_counts(searched: Searched) -> None:
    search, taken = searched(lambda _share: None, updates=1)
    assert not search.searching and taken == [1.0, 1.0]


def test_a_smaller_share_that_seems_to_take_no_more_is_waited_for(searched: Searched) -> None:
    """Its largest batches are yet to come."""
    use = lambda share: Use(600 if share == 1 else 590, 1000)  # noqa: E731
    search, taken = searched(use, updates=UPDATES + PATIENCE - 1)
    assert search.searching and taken[-1] == 0.75
    search, taken = searched(use, updates=UPDATES + PATIENCE)
    assert not search.searching and taken[-1] == 0.0


def test_memory_that_runs_out_meanwhile_ends_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = {"gradient_checkpointing": True, "when_room": "adapt"}
    config = micro_config(tmp_path, tmp_path, memory=memory)
    run = RunFolder.create(tmp_path, "run", dump_config(config), {})
    ladder = Ladder(run, config, EventWriter(run.events_path), CPU)
    monkeypatch.setattr(room, "use_of", lambda _device: Use(100, 1000))

    def work() -> None:
        if ladder.policy.checkpointed < 1:
            raise torch.OutOfMemoryError

    for step in range(1, 3 * UPDATES):
        ladder.attempt("training", work, step=step)
    assert ladder.policy == Policy(checkpointed=1.0) and not ladder.is_down
    assert [event["code"] for event in events(run, "warning")] == ["memory.ladder"] * 2


def test_a_run_with_room_learns_the_same_and_resumes_with_what_it_came_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, pictures = write_flux_model(tmp_path / "model"), draw_dataset(tmp_path / "pictures", 4)
    limit = Limit()
    measured: list[int] = []

    def use_of(_device: torch.device) -> Use:
        measured.append(limit.peak)
        return Use(limit.peak, 1 << 40)

    monkeypatch.setattr(room, "UPDATES", 1)
    monkeypatch.setattr(room, "forget", lambda _device: setattr(limit, "peak", limit.now))
    monkeypatch.setattr(room, "use_of", use_of)

    def made(name: str, **memory: Any) -> RunFolder:
        config = micro_config(
            base, pictures, model={"family": "flux"}, captions={"t5_tokens": 128},
            data={"bucket_step": 16, "buckets": False},
            memory={"gradient_checkpointing": True, **memory}, network={"text_encoder": False, "dropout": 0.1},
            steps={"epochs": 5}, samples=[], validation={"mode": "off"},
            saving={"name": "blob", "every_epochs": 0, "state_every_epochs": 0, "state_every_steps": 3},
        )  # fmt: skip
        return new_run(tmp_path / name, config)

    asked, run = made("asked"), made("room", when_room="adapt")
    assert live_here(asked) == 0 and not measured
    with small_machine(limit):
        assert live_here(run) == 0
    all_again, fewer = measured
    assert all_again < fewer
    (told,) = events(run, "warning")
    assert told["code"] == "memory.room" and "no block computes its activations again" in told["message"]
    reached = reached_by(run)
    assert reached is not None and (reached.asked, reached.used) == (Policy(checkpointed=1.0), Policy())
    assert reached.sentence() == "memory left room; since step 2: no block computes its activations again"
    whole = lora(run)
    assert same_tensors(whole, lora(asked))
    shutil.rmtree(sorted(run.state_dir.iterdir())[-1])
    (run.checkpoints_dir / "blob.safetensors").unlink()
    assert live_here(run, resume=True) == 0
    assert [event["step"] for event in events(run, "resumed")] == [3]
    assert len(events(run, "warning")) == 1 and reached_by(run) == reached
    assert same_tensors(whole, lora(run))
