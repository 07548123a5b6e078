"""Layers that are not whole are told from the header: the same answer before a run and from the reader."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.weights.header.format import read_header
from lora_tui.weights.header.whole import check_layers
from lora_tui.weights.reading import read_lora

STEM = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
ONE = torch.tensor(1.0)
LORA = {"lora_down.weight": torch.ones(4, 6), "lora_up.weight": torch.ones(5, 4), "alpha": ONE}
WIDE = {"lora_down.weight": torch.ones(3, 6, 1, 1), "lora_up.weight": torch.ones(5, 2, 1, 1)}
LOHA = {f"hada_w{n}_{side}": torch.ones(*shape) for n in (1, 2) for side, shape in (("a", (5, 4)), ("b", (4, 6)))}
LOKR = {"lokr_w1": torch.ones(2, 2), "lokr_w2_a": torch.ones(3, 2), "lokr_w2_b": torch.ones(2, 4)}
IA3 = {"weight": torch.ones(5), "on_input": torch.tensor(False)}


def _file(path: Path, parts: dict[str, Tensor]) -> Path:
    save_file({f"{STEM}.{name}": tensor.contiguous().clone() for name, tensor in parts.items()}, path)
    return path


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ({**LORA, "lora_down.weight": torch.ones(0, 6), "lora_up.weight": torch.ones(5, 0)}, "lora.damaged"),
        ({**LORA, "lora_up.weight": torch.ones(5, 2)}, "lora.damaged"),
        ({**LORA, "lora_down.weight": torch.ones(24)}, "lora.damaged"),
        ({**LORA, "lora_down.weight": ONE}, "lora.damaged"),
        ({**LORA, "lora_up.weight": ONE}, "lora.damaged"),
        ({**LORA, "lora_mid.weight": torch.ones(3, 3)}, "lora.damaged"),
        ({**LORA, "lora_mid.weight": torch.ones(3, 3, 3, 3)}, "lora.damaged"),
        ({**LORA, "dora_scale": torch.ones(7)}, "lora.damaged"),
        ({**LORA, "dora_scale": torch.ones(1, 5)}, "lora.damaged"),
        ({**LORA, "alpha": torch.ones(2)}, "lora.damaged"),
        ({**LORA, "alpha": torch.ones(0)}, "lora.damaged"),
        ({**LORA, "lora_up.weight": torch.ones(5, 4, dtype=torch.int8)}, "lora.damaged"),
        ({**LORA, "lora_up.weight": torch.ones(5, 4, dtype=torch.bool)}, "lora.damaged"),
        ({**LORA, "lora_up.weight": torch.ones(5, 4, dtype=torch.complex64)}, "lora.damaged"),
        ({"lora_down.weight": torch.ones(4, 6)}, "lora.incomplete"),
        ({**LOHA, "hada_w1_b": torch.ones(3, 6)}, "lora.damaged"),
        ({**LOHA, "alpha": torch.ones(2)}, "lora.damaged"),
        ({**LOKR, "lokr_w1": torch.ones(2, 2, dtype=torch.int8)}, "lora.damaged"),
        ({"lokr_w1": torch.ones(2, 2), "lokr_w2_a": torch.ones(3, 2)}, "lora.incomplete"),
        ({"on_input": torch.tensor(False)}, "lora.incomplete"),
        ({**LOKR, "lokr_w1": torch.ones(4)}, "lora.damaged"),
        ({**LOKR, "lokr_w1": torch.ones(())}, "lora.damaged"),
        ({**LOKR, "dora_scale": torch.ones(())}, "lora.damaged"),
        ({"diff": torch.ones(())}, "lora.damaged"),
        ({"oft_blocks": torch.ones(2, 2)}, "lora.damaged"),
    ],
)
def test_a_layer_that_is_not_whole_is_named(tmp_path: Path, parts: dict[str, Tensor], code: str) -> None:
    path = _file(tmp_path / "a.safetensors", parts)
    told = []
    for read in (lambda: check_layers(path, read_header(path).tensors), lambda: read_lora(path)):
        with pytest.raises(UserError) as caught:
            read()
        assert (caught.value.code, caught.value.place) == (code, str(path))
        assert STEM in caught.value.message
        told.append(caught.value.message)
    assert told[0] == told[1]


@pytest.mark.parametrize(
    "parts",
    [
        LORA,
        {**LORA, "alpha": torch.ones(1, 1)},
        {**LORA, "dora_scale": torch.ones(1, 6)},
        {**LORA, "dora_scale": torch.ones(5)},
        {**LORA, "lora_magnitude_vector": torch.ones(5)},
        {**LORA, "lora_up.weight": torch.ones(5, 4).to(torch.float8_e4m3fn)},
        {**WIDE, "lora_mid.weight": torch.ones(2, 3, 3, 3)},
        LOHA,
        LOKR,
        IA3,
    ],
)
def test_whole_layers_are_read(tmp_path: Path, parts: dict[str, Tensor]) -> None:
    assert list(read_lora(_file(tmp_path / "a.safetensors", parts)).all) == [STEM]
