"""Captions: which files are read, and what is made of them before they are trained."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lora_tui.config.findings import Finding, error, note, warning
from lora_tui.config.mistakes import shown
from lora_tui.config.schema import Config
from lora_tui.text import _, count

if TYPE_CHECKING:
    from lora_tui.dataset.batches import DataPlan


def files(config: Config) -> Iterator[Finding]:
    """The endings of caption files."""
    section = config.captions
    if not section.extensions:
        yield error(
            "captions.extensions",
            _("No ending of caption files is listed: no caption would be read."),
            _('Set captions.extensions to [".txt", ".caption"].'),
            "captions.no_extension",
        )
    for extension in section.extensions:
        if not re.fullmatch(r"\.[^/\x00]+", extension):
            yield error(
                "captions.extensions",
                _("{text} is no file ending.").format(text=shown(extension)),
                _("An ending starts with a dot: .txt"),
                "captions.extension",
            )


def marks(config: Config) -> Iterator[Finding]:
    """The signs between tags that say more than a comma."""
    section = config.captions
    for name, mark in (
        ("keep_separator", section.keep_separator),
        ("secondary_separator", section.secondary_separator),
    ):
        if mark and (not mark.strip() or "," in mark or any(char in mark for char in "()[]{}\\\r\n")):
            yield error(
                f"captions.{name}",
                _("{text} cannot be told from what stands in captions.").format(text=shown(mark)),
                _("Use signs without commas and brackets, such as ||| and ;;;, or none."),
                "captions.separator",
            )
    if section.keep_separator.strip() and section.keep_separator.strip() == section.secondary_separator.strip():
        yield error(
            "captions.secondary_separator",
            _("One mark cannot both end the fixed tags and tie tags together."),
            _("Use another one, or none."),
            "captions.separator",
        )


def dropped(config: Config) -> Iterator[Finding]:
    """Captions and tags that are left out."""
    section = config.captions
    if section.dropout >= 1 or section.dropout_epochs == 1:
        yield warning(
            "captions.dropout" if section.dropout >= 1 else "captions.dropout_epochs",
            _("Every caption is dropped: the LoRA learns nothing of the words."),
            _("Use 0 to 0.1.") if section.dropout >= 1 else _("Use 0, or 5 for every fifth epoch."),
            "captions.all_dropped",
        )
    elif section.dropout > 0.5:
        yield warning(
            "captions.dropout",
            _("More than half of the captions are dropped."),
            _("Use 0 to 0.1."),
            "captions.high_dropout",
        )
    if section.dropout_epochs > 1 and not config.steps.max_steps and section.dropout_epochs > config.steps.epochs:
        yield warning(
            "captions.dropout_epochs",
            _("The run ends before epoch {epoch}: no caption is dropped.").format(epoch=count(section.dropout_epochs)),
            _("Use a smaller number, or 0."),
            "config.no_effect",
        )
    if section.tag_dropout >= 1:
        yield warning(
            "captions.tag_dropout",
            _("Every tag is dropped but those that are kept in front."),
            _("Use 0 to 0.3."),
            "captions.all_tags_dropped",
        )


def trigger(config: Config) -> Iterator[Finding]:
    """The trigger word in its captions: put there, and kept there."""
    section = config.captions
    if section.placeholder.strip() and not config.saving.trigger.strip():
        yield error(
            "captions.placeholder",
            _("{text} stands for the trigger word, but there is none.").format(text=shown(section.placeholder)),
            _("Set saving.trigger, or leave captions.placeholder empty."),
            "captions.no_trigger",
        )
    fixed = section.keep_tokens > 0 or bool(section.keep_separator and section.keep_separator in section.prefix)
    if section.prefix.strip() and (section.shuffle or section.tag_dropout > 0) and not fixed:
        yield warning(
            "captions.prefix",
            _("What is put in front of captions is shuffled or dropped with the other tags."),
            _("Set captions.keep_tokens to 1, or end it with the mark {mark}.").format(
                mark=shown(section.keep_separator or "|||")
            ),
            "captions.prefix_moves",
        )
    elif section.tag_dropout > 0 and config.saving.trigger.strip() and not fixed:
        yield note(
            "captions.tag_dropout",
            _("The trigger word is dropped like any other tag, unless a mark in the captions keeps it in front."),
            _("Set captions.keep_tokens to 1 when it comes first."),
            "captions.trigger_dropped",
        )


def plan(config: Config, data: DataPlan) -> Iterator[Finding]:
    """A warm-up of tags that outlasts the run."""
    if config.captions.tag_warmup >= data.total_steps:
        yield warning(
            "captions.tag_warmup",
            _("The warm-up of tags is not over when the run ends at step {total}: some tags are never trained.").format(
                total=count(data.total_steps)
            ),
            _("Use about a fifth of the run: {steps} steps.").format(steps=max(data.total_steps // 5, 1)),
            "captions.long_warmup",
        )


RULES = (files, marks, dropped, trigger)
