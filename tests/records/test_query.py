"""The filter of runs, field by field, and its mistakes with their column."""

import pytest

from lora_tui.errors import UserError
from lora_tui.records.notes import change_notes, change_tags
from lora_tui.records.order import ordered
from lora_tui.records.query import FilterError, chosen, parse
from lora_tui.records.rows import Row, read_rows
from lora_tui.runs.folder import RunFolder


@pytest.fixture
def rows(runs: list[RunFolder]) -> list[Row]:
    change_tags(runs[0], ["good", "final"])
    change_notes(runs[1], note="Too soft", rating=4)
    return read_rows(runs, runs[0].root.parent)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", [1, 2, 3]),
        ("family:flux lr<1e-4", [2]),
        ("tag:good", [1]),
        ("-tag:good", [2, 3]),
        ("tag:bad OR rank>=64", [2]),
        ("state:finished,died", [1, 2, 3]),
        ("is:failed", [2]),
        ("has:note", [2]),
        ('"too soft"', [2]),
        ("soft", [2]),
        ("hat-2", [3]),
        ("hat-?", []),
        ("*hat-?", [1, 2, 3]),
        ("hatgirl", [2]),
        ("network.rank=8 adapter:loha", [3]),
        ("network_dim>16 -is:failed", [1]),
        ("(tag:good | rating>=4) -(state:died rank:64)", [1]),
        ("rank!=32", [2, 3]),
        ("lr=0.0001", [1, 3]),
        ("step<100 validation<1", [2]),
        ("best:50,100", [1, 2, 3]),
        ("done>=100%", [1, 3]),
        ("started>2020-01-01 started<2020", []),
        ("started>yesterday", [1, 2, 3]),
        ("note:*", [1, 2, 3]),
        ("loss>1e308 OR loss<-1e308", []),
        ("NOT (is:finished)", [2]),
    ],
)
def test_each_field(rows: list[Row], text: str, found: list[int]) -> None:
    assert [row.status.number for row in chosen(rows, text)] == found


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("familly:flux", 0, "Did you mean family"),
        ("rank:1 (tag:x", 7, "never closed"),
        ("a ) b", 2, "no bracket"),
        ("lr<much", 3, "no number"),
        ("started>soon", 8, "no day"),
        ("tag:", 4, "missing"),
        ("a OR", 4, "missing"),
        ("is:finnished", 3, "Did you mean finished"),
        ("-rnk:3", 1, "Did you mean rank"),
        ("(" * 200 + "a", 51, "too deep"),
        ("x" * 3000, 2000, "too long"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, column: int, words: str) -> None:
    with pytest.raises(FilterError, match=words) as refused:
        parse(text)
    assert refused.value.column == column


def test_runs_are_ordered_by_any_field_and_those_without_come_last(rows: list[Row]) -> None:
    def numbers(field: str) -> list[int]:
        return [row.status.number for row in ordered(rows, field)]

    assert numbers("rank") == [3, 1, 2]
    assert numbers("-network.rank") == [2, 1, 3]
    assert numbers("tag")[0] == 1
    assert numbers("-rating")[0] == 2
    with pytest.raises(UserError, match="No field"):
        ordered(rows, "nothing")
