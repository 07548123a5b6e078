"""The arithmetic of scores against the same in plain numpy: means, scales, intervals, who is tied."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lora_tui.grids.cell import Cell
from lora_tui.scores.material import Drawn, Reference, Worn, words_of
from lora_tui.scores.measures import Looked, cell_scores, choices_of, compared, references_told, with_base
from lora_tui.scores.reasons import by_scores
from lora_tui.scores.recommend import STUDENT, graded, parts_of
from lora_tui.scores.told import Choice, References

WIDTH = 12
CONDITIONS = [
    Cell("base", prompt, seed=seed) for prompt in ("tok, a hat", "tok, a tree", "a hat, a tree") for seed in (1, 2)
]
CALLED = CONDITIONS[:4]


class World:
    """Vectors drawn at random: eight training images about one direction, choices more and less near to it."""

    def __init__(self, near: tuple[float, ...] = (0.0, 0.6, 0.9), noise: float = 0.35) -> None:
        self.chance = np.random.default_rng(4)
        self.axis = self._unit(np.zeros(WIDTH))
        self.train = np.stack([self._unit(4 * self.axis) for _number in range(8)])
        self.worn, self.pictures = [], {}
        scenes = {at: self._unit(np.zeros(WIDTH)) for at in CONDITIONS}
        for number, share in enumerate(near):
            drawn = {}
            for at in CONDITIONS:
                key = f"{number}-{CONDITIONS.index(at)}"
                drawn[at] = Drawn(key, at, Path(key))
                called = share if at in CALLED else share / 4
                own = (
                    scenes[at] if not share else self._unit(4 * (called * self.axis + (1 - called) * scenes[at]), noise)
                )
                self.pictures[key] = own
            worn = Worn("" if not share else "100", f"{share:g}", 100 * bool(share), share, drawn, base=not share)
            self.worn.append(worn)
        texts = {words_of(at.prompt, word) for at in CONDITIONS for word in ("", "tok")}
        self.texts = {text: self._unit(np.zeros(WIDTH)) for text in sorted(texts)}
        self.readings = {
            drawn.key: self._unit(3 * self.texts[words_of(at.prompt, "tok")])
            for one in self.worn
            for at, drawn in one.pictures.items()
        }
        references = [Reference(Path(f"{n}.png"), None, n, learned=n < 7, held_out=n == 6) for n in range(8)]
        self.looked = Looked(self.pictures, frozenset(), list(zip(references, self.train, strict=True)),
                             self.readings, self.texts)  # fmt: skip

    def _unit(self, mean: Any, noise: float = 1.0) -> Any:
        value = mean + noise * self.chance.normal(size=WIDTH)
        return value / np.linalg.norm(value)

    def all(self) -> tuple[Any, Any, list[Choice], Any]:
        told = references_told(self.looked)
        cells = cell_scores(self.worn, self.looked, told, "tok")
        there = compared(self.worn, cells, "tok")
        choices = choices_of(there, cells, self.looked)
        told = with_base(told, there, choices, self.looked, "tok")
        parts = parts_of(there, cells, told, choices)
        return cells, told, graded(choices, parts, len(there.called), len(there.uncalled)), parts


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def test_pictures_against_plain_arithmetic(world: World) -> None:
    cells, told, _choices, _parts = world.all()
    train, held = world.train[:6], world.train[6]
    alone = [float(a @ b) for n, a in enumerate(train) for m, b in enumerate(train) if n != m]
    assert told.among == pytest.approx(np.mean(alone)) and (told.training, told.held_out) == (6, 1)
    trained = world.train[[0, 1, 2, 3, 4, 5, 7]]
    pairs = [float(a @ b) for n, a in enumerate(trained) for m, b in enumerate(trained) if n != m]
    assert told.closest == pytest.approx(max(pairs)) and told.alarm == pytest.approx((1 + max(pairs)) / 2)
    for number in range(3):
        for place, at in enumerate(CONDITIONS):
            key, base = f"{number}-{place}", f"0-{place}"
            vector = world.pictures[key]
            own = cells[key]
            assert own.likeness == pytest.approx((train @ vector).mean())
            assert own.held_out == pytest.approx(held @ vector)
            assert own.nearest == pytest.approx((trained @ vector).max())
            assert own.change == pytest.approx(max(1 - vector @ world.pictures[base], 0), abs=1e-12)
            assert own.prompt == pytest.approx(world.readings[key] @ world.texts[at.prompt])
            plain = at.prompt.removeprefix("tok, ")
            assert own.prompt_plain == pytest.approx(world.readings[key] @ world.texts[plain])


def test_choices_against_plain_arithmetic(world: World) -> None:
    cells, told, choices, _parts = world.all()
    for number, one in enumerate(choices):
        keys = [f"{number}-{place}" for place in range(6)]
        vectors = [world.pictures[key] for key in keys]
        assert one.likeness == pytest.approx(np.mean([cells[key].likeness for key in keys[:4]]))
        assert one.prompt_plain == pytest.approx(np.mean([cells[key].prompt_plain for key in keys]))
        seeds = [1 - vectors[n] @ vectors[n + 1] for n in (0, 2, 4)]
        assert one.variety == pytest.approx(np.mean(seeds))
        prompts = [1 - vectors[n] @ vectors[m] for n in range(6) for m in range(n) if (n - m) % 2 == 0]
        assert one.variety_prompts == pytest.approx(np.mean(prompts))
        assert one.bleed == pytest.approx(np.mean([cells[key].change for key in keys[4:]]))
        before = np.mean([cells[f"0-{place}"].likeness for place in (4, 5)])
        after = np.mean([cells[key].likeness for key in keys[4:]])
        assert one.leak == pytest.approx(after - before)
    plains = ["a hat", "a hat", "a tree", "a tree", "a hat, a tree", "a hat, a tree"]
    others = [world.readings[f"0-{n}"] @ world.texts[t] for n in range(6) for t in set(plains) - {plains[n]}]
    assert told.other_prompts == pytest.approx(np.mean(others))
    assert (told.base, told.own_prompt) == (choices[0].likeness, choices[0].prompt_plain)


def plain_scores(
    world: World, cells: Any, told: Any, choices: Any, called: list[int], uncalled: list[int]
) -> list[float]:
    """The scores of all choices over some conditions, by the formula of the documentation."""
    found = []
    for number in range(len(choices)):
        own = {place: cells[f"{number}-{place}"] for place in range(6)}
        like = np.mean([(own[n].likeness - told.base) / (told.among - told.base) for n in called])
        span = told.own_prompt - told.other_prompts
        fit = np.mean([(own[n].prompt_plain - told.other_prompts) / span for n in (*called, *uncalled)])
        bleed = np.mean([own[n].change / choices[0].variety_prompts for n in uncalled])
        found.append(min(like, 1) + min(fit, 1) - bleed - np.mean([own[n].copied for n in called]))
    return found


def test_scores_and_intervals_against_plain_arithmetic(world: World) -> None:
    cells, told, choices, _parts = world.all()
    scores = plain_scores(world, cells, told, choices, [0, 1, 2, 3], [4, 5])
    assert [one.score for one in choices] == pytest.approx(scores)
    best = 1 + int(np.argmax(scores[1:]))
    chance = np.random.default_rng(8)  # another one: intervals agree but for their own noise
    draws = np.array([
        plain_scores(world, cells, told, choices, list(chance.integers(0, 4, 4)), list(chance.integers(4, 6, 2)))
        for _draw in range(1500)
    ])  # fmt: skip
    stretch = np.sqrt(4 / 3) * 3.182 / 1.959964
    for number, one in enumerate(choices):
        middle, spread = scores[number], draws[:, number].std()
        low, high = middle + (np.quantile(draws[:, number], (0.025, 0.975)) - middle) * stretch
        assert (one.low, one.high) == pytest.approx((low, high), abs=0.6 * spread + 1e-9)
        apart = draws[:, best] - draws[:, number]
        least = scores[best] - middle + (np.quantile(apart, 0.025) - scores[best] + middle) * stretch
        assert one.behind_low == pytest.approx(least, abs=0.6 * apart.std() + 1e-9)
        assert one.tied == (number == best or (number > 0 and one.behind_low <= 0))
    assert STUDENT[2] == 3.182


def test_close_choices_are_tied_and_clear_ones_are_not() -> None:
    _cells, told, choices, _parts = World(near=(0.0, 0.1, 0.8, 0.82), noise=0.1).all()
    assert [one.tied for one in choices] == [False, False, True, True]
    close = by_scores(choices, told, called=4, seeds=2)
    assert close.close and close.strength in ("0.8", "0.82")
    assert any("Too close to call: 1 other" in reason for reason in close.reasons)
    _cells, told, choices, _parts = World(near=(0.0, 0.1, 0.9), noise=0.1).all()
    clear = by_scores(choices, told, called=4, seeds=2)
    assert (clear.strength, clear.close, clear.tied_cells) == ("0.9", False, ())
    assert clear.low is not None and clear.high is not None and clear.low < (clear.score or 0) < clear.high
    assert any("is behind it by" in reason for reason in clear.reasons)


def test_one_picture_of_each_gives_no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.CONDITIONS", [CONDITIONS[0], CONDITIONS[4]])
    monkeypatch.setattr(f"{__name__}.CALLED", [CONDITIONS[0]])
    _cells, told, choices, _parts = World().all()
    assert [(one.low, one.behind_low) for one in choices] == [(None, None)] * 3
    found = by_scores(choices, told, called=1, seeds=1)
    assert found.low is None and any("nothing is sure" in reason for reason in found.reasons)


def test_a_copy_of_a_training_image_is_told_and_counts(world: World) -> None:
    copied = dict(world.pictures)
    copied["2-0"] = world.train[3]
    looked = Looked(copied, frozenset({"2-1"}), world.looked.references)
    told = references_told(looked)
    cells = cell_scores(world.worn, looked, told, "tok")
    assert (cells["2-0"].copied, cells["2-0"].nearest_image) == (True, "3.png")
    assert not cells["2-1"].copied and cells["2-1"].blank
    there = compared(world.worn, cells, "tok")
    choices = choices_of(there, cells, looked)
    assert (choices[2].copies, choices[2].blanks) == (1, 1)
    parts = parts_of(there, cells, told, choices)
    assert parts.copies[2].tolist() == [1, 0, 0, 0] and parts.prompt is None
    found = graded(choices, parts, 4, 2)
    assert (found[2].score or 0) < (graded(choices, replace(parts, copies=0 * parts.copies), 4, 2)[2].score or 0)
    reasons = by_scores([found[0], found[2]], told, called=4, seeds=2).reasons
    assert any("1 of 4 pictures is nearly a copy" in reason for reason in reasons)


def test_near_duplicates_in_the_dataset_do_not_silence_the_alarm(world: World) -> None:
    twice = [
        *world.looked.references,
        (Reference(Path("twin.png"), None, 0, learned=True, held_out=False), world.train[0]),
    ]
    assert references_told(Looked({}, frozenset(), twice)).closest == references_told(world.looked).closest


def test_without_pictures_of_the_base_scales_are_what_there_is(world: World) -> None:
    looked = world.looked
    told = references_told(looked)
    worn = world.worn[1:]
    cells = cell_scores(worn, looked, told, "tok")
    there = compared(worn, cells, "tok")
    choices = choices_of(there, cells, looked)
    assert all(one.bleed is None and one.leak is None for one in choices)
    assert with_base(told, there, choices, looked, "tok") == told
    parts = parts_of(there, cells, told, choices)
    assert parts.prompt is None and parts.bleed is None and parts.likeness is not None
    assert parts.likeness.mean(1).min() == pytest.approx(0)


def test_choices_with_few_pictures_do_not_take_the_others_away(world: World) -> None:
    few = [*world.worn, Worn("300", "1", 300, 1.0, {CONDITIONS[0]: Drawn("2-0", CONDITIONS[0], Path())})]
    cells = cell_scores(few, world.looked, References(), "tok")
    there = compared(few, cells, "tok")
    assert (len(there.worn), there.left_out, len(there.conditions)) == (3, 1, 6)
    nothing = compared([], {}, "tok")
    assert nothing.conditions == () and choices_of(nothing, {}, world.looked) == []


@pytest.mark.parametrize(
    ("prompt", "trigger", "expected"),
    [
        ("mimbu, large, (center:1.2)", "mimbu", "large, center"),
        ("a mimbu jumping, [hat]", "mimbu", "a jumping, hat"),
        ("woman, man", "man", "woman"),
        ("sks girl, x", "sks girl", "x"),
        ("青い猫, 夜", "猫", "青い, 夜"),
        ("mimbu", "mimbu", ""),
        ("a (b:1.5)", "", "a b"),
    ],
)
def test_prompts_without_weights_and_trigger(prompt: str, trigger: str, expected: str) -> None:
    assert words_of(prompt, trigger) == expected
