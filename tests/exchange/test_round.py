"""What is exported for sd-scripts and imported again is the same configuration, and plans the same run."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lora_tui.config.family import usual_sample, with_family
from lora_tui.config.plan import plan_run
from lora_tui.config.presets import apply_preset, list_presets
from lora_tui.config.schema import Config, DatasetEntry, SamplePrompt
from lora_tui.dataset.scan import scan_datasets
from lora_tui.errors import UserError
from lora_tui.exchange.exporting import COMMAND, CONFIG, DATASET, export, write
from lora_tui.exchange.fate import Fate
from lora_tui.exchange.importing import import_file


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with folders of repeats in it, and images of two shapes."""
    root = tmp_path_factory.mktemp("images")
    for name, sizes in (("3_a cat", [(600, 700), (700, 600)]), ("2_dog", [(640, 640)])):
        (root / name).mkdir()
        for number, size in enumerate(sizes):
            Image.new("RGB", size, (number * 40, 90, 30)).save(root / name / f"{number}.png")
            (root / name / f"{number}.txt").write_text(f"{name}, {number}")
    return root


def begun(family: str, folder: Path) -> Config:
    config = with_family(Config(), family).model_copy(deep=True)
    config.datasets = [DatasetEntry(path=str(folder))]
    config.samples = [SamplePrompt(prompt="a cat", **usual_sample(config))]
    return config


def back(config: Config, folder: Path) -> Config:
    write(export(config, folder), folder, force=True)
    for name in (CONFIG, COMMAND):
        found = import_file(folder / name)
        assert [row.line for row in found.rows if row.fate is Fate.UNKNOWN] == []
    return found.config


@pytest.mark.parametrize("family", ["sd15", "sdxl", "flux", "sd3"])
def test_an_export_plans_the_same_run(family: str, images: Path, tmp_path: Path) -> None:
    config = begun(family, images)
    config.data.resolution = 512
    config.steps.epochs, config.steps.gradient_accumulation = 3, 2
    config.saving.every_epochs, config.saving.state_every_epochs = 2, 1
    again = back(config, tmp_path)
    assert again == config
    (tmp_path / DATASET).write_text((tmp_path / DATASET).read_text() + "\n")  # changed by a person: now it counts
    again = import_file(tmp_path / CONFIG).config
    assert [(Path(one.path).name, one.repeats) for one in again.datasets] == [("2_dog", 2), ("3_a cat", 3)]
    assert plan_run(again, scan_datasets(again)) == plan_run(config, scan_datasets(config))


FOLDERS = st.fixed_dictionaries(
    {
        "path": st.sampled_from(["3_a cat", "2_dog", "."]),
        "repeats": st.integers(0, 3),
        "use": st.sampled_from([True, True, False]),
        "regularisation": st.sampled_from([False, False, True]),
        "resolution": st.sampled_from([0, 0, 256, 768]),
        "batch_size": st.sampled_from([0, 0, 3]),
        "flip": st.sampled_from(["general", "on", "off"]),
        "shuffle": st.sampled_from(["general", "on", "off"]),
        "extensions": st.sampled_from([[], [".caption", ".txt"]]),
        "keep_tokens": st.sampled_from([-1, 0, 2]),
        "missing": st.sampled_from(["", "{folder}", "cat"]),
        "weight": st.sampled_from([1.0, 0.5]),
        "prefix": st.sampled_from(["", "p, "]),
    }
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    family=st.sampled_from(["sd15", "sdxl", "flux", "sd3"]),
    folders=st.lists(FOLDERS, min_size=1, max_size=3),
    more=st.sampled_from([[], ["384"], ["384", "640"]]),
    upscale=st.booleans(),
    buckets=st.booleans(),
    batch=st.integers(1, 4),
    missing=st.sampled_from(["", "{folder}"]),
    mode=st.sampled_from(["off", "auto", "on"]),
)
def test_the_datasets_of_any_configuration_plan_the_same_run(
    images: Path, tmp_path: Path, family: str, folders: list[dict[str, object]], more: list[str], upscale: bool,
    buckets: bool, batch: int, missing: str, mode: str,
) -> None:  # fmt: skip
    config = begun(family, images)
    config.datasets = [DatasetEntry(**{**one, "path": str(images / str(one["path"]))}) for one in folders]  # type: ignore[arg-type]
    config.data.more_resolutions, config.data.upscale, config.data.buckets = more, upscale, buckets
    config.steps.batch_size, config.captions.missing = batch, missing
    config.validation.mode = mode  # type: ignore[assignment]
    again = back(config, tmp_path)
    assert again == config
    lost = export(config, tmp_path).lost
    assert [f"datasets.{n}.weight" in lost for n, one in enumerate(folders) if one["use"]] == [
        one["weight"] != 1 for one in folders if one["use"]
    ]
    scan = scan_datasets(config)
    if scan.images:
        assert plan_run(again, scan_datasets(again)) == plan_run(config, scan)


def test_what_a_file_of_datasets_says_counts_more_than_options_and_defaults(tmp_path: Path) -> None:
    (tmp_path / "d.toml").write_text(
        '[general]\ncaption_extension = ".txt"\n[[datasets]]\nresolution = 768\nbucket_no_upscale = true\n'
        '[[datasets.subsets]]\nimage_dir = "."\n'
    )
    (tmp_path / "a.toml").write_text('dataset_config = "d.toml"\nresolution = "512,512"\nnetwork_dim = 8\n')
    found = import_file(tmp_path / "a.toml").config
    assert (found.data.resolution, found.data.upscale, found.captions.extensions) == (768, False, [".txt"])


def test_an_export_of_every_preset_is_the_same_configuration(images: Path, tmp_path: Path) -> None:
    for family in ("sd15", "sd2", "sdxl", "flux", "sd3", "chroma"):
        for preset in list_presets(family=family)[::3]:
            config = apply_preset(begun(family, images), preset)
            assert back(config, tmp_path) == config, preset.name


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    family=st.sampled_from(["sd15", "sdxl", "flux", "sd3"]),
    rank=st.integers(1, 320),
    alpha=st.floats(0.01, 1024),
    rate=st.floats(0, 1),
    words=st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20),
    schedule=st.sampled_from(["constant", "linear", "cosine_with_restarts", "warmup_stable_decay", "inverse_sqrt"]),
    kind=st.sampled_from(["lora", "loha", "lokr", "ia3", "oft", "dylora"]),
    optimizer=st.sampled_from(["adamw", "lion", "prodigy", "adafactor", "came", "sgd"]),
    steps=st.integers(0, 5000),
)
def test_nothing_is_lost_on_the_way_there_and_back(
    images: Path, tmp_path: Path, family: str, rank: int, alpha: float, rate: float, words: str, schedule: str,
    kind: str, optimizer: str, steps: int,
) -> None:  # fmt: skip
    config = begun(family, images)
    config.network.rank, config.network.alpha, config.learning.unet_lr = rank, alpha, rate
    config.captions.prefix, config.saving.comment, config.steps.max_steps = words, words, steps
    config.samples[0].prompt = words
    config.learning.schedule = schedule  # type: ignore[assignment]
    config.network.type = kind  # type: ignore[assignment]
    config.optimizer.type = optimizer  # type: ignore[assignment]
    assert back(config, tmp_path) == config


def test_what_sd_scripts_has_no_option_for_is_told(images: Path, tmp_path: Path) -> None:
    config = begun("sd15", images)
    config.learning.ema_decay = 0.99
    found = export(config, tmp_path)
    assert found.lost["learning.ema_decay"] == 0.99
    assert "noise.flow_shift" not in found.lost  # it means nothing for the family
    assert "train_network.py --config_file" in found.command
    assert set(found.files) >= {CONFIG, DATASET, COMMAND}


def test_a_family_that_sd_scripts_does_not_train_is_refused(images: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not train"):
        export(begun("qwen", images), tmp_path)


def test_files_that_are_there_are_not_replaced(images: Path, tmp_path: Path) -> None:
    (tmp_path / CONFIG).write_text("mine")
    with pytest.raises(UserError, match="there already"):
        write(export(begun("sd15", images), tmp_path), tmp_path)
    assert (tmp_path / CONFIG).read_text() == "mine"
