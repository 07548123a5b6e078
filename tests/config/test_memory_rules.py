"""What a check says of how the base is kept and multiplied."""

from __future__ import annotations

import pytest
from config_samples import config_with, plan_of, squares

from lora_tui.config.estimate import memory_parts
from lora_tui.config.findings import Finding
from lora_tui.config.rules import memory
from lora_tui.config.schema import Config
from lora_tui.config.validate import check_config


def said(config: Config) -> dict[str, Finding]:
    return {one.code: one for one in check_config(config) if one.field == "memory.products"}


@pytest.mark.parametrize("kind", ["full", "fp8", "nf4"])
def test_products_in_8_bits_want_a_base_in_int8(kind: str) -> None:
    found = said(config_with(memory={"base_weights": kind, "products": "8bit"}))["memory.products_weights"]
    assert found.severity == "error" and kind in found.message and "base_weights to int8" in found.remedy
    assert not said(config_with(memory={"base_weights": kind}))


def test_products_in_8_bits_want_a_card_that_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_with(memory={"base_weights": "int8", "products": "8bit"})
    for capability, refused in ((None, False), ((7, 5), True), ((8, 9), False), ((12, 0), False)):
        monkeypatch.setattr(memory, "_capability", lambda _device, it=capability: it)
        found = said(config)
        assert set(found) == ({"memory.products_card"} if refused else set())
        assert all("products to full" in one.remedy for one in found.values())


def test_the_plan_counts_what_products_in_8_bits_take() -> None:
    kept = {"base_weights": "int8"}
    configs = [config_with(model={"family": "flux"}, memory={**kept, **more}) for more in ({}, {"products": "8bit"})]
    plain, eight = (memory_parts(config, plan_of(config, squares(4))) for config in configs)
    widest = 18432 * 3072
    assert eight.pop("activations") - plain.pop("activations") == 200_000_000 + widest
    assert eight == plain
