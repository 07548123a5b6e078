"""What is kept of an error of our own."""

from __future__ import annotations

import platform
import sys

import pytest
from textual.app import App
from textual.worker import WorkerFailed

from lora_tui import __version__
from lora_tui.tui.terminal import crash_message, write_crash_file


async def _fail() -> None:
    raise ZeroDivisionError("in the middle of a worker")


async def test_a_crash_in_a_worker_is_kept_whole() -> None:
    app: App[None] = App()
    with pytest.raises(WorkerFailed) as caught:
        async with app.run_test():
            app.run_worker(_fail())
            await app.workers.wait_for_complete()
    error = WorkerFailed(caught.value.error)  # as Textual hands it over: never raised
    path = write_crash_file(error)
    assert path is not None
    text = path.read_text("utf-8")
    assert "Traceback (most recent call last)" in text
    assert "in _fail" in text
    for part in (__version__, platform.platform(), sys.version.split()[0]):
        assert part in text
    assert "ZeroDivisionError: in the middle of a worker" in crash_message(error, path)
