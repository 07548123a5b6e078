"""``slurm.json`` of a run folder: which job of Slurm the run was given to, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from lora_tui.files import open_file
from lora_tui.jobs.events import as_count, as_time
from lora_tui.jobs.slurm.turns import turn

FILE = "slurm.json"

STATES = frozenset({"asking", "refused", "sent", "begun", "leaving", "requeued", "over"})
"""``asking``: sbatch was called and has not answered; ``sent``: Slurm has it; ``begun``: it is at work on a node;
``leaving``: it saves, to be sent back; ``requeued``: it was sent back to wait; ``over``: Slurm has it no more."""

HERE = "HERE"
"""In the place of Slurm's last word: the run was taken out of Slurm to go on on a machine of its own."""

_LONGEST = 1 << 16


@dataclass(frozen=True)
class Submission:
    """What is known of the newest job of a run.

    Attributes:
        job: its number, empty while sbatch has not said one; ``cluster``: of several, the one that has it.
        name: as Slurm's lists have it, which tells it from a later job of the same number.
        state: one of :data:`STATES`.
        sent, begun: unix seconds; ``begun`` is that of the newest start on a node, by the clock there.
        nodes: where it runs or ran last.
        restarts: how often Slurm has started it again.
        idle: starts in a row in which no step was made.
        word: Slurm's last word of it, such as ``TIMEOUT``; of a refused one, sbatch's words. ``reason``: behind it.
        options: what was asked for, as :func:`lora_tui.jobs.slurm.options.as_plain` has it.
        budget: a time or an amount of money in place of the configuration's.
    """

    job: str = ""
    cluster: str = ""
    name: str = ""
    state: str = "asking"
    sent: float = 0.0
    begun: float = 0.0
    nodes: str = ""
    restarts: int = 0
    idle: int = 0
    word: str = ""
    reason: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    budget: str = ""


def read_submission(run_dir: Path) -> Submission | None:
    """The submission of a run folder; none where it was never sent, or where the file is damaged."""
    try:
        with open_file(run_dir / FILE) as file:
            value = json.loads(file.read(_LONGEST))
    except (OSError, ValueError, RecursionError):
        return None
    return _from_plain(value) if isinstance(value, dict) else None


def was_sent(run_dir: Path) -> bool:
    """Whether the run was given to Slurm last, so that it goes on there."""
    known = read_submission(run_dir)
    return known is not None and known.word != HERE


def write_submission(run_dir: Path, submission: Submission) -> None:
    """Replace the file, whatever it says.

    Raises:
        OSError: the folder cannot be written.
    """
    update(run_dir, lambda _known: submission)


def update(run_dir: Path, change: Callable[[Submission | None], Submission | None]) -> Submission | None:
    """Make what is known another thing, one process after the other, on whatever machines they are.

    Args:
        change: given what is known, gives what is to be; none leaves it as it is. May be called again.

    Returns:
        What ``change`` gave.

    Raises:
        OSError: the folder cannot be written.
    """
    while True:
        with turn(run_dir) as mine:
            changed = change(read_submission(run_dir))
            if changed is None:
                return None
            if mine.replace(run_dir / FILE, json.dumps(asdict(changed), indent=1).encode() + b"\n"):
                return changed


def change(run_dir: Path, job: str, **changes: Any) -> Submission | None:
    """Change what is known of ``job``, as long as the run is its: given to no later one, and not taken out of Slurm.

    Returns:
        The new word, if it was changed.

    Raises:
        OSError: the folder cannot be written.
    """

    def changed(known: Submission | None) -> Submission | None:
        mine = known is not None and known.job == job and known.word != HERE
        return replace(known, **changes) if known is not None and mine else None

    return update(run_dir, changed)


def exchange(run_dir: Path, before: Submission, after: Submission) -> Submission | None:
    """Put ``after`` in the place of ``before``, if that is still what is known; ``after``, if it was done.

    Raises:
        OSError: the folder cannot be written.
    """
    return update(run_dir, lambda known: after if known == before else None)


def _from_plain(value: dict[str, Any]) -> Submission | None:
    """A submission from JSON that may be of another version or damaged: none unless its state is known."""
    if value.get("state") not in STATES:
        return None
    names = ("job", "cluster", "name", "nodes", "word", "reason", "state", "budget")
    texts: dict[str, Any] = {name: value[name] for name in names if isinstance(value.get(name), str)}
    if not (texts.get("job", "").isascii() and (texts.get("job", "") or "0").isdigit()):
        return None
    times: dict[str, Any] = {name: as_time(value.get(name)) or 0.0 for name in ("sent", "begun")}
    counts: dict[str, Any] = {name: as_count(value.get(name)) for name in ("restarts", "idle")}
    options = value.get("options")
    return Submission(**texts, **times, **counts, options=options if isinstance(options, dict) else {})
