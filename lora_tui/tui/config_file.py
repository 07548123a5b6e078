"""The file of the open configuration, which a person or another program may change while it is open."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.errors import UserError

if TYPE_CHECKING:
    from lora_tui.config.schema import Config


@dataclass(frozen=True)
class FileNow:
    """What a look at the file found.

    Attributes:
        stamp: its time of change in nanoseconds, size in bytes and number on the disk; empty where it is not there.
        config: what it holds; none where it is not there or cannot be read.
        error: why it cannot be read.
    """

    stamp: tuple[int, ...] = ()
    config: Config | None = None
    error: UserError | None = None

    def differs(self, known: Config | None) -> bool:
        """Whether the file is there and holds something else than ``known``; other comments are no difference."""
        return bool(self.stamp) and self.config != known


def stamp_of(path: Path) -> tuple[int, ...]:
    """What tells cheaply that a file is another than before; empty where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def look_at(path: Path) -> FileNow:
    """Read the file as it is now. The stamp is taken first: what changes in between is seen at the next look."""
    from lora_tui.config.load import load_config

    stamp = stamp_of(path)
    if not stamp:
        return FileNow()
    try:
        return FileNow(stamp, load_config(path))
    except UserError as error:
        return FileNow(stamp, error=error)


def differing(one: Config, other: Config) -> list[str]:
    """The settings that two configurations differ in, by dotted key; of a list its name alone."""
    from lora_tui.config.fields import sections

    found: list[str] = []
    for section in sections():
        here, there = getattr(one, section.name), getattr(other, section.name)
        if section.repeated:
            found += [section.name] if here != there else []
        else:
            found += [spec.key for spec in section.fields if getattr(here, spec.name) != getattr(there, spec.name)]
    return found
