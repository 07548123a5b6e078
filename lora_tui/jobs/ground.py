"""The folder that a job stands on, held open so that no other is taken for it when it is deleted or moved away."""

from __future__ import annotations

import os
from pathlib import Path


class Ground:
    """A folder that was there when this was made, whatever becomes of its name.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def lost(self) -> bool:
        """Whether its name leads nowhere or to another folder. A disk that does not answer loses nothing."""
        try:
            return not os.path.samestat(self.path.stat(), os.fstat(self._descriptor))
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False

    def deleted(self) -> bool:
        """Whether the folder itself is no more, as far as its file system says so."""
        try:
            return os.fstat(self._descriptor).st_nlink == 0
        except OSError:
            return False

    def place(self) -> Path:
        """A path to the folder where it lies now; one that does not exist when it was deleted."""
        try:
            return Path(os.readlink(f"/proc/self/fd/{self._descriptor}"))  # noqa: PTH115 - no file to look at
        except OSError:
            return self.path
