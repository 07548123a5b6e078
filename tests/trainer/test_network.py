"""What can be added to a LoRA: two rates, what is left out, a highest norm, another scale, a file to start from."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lives import draw_dataset, events, live_here, lora, micro_config, new_run
from lycoris.kohya import str_bool
from lycoris.modules.locon import LoConModule
from test_parts import TARGETS, Small
from torch import nn

from lora_tui.config.estimate import trained_parameters
from lora_tui.config.layers import trained
from lora_tui.config.schema import NetworkSection
from lora_tui.errors import UserError
from lora_tui.families import facts_for
from lora_tui.families.quantized import full_weight, quantize_linears
from lora_tui.trainer.adapters.dropout import Dropout
from lora_tui.trainer.adapters.kinds import attach
from lora_tui.trainer.adapters.start import start_from
from lora_tui.weights.lora_file import file_tensors, write_lora

CPU = torch.device("cpu")


def _attached(**section: Any) -> tuple[Small, Any]:
    module = Small()
    network = NetworkSection(**{"rank": 4, "alpha": 1.0, **section})
    adapter = attach(network, {"unet": module}, TARGETS, seed=3, device=CPU)
    generator = torch.Generator().manual_seed(1)
    for layer in adapter.layers.values():
        nn.init.normal_(layer.lora_B["default"].weight, generator=generator)
    return module, adapter


def _deltas(adapter: Any) -> list[torch.Tensor]:
    """up @ down, without the scale, in plain arithmetic."""
    return [
        layer.lora_B["default"].weight.flatten(1) @ layer.lora_A["default"].weight.flatten(1)
        for layer in adapter.layers.values()
    ]


def test_the_second_matrix_learns_faster_with_lora_plus() -> None:
    """networks/lora.py of sd-scripts: lora_up takes lr * loraplus_lr_ratio."""
    _module, adapter = _attached(lora_plus=16.0)
    slow, fast = adapter.groups({"unet": 1e-3})
    assert (slow["lr"], fast["lr"]) == (1e-3, pytest.approx(1.6e-2))
    assert {tuple(p.shape) for p in fast["params"]} == {(4, 4), (4, 4, 1, 1)}
    assert [p.shape[1] for p in slow["params"]] == [6, 6]
    (alone,) = _attached()[1].groups({"unet": 1e-3})
    assert len(alone["params"]) == 4


def test_dropout_is_between_the_matrices_while_it_learns_and_is_named_by_its_seed() -> None:
    module, adapter = _attached(dropout=0.5)
    x = torch.randn(64, 6)
    whole = module(x)
    with adapter.learning(7):
        first = module(x)
    with adapter.learning(7):
        again = module(x)
    with adapter.learning(8):
        other = module(x)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(module(x), whole)
    many = torch.zeros_like(whole)
    for seed in range(400):
        with adapter.learning(seed):
            many += module(x) / 400
    assert (many - whole).abs().mean() < 0.1 * (first - whole).abs().mean()  # on the average nothing changes


def test_what_is_left_out_has_the_shape_that_kohya_gives_it() -> None:
    """networks/lora.py: a mask [batch, rank] over all tokens or cells, the rest divided by 1 - p; or a whole module."""
    torch.manual_seed(0)
    linear, conv = nn.Linear(3, 8), nn.Conv2d(3, 8, 1)
    ranks = Dropout(ranks=0.5, on=True)
    tokens = ranks(linear, (), torch.ones(5, 7, 8))
    cells = ranks(conv, (), torch.ones(5, 8, 6, 6))
    assert tokens is not None and cells is not None
    assert set(tokens.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(tokens, tokens[:, :1].expand_as(tokens))
    assert torch.equal(cells, cells[:, :, :1, :1].expand_as(cells))
    assert not torch.equal(tokens[0], tokens[1])
    modules = [Dropout(modules=0.3, on=True)(linear, (), torch.ones(1, 8)).sum().item() for _ in range(300)]  # type: ignore[union-attr]
    assert set(modules) == {0.0, 8.0}
    assert modules.count(0.0) / 300 == pytest.approx(0.3, abs=0.1)
    assert Dropout(0.5)(linear, (), torch.ones(1, 8)) is None  # off


def test_a_norm_above_the_highest_is_brought_down_to_it_and_others_stay() -> None:
    """sd-scripts' apply_max_norm_regularization, with the whole update multiplied out."""
    _module, adapter = _attached(max_norm=1.0)
    scale = 1.0 / 4
    first, second = adapter.layers.values()
    with torch.no_grad():
        first.lora_B["default"].weight.mul_(10)
        second.lora_B["default"].weight.mul_(1e-3)
    before = [delta * scale for delta in _deltas(adapter)]
    small = [tensor.clone() for name, tensor in adapter.tensors().items() if ":proj" in name]
    adapter.settle()
    after = [delta * scale for delta in _deltas(adapter)]
    assert before[0].norm() > 1
    assert after[0].norm().item() == pytest.approx(1.0, rel=1e-4)
    assert torch.allclose(after[0], before[0] / before[0].norm(), atol=1e-5)
    assert all(
        torch.equal(one, tensor)
        for one, tensor in zip(
            small, [tensor for name, tensor in adapter.tensors().items() if ":proj" in name], strict=True
        )
    )


def test_rank_stabilised_updates_are_read_by_others_at_their_strength() -> None:
    """Kalajdzievski 2023: alpha / sqrt(rank); a reader divides the file's alpha by the rank."""
    module, adapter = _attached(rslora=True)
    x = torch.randn(3, 6)
    own = module(x) - Small()(x)
    by_hand = sum(x @ delta.T for delta in _deltas(adapter)) * (1.0 / math.sqrt(4))
    assert torch.allclose(own, by_hand, atol=1e-5)
    for tensors in adapter.export().values():
        assert tensors["alpha"].item() / 4 == pytest.approx(1.0 / math.sqrt(4))
    assert adapter.metadata()["ss_network_args"] == {"rs_lora": "True"}


def test_single_layers_have_ranks_and_rates_of_their_own() -> None:
    """down [rank, in], alpha as given, a group for each rate; a layer at rate 0 is not adapted."""
    rules = ["unet.* rank=3 alpha=6", "unet.proj rank=2 rate=0.5"]
    network = NetworkSection(rank=4, alpha=1.0, lora_plus=2.0, layers=rules)
    adapter = attach(network, {"unet": Small()}, TARGETS, seed=3, device=CPU)
    shapes = {path: tuple(kinds["lora_down.weight"].shape[:2]) for (_part, path), kinds in adapter.export().items()}
    assert shapes == {"to_q": (3, 6), "proj": (2, 6)}
    assert {float(kinds["alpha"]) for kinds in adapter.export().values()} == {6.0}
    rates = {tuple(p.shape): group["lr"] for group in adapter.groups({"unet": 1.0}) for p in group["params"]}
    assert rates == {(3, 6): 1.0, (4, 3): 2.0, (2, 6, 1, 1): 0.5, (4, 2, 1, 1): 1.0}
    assert adapter.groups({"unet": 1.0})[0]["lr"] == 1.0  # the one that is told
    assert [target.path for target in trained(NetworkSection(layers=["*.proj rate=0"]), TARGETS)] == ["to_q"]
    assert adapter.metadata()["ss_network_args"]["layers"] == "; ".join(rules)


def test_dora_is_what_other_programs_make_of_its_file() -> None:
    """ComfyUI's weight_decompose with sizes on the input side: dora_scale (W + dW) / |W + dW|, by columns, in full."""
    x = torch.randn(3, 6)
    fresh = Small()
    attach(NetworkSection(rank=4, dora=True), {"unet": fresh}, TARGETS, seed=3, device=CPU)
    assert torch.allclose(fresh(x), Small()(x), atol=1e-5)  # nothing is changed at first
    module, adapter = _attached(dora=True)
    with torch.no_grad():
        for layer in adapter.layers.values():
            layer.dora_scale.mul_(1.0 + 0.3 * torch.rand(layer.dora_scale.shape))
    kinds = adapter.export()
    plain, expected, half = Small(), Small(), Small()
    for (_part, path), tensors in kinds.items():
        down, up = tensors["lora_down.weight"].flatten(1), tensors["lora_up.weight"].flatten(1)
        for model, strength in ((expected, 1.0), (half, 0.5)):
            weight = model.get_submodule(path).weight
            whole = weight + (up @ down * tensors["alpha"] / down.shape[0]).view(weight.shape)
            norm = whole.transpose(0, 1).flatten(1).norm(dim=1).view(1, -1, *[1] * (weight.dim() - 2))
            assert tensors["dora_scale"].shape == norm.shape
            with torch.no_grad():
                weight.copy_(weight + strength * (whole * tensors["dora_scale"] / norm - weight))
    assert torch.allclose(module(x), expected(x), atol=1e-5)
    with adapter.at_strength(0.5):
        assert torch.allclose(module(x), half(x), atol=1e-5)
    with adapter.at_strength(0):
        assert torch.equal(module(x), plain(x))
    module(x).sum().backward()
    assert all(tensor.grad is not None for tensor in adapter.tensors().values())
    assert len(adapter.groups({"unet": 1.0})[0]["params"]) == 6
    arguments = adapter.metadata()["ss_network_args"]
    assert arguments == {"algo": "lora", "dora_wd": "True", "wd_on_output": "False"}
    theirs = LoConModule(
        "x", Small().to_q, 1.0, 4, 1.0, weight_decompose=True, wd_on_out=str_bool(arguments["wd_on_output"])
    )
    assert theirs.dora_scale.shape == kinds["unet", "to_q"]["dora_scale"].shape


@pytest.mark.parametrize("kind", ["int8", "nf4"])
def test_a_dora_on_a_packed_base_is_that_of_the_weights_it_stands_for(kind: Any) -> None:
    """The same numbers unpacked give the same: forward, and what a file of it draws on them."""
    module, plain = Small(), Small()
    quantize_linears(module, kind)
    for name in ("to_q", "to_q_other"):
        with torch.no_grad():
            plain.get_submodule(name).weight.copy_(full_weight(module.get_submodule(name)))  # type: ignore[operator]
    x = torch.randn(3, 6)
    found = []
    for model in (module, plain):
        adapter: Any = attach(NetworkSection(rank=2, dora=True), {"unet": model}, TARGETS, seed=3, device=CPU)
        with torch.no_grad():
            for layer in adapter.layers.values():
                layer.lora_B["default"].weight.fill_(0.1)
                layer.dora_scale.mul_(1.3)
        model(x).sum().backward()
        found.append((model(x), [layer.dora_scale.grad for layer in adapter.layers.values()]))
    (first, grads), (second, others) = found
    assert torch.allclose(first, second, atol=1e-5)
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(grads, others, strict=True))


def test_a_run_goes_on_from_a_dora_with_its_sizes_and_from_a_lora_with_those_it_gives(tmp_path: Path) -> None:
    """What is drawn at the start is what the file draws; a DoRA is not taken for a LoRA without a word."""
    x = torch.randn(3, 6)
    module, adapter = _attached(dora=True)
    with torch.no_grad():
        for layer in adapter.layers.values():
            layer.dora_scale.mul_(1.5)
    plain, lora = _attached(alpha=3.0)
    for name, found in (("dora", adapter), ("lora", lora)):
        write_lora(tmp_path / name, file_tensors("sd15", found.export(), dtype=torch.float32), {})
    for name, before in (("dora", module), ("lora", plain)):
        again, fresh = _attached(dora=True)
        assert start_from(fresh, str(tmp_path / name), "sd15") == []
        assert torch.allclose(again(x), before(x), atol=1e-5)
    with pytest.raises(UserError) as caught:
        start_from(lora, str(tmp_path / "dora"), "sd15")
    assert caught.value.code == "lora.dora"


def test_the_plan_counts_single_layers(base: Path) -> None:
    def counted(*rules: str) -> int:
        network = {"rank": 4, "alpha": 1.0, "text_encoder": False, "layers": list(rules)}
        return trained_parameters(micro_config(base, base, network=network))

    targets = facts_for("sd15").targets(base, text_encoder=False)
    middle = [target for target in targets if target.path.startswith("mid_block")]
    rest = sum(target.parameters(4) for target in targets) - sum(target.parameters(4) for target in middle)
    assert counted("unet.mid_block.* rank=9") == rest + sum(target.parameters(9) for target in middle)
    assert counted("unet.mid_block.* rate=0") == rest


@pytest.fixture
def older(base: Path, tmp_path: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """A LoRA of rank 2 and alpha 3 for every layer of the micro model, its text encoder too, and what is in it."""
    generator = torch.Generator().manual_seed(5)
    layers = {}
    for target in facts_for("sd15").targets(base, text_encoder=True):
        ones = (1, 1) if target.convolution else ()
        layers[target.part, target.path] = {
            "lora_down.weight": torch.randn(2, target.inputs, *ones, generator=generator) * 0.1,
            "lora_up.weight": torch.randn(target.outputs, 2, *ones, generator=generator) * 0.1,
            "alpha": torch.tensor(3.0),
        }
    tensors = file_tensors("sd15", layers, dtype=torch.float32)
    path = tmp_path / "older.safetensors"
    write_lora(path, tensors, {})
    return path, tensors


def test_a_run_goes_on_from_a_file_whatever_its_alpha(
    base: Path, tmp_path: Path, older: tuple[Path, dict[str, torch.Tensor]]
) -> None:
    path, tensors = older
    config = micro_config(
        base, draw_dataset(tmp_path / "images", 4), network={"rank": 2, "alpha": 1.0, "text_encoder": False,
        "start_from": str(path)}, learning={"unet_lr": 1e-12}, steps={"epochs": 1, "batch_size": 4}, samples=[],
        validation={"mode": "off"}, saving={"precision": "fp32"},
    )  # fmt: skip
    run = new_run(tmp_path / "runs", config)
    assert live_here(run) == 0
    assert [event["code"] for event in events(run, "warning")] == ["lora.left_out"]
    saved = lora(run)
    stems = {name.removesuffix(".alpha") for name in saved if name.endswith(".alpha")}
    assert stems == {name.removesuffix(".alpha") for name in tensors if "_unet_" in name and name.endswith(".alpha")}
    for stem in stems:
        theirs, ours = (
            one[f"{stem}.lora_up.weight"].flatten(1) @ one[f"{stem}.lora_down.weight"].flatten(1) * one[f"{stem}.alpha"]
            for one in (tensors, saved)
        )
        assert torch.allclose(ours, theirs, atol=1e-5)
    path.unlink()
    assert live_here(run, resume=True) == 0  # what was learned goes on: the file is not looked at again


def test_a_file_of_other_ranks_is_refused(older: tuple[Path, dict[str, torch.Tensor]]) -> None:
    path, _tensors = older
    _module, adapter = _attached()
    with pytest.raises(UserError, match="none of its layers"):
        start_from(adapter, str(path), "sd15")
    place = next(iter(adapter.layers))
    first = "down_blocks.0.attentions.0.proj_in"
    adapter.layers = {("unet", first): adapter.layers[place]}
    with pytest.raises(UserError) as caught:
        start_from(adapter, str(path), "sd15")
    assert caught.value.code == "lora.ranks"
