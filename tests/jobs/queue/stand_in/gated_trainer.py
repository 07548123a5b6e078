"""A trainer that waits at a gate: it makes steps until a file with its name and a word stands in ``$QUEUE_GATES``.

``finish`` ends it, ``crash`` lets it raise; a request to stop is obeyed as the trainer would.
"""

import os
import sys
import time
import tomllib
from pathlib import Path

from lora_tui.jobs.control import ControlInbox
from lora_tui.jobs.events import EventWriter
from lora_tui.jobs.lock import RunLock


def main() -> int:
    run = Path(sys.argv[1])
    name = tomllib.loads((run / "config.toml").read_text())["saving"]["name"]
    with RunLock.acquire(run / "lock"):
        events = EventWriter(run / "events.jsonl")
        inbox = ControlInbox(run)
        events.emit("run", total_steps=1000, epochs=1, name=name, pid=os.getpid())
        step = 0
        while True:
            time.sleep(0.02)
            step += 1
            events.emit("step", step=step, epoch=1, loss=0.1, lr={"unet": 1e-4}, step_seconds=0.02)
            if any(request.kind == "stop" for request in inbox.poll()):
                events.emit("finished", reason="stopped", step=step, path="")
                return 0
            word = _word(name)
            if word == "finish":
                events.emit("finished", reason="completed", step=step, path="")
                return 0
            if word == "crash":
                raise ValueError("made to crash")


def _word(name: str) -> str:
    try:
        return (Path(os.environ["QUEUE_GATES"]) / name).read_text()
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
