"""A recommendation in words: from scores, or from the validation loss where no model looked. Knows no torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from lora_tui.grids.files import files_of_run
from lora_tui.records.best import checkpoints_of
from lora_tui.runs.folder import RunFolder
from lora_tui.scores.told import Choice, Recommendation, References
from lora_tui.text import _, ngettext, number

SHOWN = 4
"""Choices that a sentence names."""


def name_of(checkpoint: str, strength: str) -> str:
    """A choice as a person reads it."""
    return _("{checkpoint} at {strength}").format(checkpoint=checkpoint, strength=strength) if checkpoint else strength


def by_scores(choices: Sequence[Choice], told: References, *, called: int, seeds: int) -> Recommendation:
    """The best of ``choices`` that have scores, and why.

    Args:
        called: how many pictures of each choice with the trigger word were compared.
        seeds: how many different ones all of them have.
    """
    worn = [one for one in choices if not one.base and one.score is not None]
    best = max(worn, key=lambda one: (one.score or 0.0, -one.step))
    tied = [one for one in worn if one.tied and one is not best]
    reasons = [
        *_of_likeness(best, told),
        *_of_prompt(best, told),
        *_of_bleed(best),
        *_of_variety(best, choices),
        *_of_faults(best, called),
        *_of_others(best, worn, tied),
        *_of_sureness(best, choices, called, seeds),
    ]
    return Recommendation(
        best.checkpoint, best.strength, "scores", best.cells, best.score, best.low, best.high, close=bool(tied),
        tied_cells=tuple(key for one in tied for key in one.cells), reasons=tuple(reasons),
    )  # fmt: skip


def _of_likeness(best: Choice, told: References) -> Iterator[str]:
    if best.likeness is not None and told.base is not None:
        yield _(
            "Likeness to the training images: {value}; without the LoRA {base}, training images to each other {among}."
        ).format(value=_cosine(best.likeness), base=_cosine(told.base), among=_cosine(told.among))
    elif best.likeness is not None:
        yield _("Likeness to the training images: {value}; training images to each other {among}.").format(
            value=_cosine(best.likeness), among=_cosine(told.among)
        )
    if best.held_out is not None:
        yield ngettext(
            "To {count} image held out of training: {value}.", "To {count} images held out of training: {value}.",
            told.held_out,
        ).format(count=told.held_out, value=_cosine(best.held_out))  # fmt: skip


def _of_prompt(best: Choice, told: References) -> Iterator[str]:
    if best.prompt_plain is not None and told.own_prompt is not None:
        yield _("Fit to the prompt, the trigger word left out: {value}; without the LoRA {base}.").format(
            value=_cosine(best.prompt_plain), base=_cosine(told.own_prompt)
        )


def _of_bleed(best: Choice) -> Iterator[str]:
    if best.bleed is not None and best.leak is not None:
        yield _("Without the trigger word it changes pictures by {change}, and their likeness by {leak}.").format(
            change=_cosine(best.bleed), leak=_cosine(best.leak)
        )


def _of_variety(best: Choice, choices: Sequence[Choice]) -> Iterator[str]:
    base = next((one.variety for one in choices if one.base), None)
    if best.variety is not None and base is not None:
        yield _("Pictures of one prompt differ by {value} from seed to seed; without the LoRA by {base}.").format(
            value=_cosine(best.variety), base=_cosine(base)
        )


def _of_faults(best: Choice, called: int) -> Iterator[str]:
    if best.copies:
        yield ngettext(
            "{count} of {total} pictures is nearly a copy of a training image: look at it.",
            "{count} of {total} pictures are nearly copies of training images: look at them.",
            best.copies,
        ).format(count=best.copies, total=called)
    if best.blanks:
        yield ngettext(
            "{count} picture is of one colour.", "{count} pictures are of one colour.", best.blanks
        ).format(count=best.blanks)  # fmt: skip


def _of_others(best: Choice, worn: Sequence[Choice], tied: Sequence[Choice]) -> Iterator[str]:
    others = sorted((one for one in worn if one is not best), key=lambda one: one.behind or 0.0)
    if not others:
        yield _("There is nothing else to choose from.")
    elif tied:
        nearest = [one for one in others if one.tied]
        names = "; ".join(name_of(one.checkpoint, one.strength) for one in nearest[:SHOWN])
        shown = names if len(tied) <= SHOWN else f"{names} …"
        yield ngettext(
            "Too close to call: {count} other cannot be told apart from it: {names}.",
            "Too close to call: {count} others cannot be told apart from it: {names}.",
            len(tied),
        ).format(count=len(tied), names=shown)
        first = min((one for one in (best, *tied) if one.step), key=lambda one: one.step, default=None)
        if first is not None and first.step < best.step:
            yield _("The earliest of them is {name}.").format(name=name_of(first.checkpoint, first.strength))
    elif others[0].behind_low is not None:
        yield _("The next one, {name}, is behind it by {value} ({low} to {high}).").format(
            name=name_of(others[0].checkpoint, others[0].strength), value=number(others[0].behind, 2),
            low=number(others[0].behind_low, 2), high=number(others[0].behind_high, 2),
        )  # fmt: skip


def _of_sureness(best: Choice, choices: Sequence[Choice], called: int, seeds: int) -> Iterator[str]:
    base = next((one for one in choices if one.base), None)
    if base is not None and base.behind_low is not None and base.behind_low <= 0:
        yield _("It cannot be told apart from the base model without any LoRA.")
    if called < 2:
        yield _("From one picture of each nothing is sure: draw more prompts and seeds (--page seed=1-4).")
    elif seeds < 2:
        yield _("All is of one seed: how others would come out is not in the interval (--page seed=1-4 adds some).")
    elif best.low is not None:
        yield ngettext(
            "The interval is from {count} prompt and seed.", "The interval is from {count} prompts and seeds.", called
        ).format(count=called)  # fmt: skip


def by_validation(choices: Sequence[Choice], run: RunFolder | None, *, looked: bool = False) -> Recommendation | None:
    """The checkpoint of the lowest validation loss, at the strength nearest to 1; none where nothing was measured.

    ``looked``: models looked at the pictures, but nothing of what they saw tells choices apart.
    """
    if run is None:
        return None
    steps = {one.step: one for one in files_of_run(run)}
    measured = {
        one.step: one.validation
        for one in checkpoints_of(run)
        if one.step in steps and one.validation is not None and math.isfinite(one.validation)
    }
    worn = [one for one in choices if not one.base and one.step in measured]
    if not worn:
        return None
    best = min(worn, key=lambda one: (measured[one.step], one.step, abs((one.weight or 0) - 1)))
    reasons = [
        _("Its validation loss of {loss} is the lowest of {count}.").format(
            loss=number(measured[best.step], 4), count=len({one.step for one in worn})
        ),
        _("What was measured of the pictures does not tell them apart.") if looked
        else _("No model looked at the pictures."),
        _("The loss tells nothing of strengths: {strength} is as it was trained, or the nearest to it.").format(
            strength=best.strength
        ),
    ]  # fmt: skip
    if not looked:
        reasons.append(_("A model for likeness and prompts makes this surer: lora-tui grid score --encoder FOLDER"))
    return Recommendation(best.checkpoint, best.strength, "validation", best.cells, reasons=tuple(reasons))


def _cosine(value: float | None) -> str:
    return f"{value + 0.0:.2f}" if value is not None else "-"
