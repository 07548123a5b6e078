"""Completion at the end of a filter, where tags have several words and words side by side mean several tags."""

from __future__ import annotations

import pytest

from lora_tui.captions.complete import Completer, Named, TagList
from lora_tui.captions.index import Index
from lora_tui.tui.tags.filter_words import joined
from lora_tui.tui.tags.offers import filter_offers

CAPTIONS = (
    "1girl, blue eyes, very long hair, hair ribbon",
    "1girl, blue eyes, blue sky, solo, looking at viewer",
    "eyes closed, long_hair, ribbon, (blue eyes) on paper",
)


@pytest.fixture
def index() -> Index:
    index = Index()
    for number, caption in enumerate(CAPTIONS):
        index.add(number, caption.split(", "))
    return index


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("blue eyes", '"blue eyes"'),
        ("blue ey", '"blue eyes"'),
        ("blue ", '"blue eyes"'),
        ("1girl blue ey", '1girl "blue eyes"'),
        ("1girl -blue sk", '1girl -"blue sky"'),
        ("-tag:blue sk", '-tag:"blue sky"'),
        ("very long h", '"very long hair"'),
        ('solo "blue ey', 'solo "blue eyes"'),
        ("any(solo, blue s", 'any(solo, "blue sky"'),
        ("solo AND blue eyes", 'solo AND "blue eyes"'),
        ("looking at v", '"looking at viewer"'),
        ("blue eyes -solo", '"blue eyes" -solo'),
        ("1girl so", "1girl solo"),
        ("sol", "solo"),
        ("黄色 目", '"yellow eyes"'),
    ],
)
def test_the_end_of_a_filter_is_completed_to_a_tag_of_several_words(index: Index, typed: str, first: str) -> None:
    lists = TagList([Named("yellow eyes", "", 9, ("黄色 目",))])
    assert filter_offers(Completer(index, lists))(typed)[0].text == first


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("blue eyes", '"blue eyes"'),
        ("1girl long hair -solo", '1girl "long_hair" -solo'),
        ("1girl solo", ""),
        ('"blue eyes"', ""),
        ("blue -eyes", ""),
        ("blue OR eyes", ""),
        ("text:blue eyes", ""),
        ("any(blue, eyes)", ""),
    ],
)
def test_words_that_are_one_tag_are_seen(index: Index, text: str, meant: str) -> None:
    assert joined(text, index)[1] == meant
