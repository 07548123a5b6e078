"""A base that is multiplied in 8 bits: what is learned beside it, how near it is, and that it resumes to the same bits.

Of 30 steps with one seed, the mean loss lay 0.002% (FLUX.1) and 0.7% (SD1.5) from that of a base in full precision,
0.002% and 0.4% of it from the rounding of the weights; random weights, which lack the outliers of trained ones.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from lives import draw_dataset, events, live_here, lora, micro_config, new_run, same_tensors
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from lora_tui.bench.flux_model import write_flux_model
from lora_tui.errors import UserError
from lora_tui.families.devices import check_products
from lora_tui.families.quantized import multiply_in_eight_bits, quantize_linears
from lora_tui.runs.folder import RunFolder
from lora_tui.trainer.adapters.at_rank import AtRank

EIGHT = {"base_weights": "int8", "products": "8bit"}
STEPS = 30


def test_the_gradients_of_the_lora_are_exact_given_the_same_activations() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(64, 48)).requires_grad_(False)
    quantize_linears(network, "int8")
    inject_adapter_in_model(LoraConfig(r=4, lora_alpha=2.0, target_modules=["0"]), network)  # type: ignore[arg-type]
    layer: Any = network[0]
    down, up = (matrix["default"].weight for matrix in (layer.lora_A, layer.lora_B))
    nn.init.normal_(up)
    layer.forward = AtRank(layer, "default")
    x, told = torch.randn(5, 64), torch.randn(5, 48)
    found = []
    for wanted in (False, True):
        multiply_in_eight_bits(network, wanted)
        own = x.clone().requires_grad_()
        out = network(own)
        out.backward(told)
        assert own.grad is not None
        base = layer.base_layer(x)
        found.append([down.grad, up.grad, out.detach() - base, out.detach(), own.grad])
        layer.zero_grad()
    for one, other in zip(found[0][:2], found[1][:2], strict=True):
        assert torch.equal(one, other)
    assert torch.allclose(found[0][2], found[1][2], atol=1e-5)  # what the LoRA adds
    for one, other in zip(found[0][3:], found[1][3:], strict=True):
        assert not torch.equal(one, other)
        assert (one - other).norm() < 0.02 * one.norm()


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


def test_flux_learns_nearly_the_same_and_resumes_to_the_same_bits(tmp_path: Path) -> None:
    base = write_flux_model(tmp_path / "model")
    eight = trained(tmp_path / "eight", base, "flux", **EIGHT)
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
def test_sd15_learns_nearly_the_same(base: Path, tmp_path: Path) -> None:
    eight, full = trained(tmp_path / "eight", base, "sd15", **EIGHT), trained(tmp_path / "full", base, "sd15")
    assert mean_loss(eight) == pytest.approx(mean_loss(full), rel=0.02)


def test_a_card_that_cannot_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _device: "Old Card")
    card = torch.device("cuda", 0)
    for capability, refused in (((7, 5), True), ((8, 0), False), ((12, 0), False)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device, it=capability: it)
        check_products("full", card)
        check_products("8bit", torch.device("cpu"))
        if not refused:
            check_products("8bit", card)
            continue
        with pytest.raises(UserError) as caught:
            check_products("8bit", card)
        assert "Old Card" in str(caught.value) and caught.value.place == "memory.products"
        assert caught.value.remedy == "Set memory.products to full."
