"""What an adapter of any kind adds to each layer, from its file alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from lora_tui.errors import UserError
from lora_tui.families import facts_for
from lora_tui.weights.delta import open_adapter
from lora_tui.weights.kinds import Form, tensor_shapes
from lora_tui.weights.lora_file import file_tensors
from lora_tui.weights.names import NAMES, names_for
from lora_tui.weights.names.known import known_names
from lora_tui.weights.places import places_by_name

CONV, LINEAR = (
    ("unet", "down_blocks.1.resnets.0.conv2"),
    ("unet", "mid_block.attentions.0.transformer_blocks.0.ff.net.2"),
)
PROJECTION = ("unet", "down_blocks.0.attentions.0.proj_in")


def written(folder: Path, layers: dict[tuple[str, str], dict[str, Tensor]], family: str = "sd15") -> Path:
    file = folder / "x.safetensors"
    save_file(file_tensors(family, layers, dtype=torch.float32), file)
    return file


def randoms(form: Form, inputs: int, outputs: int, kernel: int | None, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = tensor_shapes(form, "x", inputs, outputs, 2, kernel=kernel)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


@pytest.mark.parametrize("family", NAMES)
def test_every_layer_of_every_family_is_known_by_each_of_its_names(family: str) -> None:
    targets = facts_for(family).targets(convolutions=True)
    names = {name: (t.part, t.path) for t in targets for name in known_names(family, t.part, t.path)}
    found = places_by_name(family, names)
    wrong = {name for name, place in names.items() if found[name] != place and name.count(".") > 0}
    assert {name for name in wrong if not name.startswith("transformer.")} == set()
    own = {names_for(family).tensor_name(t.part, t.path, "alpha").removesuffix(".alpha"): t for t in targets}
    assert all(places_by_name(family, own)[name] == (t.part, t.path) for name, t in own.items())


@pytest.mark.parametrize("kind", ["loha", "lokr"])
@pytest.mark.parametrize("kernel", [None, 3])
@pytest.mark.parametrize("tucker", [False, True])
def test_products_of_products_are_two_thin_matrices(
    tmp_path: Path, kind: str, kernel: int | None, tucker: bool
) -> None:
    """By LyCORIS' own formulas, written out: LoHa multiplies two products, LoKr takes Kronecker's of two matrices."""
    place = CONV if kernel else LINEAR
    own = randoms(Form(kind, tucker=tucker), 48, 64, kernel)
    file = written(tmp_path, {place: {**own, "alpha": torch.tensor(0.5)}})
    adapter = open_adapter(file)
    factors = adapter.factors(place)
    assert factors is not None and factors.rank < 48
    shape = (64, 48, 3, 3) if kernel else (64, 48)
    whole = _by_hand(kind, own).reshape(shape) * 0.25
    assert factors.shape == shape
    assert torch.allclose(factors.dense(), whole, atol=1e-5)
    assert torch.allclose(adapter.delta(place), whole, atol=1e-5)
    assert factors.norm() == pytest.approx(float(whole.norm()), rel=1e-5)


def _by_hand(kind: str, own: dict[str, Tensor]) -> Tensor:
    def product(first: str, second: str, core: str) -> Tensor:
        if core in own:
            return torch.einsum("abkl,ao,bi->oikl", own[core], own[first], own[second])
        return own[first] @ own[second]

    if kind == "loha":
        return product("hada_w1_a", "hada_w1_b", "hada_t1") * product("hada_w2_a", "hada_w2_b", "hada_t2")
    first, second = own["lokr_w1"], product("lokr_w2_a", "lokr_w2_b", "lokr_t2")
    return torch.einsum("ab,cd...->acbd...", first, second).flatten(0, 1).flatten(1)


def test_a_layer_of_1x1_convolutions_has_their_shape_also_where_the_file_keeps_it_flat(tmp_path: Path) -> None:
    file = written(tmp_path, {PROJECTION: randoms(Form("loha"), 8, 8, None)})
    assert tuple(open_adapter(file).delta(PROJECTION).shape) == (8, 8, 1, 1)


def test_what_depends_on_the_weight_is_told_apart_from_what_is_a_sum(tmp_path: Path) -> None:
    pair = {"lora_down.weight": torch.randn(2, 6), "lora_up.weight": torch.randn(5, 2), "alpha": torch.tensor(2.0)}
    file = written(tmp_path, {LINEAR: {**pair, "dora_scale": torch.rand(1, 6) + 0.5}})
    adapter = open_adapter(file)
    assert adapter.factors(LINEAR) is None
    with pytest.raises(ValueError, match="dora"):
        adapter.delta(LINEAR)
    weight = torch.randn(5, 6)
    whole = weight + adapter.delta(LINEAR, weight)
    assert torch.allclose(whole.norm(dim=0), adapter.layers[LINEAR].sizes.flatten(), atol=1e-5)  # type: ignore[union-attr]


def test_a_layer_that_is_there_under_the_names_of_two_programs_is_refused(tmp_path: Path) -> None:
    pair = {"lora_down.weight": torch.randn(2, 6), "lora_up.weight": torch.randn(5, 2)}
    names = [*known_names("sd15", *LINEAR)]
    tensors = {
        f"{name}.{kind}": tensor.clone() for name in (names[0], f"unet.{LINEAR[1]}") for kind, tensor in pair.items()
    }
    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(UserError) as error:
        open_adapter(tmp_path / "x.safetensors")
    assert error.value.code == "lora.twice"
