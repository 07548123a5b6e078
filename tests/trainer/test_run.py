"""A whole run: what it leaves on disk and what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lives import LAST_LEVEL, draw_dataset, events, lean_config, live_here, lora, micro_config, new_run, same_tensors
from PIL import Image

from lora_tui.dataset.batches import make_plan
from lora_tui.dataset.scan import scan_datasets
from lora_tui.records.manifest import read_manifest
from lora_tui.runs.beginning import beginning_of
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.record import read_record
from lora_tui.weights.header.loras import lora_info


def test_it_learns_saves_samples_and_validates(finished: RunFolder) -> None:
    steps = events(finished, "step")
    announced = events(finished, "run")[0]
    assert [event["step"] for event in steps] == list(range(1, announced["total_steps"] + 1))
    validation = events(finished, "validation")
    assert [event["step"] for event in validation] == [0, 6, 12, 18]
    assert validation[-1]["loss"] < 0.95 * validation[0]["loss"]
    assert [event["step"] for event in events(finished, "checkpoint")] == [6, 12, 18]
    assert events(finished)[-1]["reason"] == "completed"
    for event in events(finished, "checkpoint") + events(finished, "sample"):
        assert (finished.root / event["path"]).is_file()
    with Image.open(finished.samples_dir / "000018-00.png") as picture:
        assert picture.size == (64, 64)
        assert "Steps: 3, Sampler: Euler a" in picture.text["parameters"]  # type: ignore[attr-defined]


def test_it_tells_once_what_the_time_to_the_first_step_went_into(finished: RunFolder) -> None:
    (began,) = events(finished, "began")
    told = beginning_of(read_record(finished))
    assert told is not None and (told.seconds, told.parts) == (began["seconds"], began["parts"])
    assert set(told.parts) == {"libraries", "loading", "caching", "measuring", "step"}
    assert told.seconds == pytest.approx(sum(told.parts.values()), abs=0.01)
    assert [event["kind"] for event in events(finished)].index("step") < events(finished).index(began)


def test_the_plan_says_what_the_trainer_does(finished: RunFolder, base: Path, data: Path) -> None:
    config = micro_config(base, data)
    plan = make_plan(config, scan_datasets(config))
    announced = events(finished, "run")[0]
    assert announced["total_steps"] == plan.total_steps == len(events(finished, "step"))
    assert announced["batches_per_epoch"] == plan.batches_per_epoch
    assert announced["validation_images"] == len(plan.validation) == 2


def test_the_file_names_its_rank_alpha_and_origin(finished: RunFolder) -> None:
    info = lora_info(finished.checkpoints_dir / "blob.safetensors")
    assert info.family == "sd15"
    assert info.layout == "kohya"
    assert dict(info.ranks) == {4: info.modules}
    assert dict(info.alphas) == {2.0: info.modules}
    metadata = info.metadata
    assert metadata["ss_network_dim"] == "4"
    assert metadata["ss_network_alpha"] == "2.0"
    assert metadata["ss_base_model_version"] == "sd_v1"
    assert metadata["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert json.loads(metadata["ss_tag_frequency"])["discs"]["blob"] == 22
    assert len(metadata["sshs_model_hash"]) == 64
    assert not {"modelspec.license", "ss_dataset_source"} & set(metadata), "nothing is noted of these images"


def test_the_record_has_inputs_and_result(finished: RunFolder) -> None:
    record = json.loads(finished.record_path.read_text("utf-8"))
    assert record["result"] == {"reason": "completed", "step": 18, "path": "checkpoints/blob.safetensors"}
    assert record["totals"] == {"total_steps": 18, "epochs": events(finished, "run")[0]["epochs"]}
    assert record["dataset"]["images"] == 22
    assert record["versions"]["torch"]
    manifest = read_manifest(finished)
    assert manifest is not None and len(manifest) == 24, "images held out are among them"
    assert len(manifest["0/000.png"].digest) >= 32


VARIANTS = {
    "no text encoder, shuffled from cache": {
        "network": LAST_LEVEL,
        "captions": {"shuffle": True, "variants": 3, "dropout": 0.2, "keep_tokens": 1},
    },
    "captions varied in every way, from cache": {
        "network": LAST_LEVEL,
        "captions": {
            "variants": 3,
            "prefix": "[w] |||",
            "placeholder": "[w]",
            "tag_dropout": 0.3,
            "dropout_epochs": 3,
            "tag_warmup": 9,
            "wildcards": True,
            "lines": "random",
            "weighted": True,
            "suffix": ", {(red:1.3)|[blue]}",
        },
        "saving": {"trigger": "hatgirl"},
        "steps": {"epochs": 3},
    },
    "bf16, accumulated, flipped": {
        "memory": {"precision": "bf16"},
        "network": LAST_LEVEL,
        "steps": {"epochs": 2, "gradient_accumulation": 2},
        "data": {"flip": True},
        "samples": [{"prompt": "blob", "width": 64, "height": 64, "steps": 2}],
        "sampling": {"at_start": False},
    },
    "fp16, checkpointed": {
        "memory": {"precision": "fp16", "gradient_checkpointing": True},
        "steps": {"max_steps": 4},  # on a CPU such a step takes as long as five others
    },
    "encoding in the step, cut anywhere, in other colours": {
        "memory": {"cache_latents": False},
        "network": LAST_LEVEL,
        "data": {"flip": True, "buckets": False, "random_crop": True, "brightness": 0.1, "hue": 5.0},
    },
    "LoCon, Prodigy, weighted loss, noise of many kinds": {
        "network": {"type": "locon", "conv_rank": 2, "conv_alpha": 1.0},
        "noise": {
            "min_snr_gamma": 5.0,
            "noise_offset": 0.1,
            "offset_random": True,
            "offset_adaptive": 0.1,
            "ip_noise_gamma": 0.1,
            "loss": "smooth_l1",
            "huber_c": 0.5,
        },
        "optimizer": {"type": "prodigy", "args": ["d0=1e-3"]},
        "learning": {"unet_lr": 1.0, "text_encoder_lr": 1.0},
        "steps": {"epochs": 3},
    },
    "squares, DoRA, no validation": {
        "data": {"buckets": False},
        "validation": {"mode": "off"},
        "network": {"dora": True},
        "steps": {"epochs": 1},
    },
}
"""Two epochs each, where nothing else is said, and no samples."""


@pytest.mark.parametrize("name", VARIANTS)
def test_every_way_of_training_learns(name: str, base: Path, data: Path, tmp_path: Path) -> None:
    run = new_run(tmp_path, micro_config(base, data, **{"steps": {"epochs": 2}, "samples": []} | VARIANTS[name]))
    assert live_here(run) == 0
    losses = [event["loss"] for event in events(run, "step")]
    assert len(losses) == events(run, "run")[0]["total_steps"]
    validation = [event["loss"] for event in events(run, "validation")]
    if validation:  # losses of single steps jump with the noise level; with fixed noise it must fall
        assert min(validation[1:]) < validation[0]


def test_marks_in_captions_are_obeyed_and_never_trained(base: Path, tmp_path: Path) -> None:
    """A run over captions with marks ends with the bits of one over the same captions without them."""
    marked = draw_dataset(tmp_path / "marked", 4)
    plain = draw_dataset(tmp_path / "plain", 4)
    for folder, text in ((marked, "blob ||| disc;;;red"), (plain, "blob, disc, red")):
        for caption in folder.glob("*.txt"):
            caption.write_text(text)
    ways = {"captions": {"shuffle": False}, "steps": {"epochs": 1, "batch_size": 4}}
    runs = [new_run(tmp_path / folder.name, lean_config(base, folder, **ways)) for folder in (marked, plain)]
    assert [live_here(run) for run in runs] == [0, 0]
    assert same_tensors(*(lora(run) for run in runs))
    for run in runs:
        metadata = lora_info(run.checkpoints_dir / "blob.safetensors").metadata
        assert {*next(iter(json.loads(metadata["ss_tag_frequency"]).values()))} == {"blob", "disc", "red"}
        assert json.loads(run.record_path.read_text("utf-8"))["dataset"]["tags"].keys() == {"blob", "disc", "red"}


def test_accumulated_batches_equal_a_larger_batch(base: Path, tmp_path: Path) -> None:
    """Two batches of two, added up, move the weights as one batch of four does."""
    data = draw_dataset(tmp_path / "four", 4)
    common = {"data": {"buckets": False}}
    small = {"steps": {"epochs": 1, "batch_size": 2, "gradient_accumulation": 2}}
    runs = []
    for changes in (small, {"steps": {"epochs": 1, "batch_size": 4}}):
        run = new_run(tmp_path / "runs", lean_config(base, data, **common, **changes, saving={"precision": "fp32"}))
        assert live_here(run) == 0
        runs.append(run)
    losses = [events(run, "step")[0]["loss"] for run in runs]
    norms = [events(run, "step")[0]["grad_norm"] for run in runs]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


def test_only_the_newest_files_are_kept(base: Path, data: Path, tmp_path: Path) -> None:
    config = lean_config(
        base, data, steps={"epochs": 1},
        saving={"name": "blob", "every_steps": 1, "keep_last": 2, "state_every_steps": 2},
    )  # fmt: skip
    run = new_run(tmp_path, config)
    assert live_here(run) == 0
    names = sorted(path.name for path in run.checkpoints_dir.iterdir())
    assert names == ["blob-000004.safetensors", "blob-000005.safetensors", "blob.safetensors"]
    assert len(list(run.state_dir.iterdir())) == 2
