from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster, missing
from lives import draw_dataset


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A real Slurm; the tests that need it are asked for by `make test-slurm` alone, and fail without it."""
    lacking = missing()
    assert not lacking, f"{lacking} is not installed: apt-get install --no-install-recommends slurm-wlm munge"
    found = Cluster()
    try:
        found.start()
        yield found
    finally:
        found.end()


@pytest.fixture
def slurm(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The cluster, for the programs that this test starts."""
    for name, value in cluster.environment().items():
        if os.environ.get(name) != value:
            monkeypatch.setenv(name, value)
    return cluster


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from lora_tui.bench.model import write_model

    return write_model(tmp_path_factory.mktemp("model") / "base", seed=1)


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_dataset(tmp_path_factory.mktemp("few") / "discs", 8)
