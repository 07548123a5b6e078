"""Who is alive: processes named so that a reused pid, a zombie or a reboot deceives nobody."""

from __future__ import annotations

import functools
import os
import socket
from pathlib import Path


@functools.cache
def host() -> str:
    """The name of this machine, as it is written into job and lock files."""
    return socket.gethostname()


@functools.cache
def _boot() -> str:
    """A name of this start of the machine; empty where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        return ""


def identity(pid: int) -> str:
    """A text that no other process ever has, from the pid's start time; empty when it is dead or a zombie."""
    if pid <= 0:
        return ""
    if not _boot():
        return _portable_identity(pid)
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return ""
    if len(fields) < 20 or fields[0] in (b"Z", b"X", b"x"):
        return ""
    return f"{_boot()}:{fields[19].decode()}"


def is_alive(pid: int, known: str) -> bool:
    """Whether ``pid`` on this machine is still the process whose :func:`identity` was ``known``."""
    return bool(known) and identity(pid) == known


def place_of(path: Path) -> str:
    """A text that tells a folder or file from any copy of it, wherever it is moved; empty when it is not there."""
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_dev}:{found.st_ino}"


def is_place(path: Path, known: str, where: str) -> bool:
    """Whether ``path`` is what had the :func:`place_of` ``known`` on the machine ``where``; yes if that is unknown."""
    if not known:
        return True
    found = place_of(path)
    if where == host():
        return found == known
    return found.rpartition(":")[2] == known.rpartition(":")[2]  # machines number their disks differently


def own_identity() -> str:
    """The :func:`identity` of this process."""
    return identity(os.getpid())


def _portable_identity(pid: int) -> str:
    import psutil  # type: ignore[import-untyped]

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        return f"time:{process.create_time():.2f}"
    except psutil.Error:
        return ""
