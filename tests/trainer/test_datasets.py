"""Runs over several folders with settings of their own."""

from __future__ import annotations

import json
from pathlib import Path

from dataset.prepare.networks import face_model
from lives import draw_dataset, events, live_here, micro_config, new_run
from PIL import Image

from lora_tui.config.schema import Config
from lora_tui.dataset.batches import make_plan
from lora_tui.dataset.scan import scan_datasets
from lora_tui.trainer.dataset_metadata import dataset_metadata
from lora_tui.weights.header.loras import lora_info


def white_left_half(images: Path, *, of: int) -> None:
    """Masks for the first ``of`` images of a folder."""
    for picture in sorted(images.glob("*.png"))[:of]:
        with Image.open(picture) as image:
            mask = Image.new("L", image.size)
        mask.paste(255, (0, 0, mask.width // 2, mask.height))
        mask.save(picture.with_name(f"{picture.stem}-masklabel.png"))


def test_files_tell_of_each_resolution_as_a_dataset(tmp_path: Path) -> None:
    config = Config.model_validate(
        {
            "datasets": [{"path": str(draw_dataset(tmp_path / "discs", 3))}],
            "data": {"resolution": 64, "more_resolutions": ["96"], "bucket_min": 32, "bucket_step": 32},
            "steps": {"batch_size": 2},
        }
    )
    scan = scan_datasets(config)
    found = dataset_metadata(config, make_plan(config, scan), {image.uid: "disc" for image in scan.images})
    small, large = found["ss_datasets"]
    assert (small["resolution"], large["resolution"]) == ([64, 64], [96, 96])
    assert (small["num_train_images"], large["num_train_images"], found["ss_num_train_images"]) == (3, 3, 6)
    assert found["ss_tag_frequency"] == {"discs": {"disc": 3}}


def test_folders_with_sizes_batches_and_captions_of_their_own(base: Path, tmp_path: Path) -> None:
    discs = draw_dataset(tmp_path / "discs", 6)
    nameless = draw_dataset(tmp_path / "1_square thing", 2)
    for caption in nameless.glob("*.txt"):
        caption.unlink()
    config = micro_config(
        base,
        discs,
        datasets=[
            {"path": str(discs)},
            {"path": str(draw_dataset(tmp_path / "things", 4)), "regularisation": True},
            {"path": str(discs), "resolution": 96, "batch_size": 1, "repeats": 2, "flip": "on", "prefix": "large,"},
            {"path": str(nameless), "missing": "a {folder}", "weight": 0.5},
        ],
        network={"text_encoder": False},
        steps={"epochs": 1, "batch_size": 4},
        samples=[],
        validation={"mode": "on"},
        data={
            "prior_loss_weight": 0.5,
            "random_crop": True,
            "hue": 10.0,
            "gamma": 0.1,
            "looks": 2,
            "closeups": 0.5,
            "face_detector": str(face_model(tmp_path / "faces.onnx")),
        },
        masks={"source": "file", "unmasked_weight": 0.1, "unmasked_probability": 0.2},
    )
    white_left_half(discs, of=4)
    run = new_run(tmp_path, config)
    assert live_here(run) == 0
    plan = make_plan(config, scan_datasets(config))
    assert len(events(run, "step")) == plan.total_steps == plan.batches_per_epoch
    assert plan.masked == events(run, "run")[0]["masked"] > 4
    metadata = lora_info(run.checkpoints_dir / "blob.safetensors").metadata
    small, large = json.loads(metadata["ss_datasets"])
    assert (small["resolution"], small["batch_size_per_device"], small["num_train_images"]) == ([64, 64], 4, 7)
    assert small["num_reg_images"] == 17
    assert [subset["is_reg"] for subset in small["subsets"]] == [False, True, False]
    assert small["subsets"][2]["class_tokens"] == "a square thing"
    assert metadata["ss_prior_loss_weight"] == "0.5"
    assert (metadata["ss_random_crop"], metadata["ss_color_aug"]) == ("True", "True")
    assert metadata["ss_face_crop_aug_range"] == small["subsets"][0]["face_crop_aug_range"] == "2,4"
    assert json.loads(metadata["ss_reg_dataset_dirs"]).keys() == {"things"}
    assert (large["resolution"], large["batch_size_per_device"], large["num_train_images"]) == ([96, 96], 1, 10)
    assert large["max_bucket_reso"] == 192
    [subset] = large["subsets"]
    assert (subset["num_repeats"], subset["flip_aug"], subset["caption_prefix"]) == (2, True, "large,")
    assert small["subsets"][0]["caption_prefix"] is None
