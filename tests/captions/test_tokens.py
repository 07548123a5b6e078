"""Tokens are counted as transformers' CLIP tokenizer counts them."""

from __future__ import annotations

from functools import cache

from hypothesis import given
from hypothesis import strategies as st

from lora_tui.captions.tokens import SD15, sd15_tokens

WORDS = [
    "1girl",
    "nero claudius (fate/extra)",
    "^_^",
    "don't",
    "I'LL",
    "<|endoftext|>",
    "ſß'ſ",
    "²Ⅷ½",
    "中文",
    "あ🙂\u200d",
    "\x1c\x85",
]
ASSIGNED = st.characters(max_codepoint=0xFFFF, exclude_categories=["Cn", "Co", "Cs"])
TEXTS = st.lists(st.sampled_from(WORDS) | st.text(ASSIGNED, max_size=6), max_size=8).map(", ".join)


@cache
def theirs():
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(str(SD15))


@given(TEXTS | st.text(max_size=30) | st.text("aΣσ ́e,\t\u2003<|>", max_size=12))
def test_counting_counts_the_tokens(text: str) -> None:
    assert sd15_tokens().count(text) == sd15_tokens().count(text) == len(sd15_tokens().ids(text))


@given(TEXTS)
def test_the_tokens_are_those_of_transformers(text: str) -> None:
    assert sd15_tokens().ids(text) == theirs()(text, add_special_tokens=False, truncation=False)["input_ids"]


def test_any_text_has_a_count() -> None:
    assert sd15_tokens().count("") == 0
    assert sd15_tokens().count("cat, dog") == 3
    assert sd15_tokens().count("\udcff") >= 1
    assert sd15_tokens().is_one_token("cat")
    assert not sd15_tokens().is_one_token("hatgirlxyz")
