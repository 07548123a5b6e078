"""The demo project: made once, completed when it was cut short, never over something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_tui.config.load import load_config, save_config
from lora_tui.config.validate import check_config
from lora_tui.dataset.checks import check_dataset
from lora_tui.dataset.scan import scan_datasets
from lora_tui.demo.dataset import IMAGES, TRIGGER
from lora_tui.demo.project import Demo, make_demo
from lora_tui.errors import UserError
from lora_tui.project import Project
from lora_tui.weights.header import identify_model


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return make_demo(tmp_path_factory.mktemp("demo") / "new" / "project")


def test_it_is_a_project_with_images_model_and_configuration(demo: Demo) -> None:
    project = Project.load(demo.root)
    assert (project.purpose, project.trigger) == ("character", TRIGGER)
    assert [entry.path for entry in project.datasets] == [demo.images]
    assert Path(project.base_model) == demo.model
    assert (identify_model(demo.model).family, identify_model(demo.model).kind) == ("sd15", "diffusers")


def test_the_configuration_is_ready_to_train(demo: Demo) -> None:
    config = load_config(demo.config)
    scan = scan_datasets(config)
    assert len(scan.images) == IMAGES
    assert not scan.problems
    findings = check_config(config, scan=scan)
    assert [finding for finding in findings if finding.severity == "error"] == []
    assert {finding.code for finding in findings} <= {"data.resolution_far"}


def test_the_dataset_has_no_problems(demo: Demo) -> None:
    scan = scan_datasets(load_config(demo.config))
    assert [problem.message for problem in check_dataset(scan, purpose="character", trigger=TRIGGER)] == []


def test_an_earlier_demo_is_used_again_with_what_was_changed(demo: Demo) -> None:
    config = load_config(demo.config)
    config.steps.seed = 99
    save_config(config, demo.config)
    caption = next(demo.images.glob("*.txt"))
    caption.write_text("mine\n")
    missing = demo.images / "mimbu-36.png"
    model = demo.model / "unet" / "diffusion_pytorch_model.safetensors"
    before = model.stat().st_mtime_ns
    said: list[str] = []
    assert make_demo(demo.root, say=said.append) == demo
    assert said == []
    assert load_config(demo.config).steps.seed == 99
    assert caption.read_text() == "mine\n"
    assert missing.exists()
    assert model.stat().st_mtime_ns == before


def test_one_that_was_cut_short_is_completed(demo: Demo) -> None:
    (demo.model / "model_index.json").unlink()
    demo.config.unlink()
    said: list[str] = []
    make_demo(demo.root, say=said.append)
    assert len(said) == 1
    assert (demo.model / "model_index.json").is_file()
    assert load_config(demo.config).saving.trigger == TRIGGER


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    for place in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(UserError) as caught:
            make_demo(place)
        assert caught.value.code == "demo.exists"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
