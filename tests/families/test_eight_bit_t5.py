"""T5 from files of 8-bit numbers: with a factor for each layer or row, under either name, or with none; to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import T5Config, T5EncoderModel

from lora_tui.bench.flux_model import MICRO
from lora_tui.families.separate.model_text import load_t5
from lora_tui.families.separate.places import Place

SHAPE = MICRO.t5


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """As such files name them, which have the words once."""
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=100, d_model=SHAPE.width, d_kv=SHAPE.head_width, d_ff=SHAPE.inner, num_layers=SHAPE.layers,
        num_heads=SHAPE.heads, feed_forward_proj="gated-gelu",
    )  # fmt: skip
    tensors = T5EncoderModel(config).state_dict()
    return {name: tensor.clone() for name, tensor in tensors.items() if name != "encoder.embed_tokens.weight"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("how", ["plain e4m3", "plain e5m2", "scale_weight", "weight_scale", "rows"])
def test_every_weight_is_what_the_file_says(
    how: str, dtype: torch.dtype, weights: dict[str, Tensor], tmp_path: Path
) -> None:
    stored: dict[str, Tensor] = {}
    wanted: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if tensor.dim() != 2 or (name == "shared.weight" and not how.startswith("plain")):
            stored[name], wanted[name] = tensor, tensor
        elif how.startswith("plain"):
            stored[name] = tensor.to(torch.float8_e4m3fn if how.endswith("e4m3") else torch.float8_e5m2)
            wanted[name] = stored[name].float()
        else:
            largest = tensor.abs().amax(dim=1, keepdim=True) if how == "rows" else tensor.abs().max()
            factor = largest / 448
            stored[name] = (tensor / factor).to(torch.float8_e4m3fn)
            stored[name.removesuffix("weight") + ("weight_scale" if how == "rows" else how)] = factor
            wanted[name] = stored[name].float() * factor
    if how == "scale_weight":
        stored["scaled_fp8"] = torch.zeros(0, dtype=torch.float8_e4m3fn)
        stored["spiece_model"] = torch.zeros(9, dtype=torch.uint8)
        stored["encoder.block.0.layer.0.SelfAttention.q.scale_input"] = torch.ones(1)
    assert any(tensor.element_size() == 1 and tensor.dim() == 2 for tensor in stored.values())
    save_file(stored, tmp_path / "t5xxl.safetensors")
    found = load_t5(Place(tmp_path / "t5xxl.safetensors"), dtype).state_dict()
    assert {"shared.weight", *wanted} <= found.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == dtype
        assert torch.equal(found[name], tensor.to(dtype)), name
    assert torch.equal(found["encoder.embed_tokens.weight"], found["shared.weight"])
