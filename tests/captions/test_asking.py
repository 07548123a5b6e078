"""What filters of an open corpus may ask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lora_tui.captions.asking import context_for
from lora_tui.captions.corpus import Corpus
from lora_tui.captions.profile import OURS
from lora_tui.captions.query.query import parse_query

CAPTIONS = {
    "a": "hatgirl, 1girl ||| smile, hat",
    "b": "hatgirl, smile, hat",
    "c": "A woman with a hat is standing in the middle of the street. It rains.",
}


def test_zones_and_prose_are_those_of_the_profile(tmp_path: Path) -> None:
    for name, text in CAPTIONS.items():
        (tmp_path / f"{name}.png").touch()
        (tmp_path / f"{name}.txt").write_text(text)
    corpus = Corpus.open(tmp_path, profile=replace(OURS, keep_tokens=1))
    context = context_for(corpus, trigger="hatgirl", sets={"marked": {1}})
    for query, wanted in [
        ("pos(1girl)<keep", [0]),
        ("pos(smile)>=keep", [0, 1]),
        ("pos(trigger)<keep", [0, 1]),
        ("is:prose", [2]),
        ("in:marked", [1]),
    ]:
        assert parse_query(query).select(corpus, context) == wanted
