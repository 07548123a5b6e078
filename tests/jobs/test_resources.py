import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from lora_tui.jobs.resources import (
    Sampler,
    _kept_nvml,
    capability_of,
    device_memory,
    disk_free,
    gpu_list,
    gpus_now,
    oom_kills,
)


def test_a_sample_has_all_fields_with_units_that_fit(tmp_path: Path) -> None:
    sample = Sampler(tmp_path).sample()
    assert set(sample) == {"gpus", "cpu_percent", "ram_used", "ram_total", "disk_free"}
    assert 1e6 < sample["ram_used"] < sample["ram_total"] < 1e15


def test_a_vanished_folder_has_no_free_space(tmp_path: Path) -> None:
    assert disk_free(tmp_path / "none") is None
    assert (disk_free(tmp_path) or 0) > 0


def test_the_memory_of_a_device_is_that_of_the_card_or_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Sampler(Path("/")).memory()[1]
    assert device_memory("cpu") == machine
    cards = [{"index": number, "memory_total": number} for number in (24, 80)]
    monkeypatch.setattr(Sampler, "_gpus", lambda _self: cards)
    assert [device_memory(name) for name in ("auto", "cuda", "cuda:1", "cuda:2")] == [24, 24, 80, None]
    monkeypatch.setattr(Sampler, "_gpus", lambda _self: [])
    assert device_memory("cuda") is None and device_memory("auto") in (machine, None)


def test_the_kernels_kills_are_counted_never_backwards() -> None:
    first = oom_kills()
    assert oom_kills() >= first >= 0


def test_the_gpus_that_the_environment_hides_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert Sampler(tmp_path).sample()["gpus"] == []
    assert isinstance(gpu_list(), list)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """A driver with one card that tells the processes in the list, in the place of NVIDIA's."""
    processes: list[Any] = []
    told = {
        "nvmlDeviceGetCount": 1,
        "nvmlDeviceGetUUID": "GPU-1",
        "nvmlDeviceGetName": "Card",
        "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=9_000_000_000, total=24_000_000_000),
        "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=97),
        "nvmlDeviceGetPowerUsage": 402_000,
        "nvmlDeviceGetTemperature": 71,
        "nvmlDeviceGetHandleByIndex": "handle",
        "nvmlDeviceGetComputeRunningProcesses": processes,
        "nvmlDeviceGetCudaComputeCapability": (8, 9),
        "nvmlInit": None,
    }
    fake = ModuleType("pynvml")
    fake.NVMLError = type("NVMLError", (Exception,), {})  # type: ignore[attr-defined]
    for name, value in told.items():
        setattr(fake, name, lambda *_args, value=value: value)
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    yield processes


def held(pid: int, size: int | None) -> SimpleNamespace:
    return SimpleNamespace(pid=pid, usedGpuMemory=size)


def test_the_memory_of_a_card_that_a_job_holds_is_told_with_the_most_of_it(tmp_path: Path, driver: list[Any]) -> None:
    sampler = Sampler(tmp_path, os.getpid)
    driver += [held(os.getpid(), 6_000_000_000), held(1, 2_000_000_000)]
    card = sampler.sample()["gpus"][0]
    assert (card["memory_used"], card["memory_run"], card["memory_run_most"]) == (9e9, 6e9, 6e9)
    driver[0] = held(os.getpid(), 4_000_000_000)
    card = sampler.sample()["gpus"][0]
    assert (card["memory_run"], card["memory_run_most"]) == (4e9, 6e9)
    driver.clear()  # it let go of the card
    card = sampler.sample()["gpus"][0]
    assert (card["memory_run"], card["memory_run_most"]) == (None, 6e9)


@pytest.mark.parametrize("size", [None, 1])
def test_a_driver_that_tells_no_memory_by_process_is_believed(
    tmp_path: Path, driver: list[Any], size: int | None
) -> None:
    """Some tell none; in a container some number the processes as the machine outside does."""
    driver.append(held(os.getpid() if size is None else 999_999_999, size))
    card = Sampler(tmp_path, os.getpid).sample()["gpus"][0]
    assert (card["memory_run"], card["memory_run_most"]) == (None, None)
    assert Sampler(tmp_path).sample()["gpus"][0]["memory_run"] is None


def test_what_a_card_is_capable_of_is_told_of_the_one_that_is_meant(driver: list[Any]) -> None:
    _kept_nvml.cache_clear()
    try:
        told = [capability_of(name) for name in ("auto", "cuda", "cuda:0", "cuda:1", "cpu")]
    finally:
        _kept_nvml.cache_clear()
    assert told == [(8, 9), (8, 9), (8, 9), None, None]


@pytest.mark.parametrize(
    ("visible", "seen"),
    [
        (None, ["GPU-a1", "GPU-b2"]),
        ("1,0", ["GPU-b2", "GPU-a1"]),
        ("GPU-b", ["GPU-b2"]),
        ("1,-1,0", ["GPU-b2"]),
        ("MIG-b2-first", ["MIG-b2-first"]),
        ("MIG-none,0", []),
        ("", []),
    ],
)
def test_gpus_are_told_in_the_order_in_which_the_trainer_counts_them(
    visible: str | None, seen: list[str], tmp_path: Path, driver: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their numbers are those of the driver; a part of one has that of the whole."""
    fake: Any = sys.modules["pynvml"]

    def part(name: str) -> str:
        if name != "MIG-b2-first":
            raise fake.NVMLError
        return name

    uuids = ["GPU-a1", "GPU-b2"]
    monkeypatch.setattr(fake, "nvmlDeviceGetCount", lambda: len(uuids))
    monkeypatch.setattr(fake, "nvmlDeviceGetHandleByIndex", uuids.__getitem__)
    monkeypatch.setattr(fake, "nvmlDeviceGetUUID", lambda handle: handle)
    monkeypatch.setattr(fake, "nvmlDeviceGetHandleByUUID", part, raising=False)
    monkeypatch.setattr(fake, "nvmlDeviceGetDeviceHandleFromMigDeviceHandle", lambda _part: "GPU-b2", raising=False)
    monkeypatch.setattr(fake, "nvmlDeviceGetIndex", uuids.index, raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    _kept_nvml.cache_clear()
    try:
        told = gpus_now()
    finally:
        _kept_nvml.cache_clear()
    assert [gpu["uuid"] for gpu in told] == seen
    numbers = [0 if uuid == "GPU-a1" else 1 for uuid in seen]
    assert [gpu["number"] for gpu in told] == numbers
    assert [gpu["index"] for gpu in Sampler(tmp_path).sample()["gpus"]] == numbers
