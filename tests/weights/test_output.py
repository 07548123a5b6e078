"""Files made of LoRA files: written layer by layer, as the library and sd-scripts' hashes have them, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from lora_tui.errors import UserError
from lora_tui.weights.lora_file import write_lora
from lora_tui.weights.operations.output import Pending, check_room, checked_target, ready, write_layers
from lora_tui.weights.work import Stopped


class Quiet:
    """A report that nobody hears; asked to stop after so many layers."""

    def __init__(self, stops_after: int = -1) -> None:
        self.left = stops_after
        self.said: list[UserError] = []

    def progress(self, phase: str, done: int, total: int, detail: str = "") -> None:
        pass

    def warn(self, error: UserError) -> None:
        self.said.append(error)

    def should_stop(self) -> bool:
        self.left -= 1
        return self.left == -1


TENSORS = {
    "b.lora_up.weight": torch.randn(700, 300),
    "b.alpha": torch.tensor(3.0),
    "a.lora_down.weight": torch.randn(300, 900).half(),
    "b.lora_down.weight": torch.randn(300, 900).bfloat16(),
    "a.alpha": torch.tensor(2.0, dtype=torch.float64),
    "a.number": torch.tensor([1, 2]),
}
METADATA = {"ss_x": "ü\n", "modelspec.title": "t", "other": "q"}


def test_tensors_hashes_and_order_are_those_of_a_file_written_at_once(tmp_path: Path) -> None:
    whole, pieces = tmp_path / "whole.safetensors", tmp_path / "pieces.safetensors"
    write_lora(whole, TENSORS, METADATA)
    layers = [ready({name: one}) for name, one in TENSORS.items()]
    size = write_layers(pieces, layers, METADATA, Quiet(), told=lambda: {"late": "1"})
    assert pieces.stat().st_size == size
    with safe_open(whole, "pt") as one, safe_open(pieces, "pt") as other:
        assert {**one.metadata(), "late": "1"} == other.metadata()
    with whole.open("rb") as one, pieces.open("rb") as other:
        bodies = [file.read()[8 + int.from_bytes(file.seek(0) or file.read(8), "little") :] for file in (one, other)]
    assert bodies[0] == bodies[1]
    found = load_file(pieces)
    assert all(torch.equal(found[name], one) for name, one in TENSORS.items())


def test_nothing_is_left_of_what_was_stopped_or_failed(tmp_path: Path) -> None:
    def fails() -> dict[str, torch.Tensor]:
        raise RuntimeError("no")

    layers = [ready({"x": torch.ones(3)}), Pending({"y": (torch.float32, (3,))}, fails)]
    with pytest.raises(RuntimeError):
        write_layers(tmp_path / "x.safetensors", layers, {}, Quiet())
    with pytest.raises(Stopped):
        write_layers(tmp_path / "x.safetensors", layers, {}, Quiet(stops_after=1))
    assert list(tmp_path.iterdir()) == []


def test_a_source_an_existing_file_and_what_is_none_are_never_written_over(tmp_path: Path) -> None:
    source, link = tmp_path / "a.safetensors", tmp_path / "link.safetensors"
    source.write_bytes(b"x")
    link.symlink_to(source)
    (tmp_path / "folder.safetensors").mkdir()
    for target, code in ((source, "lora.same_file"), (link, "lora.same_file"), (tmp_path / "a.ckpt", "file.name"),
                         (tmp_path / "folder.safetensors", "file.name")):  # fmt: skip
        with pytest.raises(UserError) as error:
            checked_target(target, [source], force=True)
        assert error.value.code == code
    with pytest.raises(UserError) as error:
        checked_target(link, [], force=False)
    assert error.value.code == "file.exists"
    assert checked_target(link, [], force=True) == source


def test_a_disk_that_is_too_small_is_told_before(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        check_room(tmp_path / "not" / "yet" / "x.safetensors", 1 << 62)
    assert error.value.code == "disk.full"
