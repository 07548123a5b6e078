"""Work in the background lets others past, and what it makes is not searched for garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from lora_tui.background import MANY, SOME, courteous, give_way_to, uncollected


@pytest.fixture
def collecting() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.enable()
    yield
    give_way_to(None)
    if not was_on:
        gc.disable()


def test_a_way_is_given_between_some_items_and_none_is_lost() -> None:
    given: list[int] = []
    taken: list[int] = []
    give_way_to(lambda: given.append(len(taken)))
    try:
        for item in courteous(range(3 * SOME + 7)):
            taken.append(item)
    finally:
        give_way_to(None)
    assert taken == list(range(3 * SOME + 7))
    assert given == [SOME, 2 * SOME, 3 * SOME]


def test_nobody_gives_way_where_there_is_nobody() -> None:
    assert list(courteous([1, 2])) == [1, 2]


def test_much_that_was_made_meanwhile_is_never_searched(collecting: None) -> None:
    looked: list[int] = []

    def look(phase: str, _info: dict[str, int]) -> None:
        looked.append(len(gc.get_objects(0)) if phase == "start" else 0)

    gc.callbacks.append(look)
    try:
        with uncollected():
            kept = [[number] for number in range(3 * MANY)]
        more = [[number] for number in range(gc.get_threshold()[0] + 1)]
    finally:
        gc.callbacks.remove(look)
    assert len(kept) + len(more) > 3 * MANY
    assert max(looked, default=0) < 3 * MANY


def test_little_is_searched_as_ever(collecting: None) -> None:
    before = gc.get_freeze_count()
    with uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()
    assert gc.get_freeze_count() <= before  # what was frozen in other tests may have ended


def test_the_search_is_on_again_when_the_last_one_leaves(collecting: None) -> None:
    first, second = uncollected(), uncollected()
    with first:
        second.__enter__()
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()
