"""What a check says of steps that are to be played as CUDA graphs."""

from __future__ import annotations

import pytest
from config_samples import config_with

from lora_tui.config.validate import check_config


@pytest.mark.parametrize(
    ("sections", "reason"),
    [
        ({}, ""),
        ({"memory": {"cuda_graphs": False, "gradient_checkpointing": True}}, ""),
        ({"memory": {"cuda_graphs": True, "gradient_checkpointing": True, "when_room": "adapt"}}, ""),
        ({"memory": {"cuda_graphs": True, "gradient_checkpointing": True}}, "computed again"),
        (
            {
                "memory": {
                    "cuda_graphs": True,
                    "gradient_checkpointing": True,
                    "when_room": "adapt",
                    "streamed_blocks": 2,
                }
            },
            "visit the GPU",
        ),
        ({"memory": {"cuda_graphs": True, "device": "cpu"}}, "processor"),
        ({"network": {"type": "dylora"}}, "DyLoRA"),
        ({"network": {"module_dropout": 0.1}}, "module_dropout"),
        ({"network": {"dropout": 0.1}}, "network.dropout"),
    ],
)
def test_what_keeps_steps_from_being_played_is_told(sections: dict[str, dict[str, object]], reason: str) -> None:
    found = check_config(config_with(**{"memory": {"cuda_graphs": True, "gradient_checkpointing": False}, **sections}))
    told = [one for one in found if one.field == "memory.cuda_graphs"]
    assert len(told) == bool(reason)
    assert all(reason in one.message and one.remedy and one.severity == "warning" for one in told)
