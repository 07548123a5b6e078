"""Other thresholds from kept scores: the same as selecting anew, and at once for many images."""

from __future__ import annotations

import random
import statistics
import time
from array import array
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from lora_tui.tagging.rows import Row
from lora_tui.tagging.rules import Rules, Thresholds, select
from lora_tui.tagging.tuning import LEAST, ScoreTable
from lora_tui.tagging.vocabulary import Vocabulary

VOCABULARY = Vocabulary(tuple("abcdefgh"), ("general",) * 4 + ("character",) * 2 + ("rating", "meta"))
TABLES = st.lists(st.lists(st.floats(0, 1, width=32), min_size=8, max_size=8), max_size=6)
LIMITS = st.builds(Thresholds, general=st.floats(LEAST, 1.2), character=st.floats(LEAST, 1.2))


def by_hand(rows: list[Row], thresholds: Thresholds) -> list[set[str]]:
    rules = Rules(thresholds=thresholds)
    return [{one.name for one in select(row, VOCABULARY, rules)} for row in rows]


@given(TABLES, LIMITS, LIMITS)
def test_it_says_what_selecting_anew_gives(table, before, after) -> None:
    rows = [Row.of(scores) for scores in table]
    scores = ScoreTable(VOCABULARY, rows)
    old, new = by_hand(rows, before), by_hand(rows, after)
    level = scores.at_threshold(after)
    assert (level.tags, level.images) == (sum(map(len, new)), len(rows))
    assert level.without == sum(not one for one in new)
    assert scores.tags(after) == Counter(tag for one in new for tag in one)
    change = scores.difference(before, after)
    pairs = list(zip(old, new, strict=True))
    assert change.come == Counter(tag for was, now in pairs for tag in now - was)
    assert change.gone == Counter(tag for was, now in pairs for tag in was - now)
    assert change.images == sum(was != now for was, now in pairs)
    assert scores.curve("character", [after.character]) == [level.by_category["character"]]


def test_ten_thousand_images_of_ten_thousand_tags() -> None:
    chance = random.Random(1)
    vocabulary = Vocabulary(tuple(f"tag_{place}" for place in range(10_000)), ("general",) * 10_000)
    rows = []
    for _image in range(10_000):
        places = array("I", (chance.randrange(10_000) for _tag in range(60)))
        rows.append(Row(places, array("f", sorted((chance.random() for _tag in range(60)), reverse=True))))
    table = ScoreTable(vocabulary, rows)
    times = []
    for step in range(5):
        begun = time.perf_counter()
        level = table.at_threshold(Thresholds(general=0.3 + step / 10))
        times.append(time.perf_counter() - begun)
        assert level.tags == sum(1 for row in rows for score in row.scores if score >= 0.3 + step / 10)
    assert statistics.median(times) < 0.1
