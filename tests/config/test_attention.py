"""What a check says of a kernel of attention that will not be had."""

from __future__ import annotations

import pytest
from config_samples import config_with

from lora_tui.config.rules import attention
from lora_tui.config.validate import check_config


@pytest.mark.parametrize(
    ("memory", "gpu", "reason"),
    [
        ({}, True, ""),
        ({"attention": "fastest"}, False, ""),
        ({"attention": "flash", "precision": "fp32", "device": "cpu"}, True, ""),
        ({"attention": "cudnn"}, False, "processor has no such"),
        ({"attention": "efficient", "device": "cpu"}, True, "processor has no such"),
        ({"attention": "cudnn", "precision": "fp32"}, True, "bf16 and fp16 alone"),
        ({"attention": "flash", "precision": "bf16"}, True, ""),
    ],
)
def test_a_kernel_that_will_not_be_had_is_told(
    monkeypatch: pytest.MonkeyPatch, memory: dict[str, str], gpu: bool, reason: str
) -> None:
    monkeypatch.setattr(attention, "has_gpu", lambda: gpu)
    told = [one for one in check_config(config_with(memory=memory)) if one.field == "memory.attention"]
    assert len(told) == bool(reason)
    assert all(reason in one.message and one.remedy and one.severity == "warning" for one in told)
