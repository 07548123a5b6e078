import json
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from run_builders import kill
from support import until

from lora_tui.errors import UserError
from lora_tui.jobs.lock import UNKNOWN, RunLock, holder

HOLD = """
import sys, time
from pathlib import Path
from lora_tui.jobs.lock import RunLock
lock = RunLock.acquire(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(100)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def another_process(path: Path) -> subprocess.Popen[bytes]:
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline() == b"held\n"
    return child


def test_a_held_lock_names_its_holder_and_a_released_one_nobody(path: Path) -> None:
    assert holder(path) is None
    lock = RunLock.acquire(path)
    assert holder(path) == os.getpid()
    lock.release()
    lock.release()
    assert holder(path) is None


def test_a_second_holder_is_refused_with_the_pid_of_the_first(path: Path) -> None:
    child = another_process(path)
    try:
        with pytest.raises(UserError) as caught:
            RunLock.acquire(path)
        assert caught.value.code == "run.locked"
        assert str(child.pid) in caught.value.message
        assert holder(path) == child.pid
    finally:
        child.kill()
        child.communicate()


def test_one_process_cannot_take_it_twice_either(path: Path) -> None:
    with RunLock.acquire(path), pytest.raises(UserError):
        RunLock.acquire(path)
    with RunLock.acquire(path):
        pass


def test_it_is_free_at_once_after_sigkill_even_while_the_holder_is_a_zombie(path: Path) -> None:
    child = another_process(path)
    kill(child.pid)
    until(lambda: Path(f"/proc/{child.pid}/stat").read_text().split()[2] == "Z")
    assert holder(path) is None
    with RunLock.acquire(path):
        assert holder(path) == os.getpid()
    child.communicate()


def test_asking_does_not_take_it(path: Path) -> None:
    RunLock.acquire(path).release()
    for _ in range(100):
        assert holder(path) is None
    with RunLock.acquire(path):
        pass


def test_a_forked_worker_does_not_keep_it_alive(path: Path) -> None:
    lock = RunLock.acquire(path)
    worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(100,))
    worker.start()
    try:
        lock.release()
        assert holder(path) is None
        with RunLock.acquire(path):
            pass
    finally:
        worker.kill()
        worker.join()


def test_a_worker_that_outlives_its_killed_parent_does_not_keep_it(path: Path, tmp_path: Path) -> None:
    code = HOLD.replace(
        'print("held"',
        "import multiprocessing\n"
        "worker = multiprocessing.get_context('fork').Process(target=time.sleep, args=(100,))\n"
        "worker.start()\n"
        "Path(sys.argv[2]).write_text(str(worker.pid))\n"
        'print("held"',
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(path), str(tmp_path / "w")], stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline() == b"held\n"
    worker = int((tmp_path / "w").read_text())
    try:
        child.kill()
        child.wait()
        assert Path(f"/proc/{worker}").exists()
        until(lambda: holder(path) is None)  # a worker lets go when it first runs
    finally:
        os.kill(worker, signal.SIGKILL)
        child.stdout.close()


def test_a_started_program_does_not_inherit_it(path: Path) -> None:
    lock = RunLock.acquire(path)
    child = subprocess.Popen(["sleep", "100"], close_fds=False)
    try:
        lock.release()
        assert holder(path) is None
    finally:
        child.kill()
        child.wait()


def test_garbage_in_the_file_does_not_matter(path: Path) -> None:
    for text in (b"\xff\xfe", b"[]", b'{"pid": "x"}', b"{" * 9000):
        path.write_bytes(text)
        assert holder(path) is None
    with RunLock.acquire(path):
        path.write_bytes(b"garbage")
        assert holder(path) == UNKNOWN
        with pytest.raises(UserError, match="another process"):
            RunLock.acquire(path)


def test_a_text_left_by_a_killed_holder_means_nothing_on_this_disk(path: Path) -> None:
    path.write_text(json.dumps({"pid": os.getpid(), "host": "another-machine", "identity": "x"}))
    assert holder(path) is None
    with RunLock.acquire(path):
        pass


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        RunLock.acquire(tmp_path / "none" / "lock")
    assert caught.value.code == "run.lock"


def test_a_lock_that_can_only_be_read_can_be_asked_about(path: Path) -> None:
    with RunLock.acquire(path):
        path.chmod(stat.S_IRUSR)
        assert holder(path) == os.getpid()


def test_of_many_that_try_at_once_one_gets_it(path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from lora_tui.jobs.lock import RunLock\n"
        "from lora_tui.errors import UserError\n"
        "try:\n"
        "    lock = RunLock.acquire(Path(sys.argv[1]))\n"
        "except UserError:\n"
        "    print('refused', flush=True)\n"
        "else:\n"
        "    print('taken', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(4)]
    answers = [child.stdout.readline() for child in children if child.stdout]
    for child in children:
        child.communicate(b"")
    assert sorted(answers) == [b"refused\n"] * 3 + [b"taken\n"]
