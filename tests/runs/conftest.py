from collections.abc import Iterator
from pathlib import Path

import pytest
from run_builders import end_all


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path: Path) -> Iterator[None]:
    """A test that fails leaves no process running."""
    yield
    end_all(tmp_path)
