"""What every part of a run shares: its folder, settings, device, voice and ears."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import psutil
import torch

from lora_tui.config.schema import Config
from lora_tui.errors import UserError
from lora_tui.jobs.events import EventWriter
from lora_tui.runs.folder import RunFolder
from lora_tui.text import _, plain
from lora_tui.trainer.control import Controls
from lora_tui.weights.lora_file import DTYPES

BF16_CAPABILITY = (8, 0)  # the first generation of NVIDIA GPUs with bf16: Ampere
REPORT_SECONDS = 0.5  # a phase's progress is reported at most this often


@dataclass
class Session:
    """One life of one run.

    Attributes:
        dtype: of the base model and its arithmetic.
        identity: a new UUID for each life, written into the files' metadata.
        started: unix seconds.
    """

    folder: RunFolder
    config: Config
    events: EventWriter
    controls: Controls
    device: torch.device
    dtype: torch.dtype
    identity: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: float = field(default_factory=time.time)

    def phase(self, name: str, detail: str = "") -> Phase:
        """Begin a phase and say so."""
        return Phase(self, name, detail)

    def warn(self, code: str, message: str, remedy: str = "") -> None:
        """Tell what a person should know; the run goes on."""
        self.events.emit("warning", code=code, message=message, remedy=remedy)
        print(_("warning:"), message, remedy, flush=True)

    def memory(self) -> dict[str, int | None]:
        """Bytes in use: by torch on a GPU, by the process on a CPU."""
        if self.device.type == "cuda":
            return {
                "memory_allocated": torch.cuda.memory_allocated(self.device),
                "memory_reserved": torch.cuda.memory_reserved(self.device),
            }
        return {"memory_allocated": psutil.Process().memory_info().rss, "memory_reserved": None}


class Phase:
    """Progress of one phase. Calling it is also the safe point where the run may stop or wait."""

    def __init__(self, session: Session, name: str, detail: str) -> None:
        self._session = session
        self._name = name
        self._detail = detail
        self._reported = 0.0
        self(0, 0)

    def __call__(self, done: int, total: int, detail: str = "") -> None:
        """Report ``done`` of ``total`` (0 when unknown).

        Raises:
            StopRun: a stop was asked for.
        """
        now = time.monotonic()
        finished = total > 0 and done >= total
        if detail:
            self._detail = detail
        if finished or now - self._reported >= REPORT_SECONDS:
            self._reported = now
            self._session.events.emit("phase", phase=self._name, done=done, total=total, detail=self._detail)
        self._session.controls.safe_point()


def choose_device(wanted: str) -> torch.device:
    """``auto`` is the GPU with most free memory, else the CPU; anything else is taken by name.

    Raises:
        UserError: the device does not exist here.
    """
    if wanted == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu")
        free = [_free_bytes(index) for index in range(torch.cuda.device_count())]
        return torch.device("cuda", free.index(max(free)))
    try:
        device = torch.device(wanted)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda") or not _exists(device):
        raise UserError(
            _("there is no device {name} here.").format(name=plain(wanted)),
            place="memory.device",
            remedy=_("Use one of: {names}.").format(names="auto, cpu" + _gpus()),
            code="device.missing",
        )
    return device


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The torch type for ``precision``.

    Raises:
        UserError: the GPU cannot do it.
    """
    dtype = DTYPES[precision]
    if dtype == torch.bfloat16 and device.type == "cuda" and torch.cuda.get_device_capability(device) < BF16_CAPABILITY:
        raise UserError(
            _("{gpu} has no bf16.").format(gpu=torch.cuda.get_device_name(device)),
            place="memory.precision",
            remedy=_("Set memory.precision to fp16."),
            code="precision.missing",
        )
    return dtype


def use_threads(count: int) -> int:
    """Set the number of arithmetic threads and return it: ``count``, at most the cores this process may use (0: all).

    More threads than cores only wait for each other; hundreds of them bring a machine to a halt.
    """
    cores = len(os.sched_getaffinity(0))
    threads = min(count, cores) if count else cores
    torch.set_num_threads(threads)
    return threads


def _exists(device: torch.device) -> bool:
    if device.type == "cpu":
        return True
    return torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()


def _free_bytes(index: int) -> int:
    """Free memory of a GPU by NVML, which opens no context on it; by CUDA where NVML does not know it."""
    import pynvml

    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(index).uuid}".encode())
        return int(pynvml.nvmlDeviceGetMemoryInfo(handle).free)
    except (AttributeError, pynvml.NVMLError):
        return int(torch.cuda.mem_get_info(index)[0])


def autocast(device: torch.device, dtype: torch.dtype) -> contextlib.AbstractContextManager[Any]:
    """Arithmetic in ``dtype`` where it is a half precision; what is kept in float32 stays so."""
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=dtype)


def _gpus() -> str:
    return "".join(f", cuda:{index}" for index in range(torch.cuda.device_count()))
