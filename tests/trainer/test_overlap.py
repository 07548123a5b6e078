"""Reading ahead and writing behind: in order, within bounds, and nothing lost without a word."""

from __future__ import annotations

import contextlib
import threading

import pytest
from support import until

from lora_tui.trainer.data.overlap import BEHIND, WriteBehind, read_ahead


def test_what_comes_next_is_read_while_the_last_is_in_use_and_no_more_than_that() -> None:
    begun: list[int] = []

    def read(number: int) -> int:
        begun.append(number)
        return number * number

    with contextlib.closing(read_ahead(read, range(9), threads=2)) as ahead:
        assert next(ahead) == 0
        until(lambda: len(begun) == 3)  # one beyond each thread, while nobody asks
        assert [next(ahead), next(ahead)] == [1, 4]
        until(lambda: len(begun) == 5)
        assert list(ahead) == [9, 16, 25, 36, 49, 64]
    assert sorted(begun) == list(range(9))


def test_an_error_comes_at_its_place_and_nothing_is_read_after_it_is_left() -> None:
    begun: list[int] = []

    def read(number: int) -> int:
        begun.append(number)
        if number == 2:
            raise OSError("torn")
        return number

    with contextlib.closing(read_ahead(read, range(99), threads=1)) as ahead:
        assert [next(ahead), next(ahead)] == [0, 1]
        with pytest.raises(OSError, match="torn"):
            next(ahead)
    assert len(begun) < 9


def test_what_is_written_behind_is_written_when_it_is_left() -> None:
    written: list[int] = []
    gate = threading.Event()
    with WriteBehind() as write:
        write(lambda: gate.wait(60))
        for number in range(BEHIND - 1):
            write(lambda number=number: written.append(number))  # type: ignore[misc]
        assert not written
        gate.set()
    assert written == list(range(BEHIND - 1))


def test_a_write_that_fails_is_heard_of() -> None:
    def fail() -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"), WriteBehind() as write:
        write(fail)
    with pytest.raises(OSError, match="full"), WriteBehind() as write:
        write(fail)
        until(lambda: write._waiting[0].done())
        write(lambda: pytest.fail("what comes after it is asked for first"))


def test_another_error_is_not_hidden_by_one_of_writing() -> None:
    def fail() -> None:
        raise OSError("the disk is full")

    with pytest.raises(ValueError, match="first"), WriteBehind() as write:
        write(fail)
        raise ValueError("first")
