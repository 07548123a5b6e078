"""The same content gives the same bytes, and the library reads them."""

from __future__ import annotations

from pathlib import Path

import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load

from lora_tui.weights.ordered import save_file_ordered, save_ordered

TENSORS = {"b.weight": torch.arange(6.0).reshape(2, 3), "a.alpha": torch.tensor(4, dtype=torch.int8)}
KEYS = [f"key {number}" for number in range(40)]


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=20), max_size=12))
def test_any_metadata_reads_back_from_the_same_bytes_each_time(metadata: dict[str, str]) -> None:
    first = save_ordered(TENSORS, metadata)
    assert first == save_ordered(TENSORS, dict(reversed(metadata.items())))
    assert all(torch.equal(value, TENSORS[name]) for name, value in load(first).items())


def test_a_file_has_the_keys_in_order(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file_ordered(TENSORS, path, dict.fromkeys(reversed(KEYS), "说 \"'\\ \n\x7f"))
    assert path.read_bytes() == save_ordered(TENSORS, dict.fromkeys(KEYS, "说 \"'\\ \n\x7f"))
    header = path.read_bytes().decode("utf-8", "replace")
    places = [header.index(f'"{key}"') for key in sorted(KEYS)]
    assert places == sorted(places)
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == dict.fromkeys(KEYS, "说 \"'\\ \n\x7f")
        assert torch.equal(file.get_tensor("b.weight"), TENSORS["b.weight"])
