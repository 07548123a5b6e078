"""Another program's writes that leave size and time as they were: seen all the same, and never overwritten."""

from __future__ import annotations

import os
from pathlib import Path

from caption_folders import edit, make_folder, opened, previewed


def back_in_time(path: Path, state: os.stat_result) -> None:
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_a_file_that_another_of_the_same_size_and_time_replaced_is_a_conflict(tmp_path: Path) -> None:
    data = make_folder(tmp_path, {"a": "aaaa, bbbb"})
    session, path = opened(data), data / "a.txt"
    new, state = data / "new", path.stat()
    new.write_text("cccc, dddd")
    back_in_time(new, state)
    new.replace(path)
    done = session.apply(previewed(session, "add x"), "me")
    session.close()
    assert (done.conflicts, path.read_text()) == (["a.txt"], "cccc, dddd")


def test_a_file_that_was_rewritten_with_its_time_set_back_is_a_conflict_and_seen(tmp_path: Path) -> None:
    data = make_folder(tmp_path, {"a": "aaaa, bbbb"})
    path = data / "a.txt"
    os.utime(path, ns=(0, 0))
    session = opened(data)
    state = path.stat()
    path.write_text("cccc, dddd")
    back_in_time(path, state)
    done = session.apply(previewed(session, "add x"), "me")
    session.flush()
    assert (done.conflicts, path.read_text()) == (["a.txt"], "cccc, dddd")
    state = path.stat()
    path.write_text("eeee, ffff")
    back_in_time(path, state)
    assert session.corpus.refresh() == [0]
    assert session.corpus.entries[0].tags == ("eeee", "ffff")
    session.close()


def test_a_write_in_the_same_tick_of_the_clock_as_ours_is_a_conflict(tmp_path: Path) -> None:
    data = make_folder(tmp_path, {"a": "aaaa, bbbb"})
    session, path = opened(data), data / "a.txt"
    for _time in range(40):
        path.write_text("aaaa, bbbb")
        session.corpus.refresh()
        edit(session, "rename aaaa to eeee")
        path.write_text("cccc, dddd")
        done = session.apply(previewed(session, "add x"), "me")
        session.flush()
        assert (done.conflicts, path.read_text()) == (["a.txt"], "cccc, dddd")
    session.close()
