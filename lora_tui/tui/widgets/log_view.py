"""The end of a log file, or any part of it: only the lines on screen are read."""

from __future__ import annotations

from pathlib import Path

from lora_tui.text import plain
from lora_tui.tui.cells import Cell
from lora_tui.tui.log_file import LogFile
from lora_tui.tui.widgets.virtual_list import Column, VirtualList


class LogView(VirtualList):
    """Lines of a file. On the last line it follows the file; anywhere else it stays, and End follows again."""

    def __init__(self, *, empty: str = "", id: str | None = None) -> None:  # noqa: A002 - Textual's own name
        super().__init__([Column(10, share=1)], self._line, empty=empty, id=id)
        self._file: LogFile | None = None

    @property
    def following(self) -> bool:
        """Whether new lines move the cursor."""
        return self.cursor >= self.count - 1

    def open(self, path: Path | None) -> None:
        """Show another file, its end first."""
        self._file = LogFile(path) if path is not None else None
        self.set_count(0)
        self.poll()

    def poll(self) -> None:
        """Look for new lines."""
        if self._file is not None and self._file.poll():
            count = self._file.count
            self.set_count(count, cursor=count - 1 if self.following else None)

    def find(self, text: str) -> list[int]:
        """Numbers of the lines with ``text`` in them; reads the whole file, for a thread."""
        return self._file.find(text) if self._file is not None else []

    def _line(self, index: int) -> tuple[Cell]:
        return (Cell(plain(self._file.line(index)) if self._file else ""),)
