"""What a step is held to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lora_tui.bench.train_bars import CAPPED, FLUX_SECONDS, STEP, STEP_CPU, STEP_GPU, STREAMED, Bars, bars_for

H200 = "NVIDIA H200"


def asked(**options: Any) -> Any:
    whole = {"family": "flux", "size": "full", "resolution": 1024, "batch_size": 1, "rank": 16, "precision": "bf16",
             "checkpointing": False, "streamed": 0, "cap": 0.0}  # fmt: skip
    return SimpleNamespace(**{**whole, **options})


@pytest.mark.parametrize(
    ("options", "device", "bars"),
    [
        ({}, "", Bars(STEP, STEP_CPU)),
        ({}, H200, Bars(STEP, milliseconds=1000 * FLUX_SECONDS, share=0.6)),
        ({}, "NVIDIA RTX A6000", Bars(STEP)),
        ({"checkpointing": True}, H200, Bars(STEP)),
        ({"resolution": 768}, H200, Bars(STEP)),
        ({"checkpointing": True, "cap": 24.0}, H200, Bars(STEP, driver=CAPPED)),
        ({"checkpointing": True, "cap": 24.0, "streamed": 57}, H200, Bars(STEP, driver=STREAMED)),
        ({"checkpointing": True, "cap": 48.0}, H200, Bars(STEP)),
        ({"family": "sdxl", "batch_size": 4}, H200, Bars(STEP_GPU)),
        ({"family": "sd15", "resolution": 512, "batch_size": 8}, H200, Bars(STEP_GPU)),
        ({"family": "sd15", "resolution": 512, "batch_size": 8, "size": "small"}, H200, Bars(STEP)),
    ],
)
def test_a_bar_is_for_what_it_was_set_for(options: dict[str, Any], device: str, bars: Bars) -> None:
    assert bars_for(asked(**options), device) == bars
