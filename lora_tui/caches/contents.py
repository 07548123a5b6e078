"""What files hold, told by a digest that is computed once: a file that nobody touched since is not read again.

A base model of many gigabytes is read whole for its digest. It is remembered with the file's place, size and times; of
these the time of the last change of its entry (``ctime``) cannot be set back, so that any change of the content is
seen. No digest is remembered of a file that changed a moment ago: it could change again within the same tick of the
clock.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from lora_tui.caches.store import ContentStore, key_of
from lora_tui.settings import cache_dir

LAYOUT = 1  # version of what is remembered
CAP_BYTES = 10_000_000
SETTLED_SECONDS = 2.0
"""How old a file's last change must be: file systems with coarse clocks tell two seconds apart."""


def sha256_of(path: Path) -> str:
    """The sha256 of a file's bytes, 64 hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        facts = os.fstat(file.fileno())
        times = (facts.st_mtime_ns, facts.st_ctime_ns)
        place = str(path.resolve())
        key = key_of("contents", LAYOUT, place, facts.st_dev, facts.st_ino, facts.st_size, *times)
        if known := _recalled(key):
            return known
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        after = os.fstat(file.fileno())
    same = (after.st_size, after.st_mtime_ns, after.st_ctime_ns) == (facts.st_size, *times)
    if same and time.time() - max(times) / 1e9 > SETTLED_SECONDS:
        _keep(key, digest)
    return digest


def remembered(name: str, files: Iterable[Path], parts: Iterable[str], compute: Callable[[], str]) -> str:
    """What ``compute`` said (one line) when the ``files`` held what they hold now; ``parts`` say what else decides it.

    Without files it is computed each time.

    Raises:
        OSError: a file cannot be read.
    """
    digests = [sha256_of(path) for path in files]
    if not digests:
        return compute()
    key = key_of("remembered", LAYOUT, name, repr([*digests, *parts]))
    if known := _recalled(key):
        return known
    found = compute()
    _keep(key, found)
    return found


def contents_store() -> ContentStore:
    """Where it is remembered."""
    return ContentStore(cache_dir(), "contents", ".txt", cap=CAP_BYTES)


def _recalled(key: str) -> str:
    """What is kept under ``key``; empty where there is nothing, or where it is damaged."""
    try:
        text = contents_store().path(key).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    value, _line, check = text.partition("\n")
    return value if check == key_of(key, value) else ""


def _keep(key: str, value: str) -> None:
    with contextlib.suppress(OSError):  # it is only computed again
        contents_store().put(key, f"{value}\n{key_of(key, value)}".encode())
