"""Resizing LoRA files: the best approximation of each rank, by every rule, and what is told of it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lora_files import ALPHA, DOWN, UP, Said, added, apart, by_hand, done, layers, merged, places, same_tensors, written
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.weights.delta import Factors
from lora_tui.weights.names import NAMES
from lora_tui.weights.operations.spectrum import Keep, Spectrum, curve, decomposed, difference, kept_ranks, kept_share
from lora_tui.weights.work import work

CONV = ("unet", "down_blocks.1.resnets.0.conv2")
LINEAR = ("unet", "mid_block.attentions.0.transformer_blocks.0.ff.net.2")


def made(
    rank: int, outputs: int, inputs: int, *, kernel: int = 0, seed: int = 0, alpha: float = 2.0
) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sides = (kernel, kernel) if kernel else ()
    falling = (0.6 ** torch.arange(rank)).view(rank, *[1] * (1 + len(sides)))
    return {
        DOWN: torch.randn(rank, inputs, *sides, generator=generator) * falling,
        UP: torch.randn(outputs, rank, *[1] * len(sides), generator=generator),
        ALPHA: torch.tensor(alpha),
    }


def best(whole: Tensor, rank: int) -> Tensor:
    """Eckart and Young's, by a dense decomposition."""
    left, values, right = torch.linalg.svd(whole.double(), full_matrices=False)
    return (left[:, :rank] * values[:rank]) @ right[:rank]


def resized(source: Path, target: Path, rule: str, value: float, **options: Any) -> dict[str, Any]:
    keep = {
        "rule": rule,
        "value": value,
        **{name: options.pop(name) for name in ("most", "most_conv") if name in options},
    }
    return done(operation="resize", source=str(source), target=str(target), keep=keep, force=True, **options)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rank=st.integers(1, 12), wanted=st.integers(1, 14), kernel=st.sampled_from([0, 1, 3]),
    alpha=st.sampled_from([2.0, -1.0, 0.25, 64.0]), outputs=st.integers(1, 9),
)  # fmt: skip
def test_every_rank_is_the_best_of_its_rank(
    tmp_path: Path, rank: int, wanted: int, kernel: int, alpha: float, outputs: int
) -> None:
    """Also more ranks than a layer has sides, and layers of one row; what has no more keeps its own matrices."""
    own = {CONV: made(rank, outputs, 3, kernel=kernel, alpha=alpha)}
    file = written(tmp_path / "a.safetensors", "sd15", own)
    found = resized(file, tmp_path / "out.safetensors", "rank", wanted, family="sd15")
    whole = by_hand(own[CONV])
    assert apart({CONV: best(whole, wanted)}, added(tmp_path / "out.safetensors", "sd15")) < 1e-5
    missing = float((whole - best(whole, wanted)).norm() / whole.norm())
    assert found["error"] == pytest.approx(missing, abs=2e-6)
    assert found["kept"] == pytest.approx(math.sqrt(1 - missing**2), abs=2e-6)
    tensors = load_file(tmp_path / "out.safetensors")
    ranks = [one.shape[0] for name, one in tensors.items() if name.endswith(DOWN)]
    assert ranks[0] <= wanted
    scale = next(float(one) for name, one in tensors.items() if name.endswith("alpha")) / ranks[0]
    assert scale == pytest.approx(abs(alpha) / rank)  # what it is multiplied by stays
    if rank <= min(wanted, outputs, 3) and alpha > 0:
        assert same_tensors(file, tmp_path / "out.safetensors")


@pytest.mark.parametrize("family", NAMES)
@pytest.mark.parametrize("layout", ["auto", "kohya"])
def test_files_of_every_family_are_cut_to_the_best_under_their_own_names(
    tmp_path: Path, family: str, layout: Any
) -> None:
    """Several layers in one are cut as one."""
    file = written(tmp_path / "a.safetensors", family, layers(places(family), 6, 3.0, 1), layout)
    found = resized(file, tmp_path / "out.safetensors", "rank", 2, family=family)
    before, after = load_file(file), load_file(tmp_path / "out.safetensors")
    assert before.keys() == after.keys() and found["ranks"] == {"2": found["layers"]}

    def whole(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        downs = [name for name in tensors if ".lora_down." in name or ".lora_A." in name]
        told = {}
        for name in downs:
            up = tensors[name.replace("lora_down", "lora_up").replace("lora_A", "lora_B")].double().flatten(1)
            stem = name.split(".lora_")[0]
            scale = float(tensors.get(f"{stem}.alpha", torch.tensor(float(up.shape[1])))) / up.shape[1]
            told[stem] = up @ tensors[name].double().flatten(1) * scale
        return told

    wanted = {name: best(one, 2) for name, one in whole(before).items()}
    assert all(float((whole(after)[name] - one).norm() / one.norm()) < 1e-5 for name, one in wanted.items())


@pytest.mark.parametrize("rule", ["ratio", "cumulative", "frobenius"])
@pytest.mark.parametrize("value", [0.3, 0.7, 0.95, 0.999])
def test_rules_keep_as_few_as_they_say_and_not_one_more(tmp_path: Path, rule: str, value: float) -> None:
    own = {LINEAR: made(9, 20, 14), CONV: made(6, 8, 4, kernel=3, seed=2)}
    file = written(tmp_path / "a.safetensors", "sd15", own)
    asked = 1 / (1 - value) if rule == "ratio" else value
    resized(file, tmp_path / "out.safetensors", rule, asked, family="sd15")
    found = load_file(tmp_path / "out.safetensors")
    for place, one in own.items():
        values = torch.linalg.svdvals(by_hand(one))
        values = values[values > values[0] * 1e-9]
        if rule == "ratio":
            wanted = int((values >= values[0] / asked).sum())
        else:
            power = values if rule == "cumulative" else values**2
            shares = power.cumsum(0) / power.sum()
            wanted = 1 + int((shares < (value if rule == "cumulative" else value**2)).sum())
        name = next(name for name in found if name.endswith(DOWN) and place[1].split(".")[0] in name)
        assert found[name].shape[0] == wanted


def test_limits_hold_for_every_rule_and_convolutions_have_their_own(tmp_path: Path) -> None:
    own = {LINEAR: made(9, 20, 14), CONV: made(9, 12, 10, kernel=3, seed=2)}
    file = written(tmp_path / "a.safetensors", "sd15", own)
    for rule, value in (("rank", 8), ("frobenius", 1.0), ("size", 1.0)):
        found = resized(file, tmp_path / "out.safetensors", rule, value, family="sd15", most=5, most_conv=2)
        assert found["ranks"] == {"5": 1, "2": 1}


def test_a_size_is_kept_and_its_bytes_are_where_they_tell_most(tmp_path: Path) -> None:
    """No other choice of as many bytes keeps more: all choices of three layers are tried."""
    own = {(LINEAR[0], f"mid_block.attentions.0.transformer_blocks.0.attn{n}.to_q"): made(4, 10 + 9 * n, 12, seed=n)
           for n in (1, 2)} | {LINEAR: made(4, 30, 25, seed=5)}  # fmt: skip
    file = written(tmp_path / "a.safetensors", "sd15", own)
    for size in (0.0012, 0.0016, 0.002):
        found = resized(file, tmp_path / "out.safetensors", "size", size, family="sd15")
        header = 8 + int.from_bytes((tmp_path / "out.safetensors").read_bytes()[:8], "little")
        assert (tmp_path / "out.safetensors").stat().st_size - header <= size * 1e6
        spectra = [[float(v) for v in torch.linalg.svdvals(by_hand(one))[:4]] for one in own.values()]
        costs = [4 * (one[UP].shape[0] + one[DOWN].shape[1]) for one in own.values()]
        room = size * 1e6 - 3 * 164
        whole = sum(v * v for values in spectra for v in values)
        shares = []
        for ranks in torch.cartesian_prod(*[torch.arange(5)] * 3).tolist():
            if sum(rank * cost for rank, cost in zip(ranks, costs, strict=True)) <= room:
                shares.append(sum(v * v for rank, values in zip(ranks, spectra, strict=True) for v in values[:rank]))
        assert found["kept"] ** 2 >= max(shares) / whole - max(max(values) ** 2 for values in spectra) / whole * 0.2
    with pytest.raises(UserError) as error:
        resized(file, tmp_path / "out.safetensors", "size", 0.0006, family="sd15")
    assert error.value.code == "lora.size"


def test_layers_that_add_nothing_are_left_out_and_counted(tmp_path: Path) -> None:
    empty = made(3, 7, 5)
    empty[UP] = torch.zeros_like(empty[UP])
    file = written(tmp_path / "a.safetensors", "sd15", {LINEAR: made(4, 9, 8), CONV: empty})
    found = resized(file, tmp_path / "out.safetensors", "rank", 2, family="sd15")
    assert found["dropped"] == 1 and set(added(tmp_path / "out.safetensors", "sd15")) == {LINEAR}


def test_whole_differences_and_lycoris_kinds_stay_or_become_thin(tmp_path: Path) -> None:
    """A full difference becomes a LoRA of the rank; LoHa has no directions that could be cut, and is left as it is."""
    full = {"diff": torch.randn(9, 8)}
    file = written(tmp_path / "a.safetensors", "sd15", {LINEAR: full})
    resized(file, tmp_path / "out.safetensors", "rank", 3, family="sd15")
    assert apart({LINEAR: best(full["diff"], 3)}, added(tmp_path / "out.safetensors", "sd15")) < 1e-5


def test_the_curve_is_what_files_of_these_sizes_keep(tmp_path: Path) -> None:
    own = {LINEAR: made(6, 20, 14), CONV: made(6, 12, 10, kernel=3, seed=2)}
    file = written(tmp_path / "a.safetensors", "sd15", own)
    told = done(operation="resize", source=str(file), target="", family="sd15", curve=True)
    shares = [share for _size, share in told["curve"]]
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1.0)
    for rank, _size, share in told["uniform"]:
        found = resized(file, tmp_path / "out.safetensors", "rank", rank, family="sd15")
        assert found["kept"] == pytest.approx(share, abs=1e-5)
    size, share = told["curve"][len(told["curve"]) // 2]
    found = resized(file, tmp_path / "out.safetensors", "size", size / 1e6, family="sd15")
    assert found["kept"] == pytest.approx(share, abs=1e-5)
    assert not (tmp_path / "a-resized.safetensors").exists()


def test_a_dylora_and_a_merged_file_are_cut_like_any_other(tmp_path: Path) -> None:
    own = {LINEAR: made(8, 20, 14, alpha=8.0)}
    module = {"ss_network_module": "networks.dylora", "ss_network_args": json.dumps({"unit": 2}), "ss_network_dim": "8"}
    file = written(tmp_path / "a.safetensors", "sd15", own, "auto", **module)
    merged(tmp_path / "b.safetensors", "sd15", (file, 1.0), (written(tmp_path / "c.safetensors", "sd15", own), 0.5))
    resized(tmp_path / "b.safetensors", tmp_path / "out.safetensors", "rank", 4, family="sd15")
    wanted = {LINEAR: best(by_hand(own[LINEAR]) * 1.5, 4)}
    assert apart(wanted, added(tmp_path / "out.safetensors", "sd15")) < 1e-5
    with safe_open(tmp_path / "out.safetensors", "pt") as opened:
        told = opened.metadata()
    history = json.loads(told["lora_tui_history"])
    assert [entry["operation"] for entry in history] == ["merge", "resize"] and told["ss_network_dim"] == "4"
    assert history[1]["measured"]["kept"] == pytest.approx(1 - history[1]["measured"]["error"] ** 2 / 2, abs=1e-2)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_what_is_told_counts_the_rounding_of_half_precision(tmp_path: Path, precision: str) -> None:
    own = {LINEAR: made(4, 20, 14)}
    file = written(tmp_path / "a.safetensors", "sd15", own)
    found = resized(file, tmp_path / "out.safetensors", "rank", 4, family="sd15", precision=precision)
    whole = by_hand(own[LINEAR])
    missing = float((added(tmp_path / "out.safetensors", "sd15")[LINEAR] - whole).norm() / whole.norm())
    assert found["error"] == pytest.approx(missing, rel=0.02) and 1e-5 < missing < 1e-2


def test_numbers_that_no_file_can_hold_are_refused(tmp_path: Path) -> None:
    own = {LINEAR: made(2, 7, 5, alpha=3e38)}
    file = written(tmp_path / "a.safetensors", "sd15", own)
    with pytest.raises(UserError) as error:
        resized(file, tmp_path / "out.safetensors", "rank", 1, family="sd15")
    assert error.value.code == "lora.damaged" and not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("rule", "value"),
    [("rank", 0), ("rank", 2.5), ("ratio", 0.5), ("frobenius", 1.5), ("cumulative", 0), ("size", -1), ("best", 3)],
)
def test_what_is_no_rule_is_refused(tmp_path: Path, rule: str, value: float) -> None:
    file = written(tmp_path / "a.safetensors", "sd15", {LINEAR: made(2, 7, 5)})
    with pytest.raises(UserError) as error:
        resized(file, tmp_path / "out.safetensors", rule, value)
    assert error.value.code == "lora.keep"


@given(st.lists(st.lists(st.floats(1e-3, 10), max_size=6), min_size=1, max_size=5), st.integers(1, 400))
def test_ranks_by_size_never_take_more_than_there_is(values: list[list[float]], room: int) -> None:
    spectra = {
        str(number): Spectrum(tuple(sorted(one, reverse=True)), 7 + 13 * number) for number, one in enumerate(values)
    }
    try:
        ranks = kept_ranks(spectra, Keep("size", room / 1e6))
    except UserError:
        assert all(one.bytes > room for one in spectra.values() if one.values)
        return
    assert sum(ranks[name] * one.bytes for name, one in spectra.items()) <= room
    assert 0 <= kept_share(spectra, ranks) <= 1 + 1e-12
    assert curve(spectra)[-1].size == sum(one.bytes * len(one.values) for one in spectra.values())


@pytest.mark.parametrize(("outputs", "inputs", "rank"), [(600, 530, 4), (530, 900, 3), (5, 4, 9), (40, 1, 3)])
def test_singular_values_are_those_of_the_whole_matrix(outputs: int, inputs: int, rank: int) -> None:
    generator = torch.Generator().manual_seed(1)
    up, down = torch.randn(outputs, rank, generator=generator), torch.randn(rank, inputs, generator=generator)
    thin = Factors(up, down, (outputs, inputs))
    wanted = torch.linalg.svdvals(up.double() @ down.double())[: min(rank, outputs, inputs)]
    for found in (decomposed(thin), decomposed((up.double() @ down.double()).float())):
        assert torch.allclose(found.values[: len(wanted)], wanted, rtol=1e-5)
        assert difference(found.first(len(wanted)), thin) < 1e-4 * float(wanted[0])


def test_stopping_leaves_nothing(tmp_path: Path) -> None:
    class Asked(Said):
        def should_stop(self) -> bool:
            return True

    file = written(tmp_path / "a.safetensors", "sd15", {LINEAR: made(2, 7, 5)})
    options = {"operation": "resize", "source": str(file), "target": str(tmp_path / "o.safetensors")}
    assert work({**options, "keep": {"rule": "rank", "value": 1}}, Asked()) == {
        "operation": "resize",
        "complete": False,
    }
    assert [one.name for one in tmp_path.iterdir()] == ["a.safetensors"]


def test_names_of_peft_and_old_diffusers_are_kept(tmp_path: Path) -> None:
    for number, (down, up) in enumerate(
        (("lora_A.default.weight", "lora_B.default.weight"), ("lora.down.weight", "lora.up.weight"))
    ):
        own = made(4, 9, 8)
        name = f"unet.{LINEAR[1]}"
        save_file({f"{name}.{down}": own[DOWN], f"{name}.{up}": own[UP]}, tmp_path / f"{number}.safetensors",
                  {"lora_adapter_metadata": json.dumps({"unet.lora_alpha": 2.0, "unet.r": 4})})  # fmt: skip
        resized(tmp_path / f"{number}.safetensors", tmp_path / "out.safetensors", "rank", 2, family="sd15")
        assert set(load_file(tmp_path / "out.safetensors")) == {f"{name}.{down}", f"{name}.{up}"}
        assert apart({LINEAR: best(by_hand(own), 2)}, added(tmp_path / "out.safetensors", "sd15")) < 1e-5
