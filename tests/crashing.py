"""Images over which a process dies, as over those at which a decoder's C code crashes: opening one is enough."""

from __future__ import annotations

from pathlib import Path

import pytest

_HOOK = """\
import os, sys
def hook(event, arguments):
    name = arguments[0] if event == "open" else 0
    if not isinstance(name, int) and {module!r} in sys.orig_argv and "crash" in os.path.basename(os.fsdecode(name)):
        os.abort()
sys.addaudithook(hook)
"""


def crash_over_images(monkeypatch: pytest.MonkeyPatch, folder: Path, module: str) -> None:
    """From now on processes of ``module`` abort once they open a file with "crash" in its name."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_HOOK.format(module=module))
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")
