"""Devices: what the check of a configuration lets through is a kind of device that the trainer takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from lora_tui.config.load import parse_config
from lora_tui.config.rules import values
from lora_tui.errors import UserError
from lora_tui.families.devices import PINNED_WHOLE_MB, choose_device, pin_large_whole


def _codes(device: str) -> list[str]:
    settings: dict[str, Any] = {"memory": {"device": device}}
    return [finding.code for finding in values.memory(parse_config(settings, base=None, place="test"))]


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:7"])
def test_known_devices_pass(device: str) -> None:
    assert "memory.device" not in _codes(device)


@pytest.mark.parametrize("device", ["mps", "cuda:", "cuda:-1", "cpu:0", "xpu", "", "cuda "])
def test_devices_that_the_trainer_refuses_are_found_beforehand(device: str) -> None:
    assert _codes(device) == ["memory.device"]


def test_the_trainer_refuses_mps() -> None:
    with pytest.raises(UserError):
        choose_device("mps")


def test_a_gpu_has_its_number_with_which_it_can_be_made_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    made: list[int] = []
    monkeypatch.setattr(torch._C, "_cuda_setDevice", made.append, raising=False)
    for name in ("cuda", "cuda:0", "cuda:1"):
        torch.cuda.set_device(choose_device(name))
    assert made == [0, 0, 1]


@pytest.fixture
def told() -> Iterator[Callable[[str], str]]:
    """Tells torch's allocators something, and what they have been told after it that large pieces are pinned whole."""
    before = torch._C._accelerator_getAllocatorSettings()

    def tell(settings: str) -> str:
        torch._C._accelerator_setAllocatorSettings(settings)
        pin_large_whole()
        return torch._C._accelerator_getAllocatorSettings()

    yield tell
    torch._C._accelerator_setAllocatorSettings(before)


def test_large_pieces_are_pinned_whole_unless_the_environment_says_otherwise(told: Callable[[str], str]) -> None:
    own = f"pinned_max_round_threshold_mb:{PINNED_WHOLE_MB},pinned_max_cached_size_mb:{PINNED_WHOLE_MB}"
    assert told("") == told(own) == own
    assert told("max_split_size_mb:200") == f"max_split_size_mb:200,{own}"
    assert told("pinned_max_cached_size_mb:1") == "pinned_max_cached_size_mb:1"


@pytest.mark.gpu
def test_a_pinned_piece_takes_what_it_holds_and_is_given_back(told: Callable[[str], str]) -> None:
    told("")
    size, before = (PINNED_WHOLE_MB << 20) + 1, torch.cuda.host_memory_stats()["allocated_bytes.current"]
    piece = torch.empty(size, dtype=torch.uint8, pin_memory=True)
    assert torch.cuda.host_memory_stats()["allocated_bytes.current"] - before < 1.1 * size
    del piece
    assert torch.cuda.host_memory_stats()["allocated_bytes.current"] == before
