"""Weights in a folder that are whole numbers, or packed by another program."""

from __future__ import annotations

from pathlib import Path

import pytest
from model_headers import DIFFUSERS, TRANSFORMERS, write_folder

from lora_tui.errors import UserError
from lora_tui.families import check_model
from lora_tui.families.parts import refuse_packed
from lora_tui.weights.header.format import TensorInfo, read_header


@pytest.mark.parametrize("file", [f"unet/{DIFFUSERS}", f"text_encoder/{TRANSFORMERS}"])
@pytest.mark.parametrize("kind", ["I16", "U16"])
def test_weights_that_are_whole_numbers_are_refused_in_a_folder_as_in_a_file(tmp_path: Path, file: str, kind: str):
    folder = write_folder(tmp_path / "base")
    path = folder / file
    path.write_bytes(path.read_bytes().replace(b'"F16"', f'"{kind}"'.encode()))
    with pytest.raises(UserError) as caught:
        check_model("sd15", folder)
    assert caught.value.code == "model.packed" and caught.value.message.startswith(file)
    with pytest.raises(UserError, match="packed"):
        refuse_packed(read_header(path).tensors, str(path))


def test_whole_numbers_with_a_factor_pass():
    def tensor(kind: str, *shape: int) -> TensorInfo:
        return TensorInfo(kind, shape, 0, 0)

    refuse_packed({"a.weight": tensor("I8", 4, 4), "a.weight_scale": tensor("F32", 4)}, "here")
    refuse_packed({"a.position_ids": tensor("I64", 1, 77)}, "here")
