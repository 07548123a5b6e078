"""Small LoRA files of every family, and what they add by arithmetic that is written here alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.families import facts_for
from lora_tui.weights.delta import open_adapter
from lora_tui.weights.lora_file import file_tensors, write_lora
from lora_tui.weights.work import work

WIDTH = 12
Place = tuple[str, str]
Layers = dict[Place, dict[str, Tensor]]
DOWN, UP, ALPHA = "lora_down.weight", "lora_up.weight", "alpha"


class Said:
    """A report that keeps what it was told."""

    def __init__(self) -> None:
        self.warnings: list[UserError] = []

    def progress(self, phase: str, done: int, total: int, detail: str = "") -> None:
        pass

    def warn(self, error: UserError) -> None:
        self.warnings.append(error)

    def should_stop(self) -> bool:
        return False


def places(family: str, most: int = 14) -> list[Any]:
    """Some layers of a family of each sort: of its first blocks, text encoders and convolutions where it has them."""
    targets = facts_for(family).targets(convolutions=True)
    first = [one for one in targets if any(f"blocks.{n}." in one.path or f"layers.{n}." in one.path for n in (0, 1))]
    kinds: dict[str, Any] = {}
    for one in first:
        kinds.setdefault(f"{one.part}{one.path.split('.', 2)[-1]}", one)
    found = list(kinds.values())
    return found[:: max(1, len(found) // most)] if len(found) > most else found


def sizes(target: Any) -> tuple[int, int]:
    """Outputs and inputs, small, with the ratios that makers' layers with several in one need."""
    wide = target.outputs // target.inputs if target.outputs % target.inputs == 0 else 0
    deep = target.inputs // target.outputs if target.inputs % target.outputs == 0 else 0
    if target.path.endswith(("to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj")):
        return WIDTH, WIDTH
    if target.path.endswith("single_transformer_blocks.0.proj_out"):
        return WIDTH, 5 * WIDTH
    return (WIDTH * max(wide, 1), WIDTH * max(deep, 1)) if wide or deep else (WIDTH + 5, WIDTH + 3)


def layers(
    targets: Iterable[Any], rank: int, alpha: float | None, seed: int, *, dtype: torch.dtype = torch.float32
) -> Layers:
    """Random LoRA layers; without an alpha where that is none."""
    generator = torch.Generator().manual_seed(seed)
    found: Layers = {}
    for target in targets:
        outputs, inputs = sizes(target)
        kernel = (target.kernel, target.kernel) if target.convolution else ()
        own = {
            DOWN: torch.randn(rank, inputs, *kernel, generator=generator).to(dtype) * 0.3,
            UP: torch.randn(outputs, rank, *[1] * len(kernel), generator=generator).to(dtype) * 0.3,
        }
        found[target.part, target.path] = own | ({} if alpha is None else {ALPHA: torch.tensor(float(alpha))})
    return found


def written(path: Path, family: str, found: Layers, layout: Any = "auto", **metadata: str) -> Path:
    """The file of ``found``, in the types that it has."""
    whole = {place: {ALPHA: torch.tensor(float(own[DOWN].shape[0])), **own} if DOWN in own else own
             for place, own in found.items()}  # fmt: skip
    dtype = next(one.dtype for own in found.values() for name, one in own.items() if name != ALPHA)
    tensors = file_tensors(family, whole, dtype=dtype, layout=layout)
    without = {place for place, own in found.items() if DOWN in own and ALPHA not in own}
    if without:
        tensors = {name: one for name, one in tensors.items() if not name.endswith(".alpha")}
    write_lora(path, tensors, metadata)
    return path


def by_hand(own: Mapping[str, Tensor]) -> Tensor:
    """What a LoRA layer adds: up @ down * alpha / rank, float64."""
    down, up = own[DOWN].double(), own[UP].double()
    alpha = float(own.get(ALPHA, torch.tensor(float(down.shape[0]))))
    return torch.einsum("or,ri->oi", up.flatten(1), down.flatten(1)) * (alpha / down.shape[0])


def added(path: Path, family: str) -> dict[Place, Tensor]:
    """What a file adds to each layer, as its reader finds it; those to which it adds nothing are left out."""
    adapter = open_adapter(path, family=family)
    found = {place: adapter.delta(place).double().flatten(1) for place in adapter.layers}
    return {place: one for place, one in found.items() if one.any()}


def done(**options: Any) -> dict[str, Any]:
    """What comes of an operation."""
    return work(options, Said())


def merged(target: Path, family: str, *files: Any, **options: Any) -> dict[str, Any]:
    """``files`` are (path, strength) or (path, strength, of text encoders)."""
    loras = [{"file": str(one[0]), "strength": one[1], "text": one[2] if len(one) > 2 else None} for one in files]
    return done(operation="merge", target=str(target), family=family, loras=loras, **options)


def same_tensors(one: Path, other: Path) -> bool:
    """Whether two files have the same tensors to the bit."""
    first, second = load_file(one), load_file(other)
    return first.keys() == second.keys() and all(
        first[name].dtype == second[name].dtype and torch.equal(first[name], second[name]) for name in first
    )


def apart(wanted: Mapping[Place, Tensor], found: Mapping[Place, Tensor]) -> float:
    """The largest difference of a layer, of its own norm; infinite where the layers are not the same ones."""
    if wanted.keys() != found.keys():
        return float("inf")
    return max(float((found[place] - one).norm() / one.norm()) for place, one in wanted.items())
