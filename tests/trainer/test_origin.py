"""A resumed run says, one sentence each, what is not as it was when its state was written, and goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from lives import draw_dataset, events, lean_config, live_here, new_run, start
from safetensors.torch import save_file

from lora_tui.config.load import dump_config, load_config
from lora_tui.config.schema import Config
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.memory_policy import ENTRY, Policy
from lora_tui.runs.record import read_record, update_record


@dataclass(frozen=True)
class Stopped:
    """A run that was stopped, its images and its base model, all its own."""

    run: RunFolder
    images: Path
    base: Path

    @property
    def state(self) -> Path:
        """The manifest of its newest state."""
        return sorted(self.run.state_dir.iterdir())[-1] / "state.json"

    def change(self, edit: Callable[[Config], None]) -> None:
        """Edit its settings."""
        config = load_config(self.run.config_path)
        edit(config)
        self.run.config_path.write_text(dump_config(config), "utf-8")


@pytest.fixture(scope="module")
def template(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, a model and a run on them that ended after step 4 of 8."""
    root = tmp_path_factory.mktemp("origin") / "here"
    root.mkdir()
    images = draw_dataset(root / "images", 8)
    shutil.copytree(base, root / "base")
    run = new_run(root / "runs", _config(root / "base", images))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORA_TUI_HOME", str(tmp_path_factory.mktemp("home")))
        assert live_here(run) == 0
    return root


def _config(base: Path, images: Path) -> Config:
    return lean_config(base, images, data={"buckets": False}, steps={"epochs": 2, "batch_size": 2, "max_steps": 4})


@pytest.fixture
def stopped(template: Path, tmp_path: Path) -> Stopped:
    """Where it stood, with twice as many steps to take."""
    root = Path(shutil.copytree(template, tmp_path / "here"))
    (folder,) = (root / "runs").iterdir()
    found = Stopped(RunFolder(folder), root / "images", root / "base")
    config = _config(found.base, found.images)
    config.steps.max_steps = 8
    found.run.config_path.write_text(dump_config(config), "utf-8")
    return found


def _told(stopped: Stopped) -> list[tuple[str, str]]:
    """Resume it; the warnings of this life as (code, message)."""
    since = len(events(stopped.run))
    assert live_here(stopped.run, resume=True) == 0
    new = events(stopped.run)[since:]
    assert new[-1]["kind"] == "finished"
    assert [event["step"] for event in new if event["kind"] == "resumed"] == [4]
    return [(event["code"], event["message"]) for event in new if event["kind"] == "warning"]


def test_nothing_is_said_where_nothing_changed_but_places_and_length(stopped: Stopped) -> None:
    """Images and model lie in another folder than then, and the run is longer."""
    assert _told(stopped) == []


def test_an_image_that_was_added(stopped: Stopped) -> None:
    shutil.copy(stopped.images / "003.png", stopped.images / "099.png")
    (stopped.images / "099.txt").write_text("disc", "utf-8")
    assert [code for code, _message in _told(stopped)] == ["resume.images"]
    assert events(stopped.run, "run")[-1]["batches_per_epoch"] == 5


def test_an_image_that_was_removed_and_one_that_was_replaced(stopped: Stopped) -> None:
    for end in (".png", ".txt"):
        (stopped.images / f"000{end}").unlink()
    shutil.copy(stopped.images / "001.png", stopped.images / "002.png")
    assert _told(stopped) == [
        ("resume.images", "images were added, removed or replaced since the state at step 4 was written."),
    ]


def test_a_caption_that_was_edited(stopped: Stopped) -> None:
    (stopped.images / "003.txt").write_text("something else", "utf-8")
    assert _told(stopped) == [
        ("resume.captions", "captions were edited since the state at step 4 was written."),
    ]


def test_settings_that_were_changed(stopped: Stopped) -> None:
    stopped.change(lambda config: setattr(config.learning, "unet_lr", 1e-5))
    assert [code for code, _message in _told(stopped)] == ["resume.settings"]
    assert events(stopped.run, "step")[-1]["lr"]["unet"] < 1e-5  # and they hold


def test_a_base_model_that_was_replaced(stopped: Stopped) -> None:
    from lora_tui.bench.model import write_model

    write_model(stopped.base, seed=77)
    assert [code for code, _message in _told(stopped)] == ["resume.base"]


def test_a_lora_that_was_merged_into_the_base_since(stopped: Stopped, tmp_path: Path) -> None:
    """Its embeddings and losses are those of the merged model, and its record says what was merged."""
    stem = "lora_te_text_model_encoder_layers_0_mlp_fc1"
    tensors = {f"{stem}.lora_down.weight": torch.ones(1, 64), f"{stem}.lora_up.weight": torch.ones(256, 1) * 0.1}
    save_file(tensors, tmp_path / "style.safetensors")
    stopped.change(lambda config: setattr(config.model, "loras", [f"{tmp_path}/style.safetensors strength=0.5"]))
    assert [code for code, _message in _told(stopped)] == ["resume.base"]
    (merged,) = read_record(stopped.run)["merged_loras"]
    assert (Path(merged["source"]).name, merged["strength"], len(merged["hash"])) == ("style.safetensors", 0.5, 64)


def test_a_base_model_of_another_shape_does_not_fit(stopped: Stopped) -> None:
    from lora_tui.bench.model import micro_shape, write_model

    write_model(stopped.base, seed=1, shape=replace(micro_shape("sd15"), unet_channels=(64, 32, 64, 64)))
    life = start(stopped.run, "--resume")
    assert life.wait(90) == 2
    assert [event["code"] for event in events(stopped.run, "warning")] == ["resume.base"]
    failed = events(stopped.run, "failed")[-1]
    assert failed["code"] == "state.mismatch"
    assert "base model" in failed["advice"]
    assert stopped.state.is_file()


def test_another_torch(stopped: Stopped) -> None:
    manifest = json.loads(stopped.state.read_text("utf-8"))
    now = manifest["origin"]["libraries"]
    version = next(entry for entry in now.split(", ") if entry.startswith("torch "))
    manifest["origin"]["libraries"] = now.replace(version, "torch 1.0")
    stopped.state.write_text(json.dumps(manifest), "utf-8")
    assert _told(stopped) == [
        ("resume.libraries", f"the state at step 4 was written with torch 1.0; here it is {version}."),
    ]


def test_another_number_of_threads(stopped: Stopped) -> None:
    manifest = json.loads(stopped.state.read_text("utf-8"))
    assert manifest["origin"]["threads"] == "1"
    manifest["origin"]["threads"] = "16"
    del manifest["origin"]["weights"]  # as in states from before it was told
    stopped.state.write_text(json.dumps(manifest), "utf-8")
    assert _told(stopped) == [
        ("resume.threads", "the state at step 4 was trained with 16 threads; now there are 1."),
    ]


def test_another_number_of_processes(stopped: Stopped) -> None:
    manifest = json.loads(stopped.state.read_text("utf-8"))
    manifest["origin"]["processes"] = "2"
    stopped.state.write_text(json.dumps(manifest), "utf-8")
    assert _told(stopped) == [
        ("resume.processes", "the processes of the run when the state at step 4 was written: 2; now: 1."),
    ]


def test_a_base_that_is_kept_in_another_way(stopped: Stopped) -> None:
    stopped.change(lambda config: setattr(config.memory, "base_weights", "nf4"))
    told = _told(stopped)
    text = "how the base model was kept when the state at step 4 was written: full; now: nf4."
    assert told == [("resume.weights", text)]
    manifest = json.loads(stopped.state.read_text("utf-8"))
    assert manifest["origin"]["weights"] == "nf4"


def test_a_state_says_how_the_base_is_kept_since_memory_ran_out(stopped: Stopped) -> None:
    """What the ladder came to counts: the settings are the same then."""
    policy = Policy.of(load_config(stopped.run.config_path))
    entry = {"settings": [policy.as_dict(), "adapt", 2], "used": replace(policy, weights="int8").as_dict()}
    update_record(stopped.run, **{ENTRY: {**entry, "steps_down": [{"place": "training", "step": 3}]}})
    text = "how the base model was kept when the state at step 4 was written: full; now: int8."
    assert _told(stopped) == [("resume.weights", text)]


def test_a_state_from_a_gpu(stopped: Stopped) -> None:
    manifest = json.loads(stopped.state.read_text("utf-8"))
    manifest["origin"] |= {"device": "Some GPU", "threads": ""}
    stopped.state.write_text(json.dumps(manifest), "utf-8")
    assert _told(stopped) == [
        ("resume.device", "the state at step 4 was trained on Some GPU; now it is CPU."),
    ]


def test_a_state_of_another_version_is_left_alone(stopped: Stopped) -> None:
    manifest = json.loads(stopped.state.read_text("utf-8"))
    stopped.state.write_text(json.dumps({**manifest, "version": 99}), "utf-8")
    life = start(stopped.run, "--resume")
    assert life.wait(90) == 2
    assert events(stopped.run, "failed")[-1]["code"] == "state.version"
    assert stopped.state.is_file()
