"""A small real job for tests: takes the lock, writes events, obeys requests, and ends in the way it is told to.

Called as ``python small_trainer.py OPTIONS RUN_DIR [--resume]``, in the place of the trainer.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from lora_tui.jobs.control import ControlInbox
from lora_tui.jobs.events import EventWriter
from lora_tui.jobs.lock import RunLock


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--pause", type=float, default=0.01, help="seconds a step")
    parser.add_argument("--before-lock", type=float, default=0.0)
    parser.add_argument("--parking", type=float, default=0.0, help="seconds on the way into a pause")
    parser.add_argument("--deaf", action="store_true", help="ignore SIGTERM")
    parser.add_argument("--overfit", action="store_true", help="measure a validation that turns at step 30")
    parser.add_argument("--end", default="finished")
    parser.add_argument("run", type=Path)
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()
    time.sleep(args.before_lock)
    with RunLock.acquire(args.run / "lock"):
        return Job(args).run()


class Job:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.events = EventWriter(args.run / "events.jsonl")
        self.inbox = ControlInbox(args.run)
        self.state = args.run / "state" / "step.txt"
        self.step = 0
        self.terminated = False
        signal.signal(signal.SIGTERM, self.on_term)

    def on_term(self, *_args: object) -> None:
        self.terminated = not self.args.deaf

    def run(self) -> int:
        self.events.emit("run", total_steps=self.args.steps, epochs=1, name="small", pid=os.getpid())
        if self.args.resume and self.state.exists():
            self.step = int(self.state.read_text())
            self.events.emit("resumed", step=self.step, epoch=1)
        self.events.emit("phase", phase="training", done=self.step, total=self.args.steps, detail="")
        while self.step < self.args.steps:
            time.sleep(self.args.pause)
            self.step += 1
            self.events.emit(
                "step", loss=1 / self.step, grad_norm=0.5, step=self.step, epoch=1, lr={"unet": 1e-4}, step_seconds=0.01
            )
            if self.args.overfit and self.step % 5 == 0:
                self.events.emit("validation", step=self.step, epoch=1, loss=0.1 + 0.001 * abs(self.step - 30))
            if self.terminated:
                return self.stop("stopped")
            if self.stopped():
                return self.stop("stopped")
        return self.end(self.args.end)

    def stopped(self) -> bool:
        """Do what was asked for, waiting through a pause; whether that was to stop."""
        paused = False
        while True:
            for request in self.inbox.poll():
                if request.kind == "stop":
                    return True
                if request.kind == "pause":
                    self.events.emit("control", request="pause", status="accepted", detail="")
                    time.sleep(self.args.parking)
                    paused = True
                    self.events.emit("phase", phase="paused", done=0, total=0, detail="")
                elif request.kind == "resume" and paused:
                    paused = False
                    self.events.emit("phase", phase="training", done=self.step, total=self.args.steps, detail="")
                self.events.emit("control", request=request.kind, status="done", detail="")
            if not paused:
                return False
            time.sleep(0.01)

    def stop(self, reason: str) -> int:
        if not self.args.run.is_dir():
            return 0
        self.state.parent.mkdir(exist_ok=True)
        self.state.write_text(str(self.step))
        self.events.emit("state", step=self.step, epoch=1, path="state/step.txt")
        self.events.emit("finished", reason=reason, step=self.step, path="")
        return 0

    def end(self, how: str) -> int:
        if how == "finished":
            return self.stop("completed")
        if how == "failed":
            self.events.emit("failed", code="nan", message="the loss is NaN.", advice="Lower the rate.")
            return 1
        if how.startswith("signal:"):
            signal.signal(int(how[7:]), signal.SIG_DFL) if int(how[7:]) != 9 else None
            os.kill(os.getpid(), int(how[7:]))
            time.sleep(10)
        if how == "torn":
            with self.events.path.open("a") as file:
                file.write('{"t":1,"kind":"step","lo')
            os.kill(os.getpid(), signal.SIGKILL)
        if how.startswith("exit:"):
            return int(how[5:])
        if how == "cuda":
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        if how == "disk":
            raise OSError(28, "No space left on device", "checkpoints/x.safetensors")
        if how == "import":
            __import__("torch_that_is_not_there")
        raise ValueError("something\x1b[31m else")


if __name__ == "__main__":
    sys.exit(main())
