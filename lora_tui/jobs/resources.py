"""What the machine is doing: GPUs, processor, memory and disk, as the numbers of one ``resources`` event."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_CGROUP = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60
"""Limits of version 1 control groups above this mean no limit."""


PRODUCT_CAPABILITIES = {"int8": (8, 0), "fp8": (8, 9)}
"""The first NVIDIA GPUs on which products in 8 bits are let run, by what the base is kept in: Ampere, and Ada."""


class Sampler:
    """Takes samples. GPUs through NVML when the driver is there, the rest through psutil."""

    def __init__(self, run_dir: Path, pid: Callable[[], int] = lambda: 0) -> None:
        """``pid`` gives the process of the job whose share of the GPUs' memory is told; 0 while there is none."""
        import psutil  # type: ignore[import-untyped]

        self._psutil = psutil
        self._run_dir = run_dir
        self._pid = pid
        self._peaks: dict[int, int] = {}
        self._nvml: Any = _nvml()
        psutil.cpu_percent(None)  # the first call only starts the measurement

    def sample(self) -> dict[str, Any]:
        """The fields of a ``resources`` event: bytes, per cent, degrees Celsius, watts; what is unknown is none."""
        used, total = self.memory()
        return {
            "gpus": self._gpus(),
            "cpu_percent": self._psutil.cpu_percent(None),
            "ram_used": used,
            "ram_total": total,
            "disk_free": disk_free(self._run_dir),
        }

    def memory(self) -> tuple[int, int]:
        """Bytes of memory used and there, within the container's limit where it has one."""
        machine = self._psutil.virtual_memory()
        used, total = int(machine.total - machine.available), int(machine.total)
        limit = _group_memory()
        if limit is not None and limit[1] < total:
            return limit
        return used, total

    def _gpus(self) -> list[dict[str, Any]]:
        if self._nvml is None:
            return []
        found = []
        ours = self._processes()
        with contextlib.suppress(self._nvml.NVMLError):
            for index, _uuid, handle in _visible(self._nvml):
                found.append(self._gpu(index, handle) | self._share(index, handle, ours))
        return found

    def _processes(self) -> frozenset[int]:
        """The job's process and those that it started."""
        pid = self._pid()
        try:
            return frozenset((pid, *(c.pid for c in self._psutil.Process(pid).children(True)))) if pid else frozenset()
        except self._psutil.Error:
            return frozenset()

    def _share(self, index: int, handle: Any, ours: frozenset[int]) -> dict[str, int | None]:
        """Bytes of a GPU's memory that the job holds, and the most that it held.

        None where it holds none, and where the driver does not say: it may not tell it by process, or number the
        processes of a container as the machine outside does.
        """
        listed = self._ask("nvmlDeviceGetComputeRunningProcesses", handle) or () if ours else ()
        held = [one.usedGpuMemory for one in listed if one.pid in ours]
        share = sum(int(size) for size in held) if held and None not in held else None
        if share is not None:
            self._peaks[index] = max(self._peaks.get(index, 0), share)
        return {"memory_run": share, "memory_run_most": self._peaks.get(index)}

    def _gpu(self, index: int, handle: Any) -> dict[str, Any]:
        memory = self._ask("nvmlDeviceGetMemoryInfo", handle)
        rates = self._ask("nvmlDeviceGetUtilizationRates", handle)
        power = self._ask("nvmlDeviceGetPowerUsage", handle)
        return {
            "index": index,
            "name": _text(self._ask("nvmlDeviceGetName", handle)),
            "utilization": None if rates is None else int(rates.gpu),
            "memory_used": None if memory is None else int(memory.used),
            "memory_total": None if memory is None else int(memory.total),
            "temperature": self._ask("nvmlDeviceGetTemperature", handle, 0),
            "power": None if power is None else power / 1000,
        }

    def _ask(self, name: str, *args: Any) -> Any:
        """One number of NVML; none where this GPU does not have it."""
        try:
            return getattr(self._nvml, name)(*args)
        except (self._nvml.NVMLError, OSError):
            return None


def gpu_list() -> list[dict[str, Any]]:
    """The GPUs of this machine: ``name``, ``memory_total`` (bytes) and ``driver``; empty without an NVIDIA driver."""
    nvml = _nvml()
    found = []
    if nvml is not None:
        with contextlib.suppress(nvml.NVMLError):
            driver = _text(nvml.nvmlSystemGetDriverVersion())
            for index in range(nvml.nvmlDeviceGetCount()):
                handle = nvml.nvmlDeviceGetHandleByIndex(index)
                memory = nvml.nvmlDeviceGetMemoryInfo(handle)
                name = _text(nvml.nvmlDeviceGetName(handle))
                found.append({"name": name, "memory_total": int(memory.total), "driver": driver})
    return found


def gpus_now() -> list[dict[str, Any]]:
    """The GPUs that the environment lets us use: ``uuid``, ``number``, ``name``, bytes ``used`` and ``total``.

    One that has fallen off its bus is not among them; without a driver that answers there is none.
    """
    nvml = _kept_nvml()
    found: list[dict[str, Any]] = []
    if nvml is None:
        return found
    try:
        visible = _visible(nvml)
    except (nvml.NVMLError, OSError):
        _kept_nvml.cache_clear()  # the driver may come back
        return found
    for number, uuid, handle in visible:
        with contextlib.suppress(nvml.NVMLError, OSError):
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            sizes = {"used": int(memory.used), "total": int(memory.total)}
            if uuid:
                found.append({"uuid": uuid, "number": number, "name": _text(nvml.nvmlDeviceGetName(handle)), **sizes})
    return found


@functools.cache
def _kept_nvml() -> Any:
    """NVML, begun once: that takes long where no program keeps the driver awake."""
    return _nvml()


def device_memory(device: str) -> int | None:
    """Bytes of memory, used or not, of the device that ``memory.device`` means; none where that is not known."""
    sampler = Sampler(Path("/"))
    gpus = sampler.sample()["gpus"] if device != "cpu" else []
    kind, _colon, number = device.partition(":")
    if gpus:
        place = int(number) if number.isdigit() else 0
        return gpus[place]["memory_total"] if place < len(gpus) else None
    if kind not in ("auto", "cpu") or (kind == "auto" and Path("/dev/kfd").exists()):
        return None  # a GPU of which its driver tells us nothing
    return sampler.memory()[1]


def capability_of(device: str) -> tuple[int, int] | None:
    """The compute capability of the NVIDIA GPU that ``memory.device`` means, of the best where it means any of several.

    None where that is not known, or where it means the CPU.
    """
    kind, _colon, number = device.partition(":")
    if kind not in ("auto", "cuda"):
        return None
    nvml, found = _kept_nvml(), []
    for gpu in gpus_now():
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(gpu["number"])
            major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
        except (nvml.NVMLError, OSError):
            return None
        found.append((int(major), int(minor)))
    if number.isdigit():
        found = found[int(number) : int(number) + 1]
    return max(found, default=None)


def disk_free(folder: Path) -> int | None:
    """Bytes free for us on the disk of ``folder``; none when it is gone."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def oom_kills() -> int:
    """Processes that the kernel has killed for want of memory, in our control group and on this machine."""
    files = (_group("memory.events"), _group("memory.oom_control", "memory"), Path("/proc/vmstat"))
    return sum(_counter(path, "oom_kill") for path in files if path is not None)


def _nvml() -> Any:
    try:
        import pynvml  # type: ignore[import-untyped]
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError, OSError):
        return None
    return pynvml


def _visible(nvml: Any) -> list[tuple[int, str, Any]]:
    """Number, UUID and handle of the GPUs that the environment lets the trainer see, in the order it counts them in.

    One that does not answer is not among them. Of a part of a GPU (MIG) the number is that of the whole.

    Raises:
        NVMLError: the driver does not answer.
    """
    found: dict[int, tuple[int, str, Any]] = {}
    for number in range(nvml.nvmlDeviceGetCount()):
        with contextlib.suppress(nvml.NVMLError, OSError):
            handle, uuid = nvml.nvmlDeviceGetHandleByIndex(number), ""
            with contextlib.suppress(nvml.NVMLError, OSError):
                uuid = _text(nvml.nvmlDeviceGetUUID(handle))
            found[number] = number, uuid, handle
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
    if wanted is None:
        return [*found.values()]
    named = (_named(nvml, found, name.strip()) for name in wanted.split(","))
    return list(itertools.takewhile(lambda one: one is not None, named))  # type: ignore[arg-type]


def _named(nvml: Any, found: Mapping[int, tuple[int, str, Any]], name: str) -> tuple[int, str, Any] | None:
    """The GPU that an entry of CUDA_VISIBLE_DEVICES means; none for one that means none, which ends them."""
    if name.isdecimal():
        return found.get(int(name))
    if name.startswith("MIG-"):
        with contextlib.suppress(nvml.NVMLError, OSError, AttributeError):
            handle = nvml.nvmlDeviceGetHandleByUUID(name)
            whole = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
            return int(nvml.nvmlDeviceGetIndex(whole)), name, handle
    return next((one for one in found.values() if name.startswith("GPU-") and one[1].startswith(name)), None)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def _group(name: str, controller: str = "") -> Path | None:
    """A file of our control group, seen from inside or outside of a container.

    ``controller`` is empty for version 2 and ``memory`` for the separate tree of version 1.
    """
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    own = next(
        (path for _id, kinds, path in (line.split(":", 2) for line in lines) if controller in kinds.split(",")), ""
    )
    root = _CGROUP / controller
    return next((path for path in (root / own.lstrip("/") / name, root / name) if path.is_file()), None)


def _group_memory() -> tuple[int, int] | None:
    """Memory used and allowed in our control group, file cache that can be dropped left out; none without a limit."""
    new, old = _group("memory.max"), _group("memory.limit_in_bytes", "memory")
    with contextlib.suppress(OSError, ValueError):
        if new is not None:
            limit, used = int(new.read_text()), int(new.with_name("memory.current").read_text())
            dropped = _counter(new.with_name("memory.stat"), "inactive_file")
        elif old is not None:
            limit, used = int(old.read_text()), int(old.with_name("memory.usage_in_bytes").read_text())
            dropped = _counter(old.with_name("memory.stat"), "total_inactive_file")
        else:
            return None
        return (max(used - dropped, 0), limit) if 0 < limit < _UNLIMITED else None
    return None


def _counter(path: Path, name: str) -> int:
    """A number from a file of lines ``name number``; 0 when it is not there."""
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            key, _space, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0
