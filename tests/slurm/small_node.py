"""A run's job on its node with a small trainer in the place of the real one: the same keeper, signals and files.

Called in the set-up lines of a job: ``exec python small_node.py RUN_DIR``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from lora_tui.jobs.slurm import node
from lora_tui.runs.folder import RunFolder

TRAINER = Path(__file__).resolve().parent.parent / "small_trainer.py"


class SmallNode(node.Node):
    def _step(self) -> list[str]:
        trainer = [sys.executable, str(TRAINER), "--steps", "100000", "--pause", "0.05"]
        return [*super()._step(), "--command-json", json.dumps(trainer)]


if __name__ == "__main__":
    folder = RunFolder(Path(sys.argv[1]))
    sent = node.claim(folder)
    sys.exit(SmallNode(folder, sent).live() if sent is not None else 0)
