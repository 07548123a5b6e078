"""Where a run computes: its device, its precision, its threads."""

from __future__ import annotations

import os

import torch

from lora_tui.errors import UserError
from lora_tui.families.protocol import Storage
from lora_tui.jobs.launcher import Launched
from lora_tui.jobs.resources import PRODUCT_CAPABILITIES
from lora_tui.text import _, ngettext, plain
from lora_tui.weights.lora_file import DTYPES

BF16_CAPABILITY = (8, 0)  # the first generation of NVIDIA GPUs with bf16: Ampere
PINNED_WHOLE_MB = 64
"""Pinned pieces above it take what they hold, see :func:`pin_large_whole`."""


def choose_devices(wanted: str, processes: int) -> tuple[torch.device, ...]:
    """Where each of ``processes`` computes, the first one's device first: a GPU for each, or the CPU for all.

    Raises:
        UserError: the device does not exist here, or there are too few.
    """
    if processes == 1:
        return (choose_device(wanted),)
    if wanted not in ("auto", "cuda") or not torch.cuda.is_available():
        return (choose_device(wanted),) * processes
    free = {index: _free_bytes(index) for index in range(torch.cuda.device_count())}
    if len(free) < processes:
        raise _too_few(processes, len(free), _("Set memory.processes to {count}."))
    best = sorted(free, key=lambda index: (-free[index], index))
    return tuple(torch.device("cuda", index) for index in best[:processes])


def launched_devices(wanted: str, place: Launched) -> tuple[torch.device, ...]:
    """Where each process of a launcher computes, the first one's device first: on its machine the GPU of its number.

    Raises:
        UserError: the device does not exist here, or there are too few.
    """
    if wanted not in ("auto", "cuda") or not torch.cuda.is_available():
        return (choose_device(wanted),) * place.count
    if torch.cuda.device_count() < place.local_count:
        raise _too_few(place.local_count, torch.cuda.device_count(), _("Start at most {count}."))
    return tuple(torch.device("cuda", number % place.local_count) for number in range(place.count))


def _too_few(processes: int, count: int, remedy: str) -> UserError:
    return UserError(
        ngettext(
            "{processes} processes need a GPU each, and there is {count}.",
            "{processes} processes need a GPU each, and there are {count}.",
            count,
        ).format(processes=processes, count=count),
        place="memory.processes",
        remedy=remedy.format(count=count),
        code="device.missing",
    )


def choose_device(wanted: str) -> torch.device:
    """``auto`` is the GPU with most free memory, else the CPU; anything else is taken by name, a GPU with its number.

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
    if device.type == "cuda" and device.index is None:  # what is made current needs a number
        return torch.device("cuda", 0)
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


def check_products(storage: Storage, device: torch.device) -> None:
    """Whether ``device`` can multiply a base that is kept as ``storage`` says.

    Raises:
        UserError: it is a GPU that has no such products in 8 bits, or not as they are done here.
    """
    least = PRODUCT_CAPABILITIES.get(storage.weights)
    if storage.products == "full" or least is None or device.type != "cuda":
        return
    has = (0, 0) if torch.version.hip is not None else torch.cuda.get_device_capability(device)
    if has >= least:
        return
    gpu = torch.cuda.get_device_name(device)
    text = _("{gpu} cannot multiply in 8 bits here; NVIDIA cards from 2020 on can.")
    remedy = _("Set memory.products to full.")
    if has >= PRODUCT_CAPABILITIES["int8"]:
        text = _("{gpu} cannot multiply in fp8; NVIDIA cards from RTX 40, L4 and H100 on can.")
        remedy = _("Set memory.base_weights to int8, or memory.products to full.")
    raise UserError(text.format(gpu=gpu), place="memory.products", remedy=remedy, code="products.missing")


def use_threads(count: int, processes: int = 1) -> int:
    """Set the number of arithmetic threads and return it: ``count``, at most the cores this process may use.

    0 takes all of them, or this one's share where there are several ``processes``.

    More threads than cores only wait for each other; hundreds of them bring a machine to a halt.
    """
    cores = len(os.sched_getaffinity(0))
    threads = min(count, cores) if count else max(cores // processes, 1)
    torch.set_num_threads(threads)
    return threads


def pin_large_whole() -> None:
    """Have torch pin pieces above :data:`PINNED_WHOLE_MB` as they are, and give them back when nothing uses them.

    By itself it rounds each up to a power of two, with which the blocks of FLUX.1 in bf16 take 41 GB for 24, and keeps
    what is freed for pieces of that size. Both or neither: of those that it keeps it looks at the rounded size alone.
    What the environment (``PYTORCH_ALLOC_CONF``) says of either stays, and so does a torch that cannot be told.
    """
    known = getattr(torch._C, "_accelerator_getAllocatorSettings", None)
    if known is None or "pinned_max" in (before := known()):
        return
    own = f"pinned_max_round_threshold_mb:{PINNED_WHOLE_MB},pinned_max_cached_size_mb:{PINNED_WHOLE_MB}"
    try:
        torch._C._accelerator_setAllocatorSettings(",".join(filter(None, (before, own))))
    except (RuntimeError, ValueError):
        torch._C._accelerator_setAllocatorSettings(before)


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


def _gpus() -> str:
    return "".join(f", cuda:{index}" for index in range(torch.cuda.device_count()))
