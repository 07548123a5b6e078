"""Merging LoRA files: what comes of it adds what they add together, by arithmetic on whole matrices."""

from __future__ import annotations

import json
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
from lora_tui.weights.delta import open_adapter
from lora_tui.weights.kinds import Form, tensor_shapes
from lora_tui.weights.names import NAMES
from lora_tui.weights.operations.sparse import dare, dare_ties, ties
from lora_tui.weights.work import work

CONV = ("unet", "down_blocks.1.resnets.0.conv2")
LINEAR = ("unet", "mid_block.attentions.0.transformer_blocks.0.ff.net.2")
QUERY = ("unet", "mid_block.attentions.0.transformer_blocks.0.attn1.to_q")


def pair(
    rank: int, inputs: int, outputs: int, seed: int, alpha: float | None = None, kernel: int = 0
) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sides = (kernel, kernel) if kernel else ()
    found = {
        DOWN: torch.randn(rank, inputs, *sides, generator=generator),
        UP: torch.randn(outputs, rank, *[1] * len(sides), generator=generator),
    }
    return found if alpha is None else found | {ALPHA: torch.tensor(alpha)}


@pytest.mark.parametrize("family", NAMES)
@pytest.mark.parametrize("layout", ["auto", "kohya"])
def test_every_familys_files_add_up_whatever_their_ranks_alphas_signs_and_layers(
    tmp_path: Path, family: str, layout: Any
) -> None:
    targets = places(family)
    one, other = layers(targets[:-2], 3, 2.0, 1), layers(targets[2:], 5, 7.0, 2)
    files = [
        written(tmp_path / f"{name}.safetensors", family, own, layout) for name, own in (("one", one), ("other", other))
    ]
    found = merged(tmp_path / "out.safetensors", family, (files[0], 0.7), (files[1], -0.4, 0.3))
    wanted: dict[tuple[str, str], Tensor] = {}
    for whose, network, text in ((one, 0.7, 0.7), (other, -0.4, 0.3)):
        for place, own in whose.items():
            strength = text if place[0].startswith("text_encoder") else network
            wanted[place] = wanted.get(place, torch.zeros(())) + strength * by_hand(own)
    assert apart(wanted, added(tmp_path / "out.safetensors", family)) < 1e-6
    assert found["error"] < 1e-6


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ranks=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    alphas=st.lists(st.sampled_from([None, 0.0, 1.0, -2.0, 0.3, 16.0]), min_size=4, max_size=4),
    strengths=st.lists(st.sampled_from([1.0, 0.0, -1.0, 0.35, 2.5, -0.2]), min_size=4, max_size=4),
    kernel=st.sampled_from([0, 1, 3]),
    dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
    missing=st.integers(0, 3),
)
def test_any_ranks_alphas_strengths_kernels_and_types(
    tmp_path: Path,
    ranks: list[int],
    alphas: list[float | None],
    strengths: list[float],
    kernel: int,
    dtype: torch.dtype,
    missing: int,
) -> None:
    """Alphas that are absent, 0 or negative; files that lack a layer; all in one file of single precision."""
    files, wanted = [], {CONV: torch.zeros(1), LINEAR: torch.zeros(1)}
    for number, rank in enumerate(ranks):
        own = {
            CONV: pair(rank, 4, 6, number, alphas[number], kernel),
            LINEAR: pair(rank, 5, 7, number + 9, alphas[number]),
        }
        if number == missing:
            del own[CONV]
        own = {place: {k: v if k == ALPHA else v.to(dtype) for k, v in one.items()} for place, one in own.items()}
        for place, one in own.items():
            wanted[place] = wanted[place] + strengths[number] * by_hand(one)
        files.append((written(tmp_path / f"{number}.safetensors", "sd15", own), strengths[number]))
    target = tmp_path / "out.safetensors"
    target.unlink(missing_ok=True)
    if not any(one.any() for one in wanted.values()):
        with pytest.raises(UserError) as error:
            merged(target, "sd15", *files, precision="fp32")
        assert error.value.code == "lora.empty"
        return
    merged(target, "sd15", *files, precision="fp32")
    found = added(target, "sd15")
    wanted = {place: one for place, one in wanted.items() if one.any()}
    assert {place for place in wanted if wanted[place].norm() > 1e-4} <= found.keys()
    for place, one in found.items():
        assert float((one - wanted.get(place, torch.zeros(1))).norm()) < 1e-5 * (1 + float(one.norm()))
    alpha = [float(one) for name, one in load_file(target).items() if name.endswith(".alpha")]
    assert all(one > 0 for one in alpha)  # programs that halve an alpha until it fits never end with others


def test_one_file_at_a_strength_keeps_its_matrices_to_the_bit(tmp_path: Path) -> None:
    """The strength goes into alpha, so that half precision loses nothing."""
    own = {LINEAR: {k: v if k == ALPHA else v.half() for k, v in pair(3, 5, 7, 1, 2.0).items()}}
    file = written(tmp_path / "a.safetensors", "sd15", own)
    merged(tmp_path / "out.safetensors", "sd15", (file, 0.7))
    before, after = load_file(file), load_file(tmp_path / "out.safetensors")
    assert all(torch.equal(one, after[name]) for name, one in before.items() if not name.endswith("alpha"))
    merged(tmp_path / "same.safetensors", "sd15", (file, 1.0))
    assert same_tensors(file, tmp_path / "same.safetensors")


def test_lycoris_kinds_are_merged_by_what_they_add(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(4)

    def kind(name: str, **form: Any) -> dict[str, Tensor]:
        shapes = tensor_shapes(Form(name, **form), "x", 12, 16, 2)
        return {key: torch.randn(shape, generator=generator) * 0.3 for key, shape in shapes.items()}

    made = {
        "loha": {QUERY: {**kind("loha"), ALPHA: torch.tensor(1.0)}},
        "lokr": {QUERY: {**kind("lokr"), ALPHA: torch.tensor(3.0)}},
        "whole": {QUERY: kind("lokr", whole=True)},
        "full": {QUERY: kind("full")},
        "lora": {QUERY: pair(3, 12, 16, 1, 2.0)},
    }
    files = {name: written(tmp_path / f"{name}.safetensors", "sd15", own) for name, own in made.items()}
    deltas = {name: added(file, "sd15")[QUERY] for name, file in files.items()}
    for names in (("loha", "lora"), ("loha", "lokr"), ("whole", "lora"), ("full", "loha", "lora"), tuple(files)):
        target = tmp_path / f"{'-'.join(names)}.safetensors"
        merged(target, "sd15", *((files[name], 0.5 - number) for number, name in enumerate(names)))
        wanted = sum(deltas[name] * (0.5 - number) for number, name in enumerate(names))
        assert apart({QUERY: wanted}, added(target, "sd15")) < 1e-5
    for name, file in files.items():  # alone they stay what they are
        merged(tmp_path / "alone.safetensors", "sd15", (file, -0.6), force=True)
        assert apart({QUERY: deltas[name] * -0.6}, added(tmp_path / "alone.safetensors", "sd15")) < 1e-6


def test_what_is_no_sum_is_refused_in_words_and_never_added(tmp_path: Path) -> None:
    plain = written(tmp_path / "plain.safetensors", "sd15", {QUERY: pair(3, 6, 5, 1, 2.0)})
    dora = written(
        tmp_path / "dora.safetensors", "sd15", {QUERY: {**pair(3, 6, 5, 2, 2.0), "dora_scale": torch.rand(1, 6) + 0.5}}
    )
    turned = written(tmp_path / "oft.safetensors", "sd15", {QUERY: {"oft_blocks": torch.randn(1, 5, 5)}})
    for file, strength in ((dora, 0.5), (turned, 0.5)):
        for files in ([(plain, 1.0), (file, 1.0)], [(file, strength)]):
            with pytest.raises(UserError) as error:
                merged(tmp_path / "out.safetensors", "sd15", *files)
            assert error.value.code == "lora.not_a_sum" and "--base" in error.value.remedy
    merged(tmp_path / "same.safetensors", "sd15", (dora, 1.0))
    assert same_tensors(dora, tmp_path / "same.safetensors")


def test_norms_add_up(tmp_path: Path) -> None:
    name = "lora_unet_mid_block_resnets_0_norm1"
    for number in (1, 2):
        own = {f"{name}.w_norm": torch.randn(6), f"{name}.b_norm": torch.randn(6)}
        layer = {f"lora_unet_mid_block_resnets_0_conv1.{kind}": one for kind, one in pair(2, 5, 7, number, 1.0).items()}
        save_file(own | layer, tmp_path / f"{number}.safetensors")
    one, two = (load_file(tmp_path / f"{number}.safetensors") for number in (1, 2))
    merged(tmp_path / "out.safetensors", "sd15", (tmp_path / "1.safetensors", 0.5), (tmp_path / "2.safetensors", -2.0))
    found = load_file(tmp_path / "out.safetensors")
    assert all(torch.allclose(found[key], one[key] * 0.5 - two[key] * 2, atol=1e-6) for key in one if "norm" in key)


def test_average_is_the_mean_and_a_sum_of_nothing_has_none(tmp_path: Path) -> None:
    made = [{LINEAR: pair(2, 5, 7, seed, 3.0)} for seed in (1, 2)]
    files = [written(tmp_path / f"{n}.safetensors", "sd15", own) for n, own in enumerate(made)]
    merged(tmp_path / "out.safetensors", "sd15", (files[0], 3.0), (files[1], 1.0), method="average")
    wanted = {LINEAR: by_hand(made[0][LINEAR]) * 0.75 + by_hand(made[1][LINEAR]) * 0.25}
    assert apart(wanted, added(tmp_path / "out.safetensors", "sd15")) < 1e-6
    with pytest.raises(UserError) as error:
        merged(tmp_path / "x.safetensors", "sd15", (files[0], 1.0), (files[1], -1.0), method="average")
    assert error.value.code == "lora.strength"


def test_ties_and_dare_are_those_of_peft_on_what_is_added(tmp_path: Path) -> None:
    from peft.utils import merge_utils

    generator = torch.Generator().manual_seed(3)
    deltas = [torch.randn(9, 7, generator=generator) for _n in range(3)]
    weights = [1.0, -0.5, 0.3]
    theirs = merge_utils.ties(deltas, torch.tensor(weights), 0.4)
    assert torch.allclose(ties(deltas, weights, 0.4), theirs, atol=1e-6)
    left = dare(deltas, [1.0, 0.0, 0.0], 0.5, 7, "x")
    assert set((left != 0).flatten().tolist()) == {True, False}
    assert torch.allclose(left[left != 0], (deltas[0] * 2)[left != 0])
    assert torch.equal(left, dare(deltas, [1.0, 0.0, 0.0], 0.5, 7, "x"))
    assert not torch.equal(left, dare(deltas, [1.0, 0.0, 0.0], 0.5, 8, "x"))
    assert torch.allclose(dare_ties(deltas, weights, 1.0, 0, "x"), ties(deltas, weights, 1.0))


@pytest.mark.parametrize("method", ["ties", "dare", "dare-ties"])
def test_methods_on_whole_differences_write_a_lora_of_a_rank(tmp_path: Path, method: str) -> None:
    made = [{LINEAR: pair(2, 9, 7, seed, 3.0)} for seed in (1, 2)]
    files = [written(tmp_path / f"{n}.safetensors", "sd15", own) for n, own in enumerate(made)]
    loras = ((files[0], 1.0), (files[1], 0.5))
    with pytest.raises(UserError) as error:
        merged(tmp_path / "out.safetensors", "sd15", *loras, method=method)
    assert error.value.code == "lora.keep"
    keep = {"rule": "rank", "value": 7}
    merged(tmp_path / "out.safetensors", "sd15", *loras, method=method, density=0.5, seed=3, keep=keep)
    deltas = [by_hand(own[LINEAR]).float() for own in made]
    name = ".".join(LINEAR)
    do = {"ties": lambda: ties(deltas, [1, 0.5], 0.5), "dare": lambda: dare(deltas, [1, 0.5], 0.5, 3, name),
          "dare-ties": lambda: dare_ties(deltas, [1, 0.5], 0.5, 3, name)}[method]  # fmt: skip
    assert apart({LINEAR: do().double()}, added(tmp_path / "out.safetensors", "sd15")) < 1e-5


def test_block_weights_multiply_the_layers_of_their_blocks(tmp_path: Path) -> None:
    own = {QUERY: pair(2, 6, 5, 1, 2.0), CONV: pair(2, 4, 6, 2, 2.0, 3)}
    file = written(tmp_path / "a.safetensors", "sd15", own)
    loras = [{"file": str(file), "strength": 0.5, "blocks": "M00=0.2"}]
    done(operation="merge", target=str(tmp_path / "out.safetensors"), family="sd15", loras=loras)
    wanted = {QUERY: by_hand(own[QUERY]) * 0.1, CONV: by_hand(own[CONV]) * 0.5}
    assert apart(wanted, added(tmp_path / "out.safetensors", "sd15")) < 1e-6


def test_files_of_different_programs_are_merged_under_the_first_ones_names(tmp_path: Path) -> None:
    targets = places("flux")
    one, other = layers(targets, 3, 2.0, 1), layers(targets, 2, 4.0, 2)
    fused = written(tmp_path / "one.safetensors", "flux", one, "kohya")
    split = written(tmp_path / "other.safetensors", "flux", other)
    merged(tmp_path / "out.safetensors", "flux", (fused, 1.0), (split, 0.5))
    assert all(name.startswith("lora_") for name in load_file(tmp_path / "out.safetensors"))
    wanted = {place: by_hand(one[place]) + 0.5 * by_hand(other[place]) for place in one}
    assert apart(wanted, added(tmp_path / "out.safetensors", "flux")) < 1e-6


def test_layers_in_one_stay_in_one_and_their_ranks_add_up(tmp_path: Path) -> None:
    """Two files that sd-scripts trained: each has one small matrix for query, key and value."""
    name = "lora_unet_double_blocks_0_img_attn_qkv"
    for number, rank in ((1, 3), (2, 2)):
        own = pair(rank, 12, 36, number, 1.0)
        save_file({f"{name}.{kind}": one for kind, one in own.items()}, tmp_path / f"{number}.safetensors")
    merged(tmp_path / "out.safetensors", "flux", (tmp_path / "1.safetensors", 1.0), (tmp_path / "2.safetensors", 1.0))
    assert load_file(tmp_path / "out.safetensors")[f"{name}.{DOWN}"].shape == (5, 12)


def test_other_families_sizes_and_files_that_are_torn_are_refused(tmp_path: Path) -> None:
    good = written(tmp_path / "a.safetensors", "sd15", {LINEAR: pair(2, 5, 7, 1, 2.0)})
    wide = written(tmp_path / "b.safetensors", "sd15", {LINEAR: pair(2, 6, 7, 1, 2.0)})
    xl = written(tmp_path / "c.safetensors", "sdxl", layers(places("sdxl"), 2, 1.0, 1))
    torn = tmp_path / "d.safetensors"
    torn.write_bytes(good.read_bytes()[:-9])
    target = tmp_path / "out.safetensors"
    for files, family, code in (
        ([(good, 1.0), (xl, 1.0)], "", "lora.families"),
        ([(good, 1.0), (wide, 1.0)], "sd15", "lora.sizes"),
        ([(good, 1.0), (torn, 1.0)], "sd15", "weights.torn"),
        ([(good, 0.0)], "sd15", "lora.empty"),
        ([], "sd15", "lora.empty"),
    ):
        with pytest.raises(UserError) as error:
            merged(target, family, *files)
        assert error.value.code == code
        assert not target.exists()


def test_metadata_of_all_files_are_kept_and_tell_what_was_done(tmp_path: Path) -> None:
    tags = [json.dumps({"1_cat": {"cat": 3, "red": 1}}), json.dumps({"1_cat": {"cat": 2}, "2_dog": {"dog": 5}})]
    same = {"ss_base_model_version": "sd_v1", "ss_training_comment": "c"}
    files = []
    for n in (0, 1):
        own = {"ss_tag_frequency": tags[n], "ss_learning_rate": f"{n}", "ss_network_dim": f"{n + 2}", **same}
        files.append(written(tmp_path / f"{n}.safetensors", "sd15", {LINEAR: pair(n + 2, 5, 7, n, 2.0)}, "auto", **own))
    before = [file.read_bytes() for file in files]
    merged(tmp_path / "out.safetensors", "sd15", (files[0], 1.0), (files[1], -0.5))
    with safe_open(tmp_path / "out.safetensors", "pt") as file:
        told = file.metadata()
    assert json.loads(told["ss_tag_frequency"]) == {"1_cat": {"cat": 5, "red": 1}, "2_dog": {"dog": 5}}
    assert told["ss_network_dim"] == "5" and told["ss_base_model_version"] == "sd_v1" and "ss_learning_rate" not in told
    assert json.loads(told["lora_tui_sources"])["1.safetensors"]["ss_learning_rate"] == "1"
    assert told["ss_training_comment"].startswith("merged from 0 1, 1 -0.5; c")
    (entry,) = json.loads(told["lora_tui_history"])
    assert entry["sources"][1]["strength"] == -0.5 and entry["measured"]["error"] < 1e-6
    assert [file.read_bytes() for file in files] == before


def test_what_belongs_to_no_layer_is_left_out_and_told(tmp_path: Path) -> None:
    tensors = {f"lora_unet_{LINEAR[1].replace('.', '_')}.{kind}": one for kind, one in pair(2, 5, 7, 1, 2.0).items()}
    save_file({**tensors, "bundle_emb.cat.string_to_param.*": torch.ones(2)}, tmp_path / "a.safetensors")
    said = Said()
    loras = [{"file": str(tmp_path / "a.safetensors")}]
    work({"operation": "merge", "target": str(tmp_path / "o.safetensors"), "loras": loras}, said)
    assert [error.code for error in said.warnings] == ["lora.strange"]
    assert open_adapter(tmp_path / "o.safetensors").strange == ()
