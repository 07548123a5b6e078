"""A run whose base model is named by its place on the hub: fetched with a word about how far it is, then trained."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hub_server import hub_of
from lives import draw_dataset, events, lora, micro_config, new_run

from lora_tui.families import facts_for


def test_a_base_on_the_hub_is_fetched_and_trained(base: Path, tmp_path: Path) -> None:
    config = micro_config(base, draw_dataset(tmp_path / "data", 2), steps={"epochs": 1}, samples=[])
    config = config.model_copy(update={"model": config.model.model_copy(update={"base": "someone/tiny-model"})})
    run = new_run(tmp_path / "runs", config)
    with hub_of({"someone/tiny-model": base}) as hub:
        environment = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}
        command = [sys.executable, "-m", "lora_tui.trainer", str(run.root)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    told = [(event["phase"], event["done"], event["total"]) for event in events(run, "phase")]
    fetched = [place for place in told if place[0] == "fetching"]
    assert fetched[-1][1] == fetched[-1][2] > 0
    assert told.index(fetched[-1]) < told.index(("caching", 0, 0))
    assert len(lora(run)) == 3 * len(facts_for("sd15").targets(base))
