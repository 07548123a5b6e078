"""What a check says of ranks and alphas of types that have none, and of blocks that cannot turn."""

from __future__ import annotations

from typing import Any

import pytest
from config_samples import config_with

from lora_tui.config.findings import Finding
from lora_tui.config.schema import Config
from lora_tui.config.validate import check_config


def said(config: Config) -> dict[str, Finding]:
    return {one.field: one for one in check_config(config) if one.field.startswith("network.")}


def test_blocks_that_cannot_turn_are_refused() -> None:
    config = config_with(model={"family": "sd3"}, network={"type": "oft", "rank": 1})
    found = said(config)["network.rank"]
    assert (found.severity, found.code) == ("error", "network.blocks")
    assert found.remedy.endswith("to 4.")
    config.network.rank = 4
    assert "network.rank" not in said(config)
    config.network.rank, config.network.rescaled = 1, True  # a factor for each output is left to learn
    assert "network.rank" not in said(config)
    config.network.type = "boft"  # blocks of two at least
    config.network.rescaled = False
    assert "network.rank" not in said(config)


def test_some_blocks_that_cannot_turn_are_told() -> None:
    """A rank of all outputs leaves blocks of one: as LyCORIS splits them, the smaller part is the block."""
    found = said(config_with(network={"type": "oft", "rank": 320, "text_encoder": False}))["network.rank"]
    assert (found.severity, found.code) == ("warning", "network.some_blocks")
    layers = ["unet.* rank=1"]
    found = said(config_with(network={"type": "oft", "rank": 8, "text_encoder": False, "layers": layers}))
    assert found["network.layers"].code == "network.blocks"


@pytest.mark.parametrize(
    ("network", "fields"),
    [
        ({"type": "lokr", "full_matrix": True, "rank": 8, "alpha": 4.0}, {"rank", "alpha"}),
        ({"type": "lokr", "full_matrix": True, "decompose_both": True}, {"decompose_both"}),
        ({"type": "lokr", "rank": 8, "alpha": 4.0}, set()),
        ({"type": "ia3", "rank": 8, "alpha": 4.0}, {"rank", "alpha"}),
        ({"type": "full", "all_convolutions": True, "conv_rank": 4}, {"conv_rank"}),
        ({"type": "boft", "rank": 8, "alpha": 4.0}, {"alpha"}),
        ({"type": "oft", "rank": 8, "layers": ["unet.mid_block.* rank=4 alpha=2"]}, {"layers"}),
        ({"type": "oft", "rank": 8, "layers": ["unet.mid_block.* rank=4"]}, set()),
        ({"type": "ia3", "layers": ["unet.mid_block.* rank=4"]}, {"layers"}),
        ({"type": "ia3", "layers": ["unet.mid_block.* rank=0", "M00 rate=0.5"]}, set()),
        ({"type": "lokr", "full_matrix": True, "layers": ["unet.mid_block.* alpha=4"]}, {"layers"}),
    ],
)
def test_what_does_nothing_for_a_type_is_told(network: dict[str, Any], fields: set[str]) -> None:
    found = said(config_with(network=network))
    assert found.keys() == {f"network.{name}" for name in fields}
    assert {one.severity for one in found.values()} <= {"warning"}


@pytest.mark.parametrize(("unit", "told"), [(3, False), (4, True), (5, True)])
def test_a_dylora_of_one_unit_is_told(unit: int, told: bool) -> None:
    config = config_with(model={"family": "qwen"}, network={"type": "dylora", "rank": 4, "unit": unit})
    codes = [finding.code for finding in check_config(config)]
    assert ("network.one_unit" in codes) == told
    config.network.type = "lora"
    assert "network.one_unit" not in [finding.code for finding in check_config(config)]


def test_blocks_of_convolutions_are_offered_where_there_are_some() -> None:
    for family, offered in (("sd15", True), ("zimage", False)):
        config = config_with(model={"family": family}, network={"targets": "convblock-only", "text_encoder": False})
        found = said(config)["network.targets"]
        assert found.code == "network.targets_none" and ("locon" in found.remedy) == offered
