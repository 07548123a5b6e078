"""Leftovers of killed processes in stores and elsewhere, and the modes of new files."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lora_tui.caches.store import ContentStore
from lora_tui.files import default_mode, sweep_temporaries, write_atomic, written_whole

KILLED = """
import os, sys, threading
from pathlib import Path
from lora_tui.files import write_atomic
os.fchmod = lambda *_: os._exit(9)  # killed with the content written and the rename to come
write_atomic(Path(sys.argv[1]), b"half")
"""


def _leave_a_temporary(target: Path) -> Path:
    """What a process leaves that is killed inside ``write_atomic``."""
    before = set(target.parent.iterdir())
    assert subprocess.run([sys.executable, "-c", KILLED, str(target)], check=False).returncode == 9
    (left,) = set(target.parent.iterdir()) - before
    return left


def _age(path: Path, seconds: float) -> None:
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_only_old_temporaries_are_swept(tmp_path: Path) -> None:
    old = _leave_a_temporary(tmp_path / "entry.safetensors")
    _age(old, 3600)
    young = _leave_a_temporary(tmp_path / "entry.safetensors")
    others = [tmp_path / name for name in ("notes.tmp", ".notes.tmp", ".hidden", "entry.safetensors")]
    for path in others:
        path.write_bytes(b"mine")
        _age(path, 3600)
    assert sweep_temporaries(tmp_path) == 1
    assert set(tmp_path.iterdir()) == {young, *others}
    assert sweep_temporaries(tmp_path, older_than=-1) == 1
    assert set(tmp_path.iterdir()) == set(others)
    assert sweep_temporaries(tmp_path / "missing") == 0


def test_a_large_file_that_is_written_now_is_never_swept_and_a_dead_one_goes_at_once(tmp_path: Path) -> None:
    """However long its writer thinks about the next piece; and no minute has to pass before its room is there again."""
    with written_whole(tmp_path / "a.safetensors") as temporary:
        _age(temporary, 3600)
        assert sweep_temporaries(tmp_path) == 0
        left = temporary.with_name(temporary.name.replace(".a.", ".b."))
        left.write_bytes(b"x")  # nobody holds it
        assert sweep_temporaries(tmp_path) == 0  # it may be about to be held
        _age(left, 5)
        assert sweep_temporaries(tmp_path) == 1
        temporary.write_bytes(b"done")
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_new_file_takes_no_others_name(tmp_path: Path) -> None:
    target = tmp_path / "a"
    with pytest.raises(FileExistsError), written_whole(target, new=True) as temporary:
        temporary.write_bytes(b"mine")
        target.write_bytes(b"theirs")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"theirs")]


def test_a_name_of_any_length_has_a_temporary(tmp_path: Path) -> None:
    path = tmp_path / ("😀" * 60)
    write_atomic(path, b"x")
    assert path.read_bytes() == b"x"


def test_pruning_sweeps_the_folders_of_the_store(tmp_path: Path) -> None:
    store = ContentStore(tmp_path, "latents")
    kept = store.put("ab" * 16, b"whole")
    left = _leave_a_temporary(store.path("ab" * 16))
    _age(left, 3600)
    with store.in_use():
        store.prune()
        assert left.exists()
    store.prune()
    assert not left.exists()
    assert kept.read_bytes() == b"whole"


def test_new_files_get_the_umask_and_asking_does_not_change_it(tmp_path: Path) -> None:
    wrong: list[int] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            default_mode()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for number in range(2000):
            path = tmp_path / f"{number}"
            os.close(os.open(path, os.O_CREAT, 0o666))
            wrong += [mode for mode in [path.stat().st_mode & 0o777] if mode != default_mode()]
    finally:
        done.set()
        thread.join()
    assert not wrong


@pytest.mark.parametrize("mask", ["022", "027", "077"])
def test_the_umask_of_the_start_counts(mask: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", "from lora_tui.files import default_mode; print(oct(default_mode()))"],
        umask=int(mask, 8),
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(told.stdout, 8) == 0o666 & ~int(mask, 8)
