"""What a run will do and take, told before it starts: steps, files, memory, disk, time, money.

The arithmetic of steps is the data plan's own (:mod:`lora_tui.dataset.batches`), the moments are those of
:mod:`lora_tui.config.cadence`, both of which the trainer follows, so that plan and run cannot differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from lora_tui.config.cadence import CHECKPOINT, SAMPLE, STATE, VALIDATION, Moments, moments
from lora_tui.config.entries import all_settings
from lora_tui.config.estimate import (
    caption_bytes,
    checkpointed_share,
    disk_parts,
    lora_bytes,
    memory_parts,
    t5_tokens,
    trained_parameters,
)
from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.families import facts_for
from lora_tui.text import _, count, ngettext

if TYPE_CHECKING:
    from lora_tui.dataset.batches import DataPlan
    from lora_tui.dataset.scan import Scan

# Beyond this ratio of work a run of the past says little about a new one.
COMPARABLE_WORK = 8.0
CHECKPOINTING_TIME = 4 / 3  # the forward pass is done twice, of forward and backward that cost 1 : 2
TEXT_ENCODER_TIME = 1.1
DORA_TIME = 1.3  # the norms of all columns of the weights are found anew at each step
LISTED_AT_MOST = 1000  # steps of one kind that ``--json`` writes out


@dataclass(frozen=True)
class PastRun:
    """What an earlier run teaches about time: its name, its configuration, its seconds per step.

    ``sample_seconds``: of one drawn image, where that was measured by itself.
    """

    name: str
    config: Config
    step_seconds: float
    sample_seconds: float | None = None


@dataclass(frozen=True)
class BucketPlan:
    """One size in use: pixels, images without repeats, batches an epoch."""

    width: int
    height: int
    images: int
    batches: int


@dataclass(frozen=True)
class RunPlan:
    """The whole of a run before it starts.

    Attributes:
        images: all that were found, held out ones included.
        train_images, validation_images: how they are split.
        repeats_total: images shown in one epoch, repeats counted.
        epochs: epochs that are begun (``steps.max_steps`` can make them more or fewer).
        checkpoints, sample_steps, validation_steps, state_steps: the steps after which it happens.
        prompts: images drawn at each of ``sample_steps``.
        caption_bytes: that the embeddings of the longest caption take; 0 where none are kept.
        parameters: values that are trained.
        lora_bytes: size of one LoRA file.
        disk_bytes, memory_bytes: by part, see :mod:`lora_tui.config.estimate`.
        step_seconds, seconds, cost: None when no earlier run says; ``cost`` also without a price.
        source: name of the run that the time is taken from, empty when unknown.
        processes: that share each step; ``images_per_step``: that a step learns from, at most, whoever has which.
        rough: that run was of another precision, model or size, so that the time is a guess.
        arithmetic: how the steps come about, one line in the current language.
    """

    images: int
    train_images: int
    validation_images: int
    repeats_total: int
    batches_per_epoch: int
    steps_per_epoch: int
    epochs: int
    total_steps: int
    buckets: tuple[BucketPlan, ...]
    checkpoints: Moments
    sample_steps: Moments
    prompts: int
    validation_steps: Moments
    state_steps: Moments
    caption_bytes: int
    parameters: int
    lora_bytes: int
    disk_bytes: dict[str, int]
    memory_bytes: dict[str, int]
    step_seconds: float | None
    seconds: float | None
    cost: float | None
    source: str
    arithmetic: str
    rough: bool = False
    processes: int = 1
    images_per_step: int = 0

    @property
    def samples(self) -> int:
        """Images drawn in the whole run."""
        return len(self.sample_steps) * self.prompts

    @property
    def disk_total(self) -> int:
        """Bytes on disk at most."""
        return sum(self.disk_bytes.values())

    @property
    def memory_total(self) -> int:
        """Bytes on the device at the largest step."""
        return sum(self.memory_bytes.values())

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain data for ``--json``; ``counts`` tells how long a list of steps is that was cut."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        data["buckets"] = [
            {"width": b.width, "height": b.height, "images": b.images, "batches": b.batches} for b in self.buckets
        ]
        lists = ("checkpoints", "sample_steps", "validation_steps", "state_steps")
        data["counts"] = {name: len(data[name]) for name in lists}
        for name in lists:
            data[name] = _listed(data[name])
        return {**data, "samples": self.samples, "disk_total": self.disk_total, "memory_total": self.memory_total}


def plan_run(
    config: Config,
    scan: Scan,
    data_plan: DataPlan | None = None,
    *,
    history: Sequence[PastRun] = (),
    price_per_hour: float = 0.0,
) -> RunPlan:
    """The plan of the run that ``config`` describes over the images of ``scan``.

    Args:
        data_plan: the batches, when they are known already; else they are planned here, which may decode
            images to keep near-duplicates together.
        history: earlier runs on this machine, newest first.
        price_per_hour: of the machine, in any currency; 0 leaves the cost open.

    Raises:
        UserError: there is no image.
    """
    if data_plan is None:
        from lora_tui.dataset.batches import make_plan

        data_plan = make_plan(config, scan)
    at = planned_moments(config, data_plan)
    total = data_plan.total_steps
    step_seconds, source, rough = expected_step_seconds(config, history)
    seconds = None if step_seconds is None else step_seconds * total
    if seconds is not None:
        seconds += _sample_seconds(history, source) * len(at[SAMPLE]) * len(config.samples)
    return RunPlan(
        images=len(data_plan.pictures) + len(data_plan.validation),
        train_images=len(data_plan.pictures),
        validation_images=len(data_plan.validation),
        repeats_total=data_plan.items_per_epoch,
        batches_per_epoch=data_plan.batches_per_epoch,
        steps_per_epoch=data_plan.steps_per_epoch,
        epochs=data_plan.total_epochs,
        total_steps=total,
        buckets=tuple(BucketPlan(size.width, size.height, n, batches) for size, n, batches in data_plan.bucket_counts),
        checkpoints=at[CHECKPOINT],
        sample_steps=at[SAMPLE],
        prompts=len(config.samples),
        validation_steps=at[VALIDATION],
        state_steps=at[STATE],
        caption_bytes=caption_bytes(config, max(t5_tokens(config, data_plan), default=0)),
        parameters=trained_parameters(config),
        lora_bytes=lora_bytes(config, len(data_plan.pictures) + len(data_plan.validation)),
        disk_bytes=disk_parts(
            config, data_plan, checkpoints=len(at[CHECKPOINT]), states=len(at[STATE]), drawn=len(at[SAMPLE])
        ),
        memory_bytes=memory_parts(config, data_plan),
        step_seconds=step_seconds,
        seconds=seconds,
        cost=None if seconds is None or price_per_hour <= 0 else seconds / 3600 * price_per_hour,
        source=source,
        arithmetic=arithmetic_text(data_plan, config.memory.processes),
        rough=rough,
        processes=config.memory.processes,
        images_per_step=max(data_plan.batch_sizes, default=0) * data_plan.accumulation,
    )


def _sample_seconds(history: Sequence[PastRun], name: str) -> float:
    """What a sample took in the earlier run of that name; 0 where that is not known."""
    return next((past.sample_seconds for past in history if past.name == name), None) or 0.0


def planned_moments(config: Config, data_plan: DataPlan) -> dict[str, Moments]:
    """The moments of each kind over the whole run; validation only where images are held out."""
    found = moments(config, data_plan.steps_per_epoch, data_plan.total_steps)
    return found if data_plan.validation else {**found, VALIDATION: Moments()}


def expected_step_seconds(config: Config, history: Sequence[PastRun]) -> tuple[float | None, str, bool]:
    """Seconds per step by the most similar of the earlier runs, scaled by the work, that run's name, and whether the
    time is rough.

    Runs of another family or device are left out. Those of another precision or model, or of a very different size,
    give a rough time, where there are no others.
    """
    best: tuple[bool, float, float, str] | None = None
    for past in history:
        same = past.config.model.family == config.model.family
        if not same or past.config.memory.device != config.memory.device or not past.step_seconds > 0:
            continue
        larger = _times_larger(config, past.config)
        ratio = _work(config) / _work(past.config) * larger
        distance = abs(math.log(ratio))
        alike = past.config.memory.precision == config.memory.precision and larger == 1
        rough = not alike or distance > math.log(COMPARABLE_WORK)
        if best is None or (rough, distance) < best[:2]:
            best = (rough, distance, past.step_seconds * ratio, past.name)
    return (best[2], best[3], best[0]) if best else (None, "", False)


def arithmetic_text(data_plan: DataPlan, processes: int = 1) -> str:
    """How the steps come about: ``212 images x 10 repeats = 2,120 -> 530 batches of 4 x 8 epochs = 4,240 steps``."""
    plan = data_plan
    of_class = sum(planned.image.repeats for planned in plan.of_class)
    subject = [planned for planned in plan.pictures if not plan.entry(planned).regularisation]
    images, shown = len(subject), plan.items_per_epoch - of_class
    repeats = {planned.image.repeats for planned in subject}
    sizes_of = 1 + max((planned.level for planned in plan.train), default=0)
    parts = [ngettext("{count} image", "{count} images", images).format(count=count(images))]
    if plan.validation:
        parts.append(_("({count} held out)").format(count=count(len(plan.validation))))
    if sizes_of > 1:
        parts.append(_("at up to {number} resolutions = {count}").format(number=sizes_of, count=count(shown)))
    elif repeats == {1}:
        pass  # each is shown once: nothing to multiply
    elif len(repeats) == 1:
        times = repeats.pop()
        words = ngettext("x {count} repeat", "x {count} repeats", times).format(count=count(times))
        parts.append(f"{words} = {count(shown)}")
    else:
        parts.append(_("with their repeats = {count}").format(count=count(shown)))
    if of_class:
        parts.append(_("+ {count} for regularisation").format(count=count(of_class)))
    if plan.masked:
        parts.append(_("({count} masked)").format(count=count(plan.masked)))
    batches, steps, total = plan.batches_per_epoch, plan.steps_per_epoch, plan.total_steps
    sizes = _("{low} to {high}").format(low=plan.batch_sizes[0], high=plan.batch_sizes[-1])
    parts.append(
        "-> "
        + ngettext("{count} batch of {size}", "{count} batches of {size}", batches).format(
            count=count(batches), size=sizes if len(plan.batch_sizes) > 1 else plan.batch_sizes[0]
        )
    )
    if plan.accumulation > 1:
        parts.append(
            ngettext("/ {size} = {count} step", "/ {size} = {count} steps", steps).format(
                size=plan.accumulation, count=count(steps)
            )
        )
    if processes > 1:
        parts.append(_("on {count} processes").format(count=processes))
    if plan.max_steps:
        ending = _("an epoch; stop at step {total} in epoch {epoch}")
        parts.append(ending.format(total=count(total), epoch=count(plan.total_epochs)))
    else:
        parts.append(ngettext("x {count} epoch", "x {count} epochs", plan.epochs).format(count=count(plan.epochs)))
        parts.append(ngettext("= {count} step", "= {count} steps", total).format(count=count(total)))
    return " ".join(parts)


def _listed(steps: Moments) -> list[int]:
    """All steps, or the first ones and the last."""
    return list(steps) if len(steps) <= LISTED_AT_MOST else [*islice(steps, LISTED_AT_MOST - 1), steps[-1]]


def _times_larger(config: Config, other: Config) -> float:
    """How many times as many parameters the image model of ``config`` has; 1 where that cannot be known."""
    if config.model.base == other.model.base:
        return 1.0
    sizes = []
    for one in (config, other):
        try:
            facts = facts_for(one.model.family)
            sizes.append(facts.part_parameters(one.model.base)[facts.denoiser])
        except (UserError, KeyError):  # the base of an earlier run is gone
            return 1.0
    return sizes[0] / sizes[1]


def _work(config: Config) -> float:
    """What a step costs compared with others of the family: pixels through forward and backward."""
    each = [data.resolution**2 * own.batch_size for own in all_settings(config) for data in (own.data, *own.further)]
    rounds = math.ceil(config.steps.gradient_accumulation / config.memory.processes)  # one batch each at a time
    pixels = sum(each) / len(each) * rounds
    checkpointing = 1.0 + (CHECKPOINTING_TIME - 1.0) * checkpointed_share(config.memory)
    checkpointing *= DORA_TIME if config.network.decomposed else 1.0
    learns = config.learning.text_encoder_share if config.trains_text else 0.0
    return pixels * checkpointing * (1.0 + (TEXT_ENCODER_TIME - 1.0) * learns)
