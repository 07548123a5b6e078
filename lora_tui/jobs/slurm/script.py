"""The script that sbatch is given: options as ``#SBATCH`` lines, set-up lines, and one program of ours."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from lora_tui.jobs.slurm.options import Options
from lora_tui.python import python_command
from lora_tui.text.plain import plain

FILE = "slurm.sh"
LOG = "slurm.log"
"""What the job prints, in the run folder, where sbatch is called."""

KEPT = ("LORA_TUI_HOME", "LORA_TUI_CONFIG", "LORA_TUI_LANG", "PYTHONPATH")
"""Variables that are written into the script: with them it does the same wherever it is submitted. Never a secret."""

_LEAST_MARGIN, _MOST_MARGIN = 60, 300
_UNKNOWN_MARGIN = 120
_NO_WORD = re.compile(r"[^A-Za-z0-9_.-]+")


def job_name(run_dir: Path) -> str:
    """The job's name in Slurm's lists: that of the run folder, which holds the time, so that no other job has it."""
    return "lora-tui-" + _NO_WORD.sub("_", run_dir.name)[:100]


def margin(options: Options) -> int:
    """Seconds before the time limit at which the run is told to save and end: a tenth of it, 1 to 5 minutes.

    Slurm itself is up to a minute early. Of a limit of less than two minutes it is half.
    """
    seconds = options.seconds
    if seconds is None:
        return _UNKNOWN_MARGIN
    return min(max(seconds // 10, _LEAST_MARGIN), _MOST_MARGIN, seconds // 2)


def directives(run_dir: Path, options: Options) -> Iterator[str]:
    """Options of sbatch, each with its dashes. None holds a path: sbatch is called in the run folder."""
    yield f"--job-name={job_name(run_dir)}"
    yield f"--output={LOG}"
    yield "--open-mode=append"
    yield f"--nodes={options.nodes}"
    yield "--ntasks-per-node=1"
    named = {
        "partition": options.partition,
        "gres": f"gpu:{options.gpus}" if options.gpus else "",
        "time": options.time,
        "account": options.account,
        "qos": options.qos,
        "mem": options.memory,
        "cpus-per-task": str(options.cpus or ""),
    }
    yield from (f"--{name}={value}" for name, value in named.items() if value)
    if not any(line.startswith("--signal") for line in options.lines):
        yield f"--signal=B:USR1@{margin(options)}"
    yield "--requeue" if options.requeue else "--no-requeue"
    yield from options.lines


def script(run_dir: Path, options: Options, environment: Mapping[str, str] | None = None) -> bytes:
    """The whole script for a run folder; names of any bytes are quoted.

    ``environment``: what :data:`KEPT` is taken from, that of this process unless told otherwise.
    """
    found = os.environ if environment is None else environment
    lines = ["#!/bin/bash", f"# lora-tui train --on slurm: {plain(run_dir.name)}"]
    lines += [f"#SBATCH {line}" for line in directives(run_dir, options)]
    lines += ["", *options.setup]
    lines += [f"export {name}={shlex.quote(found[name])}" for name in KEPT if found.get(name)]
    lines += [f"exec {shlex.join(python_command('-m', 'lora_tui.jobs.slurm.node', str(run_dir)))}", ""]
    return os.fsencode("\n".join(lines))
