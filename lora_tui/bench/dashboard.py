"""The training screen on a finished run of a million steps and on a living one; the reading below it; the list of runs.

The app is the real one on a terminal of its own. What it reads is measured in fresh processes as well, so that
a slow figure can be laid to the reading or to the screen.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lora_tui.bench.common import Measure
from lora_tui.bench.slow_line import measure_slow_line
from lora_tui.bench.terminal import Terminal
from lora_tui.python import python_command
from lora_tui.runs.folder import FORMAT, RunFolder, write_json
from lora_tui.text.translate import _

START = 1_700_000_000.0
STEP_SECONDS = 0.1
"""Time of a made-up step: 10 a second, so that a sample of the machine comes every 20 steps."""


SETTLE, WATCH = 4.0, 10.0
"""Seconds that a living dashboard is given to come up, and that it is then measured for."""


def build(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--steps", type=int, default=1_000_000, help=_("steps of the finished run"))
    parser.add_argument("--runs", type=int, default=1_000, help=_("how many runs to list"))
    parser.add_argument("--no-app", action="store_true", help=_("measure the reading alone, not the screen"))


def measure(args: argparse.Namespace) -> Iterator[Measure]:
    """Build the runs in a temporary folder and measure everything on them."""
    with tempfile.TemporaryDirectory(prefix="lora-tui-bench-") as name:
        folder = Path(name)
        run = build_run(folder / "long" / "runs" / "20250101-000000-made-up", args.steps)
        yield from measure_reading(run)
        if not args.no_app:
            yield from measure_finished(run, folder / "home")
            yield from measure_living(folder / "living" / "runs" / "20250101-000000-living", folder / "home")
        build_runs(folder / "many" / "runs", args.runs)
        yield measure_list(folder / "many")
        yield measure_records(folder / "many", folder / "home")


def measure_reading(run: RunFolder) -> Iterator[Measure]:
    """The story of a run, read in a fresh process."""
    read = _in_process(_READ, str(run.root))
    yield Measure(_("story: first partial picture"), read["first"], "s", bar=1.0)
    yield Measure(_("story: complete"), read["whole"], "s", bar=5.0)
    yield Measure(_("story: peak memory"), read["memory"], "bytes", bar=150e6)


def measure_finished(run: RunFolder, home: Path) -> Iterator[Measure]:
    """The app opened on a finished run: until a curve is painted, until it rests, and what it weighs then."""
    with Terminal(["attach", str(run.root)], home) as app:
        yield Measure(_("screen: first curve"), app.wait_for(CURVE), "s", bar=1.0)
        yield Measure(_("screen: complete"), app.wait_until_at_rest(), "s", bar=5.0)
        yield Measure(_("screen: peak memory"), app.peak_memory(), "bytes", bar=150e6)


def measure_living(root: Path, home: Path) -> Iterator[Measure]:
    """The app opened on a run that makes five steps a second, also over a slow line."""
    from lora_tui.jobs import control, launch
    from lora_tui.runs.status import inspect

    run = build_run(root, 20_000)
    run.job_path.unlink()
    launch.start(run.root, command=python_command("-c", _LIVING))
    try:
        with Terminal(["attach", str(run.root)], home) as app:
            app.wait_for(CURVE)
            app.read(SETTLE)
            cpu, received = app.cpu_seconds(), app.received
            app.read(WATCH)
            yield Measure(_("living screen: share of a core"), (app.cpu_seconds() - cpu) / WATCH, "share", bar=0.04)
            yield Measure(_("living screen: output"), (app.received - received) / WATCH, "bytes/s", bar=80e3)
        yield from measure_slow_line(run, home)
    finally:
        control.request(run.root, "stop")
        while inspect(run).alive:
            time.sleep(0.1)


def measure_list(project: Path) -> Measure:
    """The state of many runs, read in a fresh process."""
    listed = _in_process(_LIST, str(project))
    return Measure(_("{count} runs listed").format(count=int(listed["count"])), listed["seconds"], "s", bar=0.5)


def measure_records(project: Path, home: Path) -> Measure:
    """The same with settings, notes and best files, in a fresh process, once they have been read before."""
    _in_process(_RECORDS, str(project), home)
    listed = _in_process(_RECORDS, str(project), home)
    text = _("{count} runs listed with settings, notes and best files")
    return Measure(text.format(count=int(listed["count"])), listed["seconds"], "s", bar=0.5)


def build_run(root: Path, steps: int = 1_000_000, *, every: int = 5_000) -> RunFolder:
    """Make a finished run of ``steps`` steps with lifelike events: losses, rates, samples, files, the machine."""
    run = RunFolder(root)
    root.mkdir(parents=True, exist_ok=True)
    run.config_path.write_text('schema_version = 1\n[saving]\nname = "made-up"\n', encoding="utf-8")
    write_json(run.record_path, {"format": FORMAT, "number": 1, "created": START}, durable=False)
    random_ = random.Random(7)
    with run.events_path.open("w", encoding="ascii", buffering=1 << 20) as file:
        file.write(_line(START, "attempt", number=1))
        file.write(_line(START + 1, "run", **_plan(steps)))
        for step in range(1, steps + 1):
            file.write(_step_line(step, steps, random_))
            if step % 20 == 0:
                file.write(_line(START + step * STEP_SECONDS, "resources", **_RESOURCES))
            if step % every == 0 or step == steps:
                file.write(_milestones(step))
        file.write(_line(START + steps * STEP_SECONDS + 9, "finished", reason="completed", step=steps))
    end = START + steps * STEP_SECONDS + 10
    job = {"pid": 1, "child_pid": 2, "started": START, "heartbeat": end, "ended": end, "exit_status": 0, "attempt": 1}
    write_json(run.job_path, job, durable=False)
    return run


def build_runs(runs_dir: Path, count: int = 1_000, steps: int = 100) -> None:
    """Make a project's folder of many short finished runs, each with a complete configuration."""
    from lora_tui.config.load import dump_config
    from lora_tui.config.schema import Config

    config = dump_config(Config(), comments=True)
    for number in range(1, count + 1):
        run = build_run(runs_dir / f"20250101-{number:06d}-made-up", steps, every=50)
        write_json(run.record_path, {"format": FORMAT, "number": number, "created": START + number}, durable=False)
        run.config_path.write_text(config, encoding="utf-8")


CURVE = "[\u2801-\u28ff]{3}"
"""What a curve looks like on the terminal: braille cells in a row."""

_LIVING = """
import json, math, sys, time
from pathlib import Path
from lora_tui.jobs.control import ControlInbox
from lora_tui.jobs.events import EventWriter
from lora_tui.jobs.lock import RunLock
root = Path(sys.argv[1])
inbox, events = ControlInbox(root), EventWriter(root / "events.jsonl")
with RunLock.acquire(root / "lock"):
    events.emit("run", name="living", total_steps=40_000, epochs=8, prompts=1)
    events.emit("resumed", step=20_000, epoch=4)
    events.emit("phase", phase="training", done=20_000, total=40_000, detail="")
    for step in range(20_001, 20_601):
        time.sleep(0.2)
        loss = 0.08 + 0.02 * math.sin(step)
        events.emit("step", loss=loss, grad_norm=0.4 + loss, step=step, epoch=4,
                    lr={"unet": 1e-4, "text_encoder": 1e-5}, step_seconds=0.2, data_wait=0.01,
                    images_per_second=20.0,
                    memory_allocated=7_000_000_000 + step, memory_reserved=7_300_000_000)
        if inbox.poll():
            break
    events.emit("finished", reason="stopped", step=step, path="")
"""

_READ = """
import json, resource, sys, time
begun = time.perf_counter()
from pathlib import Path
from lora_tui.runs.folder import RunFolder
from lora_tui.runs.story import RunStory
story = RunStory(RunFolder(Path(sys.argv[1])))
story.update(0.05)
first = time.perf_counter() - begun
assert len(story.series["loss"]) > 100
while not story.complete:
    story.update(0.05)
whole = time.perf_counter() - begun
assert story.ending is not None and story.bad_lines == 0
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"first": first, "whole": whole, "memory": memory}))
"""

_LIST = """
import json, sys, time
begun = time.perf_counter()
from pathlib import Path
from lora_tui.runs.folder import list_runs
from lora_tui.runs.status import inspect
states = [inspect(run).state for run in list_runs(Path(sys.argv[1]) / "runs")]
seconds = time.perf_counter() - begun
assert states and set(states) == {"finished"}
print(json.dumps({"seconds": seconds, "count": len(states)}))
"""

_RECORDS = """
import json, sys, time
begun = time.perf_counter()
from pathlib import Path
from lora_tui.records.query import chosen
from lora_tui.records.rows import read_rows
from lora_tui.runs.folder import list_runs
runs_dir = Path(sys.argv[1]) / "runs"
rows = chosen(read_rows(list_runs(runs_dir), runs_dir), "is:finished lr<1 -tag:bad")
seconds = time.perf_counter() - begun
assert rows and all(row.settings for row in rows)
print(json.dumps({"seconds": seconds, "count": len(rows)}))
"""

_RESOURCES: dict[str, Any] = {
    "gpus": [
        {
            "index": 0,
            "name": "NVIDIA GeForce RTX 4090",
            "utilization": 97,
            "memory_used": 7_543_210_000,
            "memory_total": 25_757_220_864,
            "temperature": 71,
            "power": 402.1,
        }
    ],
    "cpu_percent": 12.3,
    "ram_used": 9_876_543_210,
    "ram_total": 67_108_864_000,
    "disk_free": 91_234_567_890,
}


def _plan(steps: int) -> dict[str, Any]:
    return {
        "version": "0",
        "name": "made-up",
        "family": "sd15",
        "device": "cuda:0",
        "total_steps": steps,
        "epochs": 8,
        "steps_per_epoch": -(-steps // 8),
        "images": 212,
        "validation_images": 10,
        "prompts": 1,
    }


def _step_line(step: int, steps: int, random_: random.Random) -> str:
    loss = 0.08 + 0.08 * math.exp(-4 * step / steps) + 0.02 * random_.random()
    rate = 0.5e-4 * (1 + math.cos(math.pi * step / steps))
    return (
        f'{{"t":{START + step * STEP_SECONDS:.3f},"kind":"step","loss":{loss:.12g},"grad_norm":{0.4 + loss:.12g},'
        f'"step":{step},"epoch":{1 + step * 8 // (steps + 1)},'
        f'"lr":{{"unet":{rate:.12g},"text_encoder":{rate / 10:.12g}}},"step_seconds":{STEP_SECONDS + loss / 100:.5f},'
        f'"data_wait":0.0012,"images_per_second":39.87,'
        f'"memory_allocated":7012345678,"memory_reserved":7301234567}}\n'
    )


def _milestones(step: int) -> str:
    time = START + step * STEP_SECONDS
    return (
        _line(time, "validation", step=step, epoch=1, loss=0.09)
        + _line(time, "sample", step=step, epoch=1, prompt=0, path=f"samples/{step:07d}-0.png", text="hatgirl, smile")
        + _line(time, "checkpoint", step=step, epoch=1, path=f"checkpoints/x-{step:07d}.safetensors", bytes=37_000_000)
        + _line(time, "state", step=step, epoch=1, path=f"state/{step:07d}")
    )


def _line(time: float, kind: str, **fields: Any) -> str:
    return json.dumps({"t": round(time, 3), "kind": kind, **fields}, separators=(",", ":")) + "\n"


def _in_process(code: str, argument: str, home: Path | None = None) -> dict[str, float]:
    environment = {**os.environ, **({"LORA_TUI_HOME": str(home)} if home is not None else {})}
    line = python_command("-c", code, argument)
    result = subprocess.run(line, check=True, capture_output=True, text=True, env=environment)
    values = json.loads(result.stdout)
    return {str(name): float(value) for name, value in values.items()}
