"""FLUX.1's LoRA files in other programs' names: every layer's update is found, whole or among others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers.loaders.lora_conversion_utils import _convert_kohya_flux_lora_to_diffusers
from safetensors.torch import save_file
from torch import Tensor

from lora_tui.families.flux.facts import FACTS
from lora_tui.families.flux.shape import Shape
from lora_tui.families.flux.targets import transformer_targets
from lora_tui.weights.fused import fuse, split
from lora_tui.weights.lora_file import file_tensors
from lora_tui.weights.names.flux_original import whole_layers
from lora_tui.weights.reading import layers_by_name, read_lora

WIDTH, RANK, ALPHA = 3072, 4, 1.5
#: kohya's name of a layer -> its inputs and outputs, in hidden widths
KOHYA = {
    "lora_unet_double_blocks_3_img_attn_qkv": (1, 3),
    "lora_unet_double_blocks_3_txt_attn_proj": (1, 1),
    "lora_unet_double_blocks_18_img_mlp_2": (4, 1),
    "lora_unet_double_blocks_0_txt_mod_lin": (1, 6),
    "lora_unet_single_blocks_37_linear1": (1, 7),
    "lora_unet_single_blocks_0_linear2": (5, 1),
    "lora_unet_single_blocks_0_modulation_lin": (1, 3),
}


@pytest.fixture(scope="module")
def kohya() -> dict[str, Tensor]:
    generator, found = torch.Generator().manual_seed(0), {}
    for name, (inputs, outputs) in KOHYA.items():
        found[f"{name}.lora_down.weight"] = torch.randn(RANK, inputs * WIDTH, generator=generator)
        found[f"{name}.lora_up.weight"] = torch.randn(outputs * WIDTH, RANK, generator=generator)
        found[f"{name}.alpha"] = torch.tensor(ALPHA)
    return found


def updates(path: Path) -> dict[str, tuple[Tensor, Tensor]]:
    """Down and up, which has the factor in it, by the layer's path in the transformer."""
    places = [(target.part, target.path) for target in FACTS.targets()]
    known = layers_by_name("flux", places)
    return {known[name][1]: (layer.down, layer.up * layer.scale) for name, layer in read_lora(path).layers.items()}


@pytest.mark.parametrize("dotted", [False, True])
def test_layers_that_lie_in_one_are_read_as_diffusers_reads_them(
    kohya: dict[str, Tensor], tmp_path: Path, dotted: bool
) -> None:
    save_file(_dotted(kohya) if dotted else kohya, tmp_path / "x.safetensors")
    found = updates(tmp_path / "x.safetensors")
    theirs = _convert_kohya_flux_lora_to_diffusers({name: tensor.clone() for name, tensor in kohya.items()})
    paths = {name.removeprefix("transformer.").rpartition(".lora_")[0] for name in theirs}
    assert found.keys() == paths and len(paths) == 12
    probe = torch.randn(2, 5 * WIDTH, generator=torch.Generator().manual_seed(1))
    for path, (down, up) in found.items():
        values = probe[:, : down.shape[1]]
        wanted = values @ theirs[f"transformer.{path}.lora_A.weight"].T @ theirs[f"transformer.{path}.lora_B.weight"].T
        assert torch.allclose(values @ down.T @ up.T, wanted, atol=1e-2, rtol=1e-4)


def _dotted(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """As files for ComfyUI name them: the original names, with dots."""
    inner = {"img_attn_qkv": "img_attn.qkv", "txt_attn_proj": "txt_attn.proj", "img_mlp_2": "img_mlp.2",
             "txt_mod_lin": "txt_mod.lin", "modulation_lin": "modulation.lin"}  # fmt: skip
    found = {}
    for name, tensor in tensors.items():
        layer, _dot, kind = name.removeprefix("lora_unet_").partition(".")
        block, number, flat = layer.split("_blocks_")[0] + "_blocks", *layer.split("_blocks_")[1].split("_", 1)
        found[f"diffusion_model.{block}.{number}.{inner.get(flat, flat)}.{kind}"] = tensor
    return found


def test_layers_of_other_sizes_are_left_as_they_are(tmp_path: Path) -> None:
    name = "lora_unet_double_blocks_0_img_attn_qkv"
    tensors = {f"{name}.lora_down.weight": torch.zeros(2, 32), f"{name}.lora_up.weight": torch.zeros(64, 2)}
    save_file(tensors, tmp_path / "x.safetensors")
    assert list(read_lora(tmp_path / "x.safetensors").layers) == [name]


@pytest.mark.parametrize(
    "name",
    [
        "lora_transformer_transformer_blocks_0_attn_to_q",
        "transformer.transformer_blocks.0.attn.to_q",
        "lora_te1_text_model_encoder_layers_0_mlp_fc1",
    ],
)
def test_names_of_other_programs_are_known(name: str) -> None:
    assert name in layers_by_name("flux", [(target.part, target.path) for target in FACTS.targets()])


@pytest.fixture(scope="module")
def blocks() -> dict[tuple[str, str], dict[str, Tensor]]:
    """One block of each kind at the published width, every layer trained apart, with an alpha that is not the rank."""
    generator = torch.Generator().manual_seed(2)
    return {
        (target.part, target.path): {
            "lora_down.weight": torch.randn(RANK, target.inputs, generator=generator),
            "lora_up.weight": torch.randn(target.outputs, RANK, generator=generator),
            "alpha": torch.tensor(ALPHA),
        }
        for target in transformer_targets(Shape(double=1, single=1))
    }


def test_layers_are_written_as_one_and_come_back_bit_for_bit(
    blocks: dict[tuple[str, str], dict[str, Tensor]], tmp_path: Path
) -> None:
    """Three of rank 4 are one of rank 12, four of rank 4 one of rank 16, of 3 and 4 times the alpha."""
    tensors = file_tensors("flux", blocks, dtype=torch.float32, layout="kohya")
    heads = {name.partition(".")[0] for name in tensors}
    assert len(heads) == 13 and all(
        name.startswith(("lora_unet_double_blocks_0", "lora_unet_single")) for name in heads
    )
    shapes = {name: tuple(tensors[f"lora_unet_{name}"].shape) for name in (
        "double_blocks_0_img_attn_qkv.lora_down.weight", "double_blocks_0_txt_attn_qkv.lora_up.weight",
        "single_blocks_0_linear1.lora_up.weight", "single_blocks_0_linear2.lora_down.weight")}  # fmt: skip
    assert list(shapes.values()) == [(12, WIDTH), (3 * WIDTH, 12), (7 * WIDTH, 16), (RANK, 5 * WIDTH)]
    assert float(tensors["lora_unet_double_blocks_0_img_attn_qkv.alpha"]) == 3 * ALPHA
    assert float(tensors["lora_unet_single_blocks_0_linear1.alpha"]) == 4 * ALPHA
    save_file(tensors, tmp_path / "x.safetensors")
    read = read_lora(tmp_path / "x.safetensors").layers
    for (_part, path), layer in blocks.items():
        found = read[f"transformer.{path}"]
        assert found.alpha == ALPHA
        assert torch.equal(found.down, layer["lora_down.weight"]) and torch.equal(found.up, layer["lora_up.weight"])
    theirs = _convert_kohya_flux_lora_to_diffusers(tensors)
    assert {name.rpartition(".lora_")[0] for name in theirs} == {f"transformer.{path}" for _part, path in blocks}
    probe = torch.randn(2, 5 * WIDTH, generator=torch.Generator().manual_seed(1))
    for (_part, path), layer in blocks.items():
        down, up = theirs[f"transformer.{path}.lora_A.weight"], theirs[f"transformer.{path}.lora_B.weight"]
        values = probe[:, : down.shape[1]]
        wanted = values @ layer["lora_down.weight"].T @ layer["lora_up.weight"].T * (ALPHA / RANK)
        assert torch.allclose(values @ down.T @ up.T, wanted, atol=1e-2, rtol=1e-4)


def test_other_ranks_and_scales_and_missing_layers_make_the_same_update() -> None:
    """In float64, against the updates one below the other."""
    generator = torch.Generator().manual_seed(3)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    layers = {
        "single_transformer_blocks.5.attn.to_q": (drawn(2, 16), drawn(16, 2), 1.0),
        "single_transformer_blocks.5.attn.to_v": (drawn(3, 16), drawn(16, 3), 7.0),
        "single_transformer_blocks.5.proj_mlp": (drawn(1, 16), drawn(64, 1), 0.5),
    }
    ((path, (down, up, alpha)),) = fuse("flux", layers).items()
    assert (path, down.shape[0], alpha) == ("single_blocks.5.linear1", 6, 3.0)
    updates = {name: u @ d * (a / d.shape[0]) for name, (d, u, a) in layers.items()}
    nothing = torch.zeros(16, 16, dtype=torch.float64)
    key = "single_transformer_blocks.5.attn.to_k"
    wanted = torch.cat([updates.get(name, nothing) for name in (*list(layers)[:1], key, *list(layers)[1:])])
    assert torch.allclose(up @ down * (alpha / 6), wanted, atol=1e-12)
    again = split("lora_unet_single_blocks_5_linear1", (down, up, alpha))
    for name, (d, u, a) in again.items():
        assert torch.allclose(u @ d * (a / max(d.shape[0], 1)), updates.get(name, nothing), atol=1e-12)


def test_layers_outside_the_blocks_are_known_and_the_last_modulation_is_turned_round() -> None:
    """Shift before scale in the original, scale before shift in diffusers."""
    for path in whole_layers():
        layer = torch.ones(2, 4), torch.arange(12.0).view(6, 2), 1.0
        for name in (f"lora_unet_{path.replace('.', '_')}", f"diffusion_model.{path}"):
            ((ours, (_down, up, _alpha)),) = split(name, layer).items()
            ((original, (_d, back, _a)),) = fuse("flux", {ours: (layer[0], up, 1.0)}).items()
            assert original == path and torch.equal(back, layer[1])
            assert torch.equal(up, layer[1]) == (path != "final_layer.adaLN_modulation.1")


def test_a_dora_cannot_be_held_in_one(blocks: dict[tuple[str, str], dict[str, Tensor]]) -> None:
    sized = {place: {**tensors, "dora_scale": torch.ones(1, 4)} for place, tensors in blocks.items()}
    with pytest.raises(ValueError, match="dora_scale"):
        file_tensors("flux", sized, dtype=torch.float32, layout="kohya")
