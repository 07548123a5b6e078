from __future__ import annotations

from pathlib import Path

import pytest
from lives import draw_dataset, live_here, micro_config, new_run

from lora_tui.runs.folder import RunFolder


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from lora_tui.bench.model import write_model

    return write_model(tmp_path_factory.mktemp("model") / "base", seed=1)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_dataset(tmp_path_factory.mktemp("data") / "discs")


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many images as three small batches need."""
    return draw_dataset(tmp_path_factory.mktemp("few") / "discs", 8)


@pytest.fixture(scope="session")
def finished(base: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that went through from beginning to end."""
    run = new_run(tmp_path_factory.mktemp("runs"), micro_config(base, data))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORA_TUI_HOME", str(tmp_path_factory.mktemp("home")))
        assert live_here(run) == 0
    return run
