"""A base that is multiplied in 8 bits: what is learned beside it, how near it is, and that it resumes to the same bits.

How far the losses of 30 steps with one seed lay from those of a base in full precision stands in docs/memory.md; random
weights, which lack the outliers of trained ones.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from lives import draw_dataset, events, live_here, lora, micro_config, new_run, same_tensors
from passes import apart, passed
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from lora_tui.bench.flux_model import write_flux_model
from lora_tui.errors import UserError
from lora_tui.families.devices import check_products
from lora_tui.families.protocol import Storage
from lora_tui.families.quantized import Kind, quantize_linears
from lora_tui.runs.folder import RunFolder
from lora_tui.trainer.adapters.at_rank import AtRank

EIGHT: dict[str, dict[str, Any]] = {kind: {"base_weights": kind, "products": "8bit"} for kind in ("int8", "fp8")}
STEPS = 30


@pytest.mark.parametrize(("kind", "near"), [("int8", 0.02), ("fp8", 0.05)])
def test_the_gradients_of_the_lora_are_exact_given_the_same_activations(kind: Kind, near: float) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(64, 48)).requires_grad_(False)
    quantize_linears(network, kind)
    inject_adapter_in_model(LoraConfig(r=4, lora_alpha=2.0, target_modules=["0"]), network)  # type: ignore[arg-type]
    layer: Any = network[0]
    down, up = (matrix["default"].weight for matrix in (layer.lora_A, layer.lora_B))
    nn.init.normal_(up)
    layer.forward = AtRank(layer, "default")
    x, told = torch.randn(5, 64), torch.randn(5, 48)
    found = []
    for in_eight_bits in (False, True):
        out, back = passed(network, x, told, in_eight_bits=in_eight_bits)
        found.append([down.grad, up.grad, out - layer.base_layer(x), out, back])
        layer.zero_grad()
    for one, other in zip(found[0][:2], found[1][:2], strict=True):
        assert torch.equal(one, other)
    assert torch.allclose(found[0][2], found[1][2], atol=1e-5)  # what the LoRA adds
    for one, other in zip(found[0][3:], found[1][3:], strict=True):
        assert 0 < apart(one, other) < near


def trained(root: Path, base: Path, family: str, **memory: Any) -> RunFolder:
    more: dict[str, Any] = {"data": {"bucket_step": 16}, "captions": {"t5_tokens": 128}} if family == "flux" else {}
    config = micro_config(
        base, draw_dataset(root / "pictures", 8), model={"family": family}, memory=memory,
        network={"text_encoder": False}, steps={"epochs": STEPS, "max_steps": STEPS, "batch_size": 2}, samples=[],
        validation={"mode": "off"}, **more,
        saving={"name": "blob", "every_epochs": 0, "state_every_epochs": 0, "state_every_steps": 10, "keep_states": 9},
    )  # fmt: skip
    run = new_run(root / "runs", config)
    assert live_here(run) == 0, events(run, "failed")
    return run


def mean_loss(run: RunFolder) -> float:
    losses = [event["loss"] for event in events(run, "step")]
    assert len(losses) == STEPS
    return fmean(losses)


@pytest.mark.parametrize("kind", [pytest.param("int8", marks=pytest.mark.slow), "fp8"])
def test_flux_learns_nearly_the_same_and_resumes_to_the_same_bits(kind: str, tmp_path: Path) -> None:
    base = write_flux_model(tmp_path / "model")
    eight = trained(tmp_path / "eight", base, "flux", **EIGHT[kind])
    loss, whole = mean_loss(eight), lora(eight)
    assert loss == pytest.approx(mean_loss(trained(tmp_path / "full", base, "flux")), rel=1e-3)
    for state in sorted(eight.state_dir.iterdir())[1:]:
        shutil.rmtree(state)  # killed after the tenth step
    (eight.checkpoints_dir / "blob.safetensors").unlink()
    assert live_here(eight, resume=True) == 0
    assert [event["step"] for event in events(eight, "resumed")] == [10]
    assert not events(eight, "warning")
    assert same_tensors(whole, lora(eight))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["int8", "fp8"])
def test_sd15_learns_nearly_the_same(kind: str, base: Path, tmp_path: Path) -> None:
    eight, full = trained(tmp_path / "eight", base, "sd15", **EIGHT[kind]), trained(tmp_path / "full", base, "sd15")
    assert mean_loss(eight) == pytest.approx(mean_loss(full), rel=0.02)


@pytest.mark.parametrize(
    ("weights", "capability", "remedy"),
    [
        ("int8", (7, 5), "Set memory.products to full."), ("int8", (8, 0), ""), ("int8", (12, 0), ""),
        ("fp8", (7, 5), "Set memory.products to full."),
        ("fp8", (8, 6), "Set memory.base_weights to int8, or memory.products to full."),
        ("fp8", (8, 9), ""), ("fp8", (12, 0), ""),
    ],
)  # fmt: skip
def test_a_card_that_cannot_is_refused(
    weights: Kind, capability: tuple[int, int], remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "Old Card")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    card, storage = torch.device("cuda", 0), Storage(weights, products="8bit")
    check_products(Storage(weights), card)
    check_products(storage, torch.device("cpu"))
    if not remedy:
        check_products(storage, card)
        return
    with pytest.raises(UserError) as caught:
        check_products(storage, card)
    assert "Old Card" in str(caught.value) and caught.value.place == "memory.products"
    assert caught.value.remedy == remedy
