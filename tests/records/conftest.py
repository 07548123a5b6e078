import shutil
from pathlib import Path

import pytest
from run_folders import write_run

from lora_tui.config.load import dump_config, set_values
from lora_tui.config.schema import Config
from lora_tui.records.manifest import write_manifest
from lora_tui.runs.folder import RunFolder, list_runs


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept between processes is kept for this test alone."""
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three runs: a complete one of rank 32, one of FLUX that died, and a LoHa; made once and copied."""
    folder = tmp_path_factory.mktemp("made")
    wishes = (
        ("completed", 100, ["network.rank=32"]),
        ("died", 74, ["network.rank=64", "learning.unet_lr=5e-5", "model.family=flux", "saving.trigger=hatgirl"]),
        ("completed", 100, ["network.type=loha", "network.rank=8"]),
    )
    for number, (ending, steps, sets) in enumerate(wishes):
        run = write_run(folder / "runs", steps=steps, total=100, ending=ending, name=f"hat-{number}")
        run.config_path.write_text(dump_config(set_values(Config(), [*sets, "saving.name=hat"])))
        files = {
            f"0/{place}.png": {"hash": f"h{place}", "caption": f"hatgirl, hat, n{place}", "repeats": 1}
            for place in range(number, 5)
        }
        write_manifest(run, files)
    return folder


@pytest.fixture
def runs(made: Path, tmp_path: Path) -> list[RunFolder]:
    """The three runs as a test's own."""
    shutil.copytree(made, tmp_path / "project")
    return list_runs(tmp_path / "project" / "runs")
