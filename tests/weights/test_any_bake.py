"""Baking and extracting by arithmetic on whole matrices, for any ranks, alphas, strengths, types, kernels and gaps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lora_files import ALPHA, DOWN, UP, added, by_hand, done, written
from safetensors.torch import load_file, save_file
from torch import Tensor

from lora_tui.errors import UserError

PREFIX = "model.diffusion_model.input_blocks"
WEIGHTS = {
    ("unet", "down_blocks.0.resnets.0.conv1"): (f"{PREFIX}.1.0.in_layers.2", (6, 4, 3, 3)),
    ("unet", "down_blocks.0.attentions.0.proj_in"): (f"{PREFIX}.1.1.proj_in", (6, 6, 1, 1)),
    ("unet", "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"): (
        f"{PREFIX}.1.1.transformer_blocks.0.attn2.to_k", (6, 9)
    ),
}  # fmt: skip
"""Layers of a UNet of the original names: a wide convolution, one that is a matrix, and a matrix."""
TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
ANY = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
Place = tuple[str, str]


def base(path: Path, dtype: torch.dtype) -> dict[Place, Tensor]:
    """A model of nothing but these layers, and one that no LoRA changes; its weights by layer, float64."""
    generator = torch.Generator().manual_seed(7)
    own = {name: torch.randn(shape, generator=generator).to(dtype) for name, shape in WEIGHTS.values()}
    rest = {f"{PREFIX}.0.0.weight": torch.randn(6, 4, 3, 3, generator=generator).to(dtype)}
    save_file({f"{name}.weight": one for name, one in own.items()} | rest, path)
    return {place: own[name].double() for place, (name, _shape) in WEIGHTS.items()}


def layers(rank: int, alpha: float | None, seed: int, dtype: torch.dtype, gap: int) -> dict[Place, dict[str, Tensor]]:
    """Random matrices for the layers but the one numbered ``gap``."""
    generator, found = torch.Generator().manual_seed(seed), {}
    for number, (place, (_name, (outputs, *rest))) in enumerate(WEIGHTS.items()):
        pair = {
            DOWN: torch.randn(rank, *rest, generator=generator).to(dtype) * 0.3,
            UP: torch.randn(outputs, rank, *[1] * (len(rest) - 1), generator=generator).to(dtype) * 0.3,
        }
        if number != gap:
            found[place] = pair | ({} if alpha is None else {ALPHA: torch.tensor(alpha)})
    return found


file = st.tuples(
    st.integers(1, 7), st.sampled_from([None, 0.0, 1.0, -2.0, 0.3, 16.0]), st.integers(0, 99),
    st.sampled_from(list(TYPES.values())), st.integers(0, 5),
)  # fmt: skip


@ANY
@given(
    files=st.lists(file, min_size=1, max_size=3),
    strengths=st.lists(st.sampled_from([1.0, 0.0, -1.0, 0.35, 2.5]), min_size=3, max_size=3),
    stored=st.sampled_from(list(TYPES.values())),
    precision=st.sampled_from(["keep", *TYPES]),
)
def test_a_bake_is_the_sum_rounded_once(
    tmp_path: Path, files: list[tuple[int, float | None, int, torch.dtype, int]], strengths: list[float],
    stored: torch.dtype, precision: str,
) -> None:  # fmt: skip
    """And what is said to have survived is what has; a weight that nothing is added to keeps its bytes."""
    weights = base(tmp_path / "base.safetensors", stored)
    changes: dict[Place, Tensor] = {}
    loras = []
    for number, (one, strength) in enumerate(zip(files, strengths, strict=False)):
        made = layers(*one)
        path = written(tmp_path / f"{number}.safetensors", "sd15", made)
        loras.append({"file": str(path), "strength": strength})
        for place, own in made.items():
            if strength:
                change = strength * by_hand(own).reshape(weights[place].shape)
                changes[place] = changes.get(place, torch.zeros_like(change)) + change
    target = tmp_path / "out.safetensors"
    asked: dict[str, Any] = {
        "operation": "bake",
        "base": str(tmp_path / "base.safetensors"),
        "target": str(target),
        "loras": loras,
    }
    asked |= {"precision": precision, "force": True}
    if not changes:
        with pytest.raises(UserError) as error:
            done(**asked)
        assert error.value.code == "lora.nothing"
        return
    told = done(**asked)
    baked, own_type = load_file(target), TYPES.get(precision, stored)
    before = load_file(tmp_path / "base.safetensors")
    for place, (name, _shape) in WEIGHTS.items():
        found, meant = baked[f"{name}.weight"], weights[place] + changes.get(place, torch.zeros(()))
        assert found.dtype == own_type
        if place not in changes:
            assert torch.equal(found, before[f"{name}.weight"].to(own_type))
            continue
        least = torch.finfo(own_type)
        far = (found.double() - meant).abs()
        size = weights[place].abs() + sum((one.abs() for one in (meant, changes[place])), torch.zeros(()))
        assert bool((far <= 0.51 * least.eps * meant.abs() + 1e-6 * size + least.tiny).all())
        kept = next(layer for layer in told["layers_kept"] if layer["layer"] == ".".join(place))
        change, real = changes[place], found.double() - before[f"{name}.weight"].to(own_type).double()
        if float(change.norm()) > 1e-3:
            share = float((real * change).sum() / change.norm() ** 2)
            assert kept["survived"] == pytest.approx(share, abs=1e-4)
            assert kept["norm"] == pytest.approx(float(change.norm()), rel=1e-3)


@ANY
@given(one=file, strength=st.sampled_from([1.0, -1.0, 0.35, 2.5]), saved=st.sampled_from(list(TYPES)),
       rank=st.integers(1, 9), stored=st.sampled_from(list(TYPES.values())))  # fmt: skip
def test_what_is_extracted_is_the_best_of_what_was_baked(
    tmp_path: Path, one: tuple[int, float | None, int, torch.dtype, int], strength: float, saved: str, rank: int,
    stored: torch.dtype,
) -> None:  # fmt: skip
    """Of any rank, in any type; layers that did not change are not in it."""
    weights = base(tmp_path / "base.safetensors", stored)
    made = layers(*one)
    lora = written(tmp_path / "a.safetensors", "sd15", made)
    source, tuned, target = (str(tmp_path / f"{name}.safetensors") for name in ("base", "tuned", "out"))
    asked = {"loras": [{"file": str(lora), "strength": strength}], "precision": "fp32", "force": True}
    done(operation="bake", base=source, target=tuned, **asked)
    after = load_file(tuned)
    changes = {
        place: after[f"{WEIGHTS[place][0]}.weight"].double() - weights[place]
        for place, own in made.items()
        if by_hand(own).any()
    }
    how = {"kind": "locon", "value": rank, "precision": saved, "force": True}
    if not changes:
        with pytest.raises(UserError) as error:
            done(operation="extract", base=source, tuned=tuned, target=target, **how)
        assert error.value.code == "lora.nothing"
        return
    told = done(operation="extract", base=source, tuned=tuned, target=target, **how)
    found = added(Path(target), "sd15")
    changes = {place: one for place, one in changes.items() if not _only_rounded(weights[place], one, stored)}
    assert found.keys() == changes.keys()
    rounding = 4 * torch.finfo(TYPES[saved]).eps
    for place, change in changes.items():
        matrix = change.flatten(1)
        values = torch.linalg.svdvals(matrix)
        error = float((found[place] - matrix).norm())
        assert error == pytest.approx(float(values[rank:].norm()), abs=(rounding + 1e-5) * float(values.norm()))
        row = next(layer for layer in told["layers_kept"] if layer["layer"] == ".".join(place))
        assert row["rank"] <= min(rank, *matrix.shape)  # directions of rounding alone are left out
        assert row["kept"] == pytest.approx(float(values[:rank].norm() / values.norm()), abs=1e-4)


def _only_rounded(weight: Tensor, change: Tensor, stored: torch.dtype) -> bool:
    """Whether the base's type does not tell the two apart."""
    return torch.equal(weight.to(stored), (weight + change).float().to(stored))
