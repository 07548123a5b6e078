"""For the processes of a queue under test: small programs in the place of the trainer and of commands.

On ``PYTHONPATH`` of the queue's process, and so of all that it starts. The real keeper, starter, task and commands run;
only what they would compute for minutes is put aside.
"""

import json
import os
import sys
from pathlib import Path

import lora_tui.python

_real = lora_tui.python.python_command
_HERE = Path(__file__).resolve().parent


def _stand_in(*arguments: str) -> list[str]:
    if arguments[:2] == ("-m", "lora_tui.trainer"):
        return [sys.executable, "-P", str(_HERE / "gated_trainer.py")]
    if arguments[:2] == ("-m", "lora_tui.tasks.child") and "QUEUE_LEDGER" in os.environ:
        return [sys.executable, "-P", str(_HERE / "ledger.py"), *arguments[2:]]
    return _real(*arguments)


lora_tui.python.python_command = _stand_in


def _gpus() -> list[dict[str, object]]:
    """In the place of a driver: the cards that the file ``$QUEUE_GPUS`` names."""
    names = json.loads(Path(os.environ["QUEUE_GPUS"]).read_text())
    return [{"uuid": name, "number": number, "used": 0, "total": 1 << 34} for number, name in enumerate(names)]


if "QUEUE_GPUS" in os.environ:
    import lora_tui.jobs.resources

    lora_tui.jobs.resources.gpus_now = _gpus
