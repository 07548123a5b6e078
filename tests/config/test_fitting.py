"""The cheapest change that makes a run fit, and what experience says of a planned run."""

from __future__ import annotations

from typing import Any

import pytest
from config_samples import config_with, plan_of, squares

from lora_tui.config.counsel import advise
from lora_tui.config.estimate import memory_parts
from lora_tui.config.family import with_family
from lora_tui.config.fitting import cheapest_fit
from lora_tui.config.schema import Config
from lora_tui.families import FAMILIES


def _needed(config: Config) -> int:
    return sum(memory_parts(config, plan_of(config, squares(30))).values())


@pytest.mark.parametrize("family", ["sd15", "sdxl", "flux", "zimage"])
def test_the_change_that_is_named_makes_the_run_fit_by_the_plan_itself(family: str) -> None:
    assert family in FAMILIES
    config = with_family(config_with(steps={"batch_size": 4}), family)
    slower = 0.0
    for share in (0.9, 0.7, 0.5):
        there = int(_needed(config) * share)
        change = cheapest_fit(config, plan_of(config, squares(30)), there)
        assert change is not None
        assert _needed(change.applied(config)) == pytest.approx(change.memory, rel=0.001)
        assert change.memory <= there
        assert change.slower >= slower  # less room never costs less
        slower = change.slower
        steps = change.applied(config).steps
        assert steps.batch_size * steps.gradient_accumulation == 4  # a step learns from as many images


def test_what_fits_needs_no_change_and_what_cannot_fit_has_none() -> None:
    config = with_family(Config(), "sdxl")
    plan = plan_of(config, squares(30))
    found = cheapest_fit(config, plan, 10**12)
    assert found is not None
    assert found.values == {}
    assert cheapest_fit(config, plan, 10**9) is None


def said(images: int, purpose: str, seconds: float | None = None, repeats: int = 1, **sections: Any) -> set[str]:
    config = config_with(**sections)
    found = list(advise(config, plan_of(config, squares(images, repeats)), purpose=purpose, seconds=seconds))
    assert all(one.severity == "note" and one.message and one.remedy for one in found)
    return {one.code for one in found}


def test_a_usual_run_is_left_alone() -> None:
    assert said(30, "character", 1500.0, repeats=10) == set()
    assert said(80, "style", 1500.0, repeats=10) == set()
    flux = {"model": {"family": "flux"}, "steps": {"max_steps": 3000}, "saving": {"every_steps": 750}}
    assert said(30, "character", 1e5, **flux) == set()


def test_what_the_tutorials_advise_is_said_with_its_reason() -> None:
    assert said(212, "character") == {"advice.many_images"}
    assert said(5, "character", repeats=10) == {"advice.few_images"}
    assert said(30, "character", network={"rank": 128}) == {"advice.high_rank"}
    assert said(30, "style", network={"rank": 128}) == {"advice.few_images"}
    assert said(30, "character", 3 * 3600.0) == {"advice.beyond_an_hour"}
    assert said(30, "character", repeats=40) == {"advice.many_showings"}
    assert said(30, "character", repeats=100, steps={"epochs": 1}) == {"advice.many_repeats"}
    flux = {"model": {"family": "flux"}, "steps": {"max_steps": 9000}, "saving": {"every_epochs": 0}}
    assert said(100, "style", **flux) == {"advice.many_flux_steps", "advice.few_saves"}
