"""What a project's earlier runs teach about the time of a step."""

from __future__ import annotations

from pathlib import Path

from lora_tui.config.load import load_config
from lora_tui.config.plan import PastRun
from lora_tui.errors import UserError

LOOK_BACK = 20


def past_runs(runs_dir: Path) -> tuple[PastRun, ...]:
    """The last runs of a project that came as far as measured steps, newest first."""
    from lora_tui.runs.folder import list_runs
    from lora_tui.runs.status import inspect

    found = []
    for run in reversed(list_runs(runs_dir)[-LOOK_BACK:]):
        seconds = inspect(run).step_seconds
        if not seconds:
            continue
        try:
            config = load_config(run.config_path)
        except UserError:
            continue  # made by a newer version or edited by hand: it teaches nothing here
        name = f"run {run.number}" if run.number else run.name
        found.append(PastRun(name=name, config=config, step_seconds=seconds))
    return tuple(found)
