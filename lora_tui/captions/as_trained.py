"""What the trainer will see of a caption. Pure: the same answer in trainer, cache and preview.

The order of the tags and whether a caption is dropped are keyed by (seed, epoch, image, repeat), so
that a resumed run and another number of workers see the same captions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING

from lora_tui.captions.document import CaptionDocument, split_lines
from lora_tui.captions.profile import OURS, Profile
from lora_tui.captions.view import Zone, caption_view, without_marks
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
        variants: 0 for a new order each time; n for one of n orders fixed for each image, so that they
            can be cached.
    """

    shuffle: bool = False
    keep_tokens: int = 0
    dropout: float = 0.0
    variants: int = 0
    keep_separator: str = OURS.keep_separator
    secondary_separator: str = OURS.secondary_separator

    @property
    def profile(self) -> Profile:
        """How captions are cut by these rules."""
        return _profile(self.keep_tokens, self.keep_separator, self.secondary_separator)


@lru_cache(maxsize=64)
def _profile(keep_tokens: int, keep_separator: str, secondary_separator: str) -> Profile:
    return replace(
        OURS, keep_tokens=keep_tokens, keep_separator=keep_separator, secondary_separator=secondary_separator
    )


def rules_for(config: Config) -> CaptionRules:
    """The rules that a configuration asks for: fixed orders only when the text encoder is not trained."""
    captions = config.captions
    return CaptionRules(
        shuffle=captions.shuffle,
        keep_tokens=captions.keep_tokens,
        dropout=captions.dropout,
        variants=0 if config.network.text_encoder else captions.variants,
        keep_separator=captions.keep_separator.strip(),
        secondary_separator=captions.secondary_separator.strip(),
    )


def caption_text(document_or_text: CaptionDocument | str) -> str:
    """The caption that is trained: the first line that is not blank, stripped; empty when there is none."""
    if isinstance(document_or_text, CaptionDocument):
        return document_or_text.first_line
    return next((line.strip() for line in split_lines(document_or_text) if line.strip()), "")


def tags_in(text: str, rules: CaptionRules) -> tuple[str, ...]:
    """The tags of what :func:`caption_text` gave, as they are written, without the marks between them."""
    return tuple(text[item.start : item.end] for item in caption_view(text, rules.profile).items)


def whole_caption(text: str, rules: CaptionRules) -> str:
    """What is trained of a caption that is neither shuffled nor dropped: its text, with commas for the marks in it."""
    return without_marks(text, rules.profile)


def caption_for(text: str, rules: CaptionRules, *, seed: int, epoch: int, uid: str, repeat: int) -> str:
    """The caption of one showing of one image.

    Args:
        text: what :func:`caption_text` gave.
        epoch: from 0.
        uid: the image's name in its datasets.
        repeat: which showing within the epoch, from 0.

    Returns:
        The empty string when dropped; :func:`whole_caption` when tags are not shuffled; else the tags in
        their order, joined by a comma and a space.
    """
    if rules.dropout > 0 and keyed_random("caption dropout", seed, epoch, uid, repeat).random() < rules.dropout:
        return ""
    if not rules.shuffle or not text:
        return whole_caption(text, rules)
    if rules.variants > 0:
        variant = keyed_random("caption variant", seed, epoch, uid, repeat).randrange(rules.variants)
        return _variant(text, rules, seed, uid, variant)
    return _shuffled(text, rules, "caption order", seed, epoch, uid, repeat)


def possible_captions(text: str, rules: CaptionRules, *, seed: int, uid: str) -> tuple[str, ...]:
    """Every caption that :func:`caption_for` can give for this image, each once, for caching.

    Raises:
        ValueError: a new order is drawn each time, so there is no list of them.
    """
    if rules.dropout >= 1:
        return ("",)
    if not rules.shuffle or not text:
        found = [whole_caption(text, rules)]
    elif rules.variants > 0:
        found = [_variant(text, rules, seed, uid, variant) for variant in range(rules.variants)]
    else:
        raise ValueError("captions in a new order each time cannot be listed")
    if rules.dropout > 0:
        found.append("")
    return tuple(dict.fromkeys(found))


def _variant(text: str, rules: CaptionRules, seed: int, uid: str, variant: int) -> str:
    return _shuffled(text, rules, "caption variant order", seed, uid, variant)


def _shuffled(text: str, rules: CaptionRules, *key: str | int) -> str:
    zones: dict[Zone, list[str]] = {"keep": [], "free": [], "suffix": []}
    for _unit, tied in groupby(caption_view(text, rules.profile).items, lambda item: item.unit):
        first, *others = tied
        zones[first.zone].append(SEPARATOR.join(text[item.start : item.end] for item in (first, *others)))
    if len(zones["free"]) > 1:
        keyed_random(*key).shuffle(zones["free"])
    return SEPARATOR.join([*zones["keep"], *zones["free"], *zones["suffix"]])
