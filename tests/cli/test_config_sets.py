"""``config diff``, ``config save-preset`` and ``config plan --probe`` as a person and a script use them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from run_folders import write_run

from lora_tui.bench.model import write_model
from lora_tui.cli.main import run
from lora_tui.config.load import dump_config, load_config, save_config, set_values
from lora_tui.config.schema import Config


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LORA_TUI_LANG", "en")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "hat.toml"
    save_config(set_values(Config(), ["network.rank=48", "saving.name=hat", "steps.epochs=4"]), path)
    return path


def answer(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def test_diff_names_what_differs_from_a_preset_a_run_and_a_file(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = write_run(tmp_path / "runs", steps=2, total=2, ending="completed", name="r64")
    made.config_path.write_text(dump_config(set_values(load_config(config), ["network.rank=64"])))
    other = tmp_path / "other.toml"
    save_config(set_values(load_config(config), ["steps.epochs=9"]), other)
    for there, expected in (
        ("character", ("network.rank", 48, 32)),
        (str(made.config_path.parent), ("network.rank", 48, 64)),
        (str(other), ("steps.epochs", 4, 9)),
    ):
        assert run(["config", "diff", str(config), there, "--json"]) == 0
        found = {(one["key"], one["here"], one["there"]) for one in answer(capsys)["differences"]}
        assert expected in found
    assert len(found) == 1
    assert run(["config", "diff", str(config), str(config)]) == 0
    assert "Nothing differs from hat.toml." in capsys.readouterr().out
    assert run(["config", "diff", str(config), "nothing-like-it"]) == 2
    assert "There is no preset nothing-like-it." in capsys.readouterr().err


def test_a_saved_preset_is_listed_and_used_and_never_replaced_unasked(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save = ["config", "save-preset", str(config), "mine"]
    assert run([*save, "--json"]) == 0
    assert answer(capsys)["settings"] == {"network.rank": 48, "steps.epochs": 4}
    assert run(["config", "new", str(tmp_path / "new.toml"), "--preset", "mine"]) == 0
    assert load_config(tmp_path / "new.toml").network.rank == 48
    assert run(save) == 2
    assert "There is a preset of this name already." in capsys.readouterr().err
    assert run([*save, "--force"]) == 0
    assert run(["config", "save-preset", str(config), "../mine"]) == 2
    assert not list(tmp_path.glob("**/presets/../mine.toml"))


def test_a_probe_trains_two_steps_and_later_plans_know_what_they_took(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number in range(4):
        Image.new("RGB", (64, 64), (number * 60, 90, 200)).save(images / f"{number}.png")
        (images / f"{number}.txt").write_text("blob")
    path, said = tmp_path / "blob.toml", ["data.resolution=64", "data.bucket_min=64", "data.bucket_max=64"]
    said += [f"model.base={write_model(tmp_path / 'base', seed=1)}", f"datasets.0.path={images}", "network.rank=2"]
    said += ["memory.device=cpu", "memory.precision=fp32", "memory.threads=1", "saving.name=blob"]
    said += ["samples.0.prompt=blob", "samples.0.width=64", "samples.0.height=64", "samples.0.steps=2"]
    save_config(set_values(Config(), said), path)
    assert run(["config", "plan", str(path), "--probe", "--json"]) == 0
    probe = answer(capsys)["probe"]
    assert probe["size"] == [64, 64] and probe["batch"] == 2
    assert probe["step_seconds"] > 0 and probe["sample_seconds"] > 0
    assert probe["peaks"]["training"] > 0 and probe["peak"] == max(probe["peaks"].values())
    assert not (tmp_path / "runs").exists()
    assert run(["config", "plan", str(path), "--json"]) == 0
    told = answer(capsys)
    assert told["probe"] is None and told["source"].startswith("the probe of ")
    assert told["step_seconds"] == pytest.approx(probe["step_seconds"])
