"""The course of a run: what happens when, whether it happens at all, and what the dataset makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lora_tui.config.cadence import CHECKPOINT, SAMPLE, VALIDATION, cadences, moments
from lora_tui.config.entries import all_settings
from lora_tui.config.findings import Finding, error, note, warning
from lora_tui.config.schema import MOST_STEPS, Config
from lora_tui.text import _, count, ngettext, plain

#: Files that a finding names.
NAMED = 3

if TYPE_CHECKING:
    from lora_tui.dataset.batches import DataPlan
    from lora_tui.dataset.scan import Scan

# More files than anyone compares; each is tens of megabytes.
MANY_CHECKPOINTS = 200
#: LoRA files that a run is well told by, and those beyond which it is said.
ENOUGH_CHECKPOINTS, USUAL_CHECKPOINTS = 10, 15
# The order of an epoch is held in memory, a hundred bytes a showing.
MOST_SHOWINGS = 10_000_000


def sampling(config: Config) -> Iterator[Finding]:
    """Prompts without a time to draw them, and the other way round."""
    section = config.sampling
    wanted = section.every_epochs > 0 or section.every_steps > 0
    if not config.samples and wanted:
        yield note(
            "samples",
            _("There is no prompt: no samples are drawn."),
            _("Add one to see what the LoRA learns: samples.0.prompt"),
            "samples.none",
        )
    if config.samples and not wanted and not section.at_start:
        yield warning(
            "sampling.every_epochs",
            _("There are prompts, but no time to draw them."),
            _("Set sampling.every_epochs to 1."),
            "sampling.never",
        )


def validation(config: Config) -> Iterator[Finding]:
    """Images held out but never measured."""
    if config.validation.mode != "off" and not cadences(config)[VALIDATION].on:
        yield warning(
            "validation.every_epochs",
            _("Images are held out for validation, but never measured."),
            _("Set validation.every_epochs to 1, or validation.mode to off."),
            "validation.never",
        )


def saving(config: Config) -> Iterator[Finding]:
    """Nothing saved before the end, and files kept that are never written."""
    on = cadences(config)[CHECKPOINT].on
    if not on:
        yield note(
            "saving.every_epochs",
            _("Only the final LoRA is saved: there will be no earlier one to compare or fall back to."),
            _("Set saving.every_epochs to 1."),
            "saving.only_final",
        )
    if not on and config.saving.keep_last:
        yield warning(
            "saving.keep_last",
            _("keep last has no effect: only the final LoRA is saved."),
            _("Set saving.every_epochs, or set keep last back to 0."),
            "config.no_effect",
        )


def restarts(config: Config) -> Iterator[Finding]:
    """A schedule with restarts that has none."""
    if config.learning.schedule == "cosine_with_restarts" and config.learning.restarts == 1:
        yield note(
            "learning.restarts",
            _("One restart is the plain cosine."),
            _("Raise learning.restarts, or choose cosine."),
            "learning.one_restart",
        )


def dataset(config: Config, scan: Scan) -> Iterator[Finding]:
    """What the scan found: no images at all, unreadable ones, missing captions; and far too much of it."""
    broken = [plain(problem.path.name, limit=60) for problem in scan.problems if problem.severity == "error"]
    if not scan.images:
        yield error(
            "datasets",
            _("There is no image that can be read in the dataset folders."),
            _("Put images with their captions there; lora-tui dataset check says what was found."),
            "datasets.no_images",
        )
        return
    if broken:
        yield warning(
            "datasets",
            ngettext(
                "{count} file cannot be used: {names}.", "{count} files cannot be used: {names}.", len(broken)
            ).format(count=count(len(broken)), names=_named(broken)),
            _("A run goes on without them; lora-tui dataset check says what is wrong."),
            "datasets.problems",
        )
    yield from _length(config, scan)
    words = [own.captions.missing.strip() for own in all_settings(config)]
    without = [image for image in scan.images if image.caption_path is None]
    wordless = [image for image in without if image.dataset >= len(words) or not words[image.dataset]]
    bare = len(wordless)
    if len(without) > bare:
        yield note(
            "captions.missing",
            ngettext(
                "{count} image has no caption and is trained with the words for it.",
                "{count} images have no caption and are trained with the words for them.",
                len(without) - bare,
            ).format(count=count(len(without) - bare)),
            "",
            "captions.words",
        )
    if bare == len(scan.images):
        yield warning(
            "captions.extensions",
            _("No image has a caption file ending in {endings}.").format(endings=", ".join(config.captions.extensions)),
            _("Write captions, list the ending that they have, or set captions.missing."),
            "captions.none",
        )
    elif bare:
        yield warning(
            "datasets",
            ngettext("{count} image has no caption: {names}.", "{count} images have no caption: {names}.", bare).format(
                count=count(bare), names=_named([plain(image.relative, limit=60) for image in wordless])
            ),
            _(
                "Without one it is trained with an empty caption; write it, or set captions.missing. "
                "lora-tui dataset check lists them."
            ),
            "captions.missing",
        )


def _named(names: Sequence[str]) -> str:
    """The first of ``names``, and how many there are besides."""
    told = ", ".join(names[:NAMED])
    if len(names) <= NAMED:
        return told
    return _("{names} and {count} more").format(names=told, count=count(len(names) - NAMED))


def _length(config: Config, scan: Scan) -> Iterator[Finding]:
    """An epoch or a run that nobody can have meant; how images are held out and grouped changes little here."""
    showings = sum(image.repeats for image in scan.images)
    shape = config.steps
    sizes = [own.batch_size for own in all_settings(config)]
    batches = sum(
        image.repeats / (sizes[image.dataset] if image.dataset < len(sizes) else shape.batch_size)
        for image in scan.images
    )
    steps = shape.max_steps or int(batches * shape.epochs / shape.gradient_accumulation)
    if showings > MOST_SHOWINGS:
        yield error(
            "datasets",
            _("The repeats make an epoch of {count} images, and {most} is the limit.").format(
                count=count(showings), most=count(MOST_SHOWINGS)
            ),
            _("Lower the repeats and raise the epochs."),
            "datasets.long_epoch",
        )
    elif steps > MOST_STEPS:
        yield error(
            "steps.epochs",
            _("The run would have about {count} steps, and {most} is the limit.").format(
                count=count(steps), most=count(MOST_STEPS)
            ),
            _("Lower the epochs or the repeats, or set steps.max_steps."),
            "steps.too_many",
        )


def plan(config: Config, data: DataPlan) -> Iterator[Finding]:
    """What the plan of batches makes of warm-up, cadence and validation."""
    total = data.total_steps
    yield from _decay(config, total)
    if config.learning.warmup >= total:
        yield warning(
            "learning.warmup",
            _("The warm-up of {warmup} steps is not over when the run ends at step {total}.").format(
                warmup=count(config.learning.warmup), total=count(total)
            ),
            _("Use about a twentieth of the run: {steps} steps.").format(steps=max(total // 20, 1)),
            "learning.long_warmup",
        )
    if config.validation.mode == "on" and not data.validation:
        yield warning(
            "validation.mode",
            _("There are too few images to hold any out: nothing is validated."),
            _("Add images, or set validation.mode to auto."),
            "validation.too_few",
        )
    yield from _saves(config, data)
    if config.steps.gradient_accumulation > data.batches_per_epoch:
        yield warning(
            "steps.gradient_accumulation",
            _("An epoch has {batches} batches, fewer than are added up for one step.").format(
                batches=data.batches_per_epoch
            ),
            _("Use at most {batches}.").format(batches=data.batches_per_epoch),
            "steps.accumulation",
        )
    largest = max(data.showings.values(), default=0)
    if all(shown < batch_size for (_size, batch_size), shown in data.showings.items()):
        yield note(
            "steps.batch_size",
            _("No bucket fills a batch of {size}; the largest has {largest} images.").format(
                size=max(data.batch_sizes, default=config.steps.batch_size), largest=largest
            ),
            _("Lower the batch size, raise the repeats, or use fewer buckets."),
            "steps.batch_not_filled",
        )


def _decay(config: Config, total: int) -> Iterator[Finding]:
    """A last part of the run in which the rate falls that is the whole of it, or nothing."""
    learning = config.learning
    if learning.schedule != "warmup_stable_decay":
        return
    warmup = learning.warmup or round(learning.warmup_share * total)
    falling = learning.decay or round(learning.decay_share * total)
    key = "learning.decay" if learning.decay else "learning.decay_share"
    if falling == 0:
        yield warning(
            key,
            _("The rate never falls: the schedule is constant."),
            _("Set learning.decay_share to 0.2, or learning.schedule to constant."),
            "learning.no_decay",
        )
    elif warmup + falling > total > warmup:
        yield warning(
            key,
            _(
                "Warm-up and decay take {steps} steps, more than the {total} of the run: the decay begins at once."
            ).format(steps=count(warmup + falling), total=count(total)),
            _("Use about a fifth of the run: {steps} steps.").format(steps=max(total // 5, 1)),
            "learning.long_decay",
        )


def _saves(config: Config, data: DataPlan) -> Iterator[Finding]:
    at = moments(config, data.steps_per_epoch, data.total_steps)
    saves = len(at[CHECKPOINT])
    if saves == 1 and cadences(config)[CHECKPOINT].on:
        yield note(
            "saving.every_epochs",
            _("The run ends before the first save is due: only the final LoRA is saved."),
            _("Save more often to have earlier ones to compare."),
            "saving.only_final",
        )
    elif USUAL_CHECKPOINTS < saves <= MANY_CHECKPOINTS and not config.saving.keep_last:
        every = -(-data.total_epochs // ENOUGH_CHECKPOINTS)
        yield note(
            "saving.every_epochs",
            _("The run writes {count} LoRA files; about {enough} are enough to choose from.").format(
                count=count(saves), enough=ENOUGH_CHECKPOINTS
            ),
            _("Save and sample every {epochs} epochs, or set saving.keep_last.").format(epochs=count(every))
            if every > 1
            else _("Save less often, or set saving.keep_last."),
            "saving.more_than_usual",
        )
    if saves > MANY_CHECKPOINTS and not config.saving.keep_last:
        yield warning(
            "saving.every_steps",
            _("The run writes {count} LoRA files.").format(count=count(saves)),
            _("Save less often, or set saving.keep_last."),
            "saving.many",
        )
    draws = len(at[SAMPLE])
    if draws > MANY_CHECKPOINTS:
        yield warning(
            "sampling.every_steps",
            _("Samples are drawn {count} times, which takes long.").format(count=count(draws)),
            _("Draw less often."),
            "sampling.many",
        )


RULES = (sampling, validation, saving, restarts)
