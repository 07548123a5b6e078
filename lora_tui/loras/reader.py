"""Reads what LoRA files of a list are: from their headers once, then from what was kept of these."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from lora_tui.loras.files import LoraFile, file_row
from lora_tui.loras.kept import KeptRows, Stamp, kept_rows, stamp_of


class Reader:
    """Reads what files are, again only those that changed; what was read by another process, too."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[Stamp, LoraFile | None]] = {}

    def read(self, paths: Iterable[Path], stop: Callable[[], bool] = lambda: False) -> Iterator[LoraFile]:
        """The files among ``paths`` that are LoRAs, one after the other as they are read."""
        with kept_rows() as kept:
            for path in paths:
                if stop():
                    return
                found = self._read(path, kept)
                if found is not None:
                    yield found

    def _read(self, path: Path, kept: KeptRows) -> LoraFile | None:
        try:
            stamp = stamp_of(path.stat())
        except (OSError, ValueError):
            self._known.pop(path, None)
            return None
        known = self._known.get(path)
        if known is None or known[0] != stamp:
            again = kept.get(path, stamp)
            row = again[0] if again is not None else file_row(path)
            if again is None:
                kept.put(path, stamp, row)
            self._known[path] = stamp, row
            return row
        return known[1]
