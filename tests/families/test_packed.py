"""Packed base models are packed once: read again by content and kind, never where they are damaged or another's."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from lora_tui.bench.chroma_model import write_chroma_model
from lora_tui.bench.flux_model import write_flux_model
from lora_tui.bench.model import write_model
from lora_tui.bench.sd3_model import write_sd3_model
from lora_tui.caches import contents
from lora_tui.caches.contents import contents_store, sha256_of
from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.families import open_model
from lora_tui.families.packed import packed_store
from lora_tui.families.protocol import Storage

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bases")
    return {
        "flux": write_flux_model(root / "flux"),
        "sd3": write_sd3_model(root / "sd3"),
        "chroma": write_chroma_model(root / "chroma"),
        "sdxl": write_model(root / "sdxl", family="sdxl"),
    }


def opened(base: Path, family: str, kind: str = "full", dtype: torch.dtype = torch.float32, streamed: int = 0) -> Any:
    section = ModelSection(base=str(base), family=family)  # type: ignore[arg-type]
    storage = Storage(kind, streamed)  # type: ignore[arg-type]
    return open_model(section, CaptionSection(), device=CPU, dtype=dtype, storage=storage)


def network(base: Path, family: str, kind: str, dtype: torch.dtype = torch.float32, streamed: int = 0) -> Any:
    """The network that draws, packed."""
    model = opened(base, family, kind, dtype, streamed)
    return model.adapted_modules(text_encoder=False)[model.facts.denoiser]


def same(one: Any, other: Any) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(
        mine[name].dtype == theirs[name].dtype and torch.equal(mine[name], theirs[name]) for name in mine
    )


def entries() -> list[Path]:
    return sorted(packed_store().folder.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("family", "kind", "dtype"),
    [
        ("flux", "fp8", torch.bfloat16),
        ("sd3", "nf4", torch.float32),
        ("chroma", "int8", torch.bfloat16),  # which computes a table of its own that no file holds
        ("sdxl", "int8", torch.float16),
    ],
)
def test_the_second_start_reads_what_the_first_one_packed(
    family: str, kind: str, dtype: torch.dtype, bases: dict[str, Path]
) -> None:
    first = network(bases[family], family, kind, dtype)
    assert first.packed_from == "kept" and len(entries()) == 1
    second = network(bases[family], family, kind, dtype)
    assert second.packed_from == "read" and same(first, second)
    assert not any(parameter.requires_grad for parameter in second.parameters()) and not second.training
    assert same(first, network(bases[family], family, kind, dtype, streamed=2))
    assert entries()[0].stat().st_mode & 0o777 == 0o644


def test_another_kind_precision_or_content_has_an_entry_of_its_own(bases: dict[str, Path], tmp_path: Path) -> None:
    base = Path(shutil.copytree(bases["flux"], tmp_path / "base"))
    weights = base / "transformer" / "diffusion_pytorch_model.safetensors"
    plain = {name: tensor.clone() for name, tensor in network(base, "flux", "int8").state_dict().items()}
    assert network(base, "flux", "fp8").packed_from == "kept"
    assert network(base, "flux", "int8", torch.bfloat16).packed_from == "kept"
    assert len(entries()) == 3
    facts, content = weights.stat(), bytearray(weights.read_bytes())
    content[-1] ^= 0x80  # the sign of the last weight
    weights.write_bytes(content)
    os.utime(weights, ns=(facts.st_atime_ns, facts.st_mtime_ns))  # as old and as large as before
    changed = network(base, "flux", "int8")
    assert changed.packed_from == "kept"
    assert any(not torch.equal(tensor, plain[name]) for name, tensor in changed.state_dict().items())


def test_a_damaged_entry_is_never_used(bases: dict[str, Path]) -> None:
    base = bases["flux"]
    first = network(base, "flux", "nf4")
    (entry,) = entries()
    whole = entry.read_bytes()
    bit = bytearray(whole)
    bit[len(bit) // 2] ^= 4
    another = (base / "vae" / "diffusion_pytorch_model.safetensors").read_bytes()
    for harmed in (whole[: len(whole) // 2], bytes(bit), b"", another):
        entry.write_bytes(harmed)
        again = network(base, "flux", "nf4")
        assert again.packed_from == "kept" and same(first, again)
        assert network(base, "flux", "nf4").packed_from == "read"


def test_what_is_known_of_a_model_is_not_loaded_for_its_name(
    bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all embeddings and latents are cached, neither T5 nor the VAE need be read."""
    monkeypatch.setattr(contents, "SETTLED_SECONDS", -10.0)
    for family, parts in (("flux", 3), ("sd3", 4), ("sdxl", 3)):
        first, second = opened(bases[family], family), opened(bases[family], family)
        named = [first.latent_identity(), *(first.text_identity(part) for part in first.text_parts)]
        assert len(first.loaded()) == parts
        assert named == [second.latent_identity(), *(second.text_identity(part) for part in second.text_parts)]
        assert second.loaded() == []
        other = opened(bases[family], family, dtype=torch.bfloat16)
        assert other.text_identity(other.text_parts[0]) != named[1]


def test_a_run_goes_on_where_nothing_can_be_kept(bases: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "home" / "cache").mkdir(parents=True)
    (tmp_path / "home" / "cache" / "packed").write_bytes(b"")  # a file where the folder would be
    assert network(bases["flux"], "flux", "int8").packed_from == "not_kept"


def test_the_digest_of_a_file_is_remembered_until_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"one")
    first = sha256_of(path)
    assert not list(contents_store().folder.rglob("*.txt"))  # it may still change within the tick of the clock
    os.utime(path, (1, 1))
    assert sha256_of(path) == first
    path.write_bytes(b"two")
    os.utime(path, (1, 1))
    assert sha256_of(path) != first
