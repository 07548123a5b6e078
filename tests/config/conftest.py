"""What tests of several rooms of the configuration begin with."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def ready(tmp_path: Path) -> dict[str, object]:
    """Sections of a configuration that has nothing to be said against it, but for its prompts."""
    images = tmp_path / "images"
    images.mkdir()
    return {
        "model": {"base": "owner/model"},
        "datasets": [{"path": str(images)}],
        "samples": [{"prompt": "a cat"}],
    }
