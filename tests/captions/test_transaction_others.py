"""Other programs change captions, too: nobody's changes are lost, and editors follow each other."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from caption_folders import assert_memory_is_disk, edit, make_folder, opened, previewed

from lora_tui.captions import transaction
from lora_tui.captions.document import CaptionDocument


def test_what_another_program_changed_is_a_conflict_and_stays(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": "x", "b": "x"})
    session = opened(folder)
    found = previewed(session, "rename x to y")
    (folder / "a.txt").write_text("mine, x")
    transaction = session.apply(found, "test")
    session.flush()
    assert transaction.conflicts == ["a.txt"]
    assert (folder / "a.txt").read_text() == "mine, x"
    assert (folder / "b.txt").read_text() == "y"
    assert session.corpus.entries[0].tags == ("mine", "x")
    (folder / "b.txt").write_text("y, later")
    (undone,) = session.undo()
    session.flush()
    assert undone.conflicts == ["b.txt"]
    assert (folder / "b.txt").read_text() == "y, later"
    assert_memory_is_disk(session.corpus)
    session.close()


@pytest.mark.parametrize("there", [True, False])
def test_what_another_program_writes_while_the_journal_is_written_stays(tmp_path: Path, there: bool) -> None:
    folder = make_folder(tmp_path, {"a": "x", "b": "x" if there else None, "c": "x"})
    session = opened(folder)
    append = session.journal.append

    def append_while_another_writes(entries: Any) -> Any:
        records = append(entries)
        (folder / "b.txt").write_text("theirs")
        return records

    session.journal.append = append_while_another_writes  # type: ignore[method-assign]
    transaction = session.apply(previewed(session, "add new"), "test")
    session.flush()
    session.journal.append = append  # type: ignore[method-assign]
    assert (transaction.conflicts, transaction.failures) == (["b.txt"], {})
    assert [(folder / f"{name}.txt").read_text() for name in "abc"] == ["x, new", "theirs", "x, new"]
    assert_memory_is_disk(session.corpus)
    assert transaction.record is not None and transaction.record.files == 2
    assert [change.name for change in session.journal.contested(transaction.record)] == ["b.txt"]
    session.undo()
    session.flush()
    assert [(folder / f"{name}.txt").read_text() for name in "abc"] == ["x", "theirs", "x"]
    session.close()


def test_a_folder_that_vanishes_is_not_made_again(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "data", {"a": "x"})
    session = opened(folder)
    found = previewed(session, "rename x to y")
    shutil.rmtree(folder)
    transaction = session.apply(found, "test")
    session.flush()
    assert transaction.error is not None and transaction.error.code == "journal.folder"
    assert not folder.exists()
    session.close()


def test_two_programs_edit_at_once_and_lose_nothing(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {str(number): "x" for number in range(40)})
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "lora_tui", "captions", "edit", str(folder), "--do", f"add {name}", "--json"],
            stdout=subprocess.PIPE,
        )
        for name in ("one", "two", "three")
    ]
    lost = 0
    for worker in workers:
        output, _ = worker.communicate(timeout=120)
        done = json.loads(output)["transactions"][0]
        lost += len(done["conflicts"])
        assert not done["failures"] and not done["error"]
    tags = sum(len((folder / f"{number}.txt").read_text().split(", ")) for number in range(40))
    assert tags == 40 * 4 - lost
    session = opened(folder)
    session.undo(len(session.journal.records()))
    session.flush()
    assert all((folder / f"{number}.txt").read_text() == "x" for number in range(40))
    session.close()


def test_an_editor_follows_what_another_wrote(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": "x", "b": "x"})
    one, other = opened(folder), opened(folder)
    edit(one, "add one", [0], author="tagger")
    assert [record.author for record in other.follow()] == ["tagger"]
    assert other.corpus.entries[0].tags == ("x", "one")
    edit(other, "add two")
    assert one.follow()[0].operation == "add two"
    assert one.corpus.entries[1].tags == ("x", "two")
    assert not one.follow()
    one.undo()
    one.flush()
    assert (folder / "a.txt").read_text() == "x, one"
    one.close()
    other.close()


def test_what_others_did_is_read_in_a_thread_and_taken_in_bit_by_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "AT_A_TIME", 2)
    folder = make_folder(tmp_path, dict.fromkeys("abcde", "x"))
    one, other = opened(folder), opened(folder)
    edit(other, "add theirs")
    found: list[transaction.News] = []
    thread = threading.Thread(target=lambda: found.append(one.look()))
    thread.start()
    thread.join()
    assert [entry.tags for entry in one.corpus.entries] == [("x",)] * 5  # a look changes nothing
    one.corpus.put(4, CaptionDocument.parse(b"x, ours"))  # typed meanwhile
    steps = one.take(found[0])
    next(steps)
    assert [entry.tags for entry in one.corpus.entries].count(("x", "theirs")) == 2
    assert len(list(steps)) == 2
    assert [entry.tags for entry in one.corpus.entries] == [("x", "theirs")] * 4 + [("x", "ours")]
    assert [record.operation for record in found[0].records] == ["add theirs"]
    assert not one.look().records
    one.close()
    other.close()


def test_an_edit_that_was_just_written_is_not_taken_for_anothers(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": "x"})
    session = opened(folder)
    written, go_on = threading.Event(), threading.Event()
    finish = session.journal.finish

    def finish_and_rest(*arguments: Any) -> Any:
        done = finish(*arguments)
        written.set()
        assert go_on.wait(30)
        return done

    session.journal.finish = finish_and_rest  # type: ignore[method-assign]
    session.apply(previewed(session, "add one"), "test")
    assert written.wait(30)
    session.apply(previewed(session, "add two"), "test")  # typed while the one before is brought to its end
    session.poll()
    assert session.follow() == []
    assert session.corpus.entries[0].tags == ("x", "one", "two")
    go_on.set()
    session.flush()
    edit(session, "add three")
    assert (folder / "a.txt").read_text() == "x, one, two, three"
    session.close()


def test_what_another_wrote_is_not_read_under_an_edit_on_its_way(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, {"a": "x", "b": "x"})
    one, other = opened(folder), opened(folder)
    edit(one, "add theirs")
    with other.journal.locked():  # nothing of ours gets to the disk now
        transaction = other.apply(previewed(other, "add ours", [0]), "test")
        assert [record.operation for record in other.follow()] == ["add theirs"]
        assert [entry.tags for entry in other.corpus.entries] == [("x", "ours"), ("x", "theirs")]
    other.flush()
    assert transaction.conflicts == ["a.txt"]
    assert (folder / "a.txt").read_text() == "x, theirs"
    assert_memory_is_disk(other.corpus)
    one.close()
    other.close()
