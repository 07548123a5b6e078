"""What a tuned checkpoint adds to its base comes back as a LoRA: exactly where it is one, else as near as can be."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from lora_models import FAMILIES, LIGHT, UNETS, Listener, lora, makers_file, opened, predicted, written
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.families import facts_for
from lora_tui.families.unet.model_file import write_single_file
from lora_tui.sampling.lora import apply_lora
from lora_tui.weights.delta import delta, open_adapter
from lora_tui.weights.operations.leading import leading
from lora_tui.weights.work import work

PART = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written("sd15", tmp_path_factory.mktemp("model") / "sd15")


def extract(base: Path, tuned: Path, target: Path, **options: Any) -> tuple[dict[str, Any], Listener]:
    report = Listener()
    asked = {"operation": "extract", "base": str(base), "tuned": str(tuned), "target": str(target), "value": 4}
    return work({**asked, "precision": "fp32", **options}, report), report


def bake(base: Path, target: Path, file: Path, strength: float = 1.0, **options: Any) -> None:
    asked = {"base": str(base), "target": str(target), "loras": [{"file": str(file), "strength": strength}]}
    work({"operation": "bake", "precision": "fp32", **asked, **options}, Listener())


def deltas(path: Path, family: str) -> dict[tuple[str, str], Tensor]:
    """What a file adds to each layer; without those of which names with several in one have zeros."""
    found = {place: delta(layer) for place, layer in open_adapter(path, family=family).layers.items()}
    return {place: one for place, one in found.items() if one.any()}


@pytest.mark.parametrize("family", [n if n in LIGHT else pytest.param(n, marks=pytest.mark.slow) for n in FAMILIES])
def test_what_was_baked_is_extracted_again(tmp_path: Path, family: str) -> None:
    """From a folder and from a single file in other names; the file draws live what the tuned model does."""
    base, baked, file = written(family, tmp_path / "base"), tmp_path / "baked", tmp_path / "a.safetensors"
    lora(file, family, base, rank=3, alpha=1.5, convolutions=True)
    bake(base, baked, file, 0.8)
    kind = {"kind": "locon"} if family in UNETS else {}
    found, report = extract(base, baked, tmp_path / "out.safetensors", value=3, **kind)
    wanted, own = deltas(file, family), deltas(tmp_path / "out.safetensors", family)
    assert own.keys() == wanted.keys()
    for place, change in wanted.items():
        assert float((own[place] - 0.8 * change).norm()) < 1e-5 * float(change.norm()), place
    assert found["kept"] == pytest.approx(1, abs=1e-6)
    assert (found["ranks"], found["left_out"]["count"], report.warned) == ([3, 3], 0, [])
    live = opened(base, family)
    apply_lora(live, tmp_path / "out.safetensors")
    drawn, tuned = predicted(live), predicted(opened(baked, family))
    assert float((drawn - tuned).norm() / tuned.norm()) < 5e-5

    single = tmp_path / "single.safetensors"
    if family in UNETS:
        write_single_file(base, single)
    else:
        makers_file(family, base, single)
    _found, report = extract(single, baked, tmp_path / "single_out.safetensors", value=3, layout="kohya", **kind)
    again = deltas(tmp_path / "single_out.safetensors", family)
    for place, change in again.items():
        assert torch.allclose(change, own[place], atol=1e-6), place
    assert again.keys() == {place for place in own if family in UNETS or place[0] == "transformer"}


def _tuned(base: Path, folder: Path, seed: int = 0, *, half: bool = False, uneven: bool = False) -> dict[str, Tensor]:
    """A copy of ``base`` whose UNet was changed in every tensor; what was added, by name."""
    shutil.copytree(base, folder)
    tensors = {name: tensor.float() for name, tensor in load_file(base / PART).items()}
    generator = torch.Generator().manual_seed(seed)
    added = {name: 0.01 * torch.randn(t.shape, generator=generator) for name, t in tensors.items()}
    if uneven:
        added = {name: change * (0.2 if ".attn2." in name else 1) for name, change in added.items()}
    after = {name: tensor + added[name] for name, tensor in tensors.items()}
    save_file({n: t.half() if half else t for n, t in after.items()}, folder / PART, metadata={"format": "pt"})
    return {name: after[name] - tensors[name] for name in tensors}


@pytest.mark.parametrize(
    ("rule", "value"), [("rank", 5), ("threshold", 0.08), ("ratio", 0.6), ("quantile", 0.5), ("frobenius", 0.7)]
)
def test_every_rule_keeps_what_it_says_and_no_rank_keeps_more(
    sd15: Path, tmp_path: Path, rule: str, value: float
) -> None:
    """Against the whole singular value decomposition in float64: Eckart and Young's optimum at the rank of the rule."""
    added = _tuned(sd15, tmp_path / "tuned")
    found, _report = extract(sd15, tmp_path / "tuned", tmp_path / "out.safetensors", rule=rule, value=value)
    told = {layer["layer"]: layer for layer in found["layers_kept"]}
    own = deltas(tmp_path / "out.safetensors", "sd15")
    assert len(own) == 192
    kept = 0.0
    for place, change in own.items():
        matrix = added[f"{place[1]}.weight"].flatten(1).double()
        values = torch.linalg.svdvals(matrix)
        rank = told[".".join(place)]["rank"]
        expected = {
            "rank": 5,
            "threshold": int((values > value).sum()),
            "ratio": int((values > value * values[0]).sum()),
            "quantile": 1 + int((values.cumsum(0) < value * values.sum()).sum()),
            "frobenius": 1 + int(((values**2).cumsum(0) < value**2 * (values**2).sum()).sum()),
        }[rule]
        assert abs(rank - expected) <= (0 if rule == "rank" else 1), (place, rank, expected)
        error, best = float((change.flatten(1).double() - matrix).norm()), float(values[rank:].norm())
        assert error <= best * told[".".join(place)]["further"] * (1 + 1e-4) + 1e-6
        assert told[".".join(place)]["kept"] == pytest.approx(float(values[:rank].norm() / values.norm()), rel=2e-3)
        kept += float(values[:rank].norm()) ** 2
    whole = sum(float(added[f"{place[1]}.weight"].norm()) ** 2 for place in own)
    assert found["kept"] == pytest.approx(math.sqrt(kept / whole), rel=2e-3)
    everything = sum(float(change.norm()) ** 2 for change in added.values())
    assert found["kept_of_all"] == pytest.approx(math.sqrt(kept / everything), rel=2e-3)
    assert found["left_out"]["count"] > 100  # norms, biases and convolutions changed, too


def test_a_file_of_a_size_is_no_larger_and_better_than_one_rank_for_all(sd15: Path, tmp_path: Path) -> None:
    _tuned(sd15, tmp_path / "tuned", uneven=True)
    even, _report = extract(sd15, tmp_path / "tuned", tmp_path / "a.safetensors", value=5, precision="fp16")
    asked = {"rule": "size", "value": even["size"] / 1e6, "precision": "fp16"}
    found, _report = extract(sd15, tmp_path / "tuned", tmp_path / "b.safetensors", **asked)
    assert 0.9 * even["size"] < found["size"] <= even["size"]
    assert found["size"] == (tmp_path / "b.safetensors").stat().st_size
    assert found["kept"] > even["kept"]


def test_the_full_difference_gives_the_tuned_model_back(sd15: Path, tmp_path: Path) -> None:
    """Norms and biases, too: baked into the base it is the tuned model."""
    _tuned(sd15, tmp_path / "tuned")
    found, _report = extract(sd15, tmp_path / "tuned", tmp_path / "full.safetensors", kind="full")
    assert (found["kept"], found["left_out"]["count"]) == (1.0, 0)
    bake(sd15, tmp_path / "again", tmp_path / "full.safetensors")
    wanted, own = load_file(tmp_path / "tuned" / PART), load_file(tmp_path / "again" / PART)
    assert all(torch.allclose(own[name], tensor, atol=1e-6) for name, tensor in wanted.items())


def test_rounding_alone_is_no_change(sd15: Path, tmp_path: Path) -> None:
    """A base in float32 and the same in half precision differ in every number, and in nothing."""
    bake(sd15, tmp_path / "wide", lora(tmp_path / "a.safetensors", "sd15", sd15))
    shutil.copytree(tmp_path / "wide", tmp_path / "half")
    for file in (tmp_path / "half").rglob("*.safetensors"):
        save_file({name: tensor.half() for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})
    with pytest.raises(UserError) as caught:
        extract(tmp_path / "wide", tmp_path / "half", tmp_path / "out.safetensors")
    assert caught.value.code == "lora.nothing"


def test_layers_that_did_not_change_are_not_in_the_file(sd15: Path, tmp_path: Path) -> None:
    file = lora(tmp_path / "a.safetensors", "sd15", sd15)
    bake(
        sd15,
        tmp_path / "tuned",
        file,
        blocks="default=0,M00=1",
        loras=[{"file": str(file), "blocks": "default=0,M00=1"}],
    )
    extract(sd15, tmp_path / "tuned", tmp_path / "out.safetensors")
    own = deltas(tmp_path / "out.safetensors", "sd15")
    assert own
    assert all(path.startswith("mid_block.") for _part, path in own)


def test_the_file_says_what_was_kept(sd15: Path, tmp_path: Path) -> None:
    _tuned(sd15, tmp_path / "tuned")
    found, _report = extract(sd15, tmp_path / "tuned", tmp_path / "out.safetensors", value=2)
    with safe_open(tmp_path / "out.safetensors", framework="pt") as file:
        told = file.metadata()
    assert (told["ss_network_dim"], told["ss_network_alpha"]) == ("2", "2")
    assert told["ss_base_model_version"] == facts_for("sd15").versions("epsilon")[0]
    (entry,) = json.loads(told["lora_tui_history"])
    assert entry["kept"] == pytest.approx(found["kept"])
    assert (entry["base"], entry["tuned"]) == ("sd15", "tuned")
    assert len(told["sshs_model_hash"]) == 64


def test_what_cannot_be_extracted_is_refused(sd15: Path, tmp_path: Path) -> None:
    flux = written("flux", tmp_path / "flux")
    _tuned(sd15, tmp_path / "tuned")
    out = tmp_path / "out.safetensors"
    there = tmp_path / "there.safetensors"
    there.write_bytes(b"mine")
    broken = load_file(tmp_path / "tuned" / PART)
    cases: list[tuple[Path, Path, Path, str, dict[str, Any]]] = [
        (sd15, flux, out, "lora.family", {}), (sd15, sd15, out, "lora.nothing", {}),
        (sd15, tmp_path / "tuned", there, "file.exists", {}), (sd15, tmp_path / "nix", out, "weights.unreadable", {}),
        (sd15, tmp_path / "tuned", out, "lora.options", {"value": 0}),
        (sd15, tmp_path / "tuned", out, "lora.options", {"rule": "ratio", "value": 2}),
        (sd15, tmp_path / "tuned", out, "lora.size", {"rule": "size", "value": 0.001}),
        (sd15, tmp_path / "tuned", tmp_path / "out.bin", "file.name", {}),
    ]  # fmt: skip
    for base, tuned, target, code, options in cases:
        with pytest.raises(UserError) as caught:
            extract(base, tuned, target, **options)
        assert caught.value.code == code, str(caught.value)
    assert there.read_bytes() == b"mine"
    broken["mid_block.attentions.0.proj_in.weight"].view(-1)[3] = torch.inf
    save_file(broken, tmp_path / "tuned" / PART, metadata={"format": "pt"})
    with pytest.raises(UserError, match="mid_block"):
        extract(sd15, tmp_path / "tuned", out)
    assert not out.exists()


@pytest.mark.parametrize("falls", [0.0, 0.5, 1.0])
def test_leading_directions_keep_their_bound(falls: float) -> None:
    """Of a matrix whose singular values are known: the error stays within what is said of it, and near the best."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.linalg.qr(torch.randn(400, 400, generator=generator, dtype=torch.float64))[0]
    columns = torch.linalg.qr(torch.randn(700, 400, generator=generator, dtype=torch.float64))[0]
    values = torch.arange(1, 401, dtype=torch.float64) ** -falls
    matrix = ((rows * values) @ columns.T).float()
    for rank in (1, 8, 40, 400):
        found = leading(matrix, rank)
        error = float((matrix - found.found.first(rank).dense()).norm())
        best = float(values[rank:].norm())
        assert found.norm == pytest.approx(float(values.norm()), rel=1e-5)
        assert 1.0 <= found.further <= 1.1
        assert error <= best * min(found.further, 1.02) + 1e-5 * found.norm
