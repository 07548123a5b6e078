"""What other thresholds would change in captions, counted while they move: the same as writing them and looking."""

from __future__ import annotations

import random
import statistics
import threading
import time
from array import array
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from caption_folders import opened
from hypothesis import given
from hypothesis import strategies as st
from tagger_builders import make_images, make_wd14

from lora_tui.captions.corpus import Corpus
from lora_tui.captions.view import tags_of
from lora_tui.captions.vocabulary import folded
from lora_tui.tagging import kept as kept_answers
from lora_tui.tagging.kept import Kept, KeptImage, Said, load_kept
from lora_tui.tagging.models import Model
from lora_tui.tagging.request import ModelChoice, Request
from lora_tui.tagging.rows import Row
from lora_tui.tagging.rules import Rules, Thresholds, mcut, select
from lora_tui.tagging.run import tag_dataset
from lora_tui.tagging.tuner import Counted, Tuner
from lora_tui.tagging.tuning import LEAST
from lora_tui.tagging.vocabulary import Vocabulary

NAMES = ("long_hair", "smile", "hat", "red_hair", "saber_(fate)", "miku", "safe", "lewd", "^_^", "solo")
KINDS = ("general",) * 4 + ("character",) * 2 + ("rating",) * 2 + ("general", "meta")
CAPTIONS = ("long hair, smile, mine", "", None, "hat, Red_Hair, miku", "solo", None)


def made(folder: Path, seed: int, *vocabularies: Vocabulary, **fields: object) -> tuple[Kept, Request]:
    """Answers of made-up models to six images, four of them with captions."""
    chance = random.Random(seed)
    for number, text in enumerate(CAPTIONS):
        make_images(folder, {f"{number}": (40 * number, 0, 0)})
        if text is not None:
            (folder / f"{number}.txt").write_text(text)
    choices = tuple(ModelChoice("wd14", f"m{number}") for number in range(len(vocabularies)))
    request = Request(choices, **fields)  # type: ignore[arg-type]
    kept = Kept(request, (Corpus.open(folder),), [KeptImage(0, number) for number in range(len(CAPTIONS))])
    for number, vocabulary in enumerate(vocabularies):
        said = Said(Model("wd14", f"m{number}", {}, vocabulary=vocabulary))
        for _image in CAPTIONS:
            row = Row.of([round(chance.random(), 2) for _name in vocabulary.names])
            said.cuts.append(mcut(row, vocabulary))
            end = sum(score >= 0.05 for score in row.scores)
            said.rows.append(Row(row.places[:end], row.scores[:end]))
        kept.said.append(said)
    return kept, request


def by_hand(kept: Kept, request: Request) -> Counted:
    images = come = go = tags = without = 0
    for place in range(len(kept.images)):
        before, after = kept.before_and_after(place, request)
        was = {folded(tag) for tag in tags_of(before or "", kept.corpora[0].profile)}
        now = {folded(tag) for tag in tags_of(after or "", kept.corpora[0].profile)}
        answered = {folded(tag) for tag in kept.answered(place, request).tags}
        if answered and request.trigger:
            answered.add(folded(request.trigger))
        images += was != now
        come += len(now - was)
        go += len(was - now)
        tags += len(answered)
        without += not answered
    return Counted(images, come, go, tags, without, len(kept.images))


def steps(chance: random.Random, request: Request) -> Request:
    """A threshold or a rule is changed."""
    rules = request.rules
    limits = Thresholds(*(round(chance.uniform(0.05, 1.1), 2) for _n in range(4)))
    other = chance.choice([
        replace(rules, thresholds=limits),
        replace(rules, thresholds=replace(rules.thresholds, general=round(chance.random(), 2))),
        replace(rules, mcut=not rules.mcut),
        replace(rules, rating=chance.choice(["off", "first", "last"])),
        replace(rules, undesired=chance.choice([(), ("*hair",), ("smile", "solo")])),
        replace(rules, replace=chance.choice([(), (("long hair", "hair, long"), ("hat", ""))])),
        replace(rules, expand_characters=not rules.expand_characters),
    ])  # fmt: skip
    existing = chance.choice(["replace", "append", "merge", request.existing])
    return replace(request, rules=other, existing=existing)  # type: ignore[arg-type]


@pytest.mark.parametrize("combine", ["union", "intersection", "vote"])
def test_it_counts_what_writing_would_give(tmp_path: Path, combine: str) -> None:
    vocabulary, second = Vocabulary(NAMES, KINDS), Vocabulary(NAMES[::-1][:7], KINDS[::-1][:7])
    models = (vocabulary,) if combine == "union" else (vocabulary, second, vocabulary)
    kept, request = made(tmp_path, 3, *models, existing="append", trigger="miku", combine=combine)
    tuner, chance = Tuner(kept, request), random.Random(4)
    assert tuner.counted == by_hand(kept, request)
    for _step in range(60):
        request = steps(chance, request)
        assert tuner.turn(request) == by_hand(kept, request), request
    lines = tuner.lines()
    assert sum(line.come for line in lines) == tuner.counted.come
    for line in lines[:5]:
        assert len(tuner.places_of(line.tag)) == line.come + line.go


def test_what_is_asked_while_it_counts_waits_for_the_end(tmp_path: Path) -> None:
    kept, request = made(tmp_path, 3, Vocabulary(NAMES, KINDS), existing="append")
    tuner = Tuner(kept, request)
    found: list[list[int]] = []
    other = threading.Thread(target=lambda: found.append(tuner.places_of("smile")))

    def meanwhile() -> bool:
        if other.ident is None:
            other.start()
        other.join(0.1)
        assert not found
        return False

    tuner.turn(replace(request, rules=Rules(thresholds=Thresholds(general=0.1))), should_stop=meanwhile)
    other.join()
    assert found == [tuner.places_of("smile")]


def test_the_change_since_the_beginning_is_told_tag_by_tag(tmp_path: Path) -> None:
    kept, request = made(tmp_path, 5, Vocabulary(NAMES, KINDS), existing="append")
    vocabulary = kept.vocabularies[0]
    tuner = Tuner(kept, request)
    assert {line.since for line in tuner.lines()} == {0}
    low = replace(request, rules=Rules(thresholds=Thresholds(general=0.1)))
    tuner.turn(low)
    wanted: Counter[str] = Counter()
    for row in kept.said[0].rows:
        wanted.update(one.name for one in select(row, vocabulary, low.rules))
        wanted.subtract(one.name for one in select(row, vocabulary, request.rules))
    found = {folded(line.tag): line.since for line in tuner.lines() if line.since}
    assert found == {folded(name): number for name, number in wanted.items() if number}


def test_what_the_store_holds_is_what_was_answered(tmp_path: Path) -> None:
    wd, data = make_wd14(tmp_path / "wd"), make_images(tmp_path / "data", {"blue": "blue", "red": "red"})
    (data / "blue.txt").write_text("mine")
    session = opened(data)
    request = Request((ModelChoice("wd14", str(wd)),), device="cpu", threads=1, existing="append")
    outcome = tag_dataset(session, [0, 1], request, dry_run=True)
    session.close()
    make_images(data, {"green": "lime"})
    corpus = Corpus.open(data)
    kept = load_kept([(corpus, range(3))], request)
    assert (len(kept.images), kept.lacking, kept.skipped) == (2, 1, 0)
    assert outcome.preview is not None
    (again,) = kept.previews(request, should_stop=lambda: False)
    assert [change.after for change in again.changes] == [change.after for change in outcome.preview.changes]
    assert kept.before_and_after(0, request) == ("mine", "mine, blue theme, 1girl")
    assert not kept.previews(request, without=frozenset({0, 1}), should_stop=lambda: False)


@given(st.lists(st.floats(0, 1, width=32), min_size=len(NAMES), max_size=len(NAMES)))
def test_the_greatest_gap_of_a_kept_row_is_that_of_the_whole(scores: list[float]) -> None:
    vocabulary, row = Vocabulary(NAMES, KINDS), Row.of(scores)
    end = sum(score >= LEAST for score in row.scores)
    wanted = mcut(row, vocabulary)
    found = {category: kept_answers._cut(row, mask, end) for category, mask in kept_answers._masks(vocabulary).items()}
    beside = {name for name, value in wanted.items() if value == 1.0}  # nothing of the category: whatever it is
    assert {name: value for name, value in found.items() if name not in beside} == {
        name: value for name, value in wanted.items() if name not in beside
    }


def test_ten_thousand_images_of_ten_thousand_tags(tmp_path: Path) -> None:
    """A step of a slider takes a fraction of counting anew, and counts the same."""
    chance = random.Random(1)
    vocabulary = Vocabulary(tuple(f"tag_{place}" for place in range(10_000)), ("general",) * 10_000)
    kept, request = made(tmp_path, 1, vocabulary, existing="replace")
    said = kept.said[0]
    said.rows, said.cuts = [], []
    kept.images = [kept.images[number % 6] for number in range(10_000)]
    for _image in range(10_000):
        places = array("I", chance.sample(range(10_000), 60))
        said.rows.append(Row(places, array("f", sorted((chance.random() ** 3 for _tag in range(60)), reverse=True))))
        said.rows[-1] = Row(places[:40], said.rows[-1].scores[:40])
        said.cuts.append({})
    tuner, times, anew = Tuner(kept, request), [], []
    for step in range(7):
        asked = replace(request, rules=Rules(thresholds=Thresholds(general=0.35 + step / 100)))
        begun = time.perf_counter()
        counted = tuner.turn(asked)
        times.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        tags = sum(1 for row in said.rows for score in row.scores if score >= 0.35 + step / 100 - 1e-9)
        anew.append(time.perf_counter() - begun)
        assert counted.tags == tags
    assert statistics.median(times) < 3 * statistics.median(anew), "captions of changed images are counted as well"
