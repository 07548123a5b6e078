"""Slots, notations and presets of block weights: every layer of every family stands where people expect it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lora_tui.errors import UserError
from lora_tui.families import FAMILIES, facts_for
from lora_tui.weights.blocks import (
    NOTATIONS,
    PRESETS,
    block_weights,
    in_order,
    read_presets,
    shortened,
    slot_of,
    slots_by_name,
)
from lora_tui.weights.lora_file import file_tensors
from lora_tui.weights.names.known import known_names


def _slots(family: str, *, convolutions: bool = False) -> list[str]:
    targets = facts_for(family).targets(convolutions=convolutions)
    return in_order(slot_of(family, (target.part, target.path)) for target in targets)


@pytest.mark.parametrize(
    ("family", "length"), [("sd15", 17), ("sd2", 17), ("sdxl", 12)]
)  # fmt: skip
def test_the_layers_of_a_lora_fill_exactly_the_short_notation_of_their_family(family: str, length: int) -> None:
    notation = next(slots for slots in NOTATIONS[family] if len(slots) == length)
    assert _slots(family) == list(notation)


def test_a_locon_fills_the_full_notation_but_for_the_first_convolution() -> None:
    assert _slots("sd15", convolutions=True) == [slot for slot in NOTATIONS["sd15"][0] if slot != "IN00"]
    assert _slots("sdxl", convolutions=True) == [slot for slot in NOTATIONS["sdxl"][0] if slot != "IN00"]
    assert [len(slots) for slots in (*NOTATIONS["sd15"], *NOTATIONS["sdxl"][:2], *NOTATIONS["flux"])] == [
        26,
        17,
        20,
        12,
        61,
    ]


@pytest.mark.parametrize(
    ("family", "path", "slot"),
    [
        ("sd15", "conv_in", "IN00"), ("sd15", "down_blocks.0.resnets.1.conv1", "IN02"),
        ("sd15", "down_blocks.0.downsamplers.0.conv", "IN03"), ("sd15", "down_blocks.3.resnets.1.conv2", "IN11"),
        ("sd15", "mid_block.attentions.0.proj_in", "M00"), ("sd15", "up_blocks.0.upsamplers.0.conv", "OUT02"),
        ("sd15", "up_blocks.3.attentions.2.proj_out", "OUT11"), ("sd15", "time_embedding.linear_1", ""),
        ("sdxl", "down_blocks.2.attentions.1.transformer_blocks.9.ff.net.2", "IN08"),
        ("sdxl", "up_blocks.2.resnets.2.conv1", "OUT08"), ("flux", "transformer_blocks.3.attn.to_q", "D03"),
        ("flux", "single_transformer_blocks.37.proj_out", "S37"), ("flux", "x_embedder", "IN"),
        ("flux", "norm_out.linear", "OUT"), ("sd3", "transformer_blocks.37.attn2.to_q", "J37"),
        ("sd3", "context_embedder", "IN"), ("qwen", "transformer_blocks.59.img_mod.1", "B59"),
        ("zimage", "noise_refiner.1.attention.to_q", "N01"), ("zimage", "all_final_layer.2-1.linear", "OUT"),
    ],
)  # fmt: skip
def test_a_layer_stands_in_its_slot(family: str, path: str, slot: str) -> None:
    assert slot_of(family, ("unet" if facts_for(family).denoiser == "unet" else "transformer", path)) == slot


@pytest.mark.parametrize("family", FAMILIES)
def test_a_layer_has_one_slot_under_whatever_name(family: str) -> None:
    """The names of every program, those of several layers in one too, lead to the slot of the layer's place."""
    import torch

    targets = facts_for(family).targets(convolutions=True)
    for target in targets[:: max(1, len(targets) // 40)]:
        names = list(known_names(family, target.part, target.path))
        found = slots_by_name(family, names)
        assert set(found.values()) == {slot_of(family, (target.part, target.path))}, (target.path, found)
    target = next(one for one in targets if one.part == facts_for(family).denoiser and one.path.endswith("to_q"))
    tensors = {"lora_down.weight": torch.zeros(1, 4), "lora_up.weight": torch.zeros(4, 1), "alpha": torch.tensor(1.0)}
    (name,) = {
        key.rpartition(".lora_" if ".lora_" in key else ".alpha")[0]
        for key in file_tensors(family, {(target.part, target.path): tensors}, dtype=torch.float32, layout="kohya")
        if "lora_" in key.rpartition(".")[0].rpartition(".")[2]
    }
    assert set(slots_by_name(family, [name]).values()) == {slot_of(family, (target.part, target.path))}


def test_lists_presets_and_named_slots_weigh_alike() -> None:
    listed = block_weights("1,0,0,0,1,1,1,0,0,0,0,0,0,0,0,0,0", "sd15")
    preset, named = block_weights("IND", "sd15"), block_weights("default=0, BASE=1, in05=1, IN07-in08=1", "sd15")
    own = block_weights("mine", "sd15", {"mine": "IN05=1,IN07=1,IN08=1,BASE=1,default=0"})
    for slot in NOTATIONS["sd15"][0]:
        wanted = float(slot in ("BASE", "IN05", "IN07", "IN08"))
        assert {one.of_slot(slot) for one in (listed, preset, named, own)} == {wanted}, slot
    assert listed.of(("unet", "time_embedding.linear_1")) == 1.0  # in no slot: as in the extension
    assert block_weights("IN04-MID=0.5,OUT05=0", "sdxl").of_slot("M00") == 0.5
    assert block_weights("ALL", "flux").even
    assert not block_weights("ALL0.5", "zimage").even
    assert set(PRESETS) > {"INS", "OUTALL", "FLUXALL"}
    assert block_weights(",".join(map(str, range(61))), "flux").of_slot("S37") == 59.0
    assert shortened(NOTATIONS["sd15"][1]) == "BASE, IN01-IN02, IN04-IN05, IN07-IN08, M00, OUT03-OUT11"


@pytest.mark.parametrize(
    ("text", "family", "word"),
    [
        ("IND", "sdxl", "12"), ("1,0,1", "sd15", "26"), ("FLUXALL", "sd15", "FLUX"), ("MID", "sd15", "MID"),
        ("IN12=1", "sd15", "IN12"), ("IN04=x", "sd15", "x"), ("IN04=nan", "sd15", "nan"), ("", "sd15", "preset"),
        ("1," * 16 + "R", "sd15", "R"), ("[/x]\x1b[2J", "sd15", "preset"), ("ALL", "unknown", "family"),
        ("1" * 30000, "sd15", "30000"),
    ],
)  # fmt: skip
def test_what_is_no_block_weight_is_refused_with_what_would_be(text: str, family: str, word: str) -> None:
    with pytest.raises(UserError, match=r"lora|block") as caught:
        block_weights(text, family)
    assert caught.value.code == "lora.blocks"
    assert word in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert caught.value.remedy


def test_a_list_for_fewer_blocks_than_a_model_has_is_refused() -> None:
    medium = block_weights(",".join(["1"] * 27), "sd3")
    medium.check(["BASE", "J23"])
    with pytest.raises(UserError, match="J30"):
        medium.check(["J23", "J30"])
    block_weights(",".join(["1"] * 17), "sd15").check(["IN00"])  # a short notation leaves blocks out


def test_presets_of_the_extension_are_read(tmp_path: Path) -> None:
    file = tmp_path / "lbwpresets.txt"
    file.write_text("\ufeff# mine\nFACE:1,0,0,0,0,0,0,0,1,1,1,0,0,0,0,0,0\n\nHALF: ALL0.5\n", "utf-8")
    found = read_presets(file)
    assert block_weights("FACE", "sd15", found).of_slot("OUT03") == 1.0
    assert block_weights("HALF", "flux", found).of_slot("D00") == 0.5
    file.write_text("nothing here\n", "utf-8")
    with pytest.raises(UserError, match=":1"):
        read_presets(file)
