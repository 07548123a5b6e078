"""What tests of pictures share."""

from __future__ import annotations

import pytest
from grid_models import Nursery


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Nursery:
    return Nursery(tmp_path_factory.mktemp("grids"))
