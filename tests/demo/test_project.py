"""The demo project: made once, completed when it was cut short, never over something else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lora_tui.config.load import load_config, save_config
from lora_tui.config.validate import check_config
from lora_tui.dataset.batches import make_plan
from lora_tui.dataset.scan import scan_datasets
from lora_tui.demo import dataset, linocut
from lora_tui.demo.project import MICRO, Demo, make_demo
from lora_tui.demo.recipe import SIDE, STEPS, TRIALS
from lora_tui.errors import UserError
from lora_tui.project import Project
from lora_tui.weights.header.format import read_header
from lora_tui.weights.header.models import identify_model

MOST_BYTES = 16_000_000
"""What ships of the model."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return make_demo(tmp_path_factory.mktemp("demo") / "new" / "project")


def test_it_is_a_project_with_datasets_models_and_configurations(demo: Demo) -> None:
    project = Project.load(demo.root)
    assert (project.purpose, project.trigger) == ("character", dataset.TRIGGER)
    assert [entry.path for entry in project.datasets] == [demo.images, demo.others]
    assert Path(project.base_model) == demo.model
    assert len(list(demo.images.glob("*.png"))) == dataset.IMAGES
    assert len(list(demo.prints.glob("*.png"))) == linocut.IMAGES


def test_the_character_of_the_project_is_what_the_app_opens_with(demo: Demo) -> None:
    assert Project.load(demo.root).newest_configs() == [demo.config, demo.style_config]


def test_the_model_is_there_through_both_doors(demo: Demo) -> None:
    assert (identify_model(demo.model).family, identify_model(demo.model).kind) == ("sd15", "diffusers")
    assert (identify_model(demo.checkpoint).family, identify_model(demo.checkpoint).kind) == ("sd15", "checkpoint")
    assert Path(load_config(demo.config).model.base) == demo.model
    assert Path(load_config(demo.style_config).model.base) == demo.checkpoint
    assert read_header(demo.checkpoint).metadata["modelspec.resolution"] == f"{SIDE}x{SIDE}"


def test_what_ships_is_small_and_says_what_it_is() -> None:
    files = [path for path in MICRO.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    assert json.loads((MICRO / "unet" / "config.json").read_text("utf-8"))["sample_size"] * 8 == SIDE


@pytest.mark.parametrize("which", ["config", "style_config"])
def test_the_configurations_are_ready_to_train(demo: Demo, which: str) -> None:
    config = load_config(getattr(demo, which))
    scan = scan_datasets(config)
    assert not scan.problems
    findings = check_config(config, scan=scan)
    assert [finding for finding in findings if finding.severity == "error"] == []
    assert {finding.code for finding in findings} <= {"data.resolution_far", "captions.missing", "learning.high_rate"}
    plan = make_plan(config, scan)
    assert plan.total_steps == STEPS
    trial = TRIALS[config.saving.trigger]
    assert all(config.saving.trigger in prompt for prompt in trial.prompts)
    assert not any(config.saving.trigger in prompt for prompt in trial.plain)
    assert len(trial.prompts) == len(trial.plain) >= 3


def test_an_earlier_demo_is_used_again_with_what_was_changed(demo: Demo) -> None:
    config = load_config(demo.config)
    config.steps.seed = 99
    save_config(config, demo.config)
    caption = next(demo.images.glob("*.txt"))
    caption.write_text("mine\n")
    before = demo.checkpoint.stat().st_mtime_ns
    said: list[str] = []
    assert make_demo(demo.root, say=said.append) == demo
    assert said == []
    assert load_config(demo.config).steps.seed == 99
    assert caption.read_text() == "mine\n"
    assert demo.checkpoint.stat().st_mtime_ns == before


def test_one_that_was_cut_short_is_completed(demo: Demo) -> None:
    (demo.model / "model_index.json").unlink()
    demo.config.unlink()
    shutil.rmtree(demo.prints)
    said: list[str] = []
    make_demo(demo.root, say=said.append)
    assert len(said) == 2
    assert (demo.model / "model_index.json").is_file()
    assert load_config(demo.config).saving.trigger == dataset.TRIGGER
    assert len(list(demo.prints.glob("*.txt"))) == linocut.IMAGES


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    for place in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(UserError) as caught:
            make_demo(place)
        assert caught.value.code == "demo.exists"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
