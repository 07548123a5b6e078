"""The captions that training sees: the same for the same key, nothing lost, nothing invented."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_tui.captions import CaptionDocument, CaptionRules, caption_for, caption_text, possible_captions, rules_for
from lora_tui.captions.document import split_tags
from lora_tui.config.schema import Config

TAGS = "hatgirl, 1girl, black hair, smile, outdoors, looking at viewer"

LINES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=60).map(str.strip)
RULES = st.builds(
    CaptionRules,
    shuffle=st.booleans(),
    keep_tokens=st.integers(0, 4),
    dropout=st.sampled_from([0.0, 0.3, 1.0]),
    variants=st.integers(0, 5),
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
    if not rules.shuffle:
        assert shown == text
        return
    before, after = split_tags(text), split_tags(shown)
    assert sorted(after) == sorted(before)
    assert after[: rules.keep_tokens] == before[: rules.keep_tokens]


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
    assert ("" in listed) == (rules.dropout > 0 or text == "" or (rules.shuffle and not split_tags(text)))


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
