import os
import subprocess
import sys

from support import until

from lora_tui.jobs.process import identity, is_alive, own_identity


def test_a_process_is_known_by_more_than_its_pid() -> None:
    assert own_identity() == identity(os.getpid()) != ""
    assert is_alive(os.getpid(), own_identity())
    assert not is_alive(os.getpid(), own_identity() + "0")
    assert not is_alive(os.getpid(), "")


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    known = identity(child.pid)
    assert is_alive(child.pid, known)
    child.kill()
    until(lambda: not is_alive(child.pid, known))
    assert child.returncode is None
    child.communicate()


def test_pids_that_cannot_be_are_dead() -> None:
    assert identity(0) == identity(-1) == identity(2**22 + 5) == ""
