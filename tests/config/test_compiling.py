"""What a check says of blocks that are to be compiled."""

from __future__ import annotations

import shutil

import pytest
from config_samples import config_with

from lora_tui.config.validate import check_config


@pytest.mark.parametrize(
    ("sections", "codes"),
    [
        ({"memory": {"compile": False}}, set()),
        ({}, {"advice.compile"}),
        ({"network": {"type": "dylora"}}, {"memory.compile_network"}),
        ({"network": {"module_dropout": 0.1}}, {"memory.compile_network"}),
        ({"network": {"dropout": 0.1}}, {"memory.compile_network"}),
        ({"network": {"rank_dropout": 0.1}}, {"memory.compile_network"}),
        (
            {"memory": {"compile": True, "gradient_checkpointing": True, "streamed_blocks": 2}},
            {"memory.compile_streamed", "advice.compile"},
        ),
        ({"memory": {"compile": True, "device": "cpu"}}, {"memory.compile_compiler", "advice.compile"}),
    ],
)
def test_what_keeps_blocks_from_being_compiled_is_told(
    sections: dict[str, dict[str, object]], codes: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    found = check_config(config_with(**{"memory": {"compile": True}, **sections}))
    told = [one for one in found if one.field == "memory.compile"]
    assert {one.code for one in told} == codes
    assert all(one.remedy for one in told if one.severity == "warning")
