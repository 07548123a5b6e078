"""``lora-tui dataset class-images``: drawn with the base model, with captions, gone on with where it was left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from lora_tui.cli.main import run
from lora_tui.config.load import save_config
from lora_tui.config.schema import Config, SamplePrompt
from lora_tui.errors import UserError
from lora_tui.sampling.class_images import ClassImages, draw


def test_images_of_the_class_are_drawn_and_those_that_are_there_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lora_tui.bench.model import write_model

    config = Config()
    config.model.base = str(write_model(tmp_path / "base", seed=1))
    config.memory.precision, config.memory.device, config.memory.threads = "fp32", "cpu", 1
    save_config(config, tmp_path / "run.toml")
    folder = tmp_path / "class"
    words = ["dataset", "class-images", str(folder), "--config", str(tmp_path / "run.toml"), "--prompt", "a disc"]
    words += ["--size", "64", "--steps", "1", "--json"]
    assert run([*words, "--count", "2"]) == 0
    found = json.loads(capsys.readouterr().out)["images"]
    assert [Path(path).name for path in found] == ["class-0001.png", "class-0002.png"]
    with Image.open(found[0]) as first, Image.open(found[1]) as second:
        assert first.size == second.size == (64, 64)
        assert first.tobytes() != second.tobytes()
    assert (folder / "class-0002.txt").read_text() == "a disc"
    kept = Path(found[0]).stat().st_mtime_ns
    Path(found[1]).unlink()
    told: list[Path] = []
    sample = SamplePrompt(prompt="a disc", width=64, height=64, steps=1)
    draw(ClassImages(config, folder, sample, 2), told.append)
    assert sorted(told) == sorted(map(Path, found))
    assert Path(found[0]).stat().st_mtime_ns == kept
    assert Path(found[1]).is_file()
    assert run([*words, "--count", "0"]) == 2


def test_a_gpu_that_is_not_there_is_said(tmp_path: Path) -> None:
    config = Config()
    config.memory.device = "cuda:77"
    with pytest.raises(UserError) as caught:
        draw(ClassImages(config, tmp_path / "class", SamplePrompt(prompt="a disc"), 1), print)
    assert caught.value.code == "device.missing"
