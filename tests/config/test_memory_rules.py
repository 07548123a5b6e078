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


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, ""),
        ({"gradient_checkpointing": False, "device": "cpu"}, ""),
        ({"when_room": "keep", "device": "cpu"}, ""),
        ({"device": "cpu"}, "On a CPU"),
        ({"streamed_blocks": 3}, "streamed blocks"),
        ({"when_full": "stop"}, "memory.when_full to adapt"),
        ({"when_full": "stop", "device": "cpu"}, "as asked. Set memory.when_room to keep."),
        ({"when_full": "stop", "streamed_blocks": 3}, "as asked. Set memory.when_room to keep."),
    ],
)
def test_room_that_is_never_taken_is_told(
    asked: dict[str, object], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "has_gpu", lambda: True)
    asked = {"gradient_checkpointing": True, "when_room": "adapt", **asked}
    found = [one for one in check_config(config_with(memory=asked)) if one.code == "memory.no_room"]
    assert [one.field for one in found] == (["memory.when_room"] if words else [])
    assert all(words in f"{one.message} {one.remedy}" for one in found)


def test_a_machine_without_a_gpu_takes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "has_gpu", lambda: False)
    asked = config_with(memory={"gradient_checkpointing": True, "when_room": "adapt"})
    found = [one for one in check_config(asked) if one.code == "memory.no_room"]
    assert [one.field for one in found] == ["memory.when_room"] and "On a CPU" in found[0].message


@pytest.mark.parametrize("kind", ["full", "nf4"])
def test_products_in_8_bits_want_a_base_in_8_bits(kind: str) -> None:
    told = said(config_with(memory={"base_weights": kind, "products": "8bit"}))
    assert list(told) == ["memory.products_weights"]
    found = told["memory.products_weights"]
    assert found.severity == "error" and kind in found.message and "base_weights to int8 or fp8" in found.remedy
    assert not said(config_with(memory={"base_weights": kind}))


@pytest.mark.parametrize(
    ("kind", "cards"),
    [
        ("int8", {None: "", (7, 5): "products to full", (8, 0): "", (8, 9): "", (12, 0): ""}),
        ("fp8", {None: "", (7, 5): "products to full", (8, 6): "base_weights to int8", (8, 9): "", (12, 0): ""}),
    ],
)
def test_products_in_8_bits_want_a_card_that_has_them(
    kind: str, cards: dict[tuple[int, int] | None, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_with(memory={"base_weights": kind, "products": "8bit"})
    for capability, remedy in cards.items():
        monkeypatch.setattr(memory, "_capability", lambda _device, it=capability: it)
        found = said(config)
        assert set(found) == ({"memory.products_card"} if remedy else set())
        assert all(remedy in one.remedy for one in found.values())


@pytest.mark.parametrize("kind", ["int8", "fp8"])
def test_the_plan_counts_what_products_in_8_bits_take(kind: str) -> None:
    kept = {"base_weights": kind}
    configs = [config_with(model={"family": "flux"}, memory={**kept, **more}) for more in ({}, {"products": "8bit"})]
    plain, eight = (memory_parts(config, plan_of(config, squares(4))) for config in configs)
    widest = 18432 * 3072
    assert eight.pop("activations") - plain.pop("activations") == 200_000_000 + widest
    assert eight == plain
