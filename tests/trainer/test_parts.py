"""Adapter, guarded update, state files, and the stores behind the caches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lora_tui.caches.store import ContentStore
from lora_tui.config.schema import NetworkSection
from lora_tui.families.protocol import TargetModule
from lora_tui.families.state_dicts import weights_id
from lora_tui.trainer.adapters.kinds import attach
from lora_tui.trainer.copies import Copies
from lora_tui.trainer.data.tensors import TensorStore
from lora_tui.trainer.optim.stepper import Stepper
from lora_tui.trainer.state import Learned, Position, Snapshot, _flatten, _unflatten, read_newest, states, take_state

CPU = torch.device("cpu")


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.to_q = nn.Linear(6, 4)
        self.to_q_other = nn.Linear(6, 4)
        self.proj = nn.Conv2d(6, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.to_q(x) + self.to_q_other(x) + self.proj(x[:, :, None, None])[:, :, 0, 0]


NETWORK = NetworkSection(rank=2, alpha=1.0)
TARGETS = (TargetModule("unet", "to_q", 6, 4), TargetModule("unet", "proj", 6, 4, convolution=True))


def _attached() -> tuple[Small, Any]:
    module = Small()
    return module, attach(NETWORK, {"unet": module}, TARGETS, seed=3, device=CPU)


def test_only_the_named_layers_get_an_adapter() -> None:
    module, adapter = _attached()
    assert list(adapter.layers) == [("unet", "to_q"), ("unet", "proj")]
    trained = [name for name, p in module.named_parameters() if p.requires_grad]
    assert len(trained) == 4
    assert not any("to_q_other" in name for name in trained)


def test_a_fresh_adapter_changes_nothing_and_strength_scales_it() -> None:
    x = torch.randn(3, 6)
    module, adapter = _attached()
    plain = Small()(x)
    assert torch.allclose(module(x), plain, atol=1e-6)
    for layer in adapter.layers.values():
        nn.init.normal_(layer.lora_B["default"].weight)
    full = module(x) - plain
    with adapter.at_strength(0.5):
        assert torch.allclose(module(x) - plain, full * 0.5, atol=1e-5)
    with adapter.at_strength(0):
        assert torch.equal(module(x), plain)
    assert torch.allclose(module(x) - plain, full, atol=1e-6)
    layer = adapter.layers["unet", "to_q"]
    update = layer.lora_B["default"].weight @ layer.lora_A["default"].weight * (1.0 / 2)
    assert torch.allclose(layer.get_delta_weight("default"), update, atol=1e-6)


def test_the_start_does_not_depend_on_what_was_drawn_before() -> None:
    one = _attached()[1].tensors()
    torch.randn(99)
    other = attach(NETWORK, {"unet": Small()}, tuple(reversed(TARGETS)), seed=3, device=CPU).tensors()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_missing_layer_is_an_error() -> None:
    with pytest.raises(LookupError, match="to_k"):
        attach(NETWORK, {"unet": Small()}, (TargetModule("unet", "to_k", 6, 4),), seed=0, device=CPU)


def test_an_update_with_nan_changes_nothing() -> None:
    weight = nn.Parameter(torch.ones(4))
    optimizer = torch.optim.AdamW([{"params": [weight], "lr": 0.1}], fused=True, weight_decay=0.1)
    stepper = Stepper(optimizer, 1.0, None)
    stepper.backward((weight * 2).sum())
    assert stepper.update().skipped.item() == 0
    moved = weight.detach().clone()
    moments = {name: value.clone() for name, value in optimizer.state[weight].items()}
    stepper.backward((weight * float("inf")).sum())
    assert stepper.update().skipped.item() == 1
    assert torch.equal(weight, moved)
    assert all(torch.equal(optimizer.state[weight][name], value) for name, value in moments.items())
    stepper.backward((weight * 2).sum())
    assert stepper.update().skipped.item() == 0
    assert not torch.equal(weight, moved)


def test_gradients_are_clipped_to_the_norm() -> None:
    weight = nn.Parameter(torch.zeros(4))
    optimizer = torch.optim.SGD([{"params": [weight], "lr": 1.0}], fused=True)
    stepper = Stepper(optimizer, 0.5, None)
    stepper.backward((weight * torch.tensor([3.0, 4.0, 0.0, 0.0])).sum())
    update = stepper.update()
    assert update.norm.item() == pytest.approx(5.0)
    assert weight.norm().item() == pytest.approx(0.5, rel=1e-4)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.integers(0, 9) | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(PLAIN)
def test_optimizer_states_survive_as_they_are(value: Any) -> None:
    import json

    tensors: dict[str, torch.Tensor] = {}
    text = json.dumps(_flatten({"a": value, 7: torch.arange(3)}, "", tensors))
    back = _unflatten(json.loads(text), tensors)
    assert back["a"] == value
    assert type(back["a"]) is type(value)
    assert torch.equal(back[7], torch.arange(3))


def _snapshot(step: int) -> Snapshot:
    learned = Learned({"w": torch.full((2,), float(step))}, {"state": {}}, [{"lr": 1.0}], {})
    return Snapshot(Position(step, 1, 2), learned, {"images": "as they are"})


def test_states_roll_and_random_numbers_go_on(tmp_path: Path) -> None:
    torch.manual_seed(5)
    for step in (10, 20, 30):
        take_state(tmp_path, _snapshot(step), Copies(), keep=2).write()
    expected = torch.rand(3)
    assert [path.name for path in states(tmp_path)] == ["step-00000020", "step-00000030"]
    torch.manual_seed(99)
    found = read_newest(tmp_path, lambda path: None)
    assert found is not None
    assert found[0].position == Position(30, 1, 2)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", ["adapter.safetensors", "optimizer.safetensors", "random.safetensors", "state.json"])
def test_a_state_without_one_of_its_files_is_passed_over(tmp_path: Path, name: str) -> None:
    for step in (10, 20):
        newest = take_state(tmp_path, _snapshot(step), Copies(), keep=2).write()
    (newest / name).write_bytes(b"{")
    found = read_newest(tmp_path, lambda path: None)
    assert found is not None
    assert found[0].position.step == 10


def test_a_store_keeps_what_is_used_and_prunes_what_is_not(tmp_path: Path) -> None:
    import os

    store = ContentStore(tmp_path, "latents")
    for age, key in enumerate(("aa", "bb", "cc")):
        path = store.put(key * 16, bytes(100))
        os.utime(path, (1000.0 + age, 1000.0 + age))
    assert store.has("aa" * 16)  # used again: now the newest
    with store.in_use():
        assert store.prune(cap=0) == 0
    assert store.prune(cap=200) == 100
    assert [store.path(key * 16).exists() for key in ("aa", "bb", "cc")] == [True, False, True]


def test_a_torn_entry_is_made_again(tmp_path: Path) -> None:
    tensors = {"latent": torch.randn(4, 2, 2)}
    TensorStore(ContentStore(tmp_path, "latents")).put("ab" * 16, tensors)
    fresh = TensorStore(ContentStore(tmp_path, "latents"))
    assert torch.equal(fresh.get("ab" * 16)["latent"], tensors["latent"])
    path = fresh.store.path("ab" * 16)
    path.write_bytes(path.read_bytes()[:-3])
    assert not TensorStore(ContentStore(tmp_path, "latents")).has("ab" * 16)
    assert not path.exists()


def test_the_memory_of_a_store_is_bounded(tmp_path: Path) -> None:
    store = TensorStore(ContentStore(tmp_path, "latents"), memory_cap=1000)
    for number in range(10):
        store.put(f"{number:032x}", {"x": torch.full((100,), float(number))})
    assert store._held <= 1000
    assert store.get(f"{3:032x}")["x"][0] == 3


def test_models_are_told_apart_by_their_weights() -> None:
    one, other = Small(), Small()
    assert weights_id(one) == weights_id(other)
    with torch.no_grad():
        other.to_q.bias[0] += 1e-6
    assert weights_id(one) != weights_id(other)
    assert weights_id(one.half()) != weights_id(Small())
