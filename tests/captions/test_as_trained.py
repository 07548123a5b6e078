"""The captions that training sees: the same for the same key, nothing lost, nothing invented."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lora_tui.captions.as_trained import (
    CaptionRules,
    caption_for,
    caption_text,
    first_captions,
    longest_caption,
    possible_captions,
    rules_for,
    source_text,
    tags_in,
    whole_caption,
)
from lora_tui.captions.document import CaptionDocument
from lora_tui.captions.view import caption_view
from lora_tui.config.schema import Config

TAGS = "hatgirl, 1girl, black hair, smile, outdoors, looking at viewer"

PIECES = st.sampled_from(["a", "b c", ", ", ",", ";;;", " ||| ", "(", ")", "{", "}", "(x, y:1.2)", " "])
LINES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=60),
    st.lists(PIECES, max_size=12).map("".join),
).map(str.strip)
RULES = st.builds(
    CaptionRules,
    shuffle=st.booleans(),
    keep_tokens=st.integers(0, 4),
    dropout=st.sampled_from([0.0, 0.3, 1.0]),
    variants=st.integers(0, 5),
    keep_separator=st.sampled_from(["|||", ""]),
    secondary_separator=st.sampled_from([";;;", "", "+++"]),
)
RICH = st.builds(
    CaptionRules,
    shuffle=st.booleans(),
    keep_tokens=st.integers(0, 2),
    dropout=st.sampled_from([0.0, 0.3]),
    variants=st.integers(1, 5),
    prefix=st.sampled_from(["", "sks, ", "[w] |||"]),
    suffix=st.sampled_from(["", ", {end|tail}"]),
    placeholder=st.sampled_from(["", "[w]"]),
    trigger=st.just("hatgirl"),
    tag_dropout=st.sampled_from([0.0, 0.5]),
    dropout_epochs=st.sampled_from([0, 3]),
    warmup_steps=st.sampled_from([0, 1, 7, 100]),
    warmup_tags=st.integers(0, 3),
    wildcards=st.booleans(),
    random_line=st.booleans(),
)
SEEDS, UIDS, COUNTS = st.integers(0, 2**32 - 1), st.text(max_size=12), st.integers(0, 5)


@given(LINES, RULES, COUNTS, COUNTS, SEEDS, UIDS)
def test_the_same_showing_has_the_same_caption(
    text: str, rules: CaptionRules, epoch: int, repeat: int, seed: int, uid: str
) -> None:
    first = caption_for(text, rules, seed=seed, epoch=epoch, uid=uid, repeat=repeat)
    assert first == caption_for(text, rules, seed=seed, epoch=epoch, uid=uid, repeat=repeat)


@given(LINES, RULES, COUNTS, COUNTS, SEEDS, UIDS)
def test_shuffling_keeps_every_tag_and_the_first_ones_in_front(
    text: str, rules: CaptionRules, epoch: int, repeat: int, seed: int, uid: str
) -> None:
    shown = caption_for(text, replace(rules, dropout=0.0), seed=seed, epoch=epoch, uid=uid, repeat=repeat)
    marks = [mark for mark in (rules.keep_separator, rules.secondary_separator) if mark and mark in text]
    if not rules.shuffle and not marks:
        assert shown == text
        return
    items = caption_view(text, rules.profile).items
    before = [text[item.start : item.end] for item in items]
    assert sorted(shown) == sorted(", ".join(before))
    fixed = [text[item.start : item.end] for item in items if item.zone == "keep"]
    if not any(item.zone != "keep" and item.unit == other.unit for item in items for other in items[: len(fixed)]):
        assert (shown + ", ").startswith("".join(f"{tag}, " for tag in fixed))
    if not rules.shuffle:
        assert shown == ", ".join(before)


@given(st.integers(0, 50), st.booleans())
def test_marks_fix_and_tie_tags_and_are_not_trained(epoch: int, listed: bool) -> None:
    rules = CaptionRules(shuffle=True, keep_tokens=1, variants=5 * listed)
    text = "sks, 1girl ||| a, b;;;c, (x, y:1.2), d ||| end, tail"
    shown = caption_for(text, rules, seed=1, epoch=epoch, uid="a", repeat=0)
    assert shown.startswith("sks, 1girl, ")
    assert shown.endswith(", end, tail")
    assert "b, c" in shown
    assert "(x, y:1.2)" in shown
    assert sorted(shown) == sorted("sks, 1girl, a, b, c, (x, y:1.2), d, end, tail")
    assert whole_caption(text, rules) == "sks, 1girl, a, b, c, (x, y:1.2), d, end, tail"
    assert tags_in(text, rules)[:3] == ("sks", "1girl", "a")


def test_tags_that_are_tied_count_as_one_of_those_in_front() -> None:
    rules = CaptionRules(shuffle=True, keep_tokens=2)
    shown = {caption_for("a;;;b, c, d, e", rules, seed=1, epoch=n, uid="a", repeat=0) for n in range(40)}
    assert shown == {"a, b, c, d, e", "a, b, c, e, d"}


def test_other_marks_or_none() -> None:
    rules = CaptionRules(keep_separator="", secondary_separator="+")
    assert whole_caption("a ||| b+c", rules) == "a ||| b, c"
    assert whole_caption("a ||| b;;;c", rules) == "a ||| b;;;c"


@given(LINES, RULES.filter(lambda rules: rules.variants > 0 or not rules.shuffle), SEEDS, UIDS)
def test_the_listed_captions_are_those_that_can_be_shown(text: str, rules: CaptionRules, seed: int, uid: str) -> None:
    listed = possible_captions(text, rules, seed=seed, uid=uid)
    assert len(set(listed)) == len(listed)
    shown = {
        caption_for(text, rules, seed=seed, epoch=epoch, uid=uid, repeat=repeat)
        for epoch in range(6)
        for repeat in range(6)
    }
    assert shown <= set(listed)
    assert ("" in listed) == (
        rules.dropout > 0 or whole_caption(text, rules) == "" or (rules.shuffle and not tags_in(text, rules))
    )


def test_all_listed_variants_come_up() -> None:
    rules = CaptionRules(shuffle=True, variants=4, dropout=0.2)
    listed = possible_captions(TAGS, rules, seed=1, uid="0/a.png")
    shown = {caption_for(TAGS, rules, seed=1, epoch=epoch, uid="0/a.png", repeat=0) for epoch in range(200)}
    assert shown == set(listed)
    assert len(listed) == 5


def test_new_orders_each_time_cannot_be_listed() -> None:
    with pytest.raises(ValueError, match="listed"):
        possible_captions(TAGS, CaptionRules(shuffle=True), seed=1, uid="0/a.png")


def test_epochs_repeats_and_images_differ() -> None:
    rules = CaptionRules(shuffle=True)
    seen = {
        caption_for(TAGS, rules, seed=seed, epoch=epoch, uid=uid, repeat=repeat)
        for seed, epoch, uid, repeat in [(1, 0, "a", 0), (2, 0, "a", 0), (1, 1, "a", 0), (1, 0, "b", 0), (1, 0, "a", 1)]
    }
    assert len(seen) > 3


def test_dropout_takes_its_share() -> None:
    rules = CaptionRules(dropout=0.25)
    dropped = sum(
        caption_for(TAGS, rules, seed=7, epoch=epoch, uid=f"0/{image}", repeat=0) == ""
        for epoch in range(20)
        for image in range(100)
    )
    assert 0.21 < dropped / 2000 < 0.29


def test_unshuffled_text_is_left_alone() -> None:
    text = "A girl , sitting;  outside"
    assert caption_for(text, CaptionRules(), seed=1, epoch=0, uid="a", repeat=0) == text


def test_the_trained_line_is_the_first_that_is_not_blank() -> None:
    assert caption_text("\n\r\n  a, b \nsecond") == "a, b"
    assert caption_text(CaptionDocument.parse(b"\xef\xbb\xbf\r\na, b\r\nc")) == "a, b"
    assert caption_text(" \n ") == ""


def test_orders_are_fixed_only_when_embeddings_are_cached() -> None:
    config = Config()
    config.captions.shuffle = True
    config.captions.keep_tokens = 2
    config.captions.variants = 9
    config.network.text_encoder = True
    assert rules_for(config) == CaptionRules(shuffle=True, keep_tokens=2, variants=0)
    config.network.text_encoder = False
    assert rules_for(config) == CaptionRules(shuffle=True, keep_tokens=2, variants=9)


@given(st.lists(LINES, min_size=1, max_size=3).map("\n".join), RICH, COUNTS, COUNTS, SEEDS, st.integers(0, 120))
def test_whatever_varies_is_listed_keyed_and_bounded(
    text: str, rules: CaptionRules, epoch: int, repeat: int, seed: int, step: int
) -> None:
    listed = possible_captions(text, rules, seed=seed, uid="0/a.png")
    assert len(listed) <= 2 * rules.variants + 1
    shown = caption_for(text, rules, seed=seed, epoch=epoch, uid="0/a.png", repeat=repeat, step=step)
    assert shown in listed
    assert shown == caption_for(text, rules, seed=seed, epoch=epoch, uid="0/a.png", repeat=repeat, step=step)
    assert len(shown) <= len(longest_caption(text, rules, len)) or rules.cuts  # there commas get a blank


def _shown(text: str, rules: CaptionRules, *, step: int | None = None, epochs: int = 60) -> list[str]:
    return [caption_for(text, rules, seed=1, epoch=n, uid="a", repeat=0, step=step) for n in range(epochs)]


def test_tags_warm_up_from_the_front_as_in_sd_scripts() -> None:
    """floor(step * (tags - first) / steps) + first of the tags that are not kept in front."""
    rules = CaptionRules(keep_tokens=1, warmup_steps=10, warmup_tags=2)
    tags = "sks, a, b, c, d, e, f, g"
    for step in range(14):
        number = 2 + step * (7 - 2) // 10 if step < 10 else 7
        assert _shown(tags, rules, step=step, epochs=1) == [", ".join(tags.split(", ")[: 1 + number])]
    assert _shown("sks, a", rules, step=0, epochs=1) == ["sks, a"]
    assert _shown(tags, rules, epochs=1) == [tags]
    with pytest.raises(ValueError, match="listed"):
        possible_captions(tags, rules, seed=1, uid="a")


def test_tags_are_dropped_at_their_rate_but_for_those_that_are_kept() -> None:
    rules = CaptionRules(tag_dropout=0.25)
    shown = [caption.split(", ") for caption in _shown("sks ||| a, b;;;c, d ||| end", rules, epochs=2000)]
    assert all(tags[0] == "sks" and tags[-1] == "end" for tags in shown)
    assert all(("b" in tags) == ("c" in tags) for tags in shown)
    for tag in "abd":
        assert 0.71 < sum(tag in tags for tags in shown) / 2000 < 0.79


def test_one_line_and_one_alternative_is_taken_each_time() -> None:
    rules = CaptionRules(wildcards=True, random_line=True)
    document = CaptionDocument.parse(b"a {red|blue} hat\r\n\r\n {{x}}, {one} \r\n")
    text = source_text(document, rules)
    assert set(_shown(text, rules)) == {"a red hat", "a blue hat", "{x}, one"}
    assert whole_caption(text, rules) == "a red hat"
    assert longest_caption(text, rules, len) == "a blue hat"
    assert source_text(document, CaptionRules()) == "a {red|blue} hat"
    assert _shown("a {red|blue} hat", CaptionRules(), epochs=1) == ["a {red|blue} hat"]


def test_prefix_suffix_and_the_trigger_for_what_stands_for_it() -> None:
    rules = CaptionRules(prefix="[w],", suffix=", best", placeholder="[w]", trigger="hatgirl")
    assert _shown("a, [w] b", rules, epochs=1) == ["hatgirl, a, hatgirl b , best"]
    assert _shown("", rules, epochs=1) == ["hatgirl, , best"]
    moved = CaptionRules(shuffle=True, prefix="sks |||")
    assert all(caption.startswith("sks, ") for caption in _shown("a, b, c", moved))


def test_captions_are_dropped_in_every_so_many_epochs() -> None:
    assert [caption == "" for caption in _shown("a", CaptionRules(dropout_epochs=3), epochs=7)] == [
        False, False, True, False, False, True, False,
    ]  # fmt: skip
    assert possible_captions("a", CaptionRules(dropout_epochs=1), seed=1, uid="a") == ("",)


def test_the_preview_is_what_the_first_epochs_show() -> None:
    config = Config()
    config.captions.shuffle, config.captions.tag_warmup, config.captions.wildcards = True, 30, True
    document, rules = CaptionDocument.parse(f"{TAGS}, {{a|b}}\nsecond".encode()), rules_for(config)
    text = source_text(document, rules)
    for per_epoch, steps in ((10, (0, 10)), (0, (0, None))):
        expected = [
            caption_for(text, rules, seed=42, epoch=epoch, uid="1/a.png", repeat=0, step=step)
            for epoch, step in enumerate(steps)
        ]
        assert list(first_captions(document, config, dataset=1, name="a.png", steps_per_epoch=per_epoch)) == expected


def sd_scripts_caption(text: str, rules: CaptionRules, step: int) -> tuple[list[str], list[str], list[str]]:
    """BaseDataset.process_caption told again, up to the shuffle: tags in front, those that move, those at the end.

    Of the tags that move, the first floor(step (n - first) / steps) + first are shown while they warm up; a comma takes
    the place of the second mark at the very end.
    """

    def tags(part: str) -> list[str]:
        return [tag.strip() for tag in part.strip().split(",") if tag.strip()]

    text = " ".join(filter(None, [rules.prefix, text, rules.suffix]))
    front, flexible, end = [], tags(text), []
    if rules.keep_separator in text:
        before, rest = text.split(rules.keep_separator, 1)
        rest, _mark, after = rest.partition(rules.keep_separator)
        front, flexible, end = tags(before), tags(rest), tags(after)
    elif rules.keep_tokens:
        front, flexible = flexible[: rules.keep_tokens], flexible[rules.keep_tokens :]
    if step < rules.warmup_steps:
        first = rules.warmup_tags
        flexible = flexible[: math.floor(step * (len(flexible) - first) / rules.warmup_steps) + first]

    def shown(found: list[str]) -> list[str]:
        return [tag.strip() for one in found for tag in one.split(rules.secondary_separator)]

    return shown(front), shown(flexible), shown(end)


TAG = st.text("abc d", min_size=1, max_size=4).map(lambda text: " ".join(text.split()) or "e")
TIED = st.lists(TAG, min_size=1, max_size=2).map(";;;".join)


@given(
    parts=st.lists(st.lists(TIED, min_size=1, max_size=5), min_size=1, max_size=3),
    rules=st.builds(
        CaptionRules,
        shuffle=st.booleans(),
        keep_tokens=st.integers(0, 3),
        warmup_steps=st.sampled_from([0, 9]),
        warmup_tags=st.integers(0, 2),
        prefix=st.sampled_from(["", "sks,"]),
        suffix=st.sampled_from(["", ", end"]),
    ),
    step=st.integers(0, 12),
)
def test_captions_are_made_as_sd_scripts_makes_them(parts: list[list[str]], rules: CaptionRules, step: int) -> None:
    assume(rules.cuts)
    text = " ||| ".join(", ".join(part) for part in parts)
    front, flexible, end = sd_scripts_caption(text, rules, step)
    if 0 < rules.warmup_steps > step and len(flexible) < rules.warmup_tags:
        return  # it takes tags off the end where there are fewer than it begins with
    found = caption_for(text, rules, seed=1, epoch=0, uid="a", repeat=0, step=step).split(", ")
    found = [] if found == [""] else found
    middle = found[len(front) : len(found) - len(end)]
    assert found[: len(front)] == front
    assert found[len(found) - len(end) :] == end
    assert (sorted(middle) == sorted(flexible)) if rules.shuffle else (middle == flexible)
