"""What a LoRA file is, from one that is larger than anybody's: the command with its process, on a file of holes."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lora_tui.bench.common import Measure, tell, timed
from lora_tui.errors import UserError
from lora_tui.python import python_command
from lora_tui.text.formats import bytes_text
from lora_tui.text.translate import _

SECONDS = 0.2
MODULES, RANK, WIDTH = 300, 128, 65_536
TIMES = 5


def measure() -> Iterator[Measure]:
    """Some calls of ``lora info`` on a file of 10 GB, which takes next to nothing of the disk.

    Raises:
        UserError: the command failed.
    """
    with tempfile.TemporaryDirectory(prefix="lora-tui-bench-") as folder:
        path = Path(folder) / "large.safetensors"
        size = write_holes(path)
        tell(_("LoRA: info …"))
        command = python_command("-m", "lora_tui", "lora", "info", str(path), "--json")
        seconds = [timed(lambda: _call(command)) for _time in range(TIMES + 1)][1:]
    said = _("{size}, {count} layers; the median of {times} calls, process and all").format(
        size=bytes_text(size), count=MODULES, times=TIMES
    )
    yield Measure(_("LoRA info"), statistics.median(seconds), "s", SECONDS, detail=said)


def write_holes(path: Path) -> int:
    """A LoRA file of :data:`MODULES` layers whose numbers are holes, which read as zeros; its size in bytes."""
    header: dict[str, object] = {}
    end = 0
    for number in range(MODULES):
        name = f"lora_unet_double_blocks_{number}_img_attn_qkv"
        for part, shape in (("lora_down", (RANK, WIDTH)), ("lora_up", (WIDTH, RANK)), ("alpha", ())):
            start, end = end, end + 2 * (shape[0] * shape[1] if shape else 1)
            key = f"{name}.{part}" if part == "alpha" else f"{name}.{part}.weight"
            header[key] = {"dtype": "F16", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)
    return path.stat().st_size


def _call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UserError((done.stderr.strip().splitlines() or [""])[-1], place="lora info", code="bench.failed")
