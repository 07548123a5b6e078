"""The rows of the dataset screen are found by name, by filter and in any order, and many of them at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lora_tui.dataset.facts import ImageFacts
from lora_tui.dataset.problems import Problem
from lora_tui.dataset.scan import DatasetImage
from lora_tui.tui.file_list import FileList
from lora_tui.tui.file_orders import Measures
from lora_tui.tui.file_rows import FileRow

FACTS = ImageFacts(640, 480, "PNG", alpha=False, animated=False, orientation=1, size=1000, mtime_ns=1)


def row(number: int, *, size: int = 1000, problem: str = "", excluded: bool = False) -> FileRow:
    path = Path(f"/set/{number:06}.png")
    image = DatasetImage(path, path.name, 0, 1, replace(FACTS, size=size), None)
    problems = (Problem(path, "x", "x", "", problem),) if problem else ()
    return FileRow(path, path.name, path.name, image, problems, excluded=excluded)


FOLDER = FileRow(Path("/set"), "set/", "set/", None, (Problem(Path("/set"), "x", "x", "", "warning"),))
FILES = FileList([FOLDER, row(1, size=5, problem="error"), row(2, size=9, excluded=True), row(12, size=5)])


def test_rows_are_found_by_all_words_of_their_name() -> None:
    assert FILES.select() == [0, 1, 2, 3]
    assert FILES.select(words="2 PNG") == [2, 3]
    assert FILES.select(words="2", found={"/set/000001.png"}) == [1, 2, 3]
    assert FILES.select(found={"/set/000012.png", "/elsewhere"}) == [3]
    assert FILES.select(found=frozenset()) == []
    assert FILES.select(only_problems=True) == [0, 1]


def test_orders_keep_equal_rows_as_they_are_and_others_last() -> None:
    assert FILES.select(order="bytes") == [1, 3, 2, 0]
    assert FILES.select(order="bytes", backwards=True) == [2, 1, 3, 0]
    assert FILES.select(order="bytes", words="1") == [1, 3]
    assert FILES.select(backwards=True) == [3, 2, 1, 0]
    known = Measures(tags={"/set/000012.png": 1, "/set/000001.png": 2})
    assert FILES.arrange("tags", False, known) == [3, 1, 0, 2]
    assert FILES.select(order="tags") == [3, 1, 0, 2], "as it was arranged last"


def test_places_and_counts() -> None:
    assert FILES.place(Path("/set/000012.png"), [1, 3], 7) == 1
    assert FILES.place(Path("/set/000002.png"), [1, 3], 7) == FILES.place(None, [1, 3], 7) == 7
    assert FILES.tally(FILES.select()) == (2, 2)
    assert FILES.tally([2, 3]) == (1, 0)
    assert [one.name for one in FILES.of([Path("/set/000012.png"), Path("/gone"), Path("/set")])] == [
        "set/",
        "000012.png",
    ]
    assert FILES.images_of([0, 1]) == {Path("/set/000001.png")}
    assert FILES.has_image(Path("/set/000001.png"))
    assert not FILES.has_image(Path("/set"))


@pytest.mark.bench
def test_a_key_costs_little_among_100000_rows() -> None:
    files = FileList([row(number, size=number * 7919 % 5000) for number in range(100_000)])
    files.arrange("bytes", True, Measures())
    found = frozenset(str(one.path) for one in files.rows[::2])
    last = files.rows[-1].path
    for work in (
        lambda: files.place(last, files.select(words="99"), 0),
        lambda: files.tally(files.select(words="1", found=found, order="bytes", backwards=True)),
        lambda: files.tally(files.select(found=found, only_problems=True)),
    ):
        assert min(_cpu_seconds(work) for _time in range(3)) < 0.06


def _cpu_seconds(work: Callable[[], object]) -> float:
    begun = time.thread_time()
    work()
    return time.thread_time() - begun
