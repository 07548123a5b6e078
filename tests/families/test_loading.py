"""Networks that are made without their weights."""

from __future__ import annotations

import pytest
import torch
from diffusers import ChromaTransformer2DModel, QwenImageTransformer2DModel
from torch import Tensor, nn

from lora_tui.bench.chroma_model import MICRO
from lora_tui.families.loading import network_without_weights

QWEN = {
    "num_layers": 1, "num_attention_heads": 2, "attention_head_dim": 16, "joint_attention_dim": 32,
    "axes_dims_rope": (4, 6, 6),
}  # fmt: skip


def own(network: nn.Module) -> dict[str, Tensor]:
    """What a network computed for itself, and no file holds."""
    stored = set(network.state_dict())
    found = {name: buffer for name, buffer in network.named_buffers() if name not in stored}
    for path, module in network.named_modules():
        found |= {f"{path}.{name}": value for name, value in vars(module).items() if isinstance(value, Tensor)}
    return found


@pytest.mark.parametrize(
    ("kind", "config"),
    [(ChromaTransformer2DModel, MICRO.transformer_config()), (QwenImageTransformer2DModel, QWEN)],
    ids=["a buffer", "attributes"],
)
def test_what_a_network_computes_for_itself_is_there_and_its_weights_take_no_room(kind: type, config: dict) -> None:
    made, whole = network_without_weights(kind, config), kind.from_config(config)
    wanted = own(whole)
    assert wanted and own(made).keys() == wanted.keys()
    assert all(torch.equal(own(made)[name], tensor) for name, tensor in wanted.items())
    assert all(parameter.is_meta for parameter in made.parameters() if parameter.dim() > 1)
