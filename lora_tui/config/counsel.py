"""What experience says of a planned run: images for the purpose, showings, repeats, ranks, length. Knows no torch.

Nothing here is wrong with a run; each is a note with its reason and what is usual. The numbers are those of the usual
tutorials: a person or thing learns from 20 to 50 images, each shown about a hundred times; SD1.5 learns it well within
an hour; FLUX.1 in about 3,000 steps with a file at every quarter to choose from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lora_tui.config.cadence import CHECKPOINT, moments
from lora_tui.config.findings import Finding, note
from lora_tui.config.schema import Config
from lora_tui.dataset.set_checks import CONCRETE_RANGE, CONCRETE_USUAL, GENERAL_LEAST
from lora_tui.project import CONCRETE, GENERAL, PURPOSES
from lora_tui.text import _, count, duration

if TYPE_CHECKING:
    from lora_tui.dataset.batches import DataPlan

#: Showings of each image in a whole run of a concrete thing: usual, and so many that it learns the pictures themselves.
USUAL_SHOWINGS, MOST_SHOWINGS = 100, 250
#: Repeats beyond which epochs are so long that there is little to choose from, where there are fewer than so many.
MANY_REPEATS, FEW_EPOCHS = 20, 5
#: Seconds that an SD1.5 or SD2 LoRA usually takes at most on a GPU, and how far beyond it is said.
HOUR, FAR_BEYOND = 3600.0, 1.5
#: Steps of FLUX.1: usual, and far beyond.
FLUX_STEPS, MANY_FLUX_STEPS = 3000, 6000
#: Ranks that suffice for a concrete thing and for a general impression.
CONCRETE_RANK, GENERAL_RANK = 64, 128
SMALL = ("sd15", "sd2")


def advise(config: Config, data: DataPlan, *, purpose: str = "", seconds: float | None = None) -> Iterator[Finding]:
    """Notes on a planned run. ``purpose``: of the project; ``seconds``: that the run is expected to take."""
    kind = PURPOSES[purpose][0] if purpose in PURPOSES else ""
    images = len([planned for planned in data.pictures if not data.entry(planned).regularisation])
    images += len(data.validation)
    if kind:
        yield from _images(images, kind, _(PURPOSES[purpose][1]))
        yield from _rank(config, kind)
    yield from _repeats(config, data)
    yield from _showings(config, data, kind)
    if config.model.family in SMALL and config.memory.device != "cpu":
        yield from _hour(data, seconds)
    if config.model.family == "flux":
        yield from _flux(config, data)


def _images(images: int, kind: str, title: str) -> Iterator[Finding]:
    low, high = CONCRETE_RANGE
    if kind == CONCRETE and images > high:
        yield note(
            "datasets",
            _("{images} images is many for this purpose ({purpose}): {low} to {high} is usual.").format(
                images=count(images), purpose=title, low=low, high=high
            ),
            _(
                "More of the same teach little and cost time; poor ones are learned as well. Keep the best and most "
                "different ones: about {usual} do."
            ).format(usual=CONCRETE_USUAL),
            "advice.many_images",
        )
    least = low if kind == CONCRETE else GENERAL_LEAST if kind == GENERAL else 0
    if images < least:
        yield note(
            "datasets",
            _("{images} images is few for this purpose ({purpose}): {low} and more is usual.").format(
                images=count(images), purpose=title, low=least
            ),
            _("With few, what they share by chance is learned, too: a pose, a background. Add different ones."),
            "advice.few_images",
        )


def _rank(config: Config, kind: str) -> Iterator[Finding]:
    enough = CONCRETE_RANK if kind == CONCRETE else GENERAL_RANK
    if config.network.type in ("lora", "locon") and config.network.rank > enough:
        yield note(
            "network.rank",
            _("Rank {rank} is more than this purpose needs: {enough} is the most that is usual.").format(
                rank=config.network.rank, enough=enough
            ),
            _("A higher rank makes a larger file, takes memory, and learns single pictures by heart sooner."),
            "advice.high_rank",
        )


def _repeats(config: Config, data: DataPlan) -> Iterator[Finding]:
    repeats = max((one.image.repeats for one in data.pictures if not data.entry(one).regularisation), default=1)
    if repeats > MANY_REPEATS and data.total_epochs < FEW_EPOCHS:
        fewer = max(round(repeats * data.total_epochs / 10), 1)
        yield note(
            "datasets",
            _("{repeats} repeats make {epochs} long epochs.").format(
                repeats=count(repeats), epochs=count(data.total_epochs)
            ),
            _(
                "Files are saved and samples drawn at the end of an epoch, so that there is little to choose from. "
                "{fewer} repeats and 10 epochs show the same as often."
            ).format(fewer=count(fewer)),
            "advice.many_repeats",
        )


def _showings(config: Config, data: DataPlan, kind: str) -> Iterator[Finding]:
    pictures = [one for one in data.pictures if not data.entry(one).regularisation]
    shown = data.items_per_epoch * data.total_steps / max(data.steps_per_epoch, 1)
    each = shown / max(len(data.pictures), 1)
    if kind == GENERAL or not pictures or each <= MOST_SHOWINGS:
        return
    factor = USUAL_SHOWINGS / each
    if config.steps.max_steps:
        key, remedy = "steps.max_steps", _("{steps} steps would be about {usual} each.")
        told = remedy.format(steps=count(max(int(data.total_steps * factor), 1)), usual=USUAL_SHOWINGS)
    else:
        key, remedy = "steps.epochs", _("{epochs} epochs would be about {usual} each; with one epoch, lower repeats.")
        told = remedy.format(epochs=count(max(round(config.steps.epochs * factor), 1)), usual=USUAL_SHOWINGS)
    yield note(
        key,
        _("Each image is shown {times} times: long before that a LoRA draws the pictures themselves.").format(
            times=count(round(each))
        ),
        told,
        "advice.many_showings",
    )


def _hour(data: DataPlan, seconds: float | None) -> Iterator[Finding]:
    if seconds is None or seconds <= HOUR * FAR_BEYOND:
        return
    steps = max(int(data.total_steps * HOUR / seconds), 1)
    yield note(
        "steps.max_steps" if data.max_steps else "steps.epochs",
        _("This takes about {time}; a LoRA for such a model is usually done within an hour.").format(
            time=duration(seconds)
        ),
        _("Beyond that it mostly learns the pictures by heart. An hour is about {steps} steps here.").format(
            steps=count(steps)
        ),
        "advice.beyond_an_hour",
    )


def _flux(config: Config, data: DataPlan) -> Iterator[Finding]:
    total = data.total_steps
    if total > MANY_FLUX_STEPS:
        yield note(
            "steps.max_steps",
            _("{total} steps are far more than FLUX.1 usually takes: about {usual}.").format(
                total=count(total), usual=count(FLUX_STEPS)
            ),
            _("Set steps.max_steps to {usual}, with a LoRA file and samples at every quarter.").format(
                usual=FLUX_STEPS
            ),
            "advice.many_flux_steps",
        )
    saves = len(moments(config, data.steps_per_epoch, total)[CHECKPOINT])
    if total >= FLUX_STEPS / 2 and saves < 3:
        yield note(
            "saving.every_steps",
            _("Only {saves} LoRA files are written in {total} steps.").format(saves=saves, total=count(total)),
            _("The best one is often not the last: save and draw samples at every quarter, {steps} steps.").format(
                steps=count(-(-total // 4))
            ),
            "advice.few_saves",
        )
