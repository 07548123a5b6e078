"""Files that are made of LoRA files draw what their sources draw together, for every family's small model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from interop_lycoris import by_lycoris
from interop_table import CPU, Family, _of_pipeline, _ours, _same, drawn
from lora_files import done, merged
from torch import Tensor

from lora_tui.config.schema import NetworkSection
from lora_tui.sampling.lora import apply_lora
from lora_tui.trainer.adapters.kinds import attach
from lora_tui.weights.lora_file import file_tensors, write_lora
from lora_tui.weights.names import NAMES
from lora_tui.weights.names.programs import PROGRAMS
from lora_tui.weights.reading import OtherLayer, layers_by_name, read_lora

#: (program, family) -> whether diffusers' own loader reads such a file; where nothing is said it does. FLUX.1's and
#: Chroma's makers' names it reads at their published width alone; OneTrainer's of transformers it makes nothing of.
UNREAD = {
    **{("peft", family): False for family in NAMES},  # a part's own file, for peft to load
    **{("onetrainer", family): False for family in NAMES if family not in ("sd15", "sd2", "sdxl")},
    **{(program, "sd3"): False for program in ("kohya", "comfyui")},
    ("comfyui", "flux2"): False,  # for the alpha
    **{("comfyui", family): False for family in ("sd15", "sd2", "sdxl")},
    **{(program, family): False for program in ("kohya", "comfyui", "ai-toolkit") for family in ("flux", "chroma")},
}
LORAS: dict[str, dict[str, Any]] = {"one": {"rank": 4, "alpha": 1.5}, "other": {"rank": 3, "alpha": 6.0}}


def trained(family: Family, name: str, seed: int, settings: dict[str, Any]) -> Path:
    """A file as the trainer writes it, with numbers in every matrix."""
    model = family.opened()
    network = NetworkSection(**settings)
    modules = model.adapted_modules(text_encoder=True)
    targets = model.targets(text_encoder=True, convolutions=network.convolutions)
    exported: Any = attach(network, modules, targets, seed=seed, device=CPU).export()
    generator = torch.Generator().manual_seed(seed)
    for tensors in exported.values():
        for kind, one in tensors.items():
            if one.is_floating_point() and one.dim() and not kind.startswith(("dora", "alpha")):
                one.data.copy_(torch.randn(one.shape, generator=generator) * 0.02)
    path = family.folder / f"{family.name}-{name}.safetensors"
    write_lora(path, file_tensors(family.name, exported, dtype=torch.float32), {})
    return path


def live(family: Family, *files: tuple[Path, float]) -> Tensor:
    """The image with all of them beside the base model's layers."""
    applied = []
    for path, strength in files:
        lora = apply_lora(family.plain, path)
        lora.strength = strength
        applied.append(lora)
    image = drawn(family.plain)
    for lora in reversed(applied):
        lora.remove()
    return image


def same(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-5)


def check_family(name: str, folder: Path, programs: tuple[str, ...], kinds: tuple[str, ...]) -> None:
    family = Family(name, folder)
    conv = {"type": "locon", "conv_rank": 2, "conv_alpha": 0.5} if family.plain.facts.denoiser == "unet" else {}
    one = trained(family, "one", 1, LORAS["one"])
    other = trained(family, "other", 2, {**LORAS["other"], **conv})
    both = live(family, (one, 0.7), (other, -0.4))
    assert not same(both, family.image)
    out = folder / "merged.safetensors"
    merged(out, name, (one, 0.7), (other, -0.4))
    assert same(live(family, (out, 1.0)), both)
    _read_by_others(family, out)
    for program in programs:
        _converted(family, one, program)
    for kind in kinds:
        settings = {"rank": 2, "alpha": 1.0, "type": kind}
        file = trained(family, kind, 3, settings)
        together = folder / f"{kind}-merged.safetensors"
        merged(together, name, (file, 0.5), (one, 1.0))
        assert same(live(family, (together, 1.0)), live(family, (file, 0.5), (one, 1.0))), kind
        plain = folder / f"{kind}-plain.safetensors"
        done(operation="convert", source=str(file), target=str(plain), family=name, **{"as": "lora"})
        assert not any(isinstance(layer, OtherLayer) for layer in read_lora(plain).all.values())
        assert same(live(family, (plain, 1.0)), live(family, (file, 1.0))), kind


def _read_by_others(family: Family, merged_file: Path) -> None:
    """diffusers' and LyCORIS' own loaders find in merged, cut and extracted files what ours does, layer by layer."""
    cut, extracted = family.folder / "cut.safetensors", family.folder / "extracted.safetensors"
    keep = {"rule": "rank", "value": 2}
    done(operation="resize", source=str(merged_file), target=str(cut), family=family.name, keep=keep)
    tuned, base = str(family.folder / "tuned"), str(family.base)
    done(operation="bake", base=base, target=tuned, loras=[{"file": str(merged_file)}], precision="fp32")
    kind = "locon" if family.plain.facts.denoiser == "unet" else "lora"
    asked = {"base": base, "tuned": tuned, "kind": kind, "value": 7, "precision": "fp32"}
    done(operation="extract", target=str(extracted), **asked)
    for path in (merged_file, cut, extracted):
        _by_diffusers(family, path)
        kohya = path.with_name(f"{path.stem}-lycoris.safetensors")
        done(operation="convert", source=str(path), target=str(kohya), family=family.name, to="onetrainer")
        layers = read_lora(kohya).layers
        own = layers_by_name(family.name, family.plain_places())
        places = {own[name]: name for name in layers}
        image = live(family, (path, 1.0))
        assert by_lycoris(family, kohya, places, image) is True, path.name


def _by_diffusers(family: Family, path: Path) -> None:
    wanted = _ours(family.name, path, dict.fromkeys(family.plain_places(), torch.zeros(())))
    family.pipe.load_lora_weights(str(path.parent), weight_name=path.name, adapter_name="a")
    found = _of_pipeline(family.pipe)
    family.pipe.unload_lora_weights()
    assert _same(wanted, found), path.name


def _converted(family: Family, source: Path, program: str) -> None:
    """Under the program's names the file draws the same, and diffusers' loader adds the same where it reads them."""
    path = family.folder / f"{program}.safetensors"
    parts = family.plain.adapted_modules(text_encoder=True)
    options = {"without_text": True} if program == "peft" and len(parts) > 1 else {}
    done(operation="convert", source=str(source), target=str(path), family=family.name, to=program, **options)
    if not options:
        assert same(live(family, (path, 1.0)), live(family, (source, 1.0))), program
    wanted = _ours(family.name, source, dict.fromkeys(family.plain_places(), torch.zeros(())))
    if options:
        wanted = {place: one for place, one in wanted.items() if not place[0].startswith("text")}
    assert _same(wanted, _ours(family.name, path, wanted)), program
    if UNREAD.get((program, family.name), True):
        _by_diffusers(family, path)


def test_merged_resized_and_converted_files_draw_what_their_sources_draw(tmp_path: Path) -> None:
    check_family("flux", tmp_path, ("kohya", "ai-toolkit"), ("loha",))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
def test_every_family_in_every_layout(name: str, tmp_path: Path) -> None:
    check_family(name, tmp_path, PROGRAMS, ("loha", "lokr", "full"))
