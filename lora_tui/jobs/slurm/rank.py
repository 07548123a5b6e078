"""``python -m lora_tui.jobs.slurm.rank RUN_DIR --port P --per-node N``: one node's part of a run on several.

``srun`` starts it once on each node. It starts ``accelerate launch`` there with the place that Slurm gave it. Signals
of Slurm's are not for the launcher, which would end its processes: the first node asks the run to stop, which saves it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from lora_tui.errors import UserError
from lora_tui.jobs import control
from lora_tui.jobs.events import EventWriter
from lora_tui.jobs.job import environment, keeper_alive, read_job
from lora_tui.jobs.slurm import calls
from lora_tui.jobs.slurm.submission import read_submission
from lora_tui.python import python_command
from lora_tui.text.translate import set_language

LOOK = 0.5
FAREWELL = 600.0
"""Seconds that the run's keeper may take after the end, for notices and the command after it."""

_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)


def launch_line(run_dir: Path, found: Mapping[str, str], *, address: str, port: int, per_node: int) -> list[str]:
    """``accelerate launch`` for this node, by the variables of ``srun``."""
    nodes = int(found.get("SLURM_STEP_NUM_NODES") or found.get("SLURM_NTASKS") or 1)
    line = python_command("-m", "accelerate.commands.launch", "--multi_gpu", "--mixed_precision", "no")
    line += ["--dynamo_backend", "no", "--num_machines", str(nodes), "--num_processes", str(nodes * per_node)]
    line += ["--machine_rank", found.get("SLURM_PROCID", "0"), "--main_process_ip", address]
    line += ["--main_process_port", str(port), "-m", "lora_tui", "train", "--resume", str(run_dir), "--on", "here"]
    known = read_submission(run_dir)
    return [*line, "--budget", known.budget] if known is not None and known.budget else line


class Rank:
    """This node's launcher, watched."""

    def __init__(self, run_dir: Path, *, first: bool) -> None:
        self.run_dir = run_dir
        self.first = first
        self._told = 0

    def live(self, line: Sequence[str]) -> int:
        """Start the launcher, wait for it, and on the first node for the run's keeper; the exit status."""
        for number in _SIGNALS:
            signal.signal(number, self._hear)
        child = subprocess.Popen(line, stdin=subprocess.DEVNULL, env=environment(), start_new_session=True)
        asked = False
        while child.poll() is None:
            if self._told and self.first and not asked:
                asked = True
                self._ask_to_stop()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(LOOK)
        if self.first:
            deadline = time.monotonic() + FAREWELL
            while keeper_alive(self.run_dir, read_job(self.run_dir)) and time.monotonic() < deadline:
                time.sleep(LOOK)
        return child.returncode if child.returncode >= 0 else 128 - child.returncode

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        self._told = number

    def _ask_to_stop(self) -> None:
        events = EventWriter(self.run_dir / "events.jsonl")
        events.emit("signal", number=self._told)
        events.close()
        with contextlib.suppress(UserError):
            control.request(self.run_dir, "stop")


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="lora_tui.jobs.slurm.rank", allow_abbrev=False)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--per-node", type=int, default=1)
    args = parser.parse_args(argv)
    set_language()
    address = os.environ.get("SLURM_LAUNCH_NODE_IPADDR") or calls.first_host(os.environ.get("SLURM_JOB_NODELIST", ""))
    line = launch_line(args.run_dir, os.environ, address=address, port=args.port, per_node=args.per_node)
    return Rank(args.run_dir, first=os.environ.get("SLURM_PROCID", "0") == "0").live(line)


if __name__ == "__main__":
    sys.exit(main())
