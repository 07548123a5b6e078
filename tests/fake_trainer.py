"""A program in the trainer's place: no torch, but a real process with the trainer's manners.

``fake_trainer.py [--steps N] [--pause SECONDS] RUN_DIR [--resume]``: takes the run's lock, writes events,
obeys requests, and ends as the trainer would.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import run_folders as writing

from lora_tui.jobs.control import ControlInbox
from lora_tui.jobs.events import EventWriter
from lora_tui.jobs.lock import RunLock
from lora_tui.runs.folder import RunFolder


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--pause", type=float, default=0.01)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()
    run = RunFolder(args.run_dir)
    lock = RunLock.acquire(run.lock_path)
    print("fake trainer at work", flush=True)
    first = last_state(run) if args.resume else 0
    events = writing.begin(run, total=args.steps)
    if args.resume:
        events.emit("resumed", step=first, epoch=first // 50 + 1)
    else:
        writing.sample(run, events, 0)
    train(run, events, first, args.steps, args.pause)
    events.close()
    lock.release()
    return 0


def last_state(run: RunFolder) -> int:
    return max((int(path.name) for path in run.state_dir.iterdir() if path.name.isdigit()), default=0)


def train(run: RunFolder, events: EventWriter, first: int, total: int, pause: float) -> None:
    inbox = ControlInbox(run.root)
    events.emit("phase", phase="training", done=first, total=total, detail="")
    paused = False
    number = first
    while number < total or paused:
        for request in inbox.poll():
            events.emit("control", request=request.kind, status="accepted", detail="", fields=request.fields)
            if request.kind in ("stop", "stop_now"):
                if request.kind == "stop":
                    writing.checkpoint(run, events, number)
                events.emit("control", request=request.kind, status="done", detail="")
                reason = "stopped" if request.kind == "stop" else "stopped_now"
                events.emit("finished", reason=reason, step=number, path="")
                return
            paused = fulfil(run, events, request.kind, number, paused)
            events.emit("control", request=request.kind, status="done", detail="")
        time.sleep(pause)
        if paused:
            continue
        number += 1
        writing.step(events, number)
        if number % 50 == 0:
            events.emit("validation", step=number, epoch=number // 50, loss=0.09 + 1 / number)
            writing.checkpoint(run, events, number)
            writing.sample(run, events, number)
    events.emit("finished", reason="completed", step=number, path=f"checkpoints/hat-girl-{number:06d}.safetensors")


def fulfil(run: RunFolder, events: EventWriter, kind: str, number: int, paused: bool) -> bool:
    """Do what was asked; whether the run is paused after it."""
    if kind == "save":
        writing.checkpoint(run, events, number)
    elif kind == "sample":
        writing.sample(run, events, number)
    elif kind == "validate":
        events.emit("validation", step=number, epoch=number // 50 + 1, loss=0.1)
    elif kind == "pause":
        events.emit("phase", phase="paused", done=0, total=0, detail="")
        return True
    elif kind == "resume":
        events.emit("phase", phase="training", done=number, total=0, detail="")
        return False
    return paused


if __name__ == "__main__":
    sys.exit(main())
