"""Blocks by the names and lists of block weights, against what those programs' own lists are about."""

from __future__ import annotations

import pytest
from config_samples import config_with

from lora_tui.config.layers import layer_size, read_rules, trained
from lora_tui.config.schema import NetworkSection
from lora_tui.config.slots import listed_slots, slots_of
from lora_tui.config.validate import check_config
from lora_tui.errors import UserError
from lora_tui.families import facts_for
from lora_tui.weights.names.sd3_original import ORIGINAL

#: The blocks with attention in the order of the lists, as their authors' tables have them beside diffusers' names.
SD = {
    "IN01": "down_blocks.0.attentions.0", "IN02": "down_blocks.0.attentions.1", "IN04": "down_blocks.1.attentions.0",
    "IN05": "down_blocks.1.attentions.1", "IN07": "down_blocks.2.attentions.0", "IN08": "down_blocks.2.attentions.1",
    "M00": "mid_block.attentions.0", "OUT03": "up_blocks.1.attentions.0", "OUT04": "up_blocks.1.attentions.1",
    "OUT05": "up_blocks.1.attentions.2", "OUT06": "up_blocks.2.attentions.0", "OUT07": "up_blocks.2.attentions.1",
    "OUT08": "up_blocks.2.attentions.2", "OUT09": "up_blocks.3.attentions.0", "OUT10": "up_blocks.3.attentions.1",
    "OUT11": "up_blocks.3.attentions.2",
}  # fmt: skip
XL = {
    "IN04": "down_blocks.1.attentions.0", "IN05": "down_blocks.1.attentions.1", "IN07": "down_blocks.2.attentions.0",
    "IN08": "down_blocks.2.attentions.1", "M00": "mid_block.attentions.0", "OUT00": "up_blocks.0.attentions.0",
    "OUT01": "up_blocks.0.attentions.1", "OUT02": "up_blocks.0.attentions.2", "OUT03": "up_blocks.1.attentions.0",
    "OUT04": "up_blocks.1.attentions.1", "OUT05": "up_blocks.1.attentions.2",
}  # fmt: skip


def _sizes(family: str, *rules: str, **network: object) -> dict[str, tuple[int, float, float]]:
    section = NetworkSection(layers=list(rules), rank=4, alpha=2.0, conv_rank=3, conv_alpha=1.0, **network)  # type: ignore[arg-type]
    found = {}
    for target in facts_for(family).targets(convolutions=section.convolutions):
        size = layer_size(section, target)
        found[f"{target.part}.{target.path}"] = (size.rank, size.alpha, size.rate)
    return found


@pytest.mark.parametrize(("family", "table", "count"), [("sd15", SD, 17), ("sd2", SD, 17), ("sdxl", XL, 12)])
def test_a_list_gives_each_block_with_attention_its_number(family: str, table: dict[str, str], count: int) -> None:
    """The first number is that of the text encoders, the others those of the blocks in their order."""
    assert listed_slots("blocks", count) == ("BASE", *table)
    rates = [number / 100 for number in range(1, count + 1)]
    sizes = _sizes(family, f"blocks rate={','.join(map(str, rates))}")
    for name, (_rank, _alpha, rate) in sizes.items():
        blocks = (number for number, path in enumerate(table.values(), 1) if name.startswith(f"unet.{path}."))
        place = 0 if name.startswith("text_encoder") else next(blocks)
        assert rate == rates[place], name


@pytest.mark.parametrize(("family", "counts"), [("sd15", (25, 26)), ("sdxl", (19, 20, 23))])
def test_longer_lists_reach_every_layer_of_a_locon(family: str, counts: tuple[int, ...]) -> None:
    """sd-scripts' block_dims: ranks of linear layers and of convolutions in lists of their own."""
    for count in counts:
        ranks = ",".join(str(number) for number in range(10, 10 + count))
        sizes = _sizes(family, f"blocks rank={ranks} conv_rank={ranks} alpha=1", type="locon")
        reached = {name: size for name, size in sizes.items() if size[:2] != (4, 2.0) and size[:2] != (3, 1.0)}
        text = {name for name in sizes if name.startswith("text_encoder")}
        assert sizes.keys() - reached.keys() == (set() if count in (20, 26) else text)
        first = {20: 11, 26: 11, 23: 11}.get(count, 10)
        assert sizes["unet.down_blocks.0.resnets.0.conv1"][0] == first + 1
        assert sizes["unet.mid_block.attentions.0.proj_in"][0] == first + {25: 12, 26: 12, 19: 9, 20: 9, 23: 10}[count]


def test_a_kind_of_blocks_is_all_of_them_and_a_list_of_no_length_says_which_there_are() -> None:
    sizes = _sizes("flux", "DOUBLE rate=0.5")
    assert {name.split(".")[1] for name, size in sizes.items() if size[2] == 0.5} == {"transformer_blocks"}
    assert {name.split(".")[1] for name, size in sizes.items() if size[2] == 1 and "single" in name} == {
        "single_transformer_blocks"
    }
    with pytest.raises(UserError) as caught:
        read_rules(["blocks rank=8,8,4"])
    assert "3" in caught.value.message and "17, 25, 26; SDXL: 12, 19, 20, 23" in caught.value.remedy


def test_names_ranges_and_kinds_of_blocks() -> None:
    sizes = _sizes("sd15", "unet.* rate=0", "IN04-IN05 rate=1 rank=8", "M00 rate=2", "BASE rate=0.5")
    assert {name.split(".transformer")[0] for name, size in sizes.items() if size[2] and "proj" not in name[-8:]} >= {
        "unet.down_blocks.1.attentions.0", "unet.down_blocks.1.attentions.1", "unet.mid_block.attentions.0",
    }  # fmt: skip
    assert sizes["unet.down_blocks.1.attentions.1.proj_in"] == (8, 2.0, 1.0)
    assert sizes["unet.up_blocks.1.attentions.0.proj_in"][2] == 0
    assert sizes["text_encoder.encoder.layers.3.mlp.fc1"][2] == 0.5
    down = _sizes("sdxl", "IN rate=0,0,0,0,0.5,0,0,0,1")
    assert down["unet.down_blocks.1.attentions.0.proj_in"][2] == 0.5
    assert down["unet.down_blocks.2.attentions.0.proj_in"][2] == 0
    flux = _sizes("flux", "DOUBLE0-18 rank=2", "SINGLE rate=" + ",".join(["1"] * 37 + ["0.25"]), "SINGLE3 rank=0")
    assert flux["transformer.transformer_blocks.18.attn.to_q"][0] == 2
    assert flux["transformer.single_transformer_blocks.37.proj_mlp"] == (4, 2.0, 0.25)
    left = trained(NetworkSection(layers=["SINGLE3 rank=0"]), facts_for("flux").targets(text_encoder=False))
    assert {slot for one in left for slot in slots_of(one.part, one.path)} == {
        *(f"DOUBLE{n}" for n in range(19)), *(f"SINGLE{n}" for n in range(38) if n != 3)
    }  # fmt: skip


def test_sd3s_blocks_and_sorts_of_layers_are_those_of_sd_scripts() -> None:
    """train_block_indices and context_attn_dim to x_mod_dim of networks/lora_sd3.py, by the makers' own names."""
    sizes = _sizes("sd3", "transformer.* rate=0", "JOINT0-1 rate=1", "JOINT3 rate=1")
    kept = {name.split(".")[2] for name, size in sizes.items() if size[2] and name.startswith("transformer.")}
    assert kept == {"0", "1", "3"}
    rates = [number / 100 for number in range(1, 39)]
    listed = _sizes("sd3", f"JOINT rate={','.join(map(str, rates))}")
    assert all(
        size[2] == rates[int(name.split(".")[2])] for name, size in listed.items() if name.startswith("transformer.")
    )
    sorts = {"x": ("X_ATTN", "X_MLP", "X_MOD"), "context": ("CONTEXT_ATTN", "CONTEXT_MLP", "CONTEXT_MOD")}
    for number, name in enumerate((*sorts["x"], *sorts["context"]), 5):
        side, _bar, sort = name.partition("_")
        inner = {"ATTN": "attn", "MLP": "mlp", "MOD": "adaLN_modulation"}[sort]
        for layer, (rank, *_rest) in _sizes("sd3", f"{name} rank={number}").items():
            if not layer.startswith("transformer."):
                continue
            original = ORIGINAL.original_of(layer.removeprefix("transformer."))[0]
            assert (rank == number) == (f"{side.lower()}_block" in original and inner in original), layer


@pytest.mark.parametrize(
    "rule", ["IN04", "rank=4", "IN04 rank=-1", "IN04 alpha=0", "blocks rate=1,2", "IN04 rate=1,2", "blocks rank=1,x",
             "blocks rank=1,2,3 rate=1,2", "IN04 size=3"],
)  # fmt: skip
def test_what_is_no_rule_is_refused(rule: str) -> None:
    with pytest.raises(UserError) as caught:
        read_rules([rule])
    assert caught.value.code == "network.layers"


def _codes(family: str, **network: object) -> set[str]:
    config = config_with(model={"family": family}, network=network)
    return {finding.code for finding in check_config(config) if finding.field.startswith("network.")}


def test_names_that_leave_out_the_sizes_of_a_dora_are_warned_of() -> None:
    def found(layout: str) -> set[str]:
        config = config_with(network={"dora": True}, saving={"layout": layout})
        return {finding.code for finding in check_config(config) if finding.field == "saving.layout"}

    assert (found("diffusers"), found("auto"), found("kohya")) == ({"saving.dora_dropped"}, set(), set())


def test_lists_of_another_family_and_ranks_above_a_layer_are_found() -> None:
    twelve = "blocks rate=" + ",".join(["1"] * 12)
    assert "network.layers_list" in _codes("sd15", layers=[twelve])
    assert "network.layers_list" not in _codes("sdxl", layers=[twelve])
    assert "network.layers_list" in _codes("flux", layers=["DOUBLE rate=1,1"])
    assert "network.layers_unmatched" in _codes("flux", layers=["IN04 rate=0.5"])
    assert "network.layers_unmatched" in _codes("flux", layers=["JOINT3 rate=0.5"])
    assert "network.layers_unmatched" in _codes("flux", layers=["X_ATTN rate=0.5"])
    assert "network.layers_list" in _codes("flux", layers=["JOINT rate=" + ",".join(["1"] * 19)])
    assert "network.layers_list" in _codes("sd3", layers=["JOINT rate=1,1"])
    assert "network.layers_unmatched" in _codes("sd3", layers=["JOINT38 rate=0.5"])
    assert not _codes("sd3", layers=["JOINT37 rate=0.5", "X_MOD rank=2"]) & {"network.layers_unmatched"}
    assert "network.rank_above_layer" in _codes("sd15", layers=["IN01 rank=321"])
    assert "network.rank_above_layer" not in _codes("sd15", rank=320, layers=["IN04 rank=640"])
