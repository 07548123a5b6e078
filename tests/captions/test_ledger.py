"""Who changed captions and which were reviewed: told the same whether it is followed or read anew."""

from __future__ import annotations

from pathlib import Path

from caption_folders import make_folder, opened, previewed
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_tui.captions.asking import Asking
from lora_tui.captions.journal.records import Record
from lora_tui.captions.ledger import Ledger
from lora_tui.captions.profile import OURS
from lora_tui.captions.provenance import Provenance
from lora_tui.captions.query.query import parse_query
from lora_tui.captions.transaction import Session

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["edit", "review", "unreview", "undo", "redo"]),
        st.sampled_from(["me", "tagger:wd14"]),
        st.sets(st.integers(0, 2), min_size=1),
        st.sampled_from(["x", "y"]),
    ),
    max_size=8,
)


def do(session: Session, step: str, author: str, numbers: set[int] = frozenset(), tag: str = "x") -> None:  # type: ignore[assignment]
    """One step, until it is on disk."""
    if step == "edit":
        session.apply(previewed(session, f"toggle {tag}", sorted(numbers)), author)
    elif step in ("review", "unreview"):
        session.review(sorted(numbers), author, right=step == "review")
    elif session.journal.undo_and_redo()[step == "redo"]:
        (session.undo if step == "undo" else session.redo)(1, author)
    session.flush()


def told(ledger: Ledger) -> list[object]:
    """Everything that a ledger says."""
    ledger.follow()
    numbers = range(3)
    return [
        ledger.reviewed,
        [ledger.authors(number) for number in numbers],
        [ledger.edited(number) for number in numbers],
        ledger.modified_since(0),
        [[record.number for record in ledger.records_of(number)] for number in numbers],
        ledger.added_by_last(OURS),
        ledger.added_by("me", OURS),
        ledger.added_by("wd14", OURS),
    ]


@settings(max_examples=30, deadline=None)
@given(STEPS)
def test_a_ledger_that_follows_tells_what_one_that_begins_tells(tmp_path_factory, steps) -> None:  # type: ignore[no-untyped-def]
    session = opened(make_folder(tmp_path_factory.mktemp("ledger"), {"0": "a", "1": "b", "2": "c"}))
    for step in steps:
        do(session, *step)
        told(session.ledger)
    again = opened(session.corpus.root)
    assert told(again.ledger) == told(session.ledger)
    session.close()
    again.close()


def test_a_review_ends_with_others_changes_and_holds_again_when_they_are_undone(tmp_path: Path) -> None:
    session = opened(make_folder(tmp_path, {"0": "a", "1": "b", "2": "c"}))

    def reviewed() -> set[int]:
        session.ledger.follow()
        return set(session.ledger.reviewed)

    do(session, "review", "me", {0, 1})
    assert reviewed() == {0, 1}
    do(session, "edit", "me", {0}, "mine")
    assert reviewed() == {0, 1}
    do(session, "edit", "wd14", {1, 2})
    assert reviewed() == {0}
    do(session, "undo", "me")
    assert reviewed() == {0, 1}
    do(session, "redo", "me")
    assert reviewed() == {0}
    do(session, "edit", "wd14", {1}, "more")
    do(session, "undo", "me")
    assert reviewed() == {0}
    do(session, "undo", "me")
    assert reviewed() == {0, 1}
    do(session, "undo", "somebody")  # of what the reviewer did
    assert reviewed() == {1}
    do(session, "redo", "somebody")
    assert reviewed() == {0, 1}
    do(session, "unreview", "me", {1})
    assert reviewed() == {0}
    session.close()


def test_later_looks_read_what_came_since_and_nothing_else(tmp_path: Path) -> None:
    session = opened(make_folder(tmp_path, {str(number): "a" for number in range(4)}))
    looked: list[int] = []
    names_of = session.journal.names_of

    def seen(records: list[Record]):  # type: ignore[no-untyped-def]
        looked.extend(record.number for record in records)
        return names_of(records)

    session.journal.names_of = seen  # type: ignore[method-assign,assignment]
    for _number in range(3):
        do(session, "edit", "me", {0, 1})
        session.ledger.follow()
    assert session.ledger.follow() is False
    assert looked == [1, 2, 3]
    session.close()


def test_reviews_cost_nothing_where_nobody_reviews(tmp_path: Path) -> None:
    session = opened(make_folder(tmp_path, {"0": "a", "1": "b", "2": "c"}))
    assert not session.ledger.is_behind
    do(session, "edit", "me", {0, 1})
    assert session.ledger.is_behind
    assert session.ledger.follow_reviews() is False
    assert not session.ledger.is_behind
    assert session.ledger.records_of(0) == []
    do(session, "review", "me", {1})
    assert session.ledger.is_behind
    assert session.ledger.follow_reviews() is True
    assert session.ledger.reviewed == {1}
    do(session, "edit", "wd14", {1})
    assert session.ledger.is_behind
    assert session.ledger.follow_reviews() is True
    assert (session.ledger.reviewed, session.ledger.is_behind) == (frozenset(), False)
    session.journal.path.unlink()
    assert session.ledger.is_behind
    session.ledger.follow_reviews()
    assert not session.ledger.is_behind
    session.close()


def test_images_with_one_caption_are_reviewed_together_and_new_ones_are_not(tmp_path: Path) -> None:
    data = make_folder(tmp_path, {"a": "x", "b": "y"})
    (data / "a.jpg").write_bytes(b"")
    session = opened(data)
    session.ledger.follow()
    do(session, "review", "me", {session.corpus.number_of("a.png") or 0})
    session.ledger.follow()
    names = {session.corpus.entries[number].name for number in session.ledger.reviewed}
    assert names == {"a.png", "a.jpg"}
    (data / "c.png").write_bytes(b"")
    (data / "c.txt").write_text("z")
    session.corpus.refresh()
    session.ledger.follow()
    assert {session.corpus.entries[number].name for number in session.ledger.reviewed} == names
    do(session, "review", "me", {session.corpus.number_of("c.png") or 0})
    session.ledger.follow()
    assert len(session.ledger.reviewed) == 3
    session.close()


@settings(max_examples=30, deadline=None)
@given(STEPS, st.integers(0, 8))
def test_modified_is_what_is_not_as_it_was(tmp_path_factory, steps, since: int) -> None:  # type: ignore[no-untyped-def]
    session = opened(make_folder(tmp_path_factory.mktemp("modified"), {"0": "a", "1": "b", "2": None}))
    raws = [[entry.raw for entry in session.corpus.entries]]
    for step in steps:
        before = session.journal.last
        do(session, *step)
        if session.journal.last > before:
            raws.append([entry.raw for entry in session.corpus.entries])
    was, now = raws[min(since, len(raws) - 1)], raws[-1]
    wanted = {number for number in range(3) if was[number] != now[number]}
    assert Provenance(session, since=min(since, len(raws) - 1)).modified() == wanted
    session.close()


def test_the_last_run_is_that_of_a_tagger(tmp_path: Path) -> None:
    session = opened(make_folder(tmp_path, {"0": "a", "1": "b", "2": "c"}))

    def found(query: str) -> list[int]:
        return parse_query(query).select(session.corpus, Asking(session).query_context())

    assert found("added:last-run") == []
    for author, numbers, tag in (("tagger:one", {0, 1}, "x"), ("tagger:two+three", {1}, "y"), ("me", {2}, "x")):
        do(session, "edit", author, numbers, tag)
    assert found("added:last-run") == found("added:three") == [1]
    assert found("added:one") == [0, 1]
    assert found("by:me") == [2]
    session.undo()
    do(session, "undo", "me")
    assert found("added:last-run") == [0, 1]
    assert found("is:modified") == [0, 1]
    do(session, "review", "me", {0})
    assert found("is:reviewed") == [0]
    assert found("edited:today -is:reviewed") == [1, 2]
    session.close()
