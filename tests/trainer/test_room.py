"""Runs that keep more activations where the memory measured in their first updates leaves room."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lives import draw_dataset, events, live_here, lora, micro_config, new_run, same_tensors
from squeeze import Limit, small_machine
from test_ranks import together

from lora_tui.bench.flux_model import write_flux_model
from lora_tui.config.load import dump_config
from lora_tui.jobs.events import EventWriter
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.memory_policy import Policy, reached_by
from lora_tui.trainer.memory import peak, room
from lora_tui.trainer.memory.ladder import Ladder
from lora_tui.trainer.memory.peak import Most, Peak
from lora_tui.trainer.memory.room import PATIENCE, UPDATES, Room, Use
from lora_tui.trainer.ranks import Alone, Ranks

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
            search.meet(Alone(), short=False)
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


@pytest.mark.parametrize(("theirs", "found"), [(1000, 0.0), (800, 0.5), (660, 1.0), (550, 1.0)])
def test_of_several_gpus_the_one_with_the_least_room_decides(
    theirs: int, found: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    config = micro_config(tmp_path, tmp_path, memory={"gradient_checkpointing": True, "when_room": "adapt"})
    run = RunFolder.create(tmp_path, "run", dump_config(config), {})
    shares: dict[int | None, float] = {}
    asked_of: list[int | None] = []

    def use_of(device: torch.device) -> Use:
        asked_of.append(device.index)
        return Use(int(500 + 400 * (1 - shares[device.index])), 1000 if device.index == 0 else theirs)

    monkeypatch.setattr(room, "use_of", use_of)

    def part(ranks: Ranks) -> float:
        ladder = Ladder(run, config, EventWriter(run.events_path), torch.device("cpu", ranks.number))
        ladder.tells = ranks.is_first
        for step in range(1, 3 * UPDATES):
            ladder.policy = replace(ladder.policy, checkpointed=ranks.agree(ladder.policy.checkpointed))
            shares[ranks.number] = ladder.policy.checkpointed
            ladder.attempt("training", lambda: None, step=step, ranks=ranks)
        return ladder.policy.checkpointed

    assert together(tmp_path, part, part) == [found, found]
    assert asked_of.count(0) <= asked_of.count(1) <= asked_of.count(0) + 1 < 3 * UPDATES, "they measure no longer"


class Card:
    """Counts as torch does on one GPU."""

    def __init__(self) -> None:
        self.now = self.peak = 0

    def take(self, size: int) -> None:
        self.now += size
        self.peak = max(self.peak, self.now)

    def forget(self, _device: int) -> None:
        self.peak = self.now


def test_what_one_forgets_others_still_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe looks at each phase, and within one the room of each update is measured."""
    card, one = Card(), Peak(0)
    monkeypatch.setattr(peak, "_counted", lambda _device: Most(card.peak, 2 * card.peak))
    monkeypatch.setattr(peak, "_begin_anew", card.forget)
    card.take(900)  # loading
    card.take(-600)
    assert one.forget("probe") == Most(900, 1800)
    card.take(400)
    card.take(-400)
    one.forget("room")
    card.take(100)
    card.take(-100)
    assert one.most("room") == Most(400, 800)
    assert one.forget("probe") == Most(700, 1400), "since it last asked, whatever was forgotten between"
    assert one.most("room") == Most(400, 800)
    assert one.forget("probe") == Most(300, 600)
    assert one.most("another") == Most(900, 1800), "since the process began"


@pytest.mark.gpu
def test_a_gpu_is_measured_by_several_at_once() -> None:
    one, size = peak.peak_of(), 64 << 20
    one.forget("probe")
    before = one.most("probe").allocated
    torch.empty(size, dtype=torch.uint8, device="cuda")
    one.forget("room")
    assert one.most("room").allocated < before + size <= one.most("probe").allocated
    assert torch.cuda.max_memory_allocated() < before + size


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
