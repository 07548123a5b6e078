"""Runs that cache no latents decode an image when it is shown: what turns out to be damaged is named and left out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from lives import draw_dataset, events, lean_config, live_here, lora, new_run, same_tensors

from lora_tui.config.schema import Config
from lora_tui.dataset.batches import PlannedImage, make_plan
from lora_tui.dataset.buckets import Fit, Size
from lora_tui.dataset.facts import ImageFacts
from lora_tui.dataset.scan import DatasetImage, scan_datasets
from lora_tui.errors import UserError
from lora_tui.runs.folder import RunFolder
from lora_tui.trainer.data.damage import Damage


def _config(base: Path, folder: Path, /, **changes: object) -> Config:
    return lean_config(base, folder, **{"memory": {"cache_latents": False}, **changes})  # type: ignore[arg-type]


def _damage(path: Path) -> None:
    """A whole header and a whole end, and a picture that is broken between."""
    whole = path.read_bytes()
    first = whole.index(b"IDAT") + 6  # after the header of the compressed data; no block begins with these bits
    path.write_bytes(whole[:first] + b"\xff" * 8 + whole[first + 8 :])


def _warnings(run: RunFolder) -> list[str]:
    return [event["message"] for event in events(run, "warning") if event["code"] == "image.damaged"]


def test_nothing_is_decoded_before_the_first_batch(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = draw_dataset(tmp_path / "data", 9)
    run = new_run(tmp_path / "runs", _config(base, data, steps={"epochs": 1, "max_steps": 1, "batch_size": 1}))
    decoded: list[str] = []
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", _counting(decoded))
    assert live_here(run) == 0
    assert 1 <= len(set(decoded)) < 9  # the batch that was shown, and those that were read ahead


def _counting(decoded: list[str]) -> object:
    from PIL.ImageFile import ImageFile

    load = ImageFile.load

    def counted(self: ImageFile) -> object:
        decoded.append(str(self.filename))
        return load(self)

    return counted


def test_a_damaged_image_is_named_once_and_the_others_are_trained(base: Path, tmp_path: Path) -> None:
    data = draw_dataset(tmp_path / "data", 9)
    _damage(data / "004.png")
    run = new_run(tmp_path / "runs", _config(base, data, steps={"epochs": 3, "batch_size": 2}))
    assert live_here(run) == 0
    assert _warnings(run) == ["004.png is damaged and is left out."]
    assert events(run)[-1]["reason"] == "completed"
    assert all(event["loss"] > 0 for event in events(run, "step"))


def test_a_batch_of_damaged_images_alone_is_passed_over(base: Path, tmp_path: Path) -> None:
    data = draw_dataset(tmp_path / "data", 3)
    _damage(data / "001.png")
    run = new_run(tmp_path / "runs", _config(base, data, steps={"epochs": 2, "batch_size": 1}))
    assert live_here(run) == 0
    planned = events(run, "run")[0]["total_steps"]
    assert planned == 6
    assert len(events(run, "step")) == 4
    assert events(run, "finished")[0]["step"] == 6


def test_the_rest_of_a_batch_learns_as_a_batch_of_its_own(base: Path, tmp_path: Path) -> None:
    """The mean is over the images that are there, not over those that were planned."""
    whole, broken = draw_dataset(tmp_path / "whole", 3), draw_dataset(tmp_path / "broken", 4)
    _damage(broken / "003.png")
    common = {"data": {"buckets": False}, "saving": {"name": "blob", "precision": "fp32"}}
    runs = []
    for data in (whole, broken):
        config = _config(base, data, steps={"epochs": 1, "batch_size": 4}, **common)
        runs.append(new_run(tmp_path / "runs", config))
        assert live_here(runs[-1]) == 0
    losses, norms = ([events(run, "step")[0][name] for run in runs] for name in ("loss", "grad_norm"))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


def test_a_resumed_run_leaves_out_the_same(base: Path, tmp_path: Path) -> None:
    data = draw_dataset(tmp_path / "data", 9)
    _damage(data / "004.png")
    config = _config(
        base, data, steps={"epochs": 2, "batch_size": 2, "gradient_accumulation": 2},
        saving={"name": "blob", "precision": "fp32", "state_every_steps": 1, "keep_states": 9},
    )  # fmt: skip
    run = new_run(tmp_path / "runs", config)
    assert live_here(run) == 0
    whole = lora(run)
    newer = sorted(run.state_dir.iterdir())[1:]
    for state in newer:
        shutil.rmtree(state)  # killed after the first step
    (run.checkpoints_dir / "blob.safetensors").unlink()
    assert live_here(run, resume=True) == 0
    assert len(newer) >= 2
    assert same_tensors(whole, lora(run))


def test_every_image_damaged_is_an_error(base: Path, tmp_path: Path) -> None:
    data = draw_dataset(tmp_path / "data", 3)
    for path in data.glob("*.png"):
        _damage(path)
    run = new_run(tmp_path / "runs", _config(base, data, steps={"epochs": 50}))
    with pytest.raises(UserError) as caught:
        live_here(run)
    assert caught.value.code == "dataset.empty"
    assert len(_warnings(run)) == 3


def test_a_damaged_image_that_is_held_out_is_left_out_of_the_measurement(base: Path, tmp_path: Path) -> None:
    data = draw_dataset(tmp_path / "data", 24)
    config = _config(base, data, steps={"epochs": 1}, validation={"mode": "on", "share": 0.1})
    whole = new_run(tmp_path / "runs", config)
    assert live_here(whole) == 0
    held_out = json.loads(whole.record_path.read_text("utf-8"))["dataset"]["validation"]
    _damage(data / held_out[0].partition("/")[2])
    run = new_run(tmp_path / "runs", config)
    assert live_here(run) == 0
    assert len(_warnings(run)) == 1
    assert len(events(run, "validation")) == len(events(whole, "validation"))


@pytest.mark.parametrize("broken", ["image", "mask"])
def test_what_is_held_out_no_more_without_a_damaged_one_is_trained_in_all_its_looks(
    base: Path, tmp_path: Path, broken: str
) -> None:
    data = draw_dataset(tmp_path / "data", 5)
    config = lean_config(
        base, data, steps={"epochs": 4}, data={"flip": True}, validation={"mode": "on", "share": 0.5},
        masks={"source": "file" if broken == "mask" else "off"},
    )  # fmt: skip
    trained = make_plan(config, scan_datasets(config)).train[0].image.path
    if broken == "mask":
        trained = Path(shutil.copy(trained, trained.with_name(f"{trained.stem}-masklabel.png")))
    _damage(trained)
    run = new_run(tmp_path / "runs", config)
    assert live_here(run) == 0
    record = json.loads(run.record_path.read_text("utf-8"))["dataset"]
    assert len(record["validation"]) == 2  # three of five, two of four


class Heard:
    """A voice that keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []

    def warn(self, code: str, message: str, remedy: str = "") -> None:
        self.told.append((code, message, remedy))


def _planned(name: str) -> PlannedImage:
    size = Size(64, 64)
    facts = ImageFacts(64, 64, "PNG", False, False, 1, 100, 0)
    return PlannedImage(DatasetImage(Path(name), name, 0, 1, facts, None), Fit(size, size, 0, 0))


@pytest.mark.parametrize("code", ["image.unreadable", "image.changed", "image.invalid"])
def test_what_is_gone_or_changed_ends_the_run(code: str) -> None:
    """A disk that was taken away damages no image: going on would train on nothing."""
    heard = Heard()
    with pytest.raises(UserError) as caught:
        Damage(heard, ["0/a.png", "0/b.png"]).leave_out(_planned("a.png"), UserError("gone", code=code))
    assert caught.value.code == code
    assert not heard.told


def test_held_out_images_do_not_count_as_those_to_learn_from() -> None:
    heard = Heard()
    damage = Damage(heard, ["0/a.png", "0/b.png"])
    for name in ("v.png", "w.png", "a.png", "a.png"):
        damage.leave_out(_planned(name), UserError("broken", code="image.damaged"))
    assert len(heard.told) == 3
    with pytest.raises(UserError):
        damage.leave_out(_planned("b.png"), UserError("broken", code="image.damaged"))
    assert len(heard.told) == 4


def test_a_name_with_escapes_is_told_plainly() -> None:
    heard = Heard()
    Damage(heard, ["0/b.png"]).leave_out(_planned("\x1b[31m.png"), UserError("broken", code="image.damaged"))
    assert "\x1b" not in heard.told[0][1]
