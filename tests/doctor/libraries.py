"""Libraries that train, as far as a look at whether they load needs them."""

from __future__ import annotations

from pathlib import Path

import pytest


def write_stand_ins(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Modules that every Python started from here finds before the libraries, which take seconds; torch is real."""
    (folder / "diffusers").mkdir(parents=True)
    for name in ("diffusers/__init__", "diffusers/models", "transformers", "peft", "accelerate"):
        (folder / f"{name}.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder
