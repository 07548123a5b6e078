"""What processes do together: begin alike, leave the device and come back, need less memory; shown by threads."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lives import events, micro_config, new_run
from test_ranks import together
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.jobs.events import EventWriter
from lora_tui.runs.folder import RunFolder
from lora_tui.trainer.concert import Concert
from lora_tui.trainer.course import Course, Held
from lora_tui.trainer.memory.ladder import Ladder, NoRungLeft
from lora_tui.trainer.memory.rungs import Scene
from lora_tui.trainer.optim.shared import add_up_gradients
from lora_tui.trainer.ranks import Ranks

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return new_run(tmp_path / "runs", micro_config(tmp_path / "base", tmp_path / "images", memory={"processes": 2}))


def ladder_of(run: RunFolder, ranks: Ranks) -> Ladder:
    config = micro_config(Path("base"), Path("images"), memory={"processes": 2})
    ladder = Ladder(run, config, EventWriter(run.events_path), CPU)
    ladder.scene, ladder.tells = Scene(batch=4), ranks.is_first
    return ladder


def test_all_take_the_same_step_down_when_one_runs_out_of_memory(run: RunFolder, tmp_path: Path) -> None:
    def part(ranks: Ranks) -> Any:
        weight, tries = torch.ones(2, requires_grad=True), 0
        ladder = ladder_of(run, ranks)

        def find() -> tuple[int, Tensor]:
            if ranks.number == 1 and tries < 4:
                raise torch.OutOfMemoryError("out of memory")
            (weight * (ranks.number + 1)).sum().backward()
            return 2, torch.ones(())

        def work() -> tuple[int, Tensor]:
            nonlocal tries
            tries += 1
            weight.grad = None  # what an update does to one that broke off
            return add_up_gradients(ranks, [weight], find)

        images, _loss = ladder.attempt("training", work, step=3, ranks=ranks)
        assert weight.grad is not None
        return tries, images, ladder.policy, weight.grad.tolist()

    first, second = together(tmp_path, part, part)
    assert first == second
    tries, images, policy, gradient = first
    assert (tries, images, gradient) == (4, 4, [3.0, 3.0])
    assert policy.checkpointed == 1
    assert len(events(run, "warning")) == 3


def test_none_is_left_waiting_where_nothing_helps(run: RunFolder, tmp_path: Path) -> None:
    def part(ranks: Ranks) -> Any:
        def work() -> tuple[int, Tensor]:
            raise torch.OutOfMemoryError("out of memory")

        ladder_of(run, ranks).attempt("training", lambda: add_up_gradients(ranks, [], work), step=1, ranks=ranks)

    assert [type(error) for error in together(tmp_path, part, part)] == [NoRungLeft] * 2


@dataclass
class Learner:
    """As much of a trainee as a concert needs."""

    weights: str
    full: bool = False
    did: list[str] = field(default_factory=list)
    tensor: Tensor = field(default_factory=lambda: torch.zeros(3))

    @property
    def adapter(self) -> SimpleNamespace:
        return SimpleNamespace(tensors=lambda: {"one": self.tensor})

    def fingerprint(self) -> str:
        return self.weights

    def park(self) -> None:
        self.did.append("park")

    def unpark(self) -> None:
        self.did.append("unpark")
        if self.full:
            self.full = False
            raise torch.OutOfMemoryError("out of memory")


def concert_of(run: RunFolder, ranks: Ranks, learner: Learner) -> tuple[Concert, Ladder]:
    ladder = ladder_of(run, ranks)
    controls = SimpleNamespace(safe_point=lambda: None)
    learning = SimpleNamespace(unet_lr=1e-4, text_encoder_lr=0.0)
    session: Any = SimpleNamespace(
        ranks=ranks, ladder=ladder, controls=controls, folder=run, config=SimpleNamespace(learning=learning)
    )
    trainee: Any = learner
    return Concert(session, trainee, Course(session, 10)), ladder


def test_a_policy_of_the_first_is_that_of_all_at_the_next_update(run: RunFolder, tmp_path: Path) -> None:
    def lead(ranks: Ranks) -> None:
        concert, ladder = concert_of(run, ranks, Learner("same"))
        concert.meet()
        ladder.policy = replace(ladder.policy, images=1)  # memory ran out while it drew a sample
        concert.meet()
        concert.meet()

    def follow(ranks: Ranks) -> Any:
        concert, ladder = concert_of(run, ranks, Learner("same"))
        changes: list[int] = []
        ladder.changed.append(lambda policy: changes.append(policy.images))
        seen = []
        for _update in range(3):
            concert.meet()
            seen.append(ladder.policy.images)
        return seen, changes

    assert together(tmp_path, lead, follow)[1] == ([0, 1, 1], [1])


def test_all_leave_the_device_again_when_one_finds_no_room(run: RunFolder, tmp_path: Path) -> None:
    def lead(ranks: Ranks) -> Any:
        learner = Learner("same")
        concert, _ladder = concert_of(run, ranks, learner)
        concert.park()
        with pytest.raises(torch.OutOfMemoryError):
            concert.unpark()
        concert.park()
        concert.unpark()
        concert.meet()
        return learner.did

    def follow(ranks: Ranks) -> Any:
        learner = Learner("same", full=True)
        concert, _ladder = concert_of(run, ranks, learner)
        concert.meet()
        return learner.did

    assert together(tmp_path, lead, follow) == [["park", "unpark", "park", "unpark"]] * 2


def test_a_run_begins_with_the_weights_of_the_first(run: RunFolder, tmp_path: Path) -> None:
    """The first matrix of a layer may be rounded otherwise on another GPU; what is read from a file is not."""

    def part(ranks: Ranks) -> list[float]:
        learner = Learner("same", tensor=torch.tensor([0.1, -0.0, 3.0]) * (1.0 if ranks.is_first else 1.1))
        concert, _ladder = concert_of(run, ranks, learner)
        concert.begin(-1, lambda _state: None, lambda: [0, 0, 0])
        return learner.tensor.view(torch.int32).tolist()

    first, second = together(tmp_path, part, part)
    assert first == second == torch.tensor([0.1, -0.0, 3.0]).view(torch.int32).tolist()


def test_other_weights_are_refused_before_the_first_step(run: RunFolder, tmp_path: Path) -> None:
    def part(ranks: Ranks) -> Any:
        concert, _ladder = concert_of(run, ranks, Learner("mine" if ranks.is_first else "other"))
        told: list[int] = []
        concert.begin(7 if ranks.is_first else -1, told.append, lambda: [7, 1, 0])
        return told

    first, second = together(tmp_path, part, part)
    assert first == []
    assert isinstance(second, UserError)
    assert second.code == "processes.differ"


def test_a_course_of_the_first_is_that_of_all_at_the_next_update(run: RunFolder, tmp_path: Path) -> None:
    def lead(ranks: Ranks) -> None:
        concert, _ladder = concert_of(run, ranks, Learner("same"))
        concert.meet()
        concert.course.now = Held(0.5, 20)  # somebody asked for another rate and end
        concert.meet()
        concert.meet()

    def follow(ranks: Ranks) -> Any:
        concert, _ladder = concert_of(run, ranks, Learner("same"))
        seen = []
        for _update in range(3):
            concert.meet()
            seen.append((concert.course.now.share, concert.course.now.total))
        return seen

    assert together(tmp_path, lead, follow)[1] == [(1.0, 10), (0.5, 20), (0.5, 20)]
