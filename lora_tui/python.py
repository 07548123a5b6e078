"""The command line of this very Python, for every process that the program starts."""

from __future__ import annotations

import sys


def python_command(*arguments: str) -> list[str]:
    """This interpreter with ``arguments``, blind to modules that lie in the current folder.

    Without ``-P``, ``python -m`` and ``python -c`` look for modules in the current folder first, and a ``json.py`` or
    ``torch.py`` that came with somebody's images would be run.
    """
    return [sys.executable, "-P", *arguments]
