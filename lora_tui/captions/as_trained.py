"""What the trainer will see of a caption. Pure: the same answer in trainer, cache and preview.

The order of the tags, what is left out of them, which line and which of ``{a|b}`` is taken, and whether a caption is
dropped are keyed by (seed, epoch, image, repeat), so that a resumed run and another number of workers see the same
captions. The steps from a file's text to what is trained, and their order, are sd-scripts'.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING

from lora_tui.captions.choices import first_of, has_choices, with_choices
from lora_tui.captions.document import CaptionDocument, split_lines
from lora_tui.captions.profile import OURS, Profile
from lora_tui.captions.view import Zone, caption_view, without_marks
from lora_tui.config.entries import FOLDER, settings_of
from lora_tui.keyed import keyed_random

if TYPE_CHECKING:
    from lora_tui.config.schema import Config

SEPARATOR = ", "


@dataclass(frozen=True)
class CaptionRules:
    """How captions are varied.

    Attributes:
        shuffle: another order of the tags each time.
        keep_tokens: this many tags stay in front; those that are tied together count as one.
        keep_separator: ends the tags that stay in front, and begins those that stay at the end; empty for none.
        secondary_separator: ties tags that are shuffled as one; empty for none.
        dropout: share of the time, 0 to 1, that the caption is left empty.
        variants: 0 for a new caption each time; n for one of n that are fixed for each image, so that they can be
            cached.
        prefix, suffix: text before and after each caption, with a blank between.
        placeholder: text in captions that stands for ``trigger``; empty for none.
        tag_dropout: share of the tags, 0 to 1, that is left out each time; those that stay in front or at the end
            are not.
        dropout_epochs: all captions are left empty in each so-many-th epoch; 0 for never.
        warmup_steps: until this step more and more of the tags are shown, from ``warmup_tags`` on; 0 for all at once.
        wildcards: one of ``{a|b}`` is taken each time.
        random_line: one of the lines that are not blank is taken each time, else the first.
        weighted: ``(a:1.2)`` weighs a tag; the text itself stays as it is.
        missing: the caption of an image without one, see :func:`words_for`.
    """

    shuffle: bool = False
    keep_tokens: int = 0
    dropout: float = 0.0
    variants: int = 0
    keep_separator: str = OURS.keep_separator
    secondary_separator: str = OURS.secondary_separator
    prefix: str = ""
    suffix: str = ""
    placeholder: str = ""
    trigger: str = ""
    tag_dropout: float = 0.0
    dropout_epochs: int = 0
    warmup_steps: int = 0
    warmup_tags: int = 1
    wildcards: bool = False
    random_line: bool = False
    weighted: bool = False
    missing: str = ""

    @property
    def profile(self) -> Profile:
        """How captions are cut by these rules."""
        return _profile(self)

    @property
    def cuts(self) -> bool:
        """Whether captions are taken apart into their tags."""
        return self.shuffle or self.tag_dropout > 0 or self.warmup_steps > 0


@lru_cache(maxsize=64)
def _profile(rules: CaptionRules) -> Profile:
    return replace(
        OURS,
        keep_tokens=rules.keep_tokens,
        keep_separator=rules.keep_separator,
        secondary_separator=rules.secondary_separator,
        lines="one_random" if rules.random_line else "first",
        wildcards=rules.wildcards,
        weights=rules.weighted,
    )


def rules_for(config: Config, dataset: int | None = None) -> CaptionRules:
    """The rules of a configuration, in general or for the images of one dataset.

    The number of captions is limited only where text embeddings are cached.
    """
    captions = config.captions if dataset is None else settings_of(config, dataset).captions
    return CaptionRules(
        shuffle=captions.shuffle,
        keep_tokens=captions.keep_tokens,
        dropout=captions.dropout,
        variants=captions.variants if config.keeps_text else 0,
        keep_separator=captions.keep_separator.strip(),
        secondary_separator=captions.secondary_separator.strip(),
        prefix=captions.prefix.strip(),
        suffix=captions.suffix.strip(),
        placeholder=captions.placeholder.strip(),
        trigger=config.saving.trigger.strip(),
        tag_dropout=captions.tag_dropout,
        dropout_epochs=captions.dropout_epochs,
        warmup_steps=captions.tag_warmup,
        warmup_tags=captions.tag_warmup_from,
        wildcards=captions.wildcards,
        random_line=captions.lines == "random",
        weighted=captions.weighted,
        missing=captions.missing.strip(),
    )


def caption_text(document_or_text: CaptionDocument | str) -> str:
    """The caption that is trained: the first line that is not blank, stripped; empty when there is none."""
    if isinstance(document_or_text, CaptionDocument):
        return document_or_text.first_line
    return next((line.strip() for line in split_lines(document_or_text) if line.strip()), "")


def source_text(document: CaptionDocument, rules: CaptionRules) -> str:
    """What :func:`caption_for` needs of a caption file: its first line, or all that are not blank, a line each."""
    if not rules.random_line:
        return caption_text(document)
    return "\n".join(line.strip() for line in split_lines(document.text) if line.strip())


def words_for(folder: str, missing: str) -> str:
    """The caption of an image that has none: ``{folder}`` stands for ``sks girl`` in a folder named ``10_sks girl``."""
    number, line, words = folder.partition("_")
    return " ".join(missing.replace(FOLDER, words if line and number.isdecimal() else folder).split())


def tags_in(text: str, rules: CaptionRules) -> tuple[str, ...]:
    """The tags of what :func:`source_text` gave, as they are written, without the marks between them."""
    return tuple(text[item.start : item.end] for item in caption_view(text, rules.profile).items)


def whole_caption(text: str, rules: CaptionRules) -> str:
    """What is trained of a caption where nothing may vary: its first line, the first of ``{a|b}``, every tag.

    Commas stand for the marks in it.
    """
    line = _framed(text.partition("\n")[0], rules)
    return without_marks(with_choices(line, first_of) if rules.wildcards else line, rules.profile)


def longest_caption(text: str, rules: CaptionRules, measure: Callable[[str], int]) -> str:
    """The longest caption that can be shown, by ``measure``, such as a count of tokens."""

    def widest(alternatives: Sequence[str]) -> str:
        return max(alternatives, key=measure)

    lines = [_framed(line, rules) for line in text.split("\n")]
    if rules.wildcards:
        lines = [with_choices(line, widest) for line in lines]
    captions = [without_marks(line, rules.profile) for line in lines]
    return captions[0] if len(captions) == 1 else max(captions, key=measure)


def caption_for(
    text: str, rules: CaptionRules, *, seed: int, epoch: int, uid: str, repeat: int, step: int | None = None
) -> str:
    """The caption of one showing of one image.

    Args:
        text: what :func:`source_text` gave.
        epoch: from 0.
        uid: the image's name in its datasets.
        repeat: which showing within the epoch, from 0.
        step: how many updates are behind, for the warm-up of tags; none when that is over.

    Returns:
        The empty string when dropped; the caption in its own spelling when nothing takes it apart; else its tags in
        their order, joined by a comma and a space.
    """
    if _is_dropped(rules, seed, epoch, uid, repeat):
        return ""
    behind = None if step is None or step >= rules.warmup_steps else step
    if rules.variants > 0 and behind is not None:
        return _stage(text, rules, seed, uid, behind * rules.variants // rules.warmup_steps)
    if rules.variants > 0 and _varies(text, rules):
        variant = keyed_random("caption variant", seed, epoch, uid, repeat).randrange(rules.variants)
        return _made(text, rules, _Draws("caption variant", (seed, uid, variant)))
    return _made(text, rules, _Draws("caption", (seed, epoch, uid, repeat)), behind)


def first_captions(
    document: CaptionDocument, config: Config, *, dataset: int, name: str, steps_per_epoch: int = 0, epochs: int = 2
) -> tuple[str, ...]:
    """The first showing of an image in each of the first ``epochs``, at the step where the epoch begins.

    ``name`` is relative to the dataset's folder. ``steps_per_epoch`` of 0 is unknown: then tags are warm from the
    second epoch on.
    """
    rules, uid, found = rules_for(config, dataset), f"{dataset}/{name}", []
    for epoch in range(epochs):
        step = epoch * steps_per_epoch if steps_per_epoch or not epoch else None
        text = source_text(document, rules)
        found.append(caption_for(text, rules, seed=config.steps.seed, epoch=epoch, uid=uid, repeat=0, step=step))
    return tuple(found)


def possible_captions(text: str, rules: CaptionRules, *, seed: int, uid: str) -> tuple[str, ...]:
    """Every caption that :func:`caption_for` can give for this image, each once, for caching.

    At most ``variants``, twice as many with a warm-up of tags, and the empty one.

    Raises:
        ValueError: a new one is drawn each time, so there is no list of them.
    """
    if rules.dropout >= 1 or rules.dropout_epochs == 1:
        return ("",)
    varies = _varies(text, rules)
    if rules.variants < 1 and (varies or rules.warmup_steps > 0):
        raise ValueError("captions that are drawn anew each time cannot be listed")
    numbers = range(rules.variants if varies else 1)
    found = [_made(text, rules, _Draws("caption variant", (seed, uid, number))) for number in numbers]
    if rules.warmup_steps > 0:
        found += [_stage(text, rules, seed, uid, number) for number in range(rules.variants)]
    if rules.dropout > 0 or rules.dropout_epochs > 0:
        found.append("")
    return tuple(dict.fromkeys(found))


@dataclass(frozen=True)
class _Draws:
    """Random numbers by what they are for; two that share ``label`` and ``parts`` are equal."""

    label: str
    parts: tuple[str | int, ...]

    def of(self, purpose: str) -> random.Random:
        return keyed_random(f"{self.label} {purpose}", *self.parts)


def _is_dropped(rules: CaptionRules, seed: int, epoch: int, uid: str, repeat: int) -> bool:
    if rules.dropout_epochs > 0 and (epoch + 1) % rules.dropout_epochs == 0:
        return True
    return rules.dropout > 0 and keyed_random("caption dropout", seed, epoch, uid, repeat).random() < rules.dropout


def _varies(text: str, rules: CaptionRules) -> bool:
    """Whether two showings of a caption can differ, the warm-up and dropping the whole aside."""
    if rules.shuffle or rules.tag_dropout > 0 or (rules.random_line and "\n" in text):
        return True
    return rules.wildcards and any(has_choices(part) for part in (text, rules.prefix, rules.suffix))


def _stage(text: str, rules: CaptionRules, seed: int, uid: str, number: int) -> str:
    """The caption of one of the ``variants`` stretches of the warm-up, where captions are cached."""
    behind = -(-number * rules.warmup_steps // rules.variants)
    return _made(text, rules, _Draws("caption variant", (seed, uid, number)), behind)


def _made(text: str, rules: CaptionRules, draws: _Draws, behind: int | None = None) -> str:
    """A caption with one outcome of all that is open; ``behind``: updates behind while tags warm up."""
    lines = text.split("\n")
    line = _framed(draws.of("line").choice(lines) if rules.random_line and len(lines) > 1 else lines[0], rules)
    if rules.wildcards:
        line = with_choices(line, draws.of("wildcards").choice)
    return _arranged(line, rules, draws, behind) if rules.cuts else without_marks(line, rules.profile)


def _framed(line: str, rules: CaptionRules) -> str:
    """A line with prefix and suffix, and the trigger where something stands for it."""
    framed = " ".join(filter(None, (rules.prefix, line, rules.suffix)))
    return framed.replace(rules.placeholder, rules.trigger) if rules.placeholder else framed


def _arranged(line: str, rules: CaptionRules, draws: _Draws, behind: int | None) -> str:
    """The tags of a line: fewer while they warm up, in another order, some left out."""
    zones: dict[Zone, list[str]] = {"keep": [], "free": [], "suffix": []}
    for _unit, tied in groupby(caption_view(line, rules.profile).items, lambda item: item.unit):
        first, *others = tied
        zones[first.zone].append(SEPARATOR.join(line[item.start : item.end] for item in (first, *others)))
    free = zones["free"]
    if behind is not None:
        spare = max(len(free) - rules.warmup_tags, 0)
        free = free[: rules.warmup_tags + behind * spare // rules.warmup_steps]
    if rules.shuffle and len(free) > 1:
        draws.of("order").shuffle(free)
    if rules.tag_dropout > 0:
        chance = draws.of("tag dropout")
        free = [tag for tag in free if chance.random() >= rules.tag_dropout]
    return SEPARATOR.join([*zones["keep"], *free, *zones["suffix"]])
