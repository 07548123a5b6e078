"""What a project's earlier runs teach about the time of a step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.config.load import load_config
from lora_tui.config.plan import PastRun
from lora_tui.errors import UserError
from lora_tui.text import _, clock

if TYPE_CHECKING:
    from lora_tui.runs.status import RunStatus

LOOK_BACK = 20
PROJECTS, RUNS_OF_OTHERS = 4, 3
"""Other projects that are asked, and runs of each."""


def past_runs(statuses: Iterable[RunStatus], most: int = LOOK_BACK) -> tuple[PastRun, ...]:
    """Of runs in the order given (newest first), at most ``most`` that came as far as measured steps."""
    found: list[PastRun] = []
    for status in statuses:
        if len(found) >= most:
            break
        if not status.step_seconds:
            continue
        try:
            config = load_config(status.run.config_path)
        except UserError:
            continue  # made by a newer version or edited by hand: it teaches nothing here
        name = _("run {number}").format(number=status.number) if status.number else status.run.name
        found.append(PastRun(name=name, config=config, step_seconds=status.step_seconds))
    return tuple(found)


def past_runs_elsewhere(root: Path | None, most: int = PROJECTS) -> tuple[PastRun, ...]:
    """The newest runs of the projects that were open last, but for the project in ``root``; named with theirs."""
    from lora_tui.runs.folder import list_runs
    from lora_tui.runs.status import inspect
    from lora_tui.settings import recent_projects

    found: list[PastRun] = []
    for project in [path for path in recent_projects() if path != root][:most]:
        newest = (inspect(run) for run in reversed(list_runs(project / "runs")[-RUNS_OF_OTHERS:]))
        found += [replace(past, name=f"{project.name}: {past.name}") for past in past_runs(newest)]
    return tuple(found)


def past_runs_in(runs_dir: Path) -> tuple[PastRun, ...]:
    """The same for the newest runs of a project's ``runs`` folder."""
    from lora_tui.runs.folder import list_runs
    from lora_tui.runs.status import inspect

    return past_runs(inspect(run) for run in reversed(list_runs(runs_dir)[-2 * LOOK_BACK :]))


def past_probes(root: Path | None) -> tuple[PastRun, ...]:
    """What the last probe of the project in ``root`` measured; of another configuration it is a guess as runs are."""
    from lora_tui.runs.probe import remembered_probe

    said = remembered_probe(root) if root is not None else None
    if said is None or not said[1].step_seconds:
        return ()
    config, found, when = said
    name = _("the probe of {when}").format(when=clock(when, "%m-%d %H:%M"))
    return (PastRun(name, config, found.step_seconds or 0.0, found.sample_seconds),)
