"""Alarms from made-up curves: what is there is seen where it is, and what is not there is not."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from run_folders import write_run

from lora_tui.alarms.detect import Detector
from lora_tui.alarms.finding import Finding
from lora_tui.jobs.events import EventReader

Curve = Callable[[int, random.Random], float]


@dataclass(frozen=True)
class Made:
    """A run made of curves: the loss and the validation of a step, the seconds it takes, what the machine does."""

    loss: Curve
    validation: Curve | None = None
    total: int = 1000
    every: int = 50
    seconds: Callable[[int], float] = lambda _step: 0.4
    machine: Callable[[int], dict[str, object]] | None = None
    reason: str = "completed"
    seed: int = 0

    def found(self, detector: Detector | None = None) -> list[Finding]:
        chance, detector = random.Random(self.seed), detector or Detector()
        t, found = 1e9, []

        def tell(kind: str, **fields: object) -> None:
            found.extend(detector.take({"t": t, "kind": kind, **fields}))

        tell("attempt", number=1)
        tell("run", total_steps=self.total, device="cuda:0")
        if self.validation:
            tell("validation", step=0, loss=self.validation(0, chance))
        tell("phase", phase="training")
        for step in range(1, self.total + 1):
            t += self.seconds(step)
            loss = self.loss(step, chance)
            told = loss if math.isfinite(loss) else "nan"
            tell("step", step=step, loss=told, grad_norm=0.1, step_seconds=self.seconds(step), data_wait=0.001)
            if self.validation and step % self.every == 0:
                tell("validation", step=step, loss=self.validation(step, chance))
            if self.machine and step % 5 == 0:
                tell("resources", **self.machine(step))
        tell("finished", reason=self.reason, step=self.total)
        return found

    def codes(self) -> list[str]:
        return [finding.code for finding in self.found()]


def spread(mean: float, chance: random.Random, width: float = 1.0) -> float:
    """A loss as single images have it: its logarithm is normal."""
    return mean * math.exp(chance.gauss(0, width) - width * width / 2)


def fading(start: float, end: float, steps: float) -> Callable[[int], float]:
    return lambda step: end + (start - end) * math.exp(-step / steps)


healthy_loss: Curve = lambda step, chance: spread(fading(0.12, 0.08, 300)(step), chance)  # noqa: E731
flat_loss: Curve = lambda _step, chance: spread(0.1, chance)  # noqa: E731


def with_noise(curve: Callable[[int], float], share: float) -> Curve:
    return lambda step, chance: curve(step) * (1 + chance.gauss(0, share))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("noise", [0.002, 0.01, 0.03])
def test_a_run_that_learns_raises_nothing(noise: float, seed: int) -> None:
    made = Made(healthy_loss, with_noise(fading(0.12, 0.09, 150), noise), total=600, every=25, seed=seed)
    assert made.codes() == []


@pytest.mark.parametrize("seed", range(6))
def test_noise_without_a_trend_raises_nothing(seed: int) -> None:
    assert Made(flat_loss, total=2000, seed=seed).codes() == []
    settled = with_noise(lambda step: 0.1 if step else 0.13, 0.02)
    assert Made(flat_loss, settled, total=1000, every=25, seed=seed).codes() == []


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("noise", "within"), [(0.002, 75), (0.02, 150)])
def test_overfitting_is_seen_with_the_step_where_it_turned(noise: float, within: int, seed: int) -> None:
    def validation(step: int) -> float:
        return fading(0.12, 0.09, 120)(step) + 6e-5 * max(step - 400, 0)

    (finding,) = Made(healthy_loss, with_noise(validation, noise), seed=seed).found()
    assert finding.code == "overfitting"
    assert abs(finding.at - 400) <= within
    assert finding.at < finding.step <= 850
    assert finding.numbers["now"] > finding.numbers["lowest"]


def test_validation_that_rises_with_the_training_loss_is_no_overfitting() -> None:
    loss: Curve = lambda step, chance: spread(0.1 * (1 + max(step - 400, 0) / 100), chance, 0.3)  # noqa: E731
    made = Made(loss, lambda step, _chance: fading(0.12, 0.09, 120)(step) + 3e-4 * max(step - 400, 0))
    assert made.codes() == ["diverging"]


def test_a_loss_that_runs_away_without_validation_is_seen() -> None:
    assert (
        Made(lambda step, chance: spread(0.1 * (1 + max(step - 300, 0) / 100), chance, 0.3)).codes()[0] == "diverging"
    )


def test_a_jump_is_told_once_and_where_it_was() -> None:
    def loss(step: int, chance: random.Random) -> float:
        return flat_loss(step, chance) * (12 if 600 <= step < 640 else 1)

    (finding,) = Made(loss).found()
    assert finding.code == "spike" and 600 <= finding.at <= 620
    assert finding.numbers["loss"] > 3 * finding.numbers["usual"]


def test_a_single_loss_beyond_all_proportion_is_a_jump() -> None:
    found = Made(lambda step, chance: 50.0 if step == 500 else spread(0.1, chance)).found()
    assert [(one.code, one.at) for one in found] == [("spike", 500)]


def test_nan_is_told_at_its_first_step_and_once() -> None:
    found = Made(lambda step, chance: math.nan if step >= 77 else spread(0.1, chance), total=200).found()
    assert [(one.code, one.step) for one in found] == [("nan", 77)]


def test_gradients_that_are_lost_now_and_then_are_how_fp16_finds_its_scale() -> None:
    detector = Detector()
    norms = ["inf", "inf", 0.1, 0.1, "inf", 0.1, "inf", "nan", "inf"]
    found = [
        (step, one.code)
        for step, norm in enumerate(norms, 1)
        for one in detector.take({"kind": "step", "step": step, "loss": 0.1, "grad_norm": norm})
    ]
    assert found == [(9, "nan")]


def test_validation_that_never_falls_is_told_half_way() -> None:
    (finding,) = Made(flat_loss, with_noise(lambda _step: 0.1, 0.002)).found()
    assert (finding.code, finding.step) == ("no_fall", 500)


def test_a_quiet_loss_that_does_not_fall_is_told_and_a_noisy_one_cannot_be_known() -> None:
    assert Made(lambda _step, chance: 0.1 + chance.gauss(0, 0.001)).codes() == ["no_fall"]
    assert Made(lambda _step, chance: 0.1 + chance.gauss(0, 0.03)).codes() == []


def test_a_loss_that_still_falls_at_the_end_is_underfitting_unless_the_run_was_stopped() -> None:
    falling = with_noise(lambda step: 0.2 - 1e-4 * step, 0.003)
    (finding,) = Made(flat_loss, falling).found()
    assert (finding.code, finding.step) == ("underfitting", 1000)
    assert 0.2 < finding.numbers["share"] < 0.5
    assert Made(flat_loss, falling, reason="stopped").codes() == []
    assert Made(lambda step, chance: 0.2 - 1e-4 * step + chance.gauss(0, 0.01)).codes() == ["underfitting"]


def test_steps_that_take_longer_are_told_after_a_minute_with_their_ratio() -> None:
    (finding,) = Made(flat_loss, total=600, seconds=lambda step: 0.5 if step < 300 else 0.9).found()
    assert finding.code == "slower" and abs(finding.at - 300) <= 30
    assert finding.numbers["now"] / finding.numbers["before"] == pytest.approx(1.8)


def test_steps_of_several_sizes_are_not_slower() -> None:
    assert Made(flat_loss, total=800, seconds=lambda step: 1.2 if step % 3 else 0.5).codes() == []


def card(**more: object) -> dict[str, object]:
    gpu = {"index": 0, "utilization": 97, "memory_used": 7e9, "memory_total": 24e9, **more}
    return {"gpus": [gpu], "ram_used": 9e9, "ram_total": 64e9, "disk_free": 90e9}


def test_a_machine_that_serves_raises_nothing() -> None:
    assert Made(healthy_loss, machine=lambda _step: card()).codes() == []


@pytest.mark.parametrize(
    ("machine", "code"),
    [
        (card(utilization=2), "gpu_idle"),
        (card(memory_used=23.5e9), "gpu_memory"),
        (card() | {"ram_used": 63e9}, "memory"),
        (card() | {"disk_free": 2e8}, "disk"),
    ],
)
def test_a_machine_in_need_is_told_once(machine: dict[str, object], code: str) -> None:
    found = Made(healthy_loss, total=400, machine=lambda step: machine if step > 100 else card()).found()
    assert [one.code for one in found] == [code]


def test_memory_that_torch_keeps_for_itself_is_not_needed() -> None:
    detector = Detector()
    detector.take({"kind": "run", "device": "cuda:0"})
    step = {"kind": "step", "step": 5, "loss": 0.1, "memory_allocated": 9e9, "memory_reserved": 23e9}
    found = [
        one
        for _ in range(20)
        for one in [*detector.take(step), *detector.take({"kind": "resources"} | card(memory_used=23.8e9))]
    ]
    assert found == []


def test_a_run_that_says_nothing_is_told_and_one_that_is_paused_is_not() -> None:
    detector = Detector()
    detector.take({"t": 1e9, "kind": "step", "step": 5, "loss": 0.1, "step_seconds": 1.0})
    assert detector.silent(1e9 + 500) == []
    assert [one.code for one in detector.silent(1e9 + 700)] == ["silent"]
    assert detector.silent(1e9 + 1400) == []
    waiting = Detector()
    waiting.take({"t": 1e9, "kind": "step", "step": 5, "loss": 0.1})
    waiting.take({"t": 1e9 + 1, "kind": "phase", "phase": "paused"})
    assert waiting.silent(1e9 + 9999) == []


def test_a_budget_that_ends_before_the_run_is_told_with_the_step_it_reaches() -> None:
    (finding,) = Made(flat_loss, total=1000).found(Detector(budget=200.0))
    assert finding.code == "budget_short" and finding.step <= 100
    assert finding.numbers["reached"] == pytest.approx(500, rel=0.1)
    assert Made(flat_loss, total=1000).found(Detector(budget=900.0)) == []


def test_what_is_known_of_an_earlier_life_is_told_again_only_after_going_back_before_it() -> None:
    nan = {"kind": "step", "step": 90, "loss": "nan"}
    known = Detector({"nan": 80})
    assert known.take(nan) == []
    known.take({"kind": "resumed", "step": 50})
    assert [one.code for one in known.take(nan)] == ["nan"]


def test_an_everyday_run_raises_nothing(tmp_path: Path) -> None:
    detector, found = Detector(), []
    for event in EventReader(write_run(tmp_path, steps=400, ending="completed").events_path).poll():
        found += detector.take(event)
    assert found == []


def test_events_that_are_nonsense_raise_nothing() -> None:
    detector = Detector()
    odd = [None, "x", -1, 1e308, [], {}, True, "inf"]
    for kind in ("run", "step", "validation", "resources", "phase", "checkpoint", "resumed", "warning", "finished", 7):
        for value in odd:
            names = ("step", "loss", "total_steps", "device", "gpus", "ram_used", "ram_total", "bytes", "phase", "t")
            assert isinstance(detector.take({"kind": kind, **dict.fromkeys(names, value)}), list)
