"""A bulk edit that is killed anywhere: every file is wholly old or wholly new, and the journal finishes or reverts."""

from __future__ import annotations

import multiprocessing
import random
import time
from pathlib import Path

import pytest
from caption_folders import contents, edit_and_say, make_folder, opened
from support import until

from lora_tui.captions.journal.log import Journal
from lora_tui.captions.journal.recovery import recover

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["caption_folders"])


def test_a_bulk_edit_killed_a_dozen_times(tmp_path: Path) -> None:
    assert _killed(tmp_path, files=300, kills=12) > 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_bulk_edit_of_2000_files_killed_100_times(tmp_path: Path) -> None:
    assert _killed(tmp_path, files=2000, kills=100) > 20


def _killed(folder: Path, *, files: int, kills: int) -> int:
    """Kill the edit of ``files`` captions ``kills`` times; how many were killed with some files written, not all."""
    data = make_folder(folder / "data", {f"{number:04}": f"1girl, smile, tag {number}\n" for number in range(files)})
    chance = random.Random(files)
    old, new = contents(data), {}
    whole, halfway, names = 0.0, 0, ("smile", "grin")
    for trial in range(kills + 1):
        now, goal = names
        new = {name: raw.replace(now.encode(), goal.encode()) for name, raw in old.items()}
        wait = chance.uniform(0, 1.1 * whole) if trial else None
        seconds = _edit(data, f"rename {now} to {goal}", wait)
        whole = seconds if trial == 0 else whole
        found = contents(data)
        texts = {name: raw for name, raw in found.items() if not name.startswith(".")}
        assert texts.keys() == old.keys()
        assert all(raw in (old[name], new[name]) for name, raw in texts.items())
        halfway += old != texts != new
        journal = Journal(data)
        noted = bool(journal.pending()) or texts == new
        way = "revert" if trial % 3 == 2 and journal.pending() else "finish"
        assert not recover(journal, way).conflicts
        goes_on = noted and way == "finish"
        assert contents(data) == (new if goes_on else old), "files of both kinds, or a temporary file, are left"
        assert not journal.pending()
        if goes_on:
            old, names = new, (goal, now)
    session = opened(data)
    assert session.corpus.index.count(names[0]) == files
    session.close()
    return halfway


def _edit(folder: Path, operation: str, wait: float | None) -> float:
    """Run an edit in a process; kill it ``wait`` seconds after it began. How long it took, in seconds."""
    ours, theirs = _processes.Pipe()
    process = _processes.Process(target=edit_and_say, args=(str(folder), operation, theirs))
    process.start()
    assert ours.poll(60) and ours.recv() == "begun"
    begun = time.monotonic()
    if wait is None:
        assert ours.poll(300) and ours.recv() == "done"
    else:
        ours.poll(wait)
        process.kill()
    seconds = time.monotonic() - begun
    process.join()
    ours.close()
    theirs.close()
    return seconds


def test_a_torn_last_record_is_as_if_it_never_was(tmp_path: Path) -> None:
    data = make_folder(tmp_path, {"a": "x, y", "b": "x"})
    session = opened(data)
    from caption_folders import edit

    edit(session, "remove x")
    whole = session.journal.path.read_bytes()
    edit(session, "add z")
    after = session.journal.path.read_bytes()
    session.close()
    expected = contents(data)
    for length in range(len(whole) + 1, len(after), 37):
        session.journal.path.write_bytes(after[:length])
        again = opened(data)
        assert contents(data) == expected  # the files were written; recovery finds nothing to mend
        records = again.journal.records()
        assert [record.operation for record in records][:1] == ["remove x"]
        assert len(records) in (1, 2)
        edit(again, "add w")
        again.undo()
        again.flush()
        assert contents(data) == expected
        again.close()


def test_a_damaged_record_does_not_hide_the_others(tmp_path: Path) -> None:
    from caption_folders import edit

    data = make_folder(tmp_path, {"a": "x, y"})
    session = opened(data)
    for name in ("one", "two", "three"):
        edit(session, f"add {name}")
    first, second = session.journal.records()[:2]
    assert second.frame is not None and first.frame is not None
    raw = bytearray(session.journal.path.read_bytes())
    raw[second.frame.start] ^= 0xFF
    session.journal.path.write_bytes(bytes(raw))
    session.close()
    assert [record.operation for record in Journal(data).records()] == ["add one", "add three"]


def test_a_lost_machine_leaves_empty_files_that_are_filled(tmp_path: Path) -> None:
    data = make_folder(tmp_path, {"a": "x, y", "b": "x"})
    session = opened(data)
    from lora_tui.captions.journal.bodies import FileChange

    with session.journal.locked():
        session.journal.append(
            [({"operation": "test"}, [FileChange("a.txt", b"x, y", b"y"), FileChange("b.txt", b"x", b"z")])]
        )
    (data / "a.txt").write_bytes(b"")
    (data / "b.txt").write_bytes(b"\0\0")
    again = opened(data)
    assert again.recovery.written == ("a.txt", "b.txt")
    assert (data / "a.txt").read_bytes() == b"y"
    assert (data / "b.txt").read_bytes() == b"z"
    until(lambda: not again.journal.pending())


def test_recovery_leaves_alone_what_another_program_wrote(tmp_path: Path) -> None:
    from lora_tui.captions.journal.bodies import FileChange

    data = make_folder(tmp_path, {"a": "x", "b": "x"})
    journal = Journal(data)
    with journal.locked():
        journal.append([({"operation": "test"}, [FileChange("a.txt", b"x", b"y"), FileChange("b.txt", b"x", b"y")])])
    (data / "a.txt").write_bytes(b"mine")
    session = opened(data)
    assert session.recovery.conflicts == ("a.txt",)
    assert contents(data) == {"a.png": b"", "b.png": b"", "a.txt": b"mine", "b.txt": b"y"}
    session.undo()
    session.flush()
    assert (data / "b.txt").read_bytes() == b"x"
    session.close()


def test_a_journal_from_elsewhere_writes_nothing_outside(tmp_path: Path) -> None:
    from lora_tui.captions.journal.bodies import FileChange

    data = make_folder(tmp_path / "data", {"a": "x"})
    journal = Journal(data)
    with journal.locked():
        journal.append(
            [({"operation": "bad"}, [FileChange("../outside.txt", None, b"bad"), FileChange("a.txt", b"x", b"y")])]
        )
    opened(data).close()
    assert not (tmp_path / "outside.txt").exists()
    assert (data / "a.txt").read_bytes() == b"x"
