"""Finding and reading the LoRA files of the list, a piece at a time, so that thousands never hold the screen up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.loras.files import LoraFile, find_files
from lora_tui.loras.folders import listed_folders
from lora_tui.loras.reader import Reader
from lora_tui.tui.threads import in_stoppable_thread, in_thread, start_job

if TYPE_CHECKING:
    from lora_tui.tui.screens.loras import LorasScreen

FIRST_PIECE, LONGEST_PIECE = 0.1, 1.6
"""Seconds of reading after which the list is shown again: soon at first, then seldom, for each time it is sorted."""
AGAIN_SECONDS = 10.0
"""How long a list is new enough while a run goes on; its files are few and seldom."""


class LorasReading:
    """What the list knows of files on disk."""

    def __init__(self, screen: LorasScreen) -> None:
        self._screen = screen
        self._reader = Reader()
        self._ended = 0.0
        self.busy = False
        self.found = 0
        self.folders: list[Path] = []

    def begin(self, *, again: bool) -> None:
        """Look into the folders; without ``again`` not while that goes on, nor soon after it."""
        if not again and (self.busy or time.monotonic() - self._ended < AGAIN_SECONDS):
            return
        self.busy = True
        start_job(self._screen, self._read, "files")

    async def _read(self) -> None:
        work, settings = self._screen.workspace, self._screen.shell.settings
        self.folders = await in_thread(partial(listed_folders, work.project, work.root, settings.lora_folders))
        paths = await in_stoppable_thread(find_files, self.folders)
        self.found = len(paths)
        files: list[LoraFile] = []
        reading = self._reader.read(paths)
        piece, more = FIRST_PIECE, True
        while more:
            more = await in_thread(_read_for, piece, reading, files)
            piece = min(piece * 2, LONGEST_PIECE)
            if more:
                self._screen.take_files(files)
        self.busy, self._ended = False, time.monotonic()
        self._screen.take_files(files)


def _read_for(seconds: float, reading: Iterator[LoraFile], into: list[LoraFile]) -> bool:
    """Read for so long; whether there is more."""
    end = time.monotonic() + seconds
    for file in reading:
        into.append(file)
        if time.monotonic() > end:
            return True
    return False
