"""FLUX.2's LoRA files in kohya's names: each layer adds what it does in those of diffusers, and none is FLUX.1's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers.loaders.lora_conversion_utils import (
    _convert_kohya_flux2_lora_to_diffusers,
    _convert_non_diffusers_flux2_lora_to_diffusers,
)
from safetensors.torch import save_file
from torch import Tensor

from lora_tui.families.flux2.shape import KLEIN_4B
from lora_tui.families.flux2.targets import transformer_targets
from lora_tui.families.protocol import TargetModule
from lora_tui.weights.fused import split
from lora_tui.weights.header.loras import lora_info
from lora_tui.weights.lora_file import file_tensors
from lora_tui.weights.reading import layers_by_name, read_lora

SCALE = 1.5 / 4
TARGETS = list(transformer_targets(replace(KLEIN_4B, double=1, single=1)))


@pytest.fixture(scope="module")
def layers() -> dict[tuple[str, str], dict[str, Tensor]]:
    """One block of each kind, 3072 wide, as klein 4B has them."""
    generator = torch.Generator().manual_seed(3)

    def layer(target: TargetModule) -> dict[str, Tensor]:
        return {
            "lora_down.weight": torch.randn(4, target.inputs, generator=generator),
            "lora_up.weight": torch.randn(target.outputs, 4, generator=generator),
            "alpha": torch.tensor(1.5),
        }

    return {(target.part, target.path): layer(target) for target in TARGETS}


def adds(layers: dict[tuple[str, str], dict[str, Tensor]], path: str) -> Tensor:
    """What the layer adds to the first columns of its weight."""
    own = layers["transformer", path]
    return own["lora_up.weight"] @ own["lora_down.weight"][:, :64] * SCALE


def test_at_real_width_kohyas_names_hold_the_same_and_diffusers_reads_it(
    layers: dict[tuple[str, str], dict[str, Tensor]],
) -> None:
    tensors = file_tensors("flux2", layers, dtype=torch.float32, layout="kohya")
    names = {name.partition(".")[0] for name in tensors}
    double = ("img_attn_qkv", "txt_attn_qkv", "img_attn_proj", "txt_attn_proj")
    double += ("img_mlp_0", "img_mlp_2", "txt_mlp_0", "txt_mlp_2")
    assert names == {f"lora_unet_double_blocks_0_{name}" for name in double} | {
        "lora_unet_single_blocks_0_linear1",
        "lora_unet_single_blocks_0_linear2",
    }
    theirs = _convert_kohya_flux2_lora_to_diffusers(dict(tensors))
    assert len(theirs) == 2 * len(layers)
    found = {}
    for name in names:
        matrices = (tensors[f"{name}.lora_down.weight"], tensors[f"{name}.lora_up.weight"])
        found |= split(name, (*matrices, float(tensors[f"{name}.alpha"])))
    assert found.keys() == {path for _part, path in layers}
    for path, (down, up, alpha) in found.items():
        wanted = adds(layers, path)
        assert torch.allclose(up @ down[:, :64] * (alpha / down.shape[0]), wanted, atol=1e-4), path
        own = theirs[f"transformer.{path}.lora_B.weight"] @ theirs[f"transformer.{path}.lora_A.weight"][:, :64]
        assert torch.allclose(own, wanted, atol=1e-4), path


@pytest.mark.parametrize("prefix", ["diffusion_model.", "transformer."])
def test_files_of_ai_toolkit_are_read_as_diffusers_reads_them(
    layers: dict[tuple[str, str], dict[str, Tensor]], prefix: str, tmp_path: Path
) -> None:
    """The makers' names with dots, query, key and value in one, no alpha beside them."""
    fused = file_tensors("flux2", layers, dtype=torch.float32, layout="kohya")
    stems = {
        f"lora_unet_{path.replace('.', '_')}": path
        for path in (
            *(f"double_blocks.0.{side}_{layer}" for side in ("img", "txt")
              for layer in ("attn.qkv", "attn.proj", "mlp.0", "mlp.2")),
            "single_blocks.0.linear1", "single_blocks.0.linear2",
        )
    }  # fmt: skip
    tensors = {}
    for stem, path in stems.items():
        tensors[f"{prefix}{path}.lora_A.weight"] = fused[f"{stem}.lora_down.weight"]
        tensors[f"{prefix}{path}.lora_B.weight"] = fused[f"{stem}.lora_up.weight"] * SCALE
    save_file(tensors, tmp_path / "lora.safetensors")
    info = lora_info(tmp_path / "lora.safetensors")
    assert (info.family, info.modules) == ("flux2", 10)
    known = layers_by_name("flux2", layers)
    found = {known[name]: layer for name, layer in read_lora(tmp_path / "lora.safetensors").layers.items()}
    assert found.keys() == layers.keys()
    theirs = (
        _convert_non_diffusers_flux2_lora_to_diffusers(dict(tensors)) if prefix == "diffusion_model." else None
    )  # it takes every name to begin so
    for (_part, path), layer in found.items():
        wanted = adds(layers, path)
        assert torch.allclose(layer.up @ layer.down[:, :64], wanted, atol=1e-4), path
        if theirs is not None:
            own = theirs[f"transformer.{path}.lora_B.weight"] @ theirs[f"transformer.{path}.lora_A.weight"][:, :64]
            assert torch.allclose(own, wanted, atol=1e-4), path


@pytest.mark.parametrize("layout", ["auto", "kohya"])
def test_files_tell_that_they_are_flux2s(
    layers: dict[tuple[str, str], dict[str, Tensor]], layout: str, tmp_path: Path
) -> None:
    save_file(file_tensors("flux2", layers, dtype=torch.float32, layout=layout), tmp_path / "lora.safetensors")  # type: ignore[arg-type]
    assert lora_info(tmp_path / "lora.safetensors").family == "flux2"


def test_layers_of_flux1_stay_flux1s() -> None:
    """Both have layers of these names, and other widths: 4 against 6, and 7 against 9 times the hidden states'."""
    down = torch.zeros(2, 64)
    (path,) = split("lora_unet_double_blocks_0_img_mlp_0", (down, torch.zeros(256, 2), 2.0))
    assert path == "transformer_blocks.0.ff.net.0.proj"
    (path,) = split("lora_unet_double_blocks_0_img_mlp_0", (down, torch.zeros(384, 2), 2.0))
    assert path == "transformer_blocks.0.ff.linear_in"
    assert len(split("lora_unet_single_blocks_0_linear1", (down, torch.zeros(448, 2), 2.0))) == 4
    (path,) = split("lora_unet_single_blocks_0_linear1", (down, torch.zeros(576, 2), 2.0))
    assert path == "single_transformer_blocks.0.attn.to_qkv_mlp_proj"
