"""What a check says of the disk and the memory of the machine that it is asked on."""

from __future__ import annotations

from pathlib import Path

from config_samples import config_with, plan_of, squares

from lora_tui.config.estimate import disk_parts
from lora_tui.config.findings import Finding
from lora_tui.config.rules import room
from lora_tui.config.schema import Config
from lora_tui.config.validate import check_config
from lora_tui.text.formats import bytes_text

LONG = {"max_steps": 1_000_000}


def said(config: Config, folder: Path | None) -> dict[str, Finding]:
    scan = squares(4, repeats=64)
    return {one.code: one for one in check_config(config, scan=scan, plan=plan_of(config, scan), folder=folder)}


def test_what_the_disk_cannot_hold_is_an_error_that_names_the_largest_part(tmp_path: Path) -> None:
    config = config_with(steps=LONG, network={"rank": 320}, saving={"every_steps": 1})
    found = said(config, tmp_path / "project" / "runs")["disk.too_small"]  # which is made later
    assert (found.severity, found.field) == ("error", "saving.keep_last")
    assert str(tmp_path) in found.message and "LoRA files" in found.remedy
    config.saving.keep_last = 1
    assert "disk.too_small" not in said(config, tmp_path)
    prompts = config_with(steps=LONG, samples=[{"prompt": "a cat"}], sampling={"every_steps": 1})
    assert said(prompts, tmp_path)["disk.too_small"].field == "sampling.every_epochs"
    assert "disk.too_small" not in said(prompts, None)  # of no machine in particular


def test_what_a_run_has_written_is_not_counted_again(tmp_path: Path) -> None:
    config = config_with(steps=LONG, network={"rank": 320}, saving={"every_steps": 1})
    data = plan_of(config, squares(4, repeats=64))
    files = tmp_path / "run" / "checkpoints"
    files.mkdir(parents=True)
    assert [one.code for one in room.disk(config, data, tmp_path, tmp_path / "run")] == ["disk.too_small"]
    with (files / "many.safetensors").open("wb") as file:
        file.truncate(1 << 42)  # takes no room itself
    fresh, going = (next(room.disk(config, data, tmp_path, run)).message for run in (None, files.parent))
    assert fresh != going
    config.saving.keep_last = 1
    assert list(room.disk(config, data, tmp_path, files.parent)) == []


def test_more_memory_than_there_is_is_a_warning_that_names_what_helps_most(tmp_path: Path) -> None:
    config = config_with(
        model={"family": "flux"}, steps={"batch_size": 64}, data={"resolution": 2048}, memory={"device": "cpu"}
    )
    found = said(config, tmp_path)["memory.too_little"]
    there = room.memory_of("cpu")
    assert (found.severity, found.field) == ("warning", "memory.gradient_checkpointing")
    assert there is not None and bytes_text(there) in found.message
    config.memory.gradient_checkpointing = True
    config.memory.base_weights = "nf4"
    assert said(config, tmp_path)["memory.too_little"].field == "steps.batch_size"
    small = config_with(steps={"batch_size": 1}, data={"resolution": 256, "bucket_min": 128, "bucket_max": 512})
    assert "memory.too_little" not in said(small, tmp_path)


def test_what_the_caches_hold_already_is_not_counted_again(tmp_path: Path) -> None:
    assert room.kept_bytes("checkpoints", 10**12) == 0
    latents = room.cache_dir() / "latents" / "ab"
    latents.mkdir(parents=True)
    (latents / "one.safetensors").write_bytes(b"x" * 500)
    assert room.kept_bytes("latents", 10**12) == 500
    assert room.kept_bytes("latents", 100) == 100


def test_fewer_states_are_advised_only_where_that_suffices() -> None:
    config = config_with(steps=LONG, network={"rank": 320}, saving={"keep_states": 9, "state_every_steps": 1})
    data = plan_of(config, squares(4, repeats=64))
    size = disk_parts(config, data, checkpoints=0, states=1000, drawn=0)["states"]
    assert room.fewer_states(config, data, 1000, size, size // 2).endswith("keep_states to 1.")
    told = room.fewer_states(config, data, 1000, size, size)
    assert "frees only" in told and bytes_text(size) in told
    config.saving.keep_states = 1
    size = disk_parts(config, data, checkpoints=0, states=1000, drawn=0)["states"]
    assert "keep_states" not in room.fewer_states(config, data, 1000, size, 1)
