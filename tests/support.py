"""What many tests need: polling with a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(predicate: Callable[[], T], seconds: float = 30.0, every: float = 0.02) -> T:
    """Poll ``predicate`` until it is true and return what it gave; fail with its name after ``seconds``."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"still false after {seconds} s: {getattr(predicate, '__name__', predicate)}")
        pause.wait(every)
