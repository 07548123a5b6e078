"""The plan of batches: every showing exactly once, the same for the same seed, whatever the order of the scan."""

from __future__ import annotations

import math
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_tui.config.schema import Config, DatasetEntry
from lora_tui.dataset.batches import DataPlan, make_plan, validation_count
from lora_tui.dataset.facts import ImageFacts
from lora_tui.dataset.scan import DatasetImage, Scan
from lora_tui.errors import UserError


def an_image(number: int, width: int = 64, height: int = 64, repeats: int = 1, dataset: int = 0) -> DatasetImage:
    facts = ImageFacts(width, height, "PNG", alpha=False, animated=False, orientation=1, size=1000 + number, mtime_ns=1)
    name = f"img{number}.png"
    return DatasetImage(Path("/nowhere") / name, name, dataset, repeats, facts, None)


def a_config(*, validation: str = "off", **steps: int) -> Config:
    config = Config()
    config.data.resolution = 128
    config.data.bucket_min = 64
    config.data.bucket_max = 256
    config.validation.mode = validation  # type: ignore[assignment]
    for name, value in steps.items():
        setattr(config.steps, name, value)
    return config


SCANS = st.lists(
    st.tuples(st.sampled_from([64, 100, 128, 300]), st.sampled_from([64, 128, 200]), st.integers(1, 4)),
    min_size=1,
    max_size=40,
).map(lambda shapes: Scan(tuple(an_image(number, *shape) for number, shape in enumerate(shapes))))
CONFIGS = st.builds(
    a_config,
    batch_size=st.integers(1, 7),
    gradient_accumulation=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
    epochs=st.integers(1, 5),
    max_steps=st.sampled_from([0, 1, 17, 400]),
    validation=st.sampled_from(["off", "on", "auto"]),
)


@settings(deadline=None)
@given(SCANS, CONFIGS, st.integers(0, 9))
def test_every_showing_comes_exactly_once_an_epoch(scan: Scan, config: Config, epoch: int) -> None:
    plan = make_plan(config, scan, groups={})
    batches = plan.epoch(epoch)
    shown = Counter((item.index, item.repeat) for batch in batches for item in batch.items)
    assert shown == Counter(
        (index, repeat) for index, planned in enumerate(plan.train) for repeat in range(planned.image.repeats)
    )
    assert len(batches) == plan.batches_per_epoch
    for batch in batches:
        assert 1 <= len(batch.items) <= plan.batch_size
        assert all(plan.train[item.index].fit.bucket == batch.bucket for item in batch.items)


@settings(deadline=None)
@given(SCANS, CONFIGS, st.randoms())
def test_the_plan_does_not_depend_on_the_order_of_the_scan(scan: Scan, config: Config, order: random.Random) -> None:
    shuffled = list(scan.images)
    order.shuffle(shuffled)
    plan, other = make_plan(config, scan, groups={}), make_plan(config, Scan(tuple(shuffled)), groups={})
    assert plan == other
    assert plan.epoch(1) == other.epoch(1)


@settings(deadline=None)
@given(SCANS, CONFIGS)
def test_the_arithmetic_is_what_the_epochs_hold(scan: Scan, config: Config) -> None:
    plan = make_plan(config, scan, groups={})
    batches = len(plan.epoch(0))
    assert plan.items_per_epoch == sum(len(batch.items) for batch in plan.epoch(0))
    assert plan.steps_per_epoch == math.ceil(batches / config.steps.gradient_accumulation)
    wanted = config.steps.max_steps or config.steps.epochs * plan.steps_per_epoch
    assert plan.total_steps == wanted
    assert (plan.total_epochs - 1) * plan.steps_per_epoch < wanted <= plan.total_epochs * plan.steps_per_epoch
    assert sum(count for _size, count, _batches in plan.bucket_counts) == len(plan.train)
    assert sum(count for _size, _images, count in plan.bucket_counts) == plan.batches_per_epoch


@settings(deadline=None)
@given(SCANS, CONFIGS, st.lists(st.integers(0, 4), min_size=40, max_size=40))
def test_validation_holds_out_whole_groups_and_never_everything(scan: Scan, config: Config, numbers: list[int]) -> None:
    groups = {image.uid: numbers[index] for index, image in enumerate(scan.images) if numbers[index]}
    plan = make_plan(config, scan, groups=groups)
    assert plan.train
    assert len(plan.train) + len(plan.validation) == len(scan.images)
    trained = {groups.get(one.image.uid, one.image.uid) for one in plan.train}
    held_out = {groups.get(one.image.uid, one.image.uid) for one in plan.validation}
    assert not trained & held_out
    wanted = validation_count(len(scan.images), config.validation.mode, config.validation.share)
    assert len(plan.validation) <= max(wanted, 1 + len(scan.images) // 2)
    if wanted == 0:
        assert not plan.validation


def test_epochs_and_seeds_differ() -> None:
    scan = Scan(tuple(an_image(number) for number in range(30)))
    plan = make_plan(a_config(seed=1, batch_size=2), scan, groups={})
    assert plan.epoch(0) == plan.epoch(0)
    assert plan.epoch(0) != plan.epoch(1)
    assert plan.epoch(0) != make_plan(a_config(seed=2, batch_size=2), scan, groups={}).epoch(0)


@pytest.mark.parametrize(
    ("images", "mode", "share", "held_out"),
    [
        (19, "auto", 0.05, 0),
        (20, "auto", 0.05, 2),
        (212, "auto", 0.05, 11),
        (10, "on", 0.05, 2),
        (2, "on", 0.05, 1),
        (1, "on", 0.5, 0),
        (1000, "off", 0.5, 0),
        (40, "on", 0.5, 20),
    ],
)
def test_how_many_images_are_held_out(images: int, mode: str, share: float, held_out: int) -> None:
    assert validation_count(images, mode, share) == held_out


def test_the_held_out_images_do_not_depend_on_the_order_of_the_datasets() -> None:
    first = [an_image(number, dataset=0) for number in range(15)]
    second = [an_image(number, dataset=1) for number in range(100, 125)]
    swapped = [an_image(number, dataset=1) for number in range(15)] + [
        an_image(number, dataset=0) for number in range(100, 125)
    ]
    config = a_config(validation="on", seed=3)
    names = [
        {one.image.relative for one in make_plan(config, Scan(tuple(images)), groups={}).validation}
        for images in ([*first, *second], swapped)
    ]
    assert names[0] == names[1]


def test_flips_are_keyed_and_about_half() -> None:
    scan = Scan(tuple(an_image(number, repeats=2) for number in range(200)))
    config = a_config()
    plain = make_plan(config, scan, groups={})
    config.data.flip = True
    plan = make_plan(config, scan, groups={})
    items = [item for batch in plan.epoch(0) for item in batch.items]
    assert not any(plain.flipped(0, item) for item in items)
    flips = [plan.flipped(0, item) for item in items]
    assert flips == [plan.flipped(0, item) for item in items]
    assert flips != [plan.flipped(1, item) for item in items]
    assert 0.4 < sum(flips) / len(flips) < 0.6


def test_no_image_is_an_error_that_says_where() -> None:
    config = a_config()
    config.datasets = [DatasetEntry(path="/data/hats")]
    with pytest.raises(UserError) as caught:
        make_plan(config, Scan(()))
    assert caught.value.code == "dataset.empty"
    assert caught.value.place == "/data/hats"


def test_a_plan_of_many_showings_is_made_in_little_time() -> None:
    scan = Scan(tuple(an_image(number, 64 + number % 200, 128, repeats=5) for number in range(4000)))
    plan: DataPlan = make_plan(a_config(batch_size=4), scan, groups={})
    assert sum(len(batch.items) for batch in plan.epoch(3)) == 20_000
