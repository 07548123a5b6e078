"""Devices: what the check of a configuration lets through is a kind of device that the trainer takes."""

from __future__ import annotations

from typing import Any

import pytest

from lora_tui.config.load import parse_config
from lora_tui.config.rules import values
from lora_tui.errors import UserError
from lora_tui.families.devices import choose_device


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
