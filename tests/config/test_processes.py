"""Several processes that share each step: what a check says of them, what the plan makes of them, who has what."""

from __future__ import annotations

from typing import Any

import pytest
from config_samples import config_with, plan_of, squares
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_tui.config.plan import PastRun, plan_run
from lora_tui.config.rules import processes
from lora_tui.config.validate import check_config

PARTED = {"batch_size": 2, "gradient_accumulation": 2}


def said(**sections: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    """Code -> severity, field and remedy of what a check says of processes."""
    found = check_config(config_with(**sections))
    return {one.code: (one.severity, one.field, one.remedy) for one in found if one.code.startswith("processes.")}


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "has_gpu", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3")


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("steps", "memory", "code", "found"),
    [
        (
            {"batch_size": 4},
            {"processes": 2},
            "processes.too_few_batches",
            (
                "error",
                "steps.gradient_accumulation",
                "Set steps.gradient_accumulation to 2 and steps.batch_size to 2: a step learns from as many images as "
                "now.",
            ),
        ),
        (
            {"batch_size": 1},
            {"processes": 2},
            "processes.too_few_batches",
            (
                "error",
                "steps.gradient_accumulation",
                "Set steps.gradient_accumulation to 2, or memory.processes to 1.",
            ),
        ),
        (
            {"gradient_accumulation": 3},
            {"processes": 2},
            "processes.uneven",
            ("warning", "steps.gradient_accumulation", "Set steps.gradient_accumulation to 4."),
        ),
        (
            PARTED,
            {"processes": 2, "device": "cuda:1"},
            "processes.one_device",
            (
                "error",
                "memory.device",
                "Set memory.device to auto; CUDA_VISIBLE_DEVICES says which GPUs are taken.",
            ),
        ),
        (
            {"gradient_accumulation": 3},
            {"processes": 3},
            "processes.too_few_devices",
            ("error", "memory.processes", "Set memory.processes to 2."),
        ),
        (
            PARTED,
            {"processes": 2, "device": "cpu"},
            "processes.on_cpu",
            ("note", "memory.processes", "Set memory.processes to 1."),
        ),
    ],
)
def test_what_cannot_be_shared_is_named(
    steps: dict[str, Any], memory: dict[str, Any], code: str, found: tuple[str, str, str]
) -> None:
    assert said(steps=steps, memory=memory) == {code: found}


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_and_a_batch_for_each_are_enough() -> None:
    assert said(steps=PARTED, memory={"processes": 2}) == {}
    assert said() == {}


def test_an_epoch_with_fewer_batches_than_processes() -> None:
    config = config_with(
        steps={"batch_size": 1, "gradient_accumulation": 4}, memory={"processes": 3, "device": "cpu"},
        validation={"mode": "off"},
    )  # fmt: skip
    found = check_config(config, scan=squares(2), plan=plan_of(config, squares(2)))
    told = [one for one in found if one.code == "processes.too_few_batches"]
    assert [(one.severity, one.field) for one in told] == [("error", "memory.processes")]
    assert "An epoch has 2 batches" in told[0].message


def test_the_plan_tells_the_processes_and_learns_from_as_many_images() -> None:
    alone = config_with(steps={"batch_size": 2, "epochs": 2, "gradient_accumulation": 4})
    shared = config_with(
        steps={"batch_size": 2, "epochs": 2, "gradient_accumulation": 4}, memory={"processes": 2, "device": "auto"}
    )
    scan, history = squares(16), [PastRun("before", alone, 2.0)]
    one, two = (plan_run(config, scan, plan_of(config, scan), history=history) for config in (alone, shared))
    assert (one.total_steps, one.images_per_step) == (two.total_steps, two.images_per_step) == (4, 8)
    assert (one.step_seconds, two.step_seconds) == (2.0, 1.0)
    assert two.arithmetic == "16 images -> 8 batches of 2 / 4 = 2 steps on 2 processes x 2 epochs = 4 steps"
    assert two.memory_bytes["gradients"] == 2 * one.memory_bytes["gradients"]


@settings(max_examples=30)
@given(st.integers(1, 30), st.integers(1, 6), st.integers(1, 4))
def test_each_batch_of_a_step_falls_to_one_process_and_all_have_as_many(images: int, added: int, count: int) -> None:
    config = config_with(
        steps={"batch_size": 1, "gradient_accumulation": added}, validation={"mode": "off"}, memory={"threads": 1}
    )
    plan = plan_of(config, squares(images))
    batches = plan.epoch(0)
    for start in range(0, len(batches), added):
        takers = [plan.taker(batch, count) for batch in batches[start : start + added]]
        assert takers == [number % count for number in range(len(takers))]
