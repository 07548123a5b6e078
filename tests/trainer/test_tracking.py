"""A trainer that is asked to tell others of its run starts the process that does."""

from __future__ import annotations

from pathlib import Path

import pytest
from lives import draw_dataset, lean_config, live_here, new_run
from support import until

from lora_tui.errors import UserError


def test_the_process_is_started_beside_the_trainer_where_it_is_asked_for(tmp_path: Path) -> None:
    draw_dataset(tmp_path / "discs", 2)
    for number, wish in enumerate(({"tensorboard": True}, {})):
        config = lean_config(tmp_path / "none.safetensors", tmp_path / "discs", tracking=wish)
        run = new_run(tmp_path / "runs", config)
        with pytest.raises(UserError):  # there is no base model: the run ends before anything loads
            live_here(run)
        if number == 0:
            until(lambda run=run: list((run.root / "tensorboard").glob("events.out.tfevents.*")))
        else:
            assert not (run.root / "tracking.log").exists()
