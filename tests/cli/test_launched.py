"""``train`` as one of a launcher's processes: what is refused before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from lora_tui.bench.model import write_model
from lora_tui.cli.main import run as command
from lora_tui.config.load import parse_config, save_config


@pytest.fixture(autouse=True)
def _first_of_two(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


def test_it_ends_with_the_launcher(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["train", "blob.toml", "--detach"]) == 2
    assert "--detach" in capsys.readouterr().err


def test_its_number_is_that_of_the_run_and_needs_as_many_batches(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, images = write_model(tmp_path / "base", seed=1), tmp_path / "images"
    images.mkdir()
    Image.new("RGB", (64, 64)).save(images / "1.png")
    values = {"model": {"base": str(model)}, "datasets": [{"path": str(images)}]}
    save_config(parse_config(values, base=None, place="test"), tmp_path / "blob.toml")
    assert command(["train", "blob.toml", "--runs", "runs"]) == 2
    assert "2 processes share the batches of a step, and it has 1." in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
