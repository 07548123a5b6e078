"""Where the images are from and what may be done with them goes into the record and into every LoRA file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lives import draw_dataset, lean_config, live_here, new_run

from lora_tui.cli.main import run as command
from lora_tui.dataset.notes import change_notes
from lora_tui.weights.header.loras import lora_info


def test_source_and_licence_of_all_datasets_are_in_the_record_and_in_the_files(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other, silent = (draw_dataset(tmp_path / name, 4) for name in ("one", "other", "silent"))
    change_notes(one, lambda notes: notes.about(source="my camera,\nspring", licence="CC BY 4.0"))
    change_notes(other, lambda notes: notes.about(source="鹿の写真", licence="CC BY 4.0"))
    folders = [{"path": str(path)} for path in (one, other, silent)]
    given = {"datasets": folders, "steps": {"epochs": 1}}
    run = new_run(tmp_path / "runs", lean_config(base, one, **given))
    assert live_here(run) == 0

    metadata = lora_info(run.checkpoints_dir / "blob.safetensors").metadata
    assert metadata["modelspec.license"] == "CC BY 4.0"
    assert metadata["ss_dataset_source"] == "my camera, spring; 鹿の写真"
    record = json.loads(run.record_path.read_text("utf-8"))["dataset"]["origins"]
    assert [(Path(row["folder"]).name, row["source"], row["licence"]) for row in record] == [
        ("one", "my camera,\nspring", "CC BY 4.0"),
        ("other", "鹿の写真", "CC BY 4.0"),
    ]
    assert command(["lora", "info", str(run.checkpoints_dir / "blob.safetensors")]) == 0
    told = capsys.readouterr().out
    assert "CC BY 4.0" in told
    assert "鹿の写真" in told
