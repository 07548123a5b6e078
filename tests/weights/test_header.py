"""Headers of safetensors files: the good are read, the torn and the hostile are refused with a reason."""

from __future__ import annotations

import json
import math
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from weights.files import entries, write

from lora_tui.errors import UserError
from lora_tui.weights.header.format import TensorInfo, read_header, scalar


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_header(path)
    assert str(path) in str(caught.value)
    return caught.value.code


def test_what_the_library_writes_is_read_alike(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    path = tmp_path / "a.safetensors"
    tensors = {"one": torch.ones(2, 3, dtype=torch.bfloat16), "two": torch.zeros(0, 4), "scalar": torch.tensor(3.0)}
    save_file(tensors, path, metadata={"ss_seed": "1", "纯": "值"})
    header = read_header(path)
    assert header.metadata == {"ss_seed": "1", "纯": "值"}
    assert header.size == path.stat().st_size
    assert {name: info.shape for name, info in header.tensors.items()} == {"one": (2, 3), "two": (0, 4), "scalar": ()}
    one = header.tensors["one"]
    assert one.dtype == "BF16"
    assert path.read_bytes()[one.start : one.end] == load_file(path)["one"].view(torch.uint8).numpy().tobytes()


def test_an_empty_header_is_an_empty_file(tmp_path: Path) -> None:
    assert read_header(write(tmp_path / "a", b"{}", b"")).tensors == {}


def test_a_header_padded_with_blanks_is_read(tmp_path: Path) -> None:
    text = json.dumps(entries({"a": (2,)})).encode() + b"      "
    assert read_header(write(tmp_path / "a", text, 4)).tensors == {
        "a": TensorInfo("F16", (2,), 8 + len(text), 12 + len(text))
    }


@pytest.mark.parametrize("kept", [0, 1, 7])
def test_a_file_shorter_than_the_length_field_is_no_safetensors(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"\x40\0\0\0\0\0\0\0"[:kept])
    assert refused(path) == "weights.not_safetensors"


@pytest.mark.parametrize("length", [0, 1, 100_000_001, 2**63, 2**64 - 1])
def test_an_absurd_header_length_is_refused_at_once(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(length.to_bytes(8, "little") + b"{}")
    assert refused(path) == "weights.not_safetensors"


def test_a_file_cut_within_its_header_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes((90_000_000).to_bytes(8, "little") + b'{"a":')
    assert refused(path) == "weights.torn"


def test_a_file_cut_within_its_tensors_is_torn(tmp_path: Path) -> None:
    path = write(tmp_path / "a", entries({"a": (100,), "b": (100,)}), 399)
    assert refused(path) == "weights.torn"


WRONG: dict[str, Any] = {
    "no JSON": b"{nothing",
    "no object": b"[1, 2]",
    "not UTF-8": b'{"\xff": 1}',
    "nested too deep": b"[" * 100_000,
    "an integer with too many digits": b'{"a": ' + b"9" * 5000 + b"}",
    "a name twice": b'{"a": {"dtype":"F16","shape":[0],"data_offsets":[0,0]}, "a": 1}',
    "metadata that are no texts": {"__metadata__": {"a": 1}},
    "metadata that are a list": {"__metadata__": ["a"]},
    "a tensor that is a number": {"a": 1},
    "an unknown type": {"a": {"dtype": "F13", "shape": [1], "data_offsets": [0, 2]}},
    "no shape": {"a": {"dtype": "F16", "data_offsets": [0, 2]}},
    "a negative side": {"a": {"dtype": "F16", "shape": [-1], "data_offsets": [0, 2]}},
    "a side that is true": {"a": {"dtype": "F16", "shape": [True], "data_offsets": [0, 2]}},
    "a side that is a fraction": {"a": {"dtype": "F16", "shape": [1.0], "data_offsets": [0, 2]}},
    "too many sides": {"a": {"dtype": "F16", "shape": [1] * 100, "data_offsets": [0, 2]}},
    "sides whose product overflows": {"a": {"dtype": "F16", "shape": [2**62] * 60, "data_offsets": [0, 2]}},
    "one offset": {"a": {"dtype": "F16", "shape": [1], "data_offsets": [0]}},
    "offsets in reverse": {"a": {"dtype": "F16", "shape": [1], "data_offsets": [2, 0]}},
    "a negative offset": {"a": {"dtype": "F16", "shape": [1], "data_offsets": [-2, 0]}},
    "a size unlike the shape": {"a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 2]}},
    "overlapping tensors": {
        "a": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]},
        "b": {"dtype": "F16", "shape": [1], "data_offsets": [2, 4]},
    },
    "a gap between tensors": {
        "a": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]},
        "b": {"dtype": "F16", "shape": [1], "data_offsets": [4, 6]},
    },
    "a gap at the start": {"a": {"dtype": "F16", "shape": [1], "data_offsets": [2, 4]}},
    "bytes after the last": {"a": {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]}},
}


@pytest.mark.parametrize("what", WRONG)
def test_a_header_that_contradicts_itself_is_refused(tmp_path: Path, what: str) -> None:
    assert refused(write(tmp_path / "a", WRONG[what], 100)) == "weights.header"


def test_escape_sequences_in_names_do_not_reach_the_message(tmp_path: Path) -> None:
    path = write(tmp_path / "a", {"\x1b[31mred": 1}, 0)
    with pytest.raises(UserError) as caught:
        read_header(path)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("length", [0x280, 0x380, 0x480, 0x580])
def test_a_header_whose_length_begins_as_a_pickle_does_is_read(tmp_path: Path, length: int) -> None:
    text = json.dumps({"__metadata__": {"a": "b"}}).encode().ljust(length)
    assert read_header(write(tmp_path / "x.safetensors", text, 0)).metadata == {"a": "b"}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_of_every_protocol_is_named_as_one(tmp_path: Path, protocol: int) -> None:
    file = tmp_path / "x.pt"
    for held in ({"state_dict": {}}, {"a": list(range(9999))}):
        file.write_bytes(pickle.dumps(held, protocol=protocol))
        assert refused(file) == "weights.pickle"


def test_a_pickle_is_named_as_one(tmp_path: Path) -> None:
    bare, archive = tmp_path / "a.ckpt", tmp_path / "b.pt"
    bare.write_bytes(pickle.dumps({"state_dict": {}}, protocol=2))
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("archive/data.pkl", b"")
    assert refused(bare) == refused(archive) == "weights.pickle"


def test_a_missing_file_and_a_folder_cannot_be_read(tmp_path: Path) -> None:
    assert refused(tmp_path / "none") == "weights.unreadable"
    assert refused(tmp_path) == "weights.unreadable"


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "arbitrary"
    for content in (data, len(data).to_bytes(8, "little") + data):
        path.write_bytes(content)
        try:
            header = read_header(path)
        except UserError:
            continue
        assert header.size == len(content)


@pytest.mark.parametrize("name", ["F8_E4M3", "F8_E5M2"])
def test_numbers_of_eight_bits_are_what_torch_reads(name: str) -> None:
    import torch

    dtype = {"F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2}[name]
    theirs = torch.arange(256, dtype=torch.uint8).view(dtype).float().tolist()
    for byte, value in enumerate(theirs):
        assert repr(scalar(name, bytes([byte]))) == repr(value) or value != value
        assert math.isnan(scalar(name, bytes([byte]))) == math.isnan(value)
