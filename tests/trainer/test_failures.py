"""Bad input and failing machines: named, explained, nothing lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lives import draw_dataset, events, lean_config, live_here, micro_config, new_run, start

from lora_tui.config.plan import plan_run
from lora_tui.dataset.scan import scan_datasets
from lora_tui.errors import UserError
from lora_tui.runs.folder import RunFolder


def test_unreadable_images_are_named_skipped_and_counted(base: Path, tmp_path: Path) -> None:
    data = draw_dataset(tmp_path / "data", 6)
    whole = (data / "002.png").read_bytes()
    (data / "002.png").write_bytes(whole[: len(whole) // 2])  # a whole header, half a picture
    (data / "003.png").write_bytes(b"no picture")
    (data / "004.txt").unlink()
    run = new_run(tmp_path / "runs", lean_config(base, data, steps={"epochs": 1}))
    assert live_here(run) == 0
    warnings = {event["code"]: event["message"] for event in events(run, "warning")}
    assert "004.png" in warnings["caption.missing"]
    messages = " ".join(event["message"] for event in events(run, "warning"))
    assert "002.png" in messages
    assert "003.png" in messages
    assert sum(len(event["lr"]) > 0 for event in events(run, "step")) == events(run, "run")[0]["total_steps"]
    assert events(run, "run")[0]["images"] == 4


def test_the_plan_before_a_run_leaves_out_what_the_run_leaves_out(base: Path, tmp_path: Path) -> None:
    """A file cut short is seen at once, one that is broken within from its first decoding on."""
    data = draw_dataset(tmp_path / "data", 6)
    cut, torn = (data / "002.png").read_bytes(), (data / "003.png").read_bytes()
    (data / "002.png").write_bytes(cut[: len(cut) // 2])
    config = lean_config(base, data, steps={"epochs": 2, "batch_size": 1})
    assert plan_run(config, scan_datasets(config)).total_steps == 10
    first = torn.index(b"IDAT") + 6
    (data / "003.png").write_bytes(torn[:first] + b"\xff" * 8 + torn[first + 8 :])
    run = new_run(tmp_path / "runs", config)
    assert live_here(run) == 0
    assert len(events(run, "step")) == plan_run(config, scan_datasets(config)).total_steps == 8


def test_no_readable_image_at_all_is_an_error(base: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "one.png").write_bytes(b"no picture")
    run = new_run(tmp_path / "runs", micro_config(base, data))
    with pytest.raises(UserError) as caught:
        live_here(run)
    assert caught.value.code == "dataset.empty"


def test_a_caption_that_is_not_utf8_is_said(base: Path, tmp_path: Path) -> None:
    data = draw_dataset(tmp_path / "data", 3)
    (data / "001.txt").write_bytes(b"disc, \xff\xfe\x80 broken")
    run = new_run(tmp_path / "runs", lean_config(base, data, steps={"epochs": 1}))
    assert live_here(run) == 0
    assert "caption.encoding" in [event["code"] for event in events(run, "warning")]


def test_a_missing_base_model_fails_with_status_2(data: Path, tmp_path: Path) -> None:
    run = new_run(tmp_path, micro_config(tmp_path / "nothing.safetensors", data))
    life = start(run)
    assert life.wait(60) == 2
    failed = events(run, "failed")[0]
    assert failed["code"] == "model.missing"
    assert "nothing.safetensors" in failed["message"]
    assert "Traceback" not in run.log_path.read_text()


def test_a_run_that_learns_only_nan_stops_and_says_why(
    base: Path, few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lora_tui.trainer.lost_updates import LostUpdates

    config = lean_config(
        base, few, steps={"epochs": 200}, learning={"unet_lr": 10.0, "schedule": "constant"},
        network={"alpha": 1024.0}, optimizer={"max_grad_norm": 0.0, "weight_decay": 10.0},
    )  # fmt: skip
    monkeypatch.setattr(LostUpdates, "MOST", 4)  # that it counts to its own number is shown below
    run = new_run(tmp_path, config)
    with pytest.raises(UserError) as caught:
        live_here(run)
    assert caught.value.code == "nan"
    assert "learning rate" in caught.value.remedy


def test_nan_in_a_model_of_flow_names_step_and_images_and_leaves_the_last_state_whole(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From some step on one image's latents are NaN, as from a VAE that overflowed: no weight is touched by it."""
    from safetensors.torch import load

    from lora_tui.bench.flux_model import write_flux_model
    from lora_tui.trainer.lost_updates import LostUpdates
    from lora_tui.trainer.state import newest_step, states
    from lora_tui.trainer.step import StepFunction

    config = micro_config(
        write_flux_model(tmp_path / "flux"), draw_dataset(tmp_path / "images", 4), samples=[],
        model={"family": "flux"}, captions={"t5_tokens": 128}, data={"bucket_step": 16, "buckets": False},
        network={"text_encoder": False}, steps={"epochs": 20, "batch_size": 2}, validation={"mode": "off"},
        saving={"state_every_steps": 3},
    )  # fmt: skip
    losses = StepFunction.losses
    bad = "002.png"
    monkeypatch.setattr(
        StepFunction,
        "losses",
        lambda step, batch: losses(step, batch) * (float("nan") if bad in batch.names else 1.0),
    )
    monkeypatch.setattr(LostUpdates, "MOST", 1)
    run = new_run(tmp_path / "runs", config)
    with pytest.raises(UserError, match=r"up to step \d+, which learned from .*002\.png") as caught:
        live_here(run)
    assert caught.value.code == "nan"
    newest = newest_step(run.state_dir)
    assert (f"that of step {newest}, is kept" if newest else "No state had been written") in caught.value.remedy
    warned = next(event for event in events(run, "warning") if event["code"] == "nan")
    assert bad in warned["message"]
    lost = next(event["step"] for event in events(run, "step") if event["loss"] == "nan")
    assert f"step {lost}" in warned["message"]
    for state in states(run.state_dir):
        tensors = load((state / "adapter.safetensors").read_bytes())
        assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_an_image_that_is_in_all_lost_updates_is_accused(tmp_path: Path) -> None:
    from lora_tui.trainer.lost_updates import LostUpdates

    warned: list[str] = []

    class Voice:
        def warn(self, _code: str, message: str, _remedy: str = "") -> None:
            warned.append(message)

    lost = LostUpdates(Voice(), expected=False)  # type: ignore[arg-type]
    for step in range(1, LostUpdates.MOST + 1):
        lost.expect(step, ["bad.png", f"{step}.png", *(f"{step}-{n}.png" for n in range(9))])
    with pytest.raises(UserError) as caught:
        for step in range(1, LostUpdates.MOST + 1):
            lost.note(step, skipped=True)
    assert caught.value.remedy.startswith("bad.png was in all of them")
    assert "good state" not in caught.value.remedy, "there is none"
    assert len(warned) == 1 and "step 1" in warned[0] and "and 7 more" in warned[0]


@pytest.mark.parametrize(("first", "told"), [(1, "look at the base model"), (40, "good state, that of step 9")])
def test_where_nothing_was_ever_learned_no_good_state_is_claimed(first: int, told: str, tmp_path: Path) -> None:
    from lora_tui.trainer.lost_updates import LostUpdates

    (tmp_path / "state" / "step-00000009").mkdir(parents=True)

    class Voice:
        folder = RunFolder(tmp_path)

        def warn(self, _code: str, _message: str, _remedy: str = "") -> None:
            pass

    lost = LostUpdates(Voice(), expected=False)  # type: ignore[arg-type]
    steps = range(first, first + LostUpdates.MOST)
    for step in steps:
        lost.expect(step, [f"{step}.png"])
    with pytest.raises(UserError) as caught:
        for step in steps:
            lost.note(step, skipped=True)
    assert told in caught.value.remedy
    assert ("good state" in caught.value.remedy) == (first > 1)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount the small disk")
def test_a_full_disk_keeps_the_earlier_checkpoints(base: Path, data: Path, tmp_path: Path, small_disk: Path) -> None:
    from lora_tui.weights.header.loras import lora_info

    config = micro_config(
        base, data, samples=[], network={"rank": 8},
        saving={"every_steps": 2, "state_every_epochs": 0, "precision": "fp32"}, steps={"epochs": 20},
    )  # fmt: skip
    run = new_run(small_disk, config)
    life = start(run, LORA_TUI_HOME=str(tmp_path / "home"))
    assert life.wait(90) == 1
    kept = sorted(run.checkpoints_dir.glob("*.safetensors"))
    assert kept
    assert all(lora_info(path).modules > 0 for path in kept)
    assert not list(run.checkpoints_dir.glob(".*"))
    (small_disk / "room").unlink(missing_ok=True)
    log = run.log_path.read_text()
    assert "disk is full" in log


def test_a_run_of_a_newer_version_is_refused(base: Path, data: Path, tmp_path: Path) -> None:
    run = new_run(tmp_path, micro_config(base, data))
    run.record_path.write_text('{"format": 99}', "utf-8")
    life = start(run)
    assert life.wait(60) == 2
    assert events(run, "failed")[0]["code"] == "run.newer"


def test_the_trainer_is_imported_by_nobody() -> None:
    """Its public door is the process; importing the light side of the program does not pull it in."""
    code = "import sys, lora_tui.jobs.launch, lora_tui.runs.status; print('lora_tui.trainer' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
