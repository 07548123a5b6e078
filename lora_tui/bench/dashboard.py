"""Measures what the dashboard and the list of runs read: a finished run of a million steps, a thousand runs.

``measure`` is what ``lora-tui bench dashboard`` calls. Each reading happens in a process of its own, so that its
time includes the imports and its memory is that of reading alone.
"""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_tui.runs.folder import FORMAT, RunFolder, write_json

START = 1_700_000_000.0
STEP_SECONDS = 0.1
"""Time of a made-up step: 10 a second, so that a sample of the machine comes every 20 steps."""


@dataclass(frozen=True)
class Row:
    """One measurement: smaller is better; it holds when ``value`` is at most ``bar``."""

    name: str
    value: float
    unit: str
    bar: float


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
    """Make a project's folder of many short finished runs."""
    for number in range(1, count + 1):
        run = build_run(runs_dir / f"20250101-{number:06d}-made-up", steps, every=50)
        write_json(run.record_path, {"format": FORMAT, "number": number, "created": START + number}, durable=False)


def measure(
    steps: int = 1_000_000, runs: int = 1_000, *, on_progress: Callable[[str], None] | None = None
) -> list[Row]:
    """Build both in a temporary folder, read them in fresh processes, and return what it took."""
    tell = on_progress or (lambda _text: None)
    with tempfile.TemporaryDirectory(prefix="lora-tui-bench-") as name:
        folder = Path(name)
        tell("building a run")
        run = build_run(folder / "one" / "20250101-000000-made-up", steps)
        tell("reading it")
        read = _in_process(_READ, str(run.root))
        tell("building runs")
        build_runs(folder / "project" / "runs", runs)
        tell("listing them")
        listed = _in_process(_LIST, str(folder / "project"))
    share = steps / 1_000_000
    return [
        Row("first partial picture", read["first"], "s", 1.0),
        Row("whole story", read["whole"], "s", 5.0 * max(share, 0.2)),
        Row("peak memory", read["memory"] / 1e6, "MB", 150.0),
        Row(f"{runs} runs listed", listed["seconds"], "s", 0.5 * max(runs / 1000, 0.2)),
    ]


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
print(json.dumps({"seconds": seconds}))
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
        f'{{"t":{START + step * STEP_SECONDS:.3f},"kind":"step","step":{step},"epoch":{1 + step * 8 // (steps + 1)},'
        f'"loss":{loss!r},"lr":{{"unet":{rate!r},"text_encoder":{rate / 10!r}}},"grad_norm":{0.4 + loss!r},'
        f'"step_seconds":{STEP_SECONDS + loss / 100:.6f},"data_wait":0.0012,"images_per_second":39.87,'
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


def _in_process(code: str, argument: str) -> dict[str, float]:
    result = subprocess.run([sys.executable, "-c", code, argument], check=True, capture_output=True, text=True)
    values = json.loads(result.stdout)
    return {str(name): float(value) for name, value in values.items()}
