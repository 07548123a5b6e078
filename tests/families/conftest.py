"""Small models that several files of tests look at, made once in a process."""

from __future__ import annotations

import pytest
from row_models import Qwen, RowModel, ZImage

ROWS = {model.family: model for model in (ZImage, Qwen)}


@pytest.fixture(scope="session")
def zimage(tmp_path_factory: pytest.TempPathFactory) -> ZImage:
    return ZImage(tmp_path_factory.mktemp("zimage"))


@pytest.fixture(scope="session")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Qwen:
    return Qwen(tmp_path_factory.mktemp("qwen"))


@pytest.fixture(scope="session", params=ROWS)
def own(request: pytest.FixtureRequest) -> RowModel:
    """Each of them."""
    found: RowModel = request.getfixturevalue(request.param)
    return found
