"""The plan of a run in a few lines: what comes first, what is left out whole, what does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len

from lora_tui.config.plan import RunPlan
from lora_tui.tui.plan_text import Room, plan_lines, plan_reading
from lora_tui.tui.workspace import Planned, Workspace

GB = 10**9
PLAN = RunPlan(
    images=45, train_images=43, validation_images=2, repeats_total=70, batches_per_epoch=18, steps_per_epoch=18,
    epochs=13, total_steps=225, buckets=(), checkpoints=(75, 150, 225), sample_steps=(0, 225), prompts=3,
    validation_steps=(), state_steps=(), caption_bytes=0, parameters=1, lora_bytes=1_700_000,
    disk_bytes={"checkpoints": 108 * GB},
    memory_bytes={"process": 2 * GB, "weights": 20 * GB, "activations": GB, "adapter": GB, "optimizer": 2 * GB},
    step_seconds=0.4, seconds=90.0, cost=None, source="run 2",
    arithmetic="45 images (2 held out) with their repeats = 70 -> 18 batches of 4 an epoch; stop at step 225",
)  # fmt: skip
WORK = Workspace(Path("/"), planned=Planned(PLAN, (), None))


def told(width: int, height: int, room: Room | None = None) -> list[str]:
    return ["".join(cell.text for cell in line) for line in plan_lines(WORK, width, height, room=room)]


@pytest.mark.parametrize(("width", "height"), [(80, 4), (80, 3), (60, 4), (200, 6)])
def test_nothing_of_the_plan_is_cut_and_what_does_not_fit_is_left_out_whole(width: int, height: int) -> None:
    lines = told(width, height)
    assert len(lines) <= height and all(cell_len(line) <= width for line in lines)
    start = next(number for number, line in enumerate(lines) if "time about" in line)
    parts = [part.strip() for line in lines[start:] for part in line.split("  ") if part.strip()]
    whole = [part.strip() for line in told(400, 9) for part in line.split("  ")]
    assert parts and set(parts) <= set(whole)
    assert ("memory 26.0 GB" in parts) == (height > 3)


def test_the_parts_of_the_memory_have_units_and_come_where_there_is_room() -> None:
    assert "memory for" not in "\n".join(told(80, 4))
    wide = told(200, 6)
    assert wide[-1].strip() == (
        "memory for  torch itself 2.0 GB  weights 20.0 GB  activations 1.0 GB  adapter and optimizer 3.0 GB"
    )
    assert wide[-1].strip() in "\n".join(plan_reading(WORK, Room()))


def test_a_disk_or_a_memory_that_does_not_suffice_is_said_and_coloured() -> None:
    lines = plan_lines(WORK, 120, 6, room=Room(disk=53 * GB, memory=24 * GB))
    loud = [cell.text for line in lines for cell in line if cell.tone == "warning"]
    assert loud == ["disk 108 GB of 53.0 GB: does not fit", "memory 26.0 GB of 24.0 GB: does not fit"]
    assert "memory 26.0 GB of 24.0 GB: does not fit" in "".join(told(80, 4, Room(disk=53 * GB, memory=24 * GB)))
    lines = plan_lines(WORK, 120, 6, room=Room(disk=200 * GB, memory=32 * GB))
    assert not [cell for line in lines for cell in line if cell.tone == "warning"]
    assert "disk 108 GB of 200 GB  memory 26.0 GB of 32.0 GB" in "\n".join(told(120, 6, Room(200 * GB, 32 * GB)))
