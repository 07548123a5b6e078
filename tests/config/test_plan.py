"""What a run will do and take."""

import json

import pytest
from config_samples import config_with, configs, image, plan_of, scan_of, squares
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_tui.config.cadence import due_at
from lora_tui.config.estimate import lora_bytes, memory_parts
from lora_tui.config.plan import LISTED_AT_MOST, PastRun, plan_run, planned_moments
from lora_tui.config.validate import check_config
from lora_tui.dataset.batches import Batch, DataPlan

PROMPTS = [{"prompt": "a"}, {"prompt": "b"}]


def walked(plan: DataPlan) -> list[list[Batch]]:
    """The batches of every step of a run, epoch after epoch, as a trainer goes through them."""
    steps: list[list[Batch]] = []
    epoch = 0
    while len(steps) < plan.total_steps:
        batches = plan.epoch(epoch)
        steps += [list(batches[at : at + plan.accumulation]) for at in range(0, len(batches), plan.accumulation)]
        epoch += 1
    return steps[: plan.total_steps]


SCANS = st.lists(
    st.tuples(st.integers(200, 1200), st.integers(200, 1200), st.integers(1, 4)), min_size=1, max_size=30
).map(lambda sizes: scan_of(*(image(n, width=w, height=h, repeats=r) for n, (w, h, r) in enumerate(sizes))))


@settings(max_examples=40)
@given(SCANS, st.integers(1, 5), st.integers(1, 4), st.integers(1, 4), st.one_of(st.just(0), st.integers(1, 60)))
def test_the_planned_steps_are_those_of_a_walk_through_the_batches(scan, batch, accumulation, epochs, max_steps):
    shape = {"batch_size": batch, "gradient_accumulation": accumulation, "epochs": epochs, "max_steps": max_steps}
    config = config_with(steps=shape)
    data = plan_of(config, scan)
    plan = plan_run(config, scan, data)
    assert plan.total_steps == len(walked(data))
    assert plan.repeats_total == sum(len(group.items) for group in data.epoch(0))
    assert plan.images == plan.train_images + plan.validation_images == len(scan.images)
    assert sum(bucket.images for bucket in plan.buckets) == plan.train_images
    assert sum(bucket.batches for bucket in plan.buckets) == plan.batches_per_epoch == len(data.epoch(0))
    assert plan.checkpoints[-1] == plan.state_steps[-1] == plan.total_steps


@settings(max_examples=60)
@given(configs(), st.integers(1, 25))
def test_the_events_are_those_of_asking_at_every_step(config, images):
    config.steps.max_steps = min(config.steps.max_steps, 300)
    config.steps.epochs = min(config.steps.epochs, 20)
    data = plan_of(config, squares(images))
    found = planned_moments(config, data)
    kinds = set(found) if data.validation else set(found) - {"validation"}
    asked = [due_at(config, step, data.steps_per_epoch, data.total_steps) for step in range(data.total_steps + 1)]
    for kind in found:
        expected = [step for step, due in enumerate(asked) if kind in due and kind in kinds]
        steps = found[kind]
        assert list(steps) == expected and len(steps) == len(expected)
        assert [steps[place] for place in range(len(steps))] == expected
        assert steps[-3:] == tuple(expected[-3:])


@settings(max_examples=40)
@given(configs(), st.integers(1, 25))
def test_a_plan_of_any_length_is_counted_and_not_walked_through(config, images):
    data = plan_of(config, squares(images, repeats=10_000))
    plan = plan_run(config, squares(images), data)
    told = plan.as_dict()
    for name, steps in told["counts"].items():
        assert steps == len(getattr(plan, name)) and len(told[name]) == min(steps, LISTED_AT_MOST)
    assert told["checkpoints"][-1] == plan.total_steps
    assert all(finding.code for finding in check_config(config, scan=squares(images), plan=data))


@pytest.mark.parametrize(
    ("config", "scan", "words"),
    [
        (
            config_with(steps={"batch_size": 4, "epochs": 8}, validation={"mode": "off"}),
            squares(212, repeats=10),
            "212 images x 10 repeats = 2,120 -> 530 batches of 4 x 8 epochs = 4,240 steps",
        ),
        (
            config_with(steps={"batch_size": 1, "epochs": 1}),
            squares(1),
            "1 image -> 1 batch of 1 x 1 epoch = 1 step",
        ),
        (
            config_with(steps={"batch_size": 2, "epochs": 2, "gradient_accumulation": 3}),
            scan_of(image(1, repeats=3), image(2, repeats=4)),
            "2 images with their repeats = 7 -> 4 batches of 2 / 3 = 2 steps x 2 epochs = 4 steps",
        ),
        (
            config_with(steps={"batch_size": 2, "max_steps": 25}, validation={"mode": "on"}),
            squares(22),
            "20 images (2 held out) -> 10 batches of 2 an epoch; stop at step 25 in epoch 3",
        ),
    ],
)
def test_the_arithmetic_is_shown(config, scan, words):
    assert plan_run(config, scan, plan_of(config, scan)).arithmetic == words


def test_samples_are_prompts_times_moments():
    config = config_with(samples=PROMPTS, steps={"epochs": 3, "batch_size": 2})
    plan = plan_run(config, squares(8), plan_of(config, squares(8)))
    assert list(plan.sample_steps) == [0, 4, 8, 12]
    assert plan.samples == 8


def test_the_plan_is_plain_data():
    config = config_with(samples=PROMPTS)
    plan = plan_run(config, squares(30), plan_of(config, squares(30)))
    assert json.loads(json.dumps(plan.as_dict()))["total_steps"] == plan.total_steps


def test_keeping_few_files_needs_less_room_than_keeping_all():
    disk = {}
    for keep in (0, 2):
        config = config_with(saving={"keep_last": keep}, steps={"epochs": 10})
        disk[keep] = plan_run(config, squares(30), plan_of(config, squares(30))).disk_bytes["checkpoints"]
    assert disk[0] == pytest.approx(disk[2] * 10 / 3, rel=1e-6)


def test_memory_grows_with_what_a_step_holds():
    def total(**changes) -> int:
        config = config_with(**changes)
        return sum(memory_parts(config, plan_of(config, squares(30))).values())

    usual = total()
    assert total(steps={"batch_size": 4}) > usual
    assert total(data={"resolution": 768}) > usual
    assert total(network={"rank": 128}) > usual
    assert total(memory={"precision": "fp32"}) > usual
    assert total(memory={"gradient_checkpointing": True}) < usual
    half = total(memory={"gradient_checkpointing": True, "checkpointed_share": 0.5})
    assert half == pytest.approx((usual + total(memory={"gradient_checkpointing": True})) / 2, abs=1)
    assert total(network={"text_encoder": False}) < usual
    assert total(memory={"cache_latents": False}) > usual


def test_the_published_model_is_counted_as_it_is():
    config = config_with(memory={"precision": "fp32"}, network={"text_encoder": True})
    parts = memory_parts(config, plan_of(config, squares(30)))
    assert parts["weights"] == 4 * (859_520_964 + 123_060_480)
    assert parts["gradients"] == parts["adapter"]
    assert parts["optimizer"] == 2 * parts["adapter"]


def test_a_rank_of_32_makes_the_file_that_the_field_knows():
    assert lora_bytes(config_with(network={"rank": 32})) == pytest.approx(37.8e6, rel=0.01)


def test_time_and_cost_come_from_the_most_similar_run():
    config = config_with(steps={"batch_size": 4})
    scan = squares(40)
    near = PastRun("run 2", config_with(steps={"batch_size": 2}), 0.5)
    far = PastRun("run 1", config_with(steps={"batch_size": 1}), 9.0)
    plan = plan_run(config, scan, plan_of(config, scan), history=[far, near], price_per_hour=0.4)
    assert plan.source == "run 2"
    assert plan.step_seconds == pytest.approx(1.0)
    assert plan.seconds == pytest.approx(plan.total_steps)
    assert plan.cost == pytest.approx(plan.total_steps / 3600 * 0.4)


def test_a_run_of_another_precision_or_size_gives_a_rough_time():
    others = [
        PastRun("a", config_with(memory={"precision": "fp32"}), 1.0),
        PastRun("c", config_with(data={"resolution": 64}), 1.0),
    ]
    scan = squares(8)
    plan = plan_run(config_with(), scan, plan_of(config_with(), scan), history=others, price_per_hour=1.0)
    assert (plan.rough, plan.source, plan.step_seconds) == (True, "a", 1.0)
    plan = plan_run(config_with(), scan, plan_of(config_with(), scan), history=others[1:])
    assert (plan.rough, plan.step_seconds) == (True, pytest.approx(64.0))
    alike = PastRun("e", config_with(steps={"batch_size": 2}), 0.5)
    plan = plan_run(config_with(), scan, plan_of(config_with(), scan), history=[*others, alike])
    assert (plan.rough, plan.source) == (False, "e")


def test_runs_of_another_device_say_nothing():
    others = [
        PastRun("b", config_with(memory={"device": "cpu"}), 1.0),
        PastRun("d", config_with(), 0.0),
    ]
    plan = plan_run(config_with(), squares(8), plan_of(config_with(), squares(8)), history=others, price_per_hour=1.0)
    assert (plan.step_seconds, plan.seconds, plan.cost, plan.source) == (None, None, None, "")
