"""DyLoRA: each step learns with some of the ranks, and the file serves at every unit of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lora_tui.cli.main import run as command
from lora_tui.config.load import parse_config
from lora_tui.config.schema import NetworkSection
from lora_tui.config.validate import check_config
from lora_tui.errors import UserError
from lora_tui.families.protocol import TargetModule
from lora_tui.trainer.adapters.kinds import attach
from lora_tui.trainer.adapters.nested import Nested
from lora_tui.weights.cut import cut
from lora_tui.weights.header.loras import lora_info
from lora_tui.weights.lora_file import as_text, file_tensors, write_lora
from lora_tui.weights.reading import read_lora

TARGETS = (TargetModule("unet", "one", 24, 32), TargetModule("unet", "two", 8, 16, convolution=True, kernel=3))


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = torch.nn.Linear(24, 32), torch.nn.Conv2d(8, 16, 3)


def attached(**settings: object) -> tuple[Net, object]:
    net = Net().requires_grad_(False)
    section = NetworkSection(type="dylora", rank=8, alpha=4.0, unit=2, **settings)  # type: ignore[arg-type]
    adapter = attach(section, {"unet": net}, TARGETS, seed=1, device=torch.device("cpu"))
    with torch.no_grad():
        for tensor in adapter.tensors().values():
            tensor.normal_(generator=torch.Generator().manual_seed(2))
    return net, adapter


def written(path: Path, adapter: object) -> Path:
    tensors = file_tensors("sd15", adapter.export(), dtype=torch.float32)  # type: ignore[attr-defined]
    save_file(tensors, path, metadata={k: as_text(v) for k, v in adapter.metadata().items()})  # type: ignore[attr-defined]
    return path


def test_a_step_learns_with_the_first_ranks_alone_and_drawing_uses_all() -> None:
    net, adapter = attached()
    values = torch.randn(3, 24)
    down, up = (adapter.tensors()[f"unet:one.{name}"] for name in ("lora_A", "lora_B"))  # type: ignore[attr-defined]
    seen = set()
    for seed in range(24):
        net.zero_grad()
        with adapter.learning(seed):  # type: ignore[attr-defined]
            rank = adapter.nested.ranks(8)  # type: ignore[attr-defined]
            out = net.one(values)
            out.sum().backward()
        wanted = (
            torch.nn.functional.linear(values, net.one.weight, net.one.bias)
            + 0.5 * values @ down[:rank].T @ up[:, :rank].T
        )  # type: ignore[attr-defined]
        assert torch.allclose(out, wanted, atol=1e-4)
        assert down.grad is not None and bool((down.grad.abs().sum(1) > 0)[:rank].all()) and not down.grad[rank:].any()
        seen.add(rank)
    assert seen == {2, 4, 6, 8}
    assert adapter.nested.ranks(8) == 8  # type: ignore[attr-defined]


def test_fewer_ranks_are_drawn_more_often_where_that_is_wanted() -> None:
    counts = {}
    for drawn in ("uniform", "geometric"):
        nested = Nested(1, drawn)  # type: ignore[arg-type]
        found = torch.zeros(17)
        for seed in range(2000):
            nested.draw(seed)
            found[nested.ranks(16)] += 1
        counts[drawn] = found[1:] / 2000
    assert torch.allclose(counts["uniform"], torch.full((16,), 1 / 16), atol=0.025)
    chance = 0.85 ** torch.arange(16.0)
    assert torch.allclose(counts["geometric"], chance / chance.sum(), atol=0.025)


def test_a_file_is_split_into_files_that_add_what_the_first_ranks_do(tmp_path: Path) -> None:
    _net, adapter = attached(conv_rank=4)
    path = written(tmp_path / "blob.safetensors", adapter)
    assert command(["lora", "split", str(path), "--to", str(tmp_path / "out"), "--json"]) == 0
    names = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert names == ["blob-rank02.safetensors", "blob-rank04.safetensors", "blob-rank06.safetensors"]
    whole = read_lora(path).layers["lora_unet_one"]
    small = tmp_path / "out" / "blob-rank04.safetensors"
    written_anew = write_lora(tmp_path / "again.safetensors", load_file(small), lora_info(small).metadata)
    assert written_anew == small.stat().st_size, "the library writes it in as many bytes"
    assert lora_info(small).hashes == lora_info(tmp_path / "again.safetensors").hashes
    for rank in (2, 4, 6):
        small = read_lora(tmp_path / "out" / f"blob-rank{rank:02d}.safetensors").layers["lora_unet_one"]
        assert small.down.shape[0] == rank and small.scale == pytest.approx(whole.scale)
        assert torch.allclose(small.update(), 0.5 * whole.up[:, :rank] @ whole.down[:rank], atol=1e-5)
    assert command(["lora", "split", str(path), "--to", str(tmp_path / "out")]) == 2, "nothing is written over"


def test_with_sizes_of_columns_a_step_learns_what_the_file_of_its_ranks_draws(tmp_path: Path) -> None:
    """The sizes are those of W + dW with the ranks in use, as the norms of a file that is cut are."""
    net, adapter = attached(dora=True, conv_rank=4)
    path = written(tmp_path / "blob.safetensors", adapter)
    assert command(["lora", "split", str(path), "--to", str(tmp_path), "--json"]) == 0
    values, seen = torch.randn(3, 24), set()
    for seed in range(24):
        with adapter.learning(seed):  # type: ignore[attr-defined]
            rank, found = adapter.nested.ranks(8), net.one(values)  # type: ignore[attr-defined]
        file = path if rank == 8 else tmp_path / f"blob-rank{rank:02d}.safetensors"
        weight = read_lora(file).layers["lora_unet_one"].merged(Net().one.weight.detach(), 1.0)
        assert torch.allclose(found, torch.nn.functional.linear(values, weight, net.one.bias), atol=1e-4)
        seen.add(rank)
    assert seen == {2, 4, 6, 8}


def test_other_ranks_and_other_files_are_refused(tmp_path: Path) -> None:
    _net, adapter = attached()
    path = written(tmp_path / "blob.safetensors", adapter)
    with pytest.raises(UserError) as caught:
        cut(path, 3, tmp_path / "out.safetensors")
    assert caught.value.code == "lora.rank" and "2" in caught.value.remedy
    save_file(load_file(path), tmp_path / "plain.safetensors", metadata={"ss_network_args": json.dumps(["hostile"])})
    with pytest.raises(UserError) as caught:
        cut(tmp_path / "plain.safetensors", 2, tmp_path / "out.safetensors")
    assert caught.value.code == "lora.not_nested"
    assert not (tmp_path / "out.safetensors").exists()


def test_names_that_hold_several_layers_in_one_are_refused(tmp_path: Path) -> None:
    values = {
        "model": {"family": "flux"}, "datasets": [{"path": str(tmp_path)}], "network": {"type": "dylora"},
        "saving": {"layout": "kohya"},
    }  # fmt: skip
    found = check_config(parse_config(values, base=None, place="test"))
    assert "saving.kind_layout" in {finding.code for finding in found}
