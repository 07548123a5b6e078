"""LyCORIS' kinds over several layers in one, as sd-scripts trains transformers with them: each layer has its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.weights.added import added
from lora_tui.weights.kinds import RANKED, Form, scale_of, tensor_shapes
from lora_tui.weights.reading import read_lora

WIDTH = 24
#: Original layers of FLUX.1: kohya's name, its outputs, and the layers of diffusers with their rows in order.
LAYERS: dict[str, tuple[int, dict[str, list[int]]]] = {
    "double_blocks_0_img_attn_qkv": (
        3 * WIDTH,
        {
            f"transformer_blocks.0.attn.to_{name}": list(range(number * WIDTH, (number + 1) * WIDTH))
            for number, name in enumerate("qkv")
        },
    ),
    "single_blocks_1_linear1": (
        7 * WIDTH,
        {
            **{
                f"single_transformer_blocks.1.attn.to_{name}": list(range(number * WIDTH, (number + 1) * WIDTH))
                for number, name in enumerate("qkv")
            },
            "single_transformer_blocks.1.proj_mlp": list(range(3 * WIDTH, 7 * WIDTH)),
        },
    ),
    "double_blocks_0_img_attn_proj": (WIDTH, {"transformer_blocks.0.attn.to_out.0": list(range(WIDTH))}),
    "final_layer_adaLN_modulation_1": (
        2 * WIDTH, {"norm_out.linear": [*range(WIDTH, 2 * WIDTH), *range(WIDTH)]},
    ),
}  # fmt: skip
FORMS = {
    "loha": Form("loha"),
    "lokr": Form("lokr"),
    "lokr 4": Form("lokr", factor=4, both=True),
    "lokr rows": Form("lokr", factor=8),
    "glora": Form("glora"),
    "full": Form("full"),
}


def written(path: Path, form: Form, **more: Any) -> dict[str, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    found = {}
    for layer, (outputs, _rows) in LAYERS.items():
        shapes = tensor_shapes(form, layer, WIDTH, outputs, 2)
        found[layer] = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
        if more.get("rows"):
            found[layer]["dora_scale"] = torch.rand(outputs, 1, generator=generator) + 0.5
    tensors = {f"lora_unet_{layer}.{name}": one for layer, own in found.items() for name, one in own.items()}
    if form.kind in RANKED:
        tensors |= {f"lora_unet_{layer}.alpha": torch.tensor(3.0) for layer in LAYERS}
    save_file(tensors, path)
    return found


@pytest.mark.parametrize("name", FORMS)
def test_each_layer_gets_the_rows_that_the_file_adds_to_it(name: str, tmp_path: Path) -> None:
    form, path = FORMS[name], tmp_path / "fused.safetensors"
    file = written(path, form, rows=name == "lokr rows")
    stored = read_lora(path)
    assert stored.strange == ()
    weights = torch.Generator().manual_seed(2)
    for layer, (outputs, pieces) in LAYERS.items():
        weight = torch.randn(outputs, WIDTH, generator=weights)
        scale = scale_of(file[layer], 3.0, 2) if form.kind in RANKED else 1.0
        whole = weight + added(form.kind, file[layer], weight, scale, 0.7)
        for piece, rows in pieces.items():
            found = stored.others[f"transformer.{piece}"].merged(weight[rows], 0.7)
            assert torch.allclose(found, whole[rows], atol=1e-5), piece
    assert len(stored.others) == sum(len(pieces) for _outputs, pieces in LAYERS.values())


def test_sizes_of_columns_over_several_layers_and_kinds_that_cannot_be_taken_apart_are_told(tmp_path: Path) -> None:
    written(tmp_path / "dora.safetensors", Form("lokr", sizes=True))
    with pytest.raises(UserError) as caught:
        read_lora(tmp_path / "dora.safetensors")
    assert caught.value.code == "lora.dora"
    written(tmp_path / "oft.safetensors", Form("oft"))
    assert set(read_lora(tmp_path / "oft.safetensors").others) == {f"lora_unet_{layer}" for layer in LAYERS}
