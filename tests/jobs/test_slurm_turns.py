"""The file of a run in Slurm is changed by login and compute nodes at once, and no change is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from support import until

from lora_tui.jobs.slurm import turns
from lora_tui.jobs.slurm.node import UNWRITABLE, main
from lora_tui.jobs.slurm.submission import HERE, Submission, change, read_submission, update, write_submission
from lora_tui.jobs.slurm.turns import NAME, StuckTurn

OTHERS = """
import sys
from pathlib import Path
from lora_tui.jobs.slurm.submission import change, read_submission

folder, field = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for number in range(1, int(sys.argv[3]) + 1):
    change(folder, "7", **{field: number})
    if getattr(read_submission(folder), field) != number:
        sys.exit(f"{field}: the change to {number} is lost")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_submission(tmp_path, Submission(job="7", state="sent"))
    return tmp_path


def known(folder: Path) -> Submission:
    found = read_submission(folder)
    assert found is not None
    return found


def more(old: Submission | None) -> Submission | None:
    return replace(old, restarts=old.restarts + 1) if old is not None else None


def test_changes_of_several_processes_at_once_are_all_kept(folder: Path) -> None:
    """Each has a field of its own, and nobody else ever changes it."""
    code = [sys.executable, "-c", OTHERS, str(folder)]
    processes = [
        subprocess.Popen([*code, field, "60"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for field in ("idle", "restarts")
    ]
    assert all(one.stdout is not None and one.stdout.readline() == b"ready\n" for one in processes)
    for one in processes:
        assert one.stdin is not None
        one.stdin.write(b"\n")
        one.stdin.flush()
    assert [one.communicate()[1] for one in processes] == [b"", b""]
    assert (known(folder).idle, known(folder).restarts) == (60, 60)
    assert [path.name for path in folder.iterdir()] == ["slurm.json"]


def test_a_turn_that_somebody_has_is_waited_for_and_one_of_the_dead_taken_over(folder: Path) -> None:
    ticket = folder / NAME / "gpu1-1-x"
    ticket.parent.mkdir()
    ticket.touch()
    waiting = threading.Thread(target=update, args=(folder, more))
    waiting.start()
    until(lambda: any(path.name.startswith(f"{NAME}.") for path in folder.iterdir()))
    assert known(folder).restarts == 0
    os.utime(ticket, (0, 0))
    waiting.join(60)
    assert known(folder).restarts == 1
    assert [path.name for path in folder.iterdir()] == ["slurm.json"]


def test_what_the_dead_left_before_they_had_the_turn_is_removed_by_who_waits(folder: Path) -> None:
    for left in (folder / f"{NAME}.gpu1-1-x", folder / NAME):
        left.mkdir()
        (left / "gpu1-1-x").touch()
        os.utime(left / "gpu1-1-x", (0, 0))
    assert change(folder, "7", idle=1) is not None
    until(lambda: change(folder, "7", idle=2) is not None and not (folder / NAME).exists())
    assert known(folder).idle == 2


def test_who_lost_the_turn_while_it_was_stopped_begins_again(folder: Path) -> None:
    seen = []

    def slow(old: Submission | None) -> Submission | None:
        seen.append(old)
        if len(seen) == 1:
            [ticket] = (folder / NAME).iterdir()
            os.utime(ticket, (0, 0))
            change(folder, "7", idle=5)
        return more(old)

    update(folder, slow)
    assert (known(folder).idle, known(folder).restarts, len(seen)) == (5, 1, 2)


def test_a_turn_of_the_dead_that_cannot_be_ended_is_told_with_its_file_and_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder in the place of a ticket is what nobody may remove as a file, whoever they are."""
    ticket = folder / NAME / "gpu1-1-x"
    ticket.mkdir(parents=True)
    os.utime(ticket, (0, 0))
    with pytest.raises(StuckTurn) as stuck:
        change(folder, "7", idle=1)
    assert stuck.value.strerror is not None and f"{NAME}/gpu1-1-x" in stuck.value.strerror
    assert "delete it" in stuck.value.strerror and stuck.value.filename == str(ticket)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert main([str(folder)]) == UNWRITABLE
    [line] = capsys.readouterr().err.splitlines()
    assert f"{NAME}/gpu1-1-x" in line and "delete it" in line
    assert sorted(path.name for path in folder.iterdir()) == [NAME, "slurm.json"]
    ticket.rmdir()
    assert change(folder, "7", idle=1) is not None


def test_a_ticket_with_a_time_to_come_is_over_once_it_was_seen_for_long(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "STALE", 0.05)
    ticket = folder / NAME / "gpu1-1-x"
    ticket.parent.mkdir()
    ticket.touch()
    os.utime(ticket, (4e9, 4e9))
    assert change(folder, "7", idle=1) is not None


def test_a_run_that_was_taken_out_of_slurm_stays_so_whatever_its_job_says(folder: Path) -> None:
    update(folder, lambda old: replace(old, state="over", word=HERE) if old is not None else None)
    assert change(folder, "7", state="over", word="TIMEOUT") is None
    assert known(folder).word == HERE


def test_a_folder_that_cannot_be_written_is_told(folder: Path) -> None:
    if os.geteuid() == 0:
        folder = folder / "gone"
    else:
        folder.chmod(0o555)
    with pytest.raises(OSError):
        change(folder, "7", idle=1)
