"""Files weighed by block, measured by block, and compared with each other."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lora_models import FAMILIES, LIGHT, Listener, lora, opened, predicted, written
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lora_tui.errors import UserError
from lora_tui.families import facts_for
from lora_tui.sampling.lora import apply_lora
from lora_tui.weights.blocks import block_weights, slot_of
from lora_tui.weights.delta import delta, open_adapter
from lora_tui.weights.kinds import RANKED, Form, scales_inputs, tensor_shapes
from lora_tui.weights.lora_file import file_tensors
from lora_tui.weights.work import work

WEIGHTS = {"flux": "D00=0.3,S01=0,CLIP=1.5", "sd3": "BASE=0.5,J01=0", "qwen": "B00=0", "zimage": "L00=0.4"}
WEIGHTS |= {"chroma": "D00=0,S01=2", "flux2": "S00=0,D00=0.5", "sd15": "IND", "sd2": "MIDD"}
WEIGHTS |= {"sdxl": "1,0.5,0,1,1,0.2,1,1,0,1,1,-1"}


def done(operation: str, **options: Any) -> dict[str, Any]:
    return work(
        {"operation": operation, **{k: str(v) if isinstance(v, Path) else v for k, v in options.items()}}, Listener()
    )


@pytest.mark.parametrize("layout", [pytest.param("auto", marks=pytest.mark.slow), "kohya"])
@pytest.mark.parametrize("family", [n if n in LIGHT else pytest.param(n, marks=pytest.mark.slow) for n in FAMILIES])
def test_a_weighed_file_does_what_weighing_it_live_does(tmp_path: Path, family: str, layout: Any) -> None:
    base, weights = written(family, tmp_path / "base"), WEIGHTS[family]
    file = lora(tmp_path / "a.safetensors", family, base, layout=layout)
    target = tmp_path / "b.safetensors"
    found = done("blocks", file=file, weights=weights, target=target, family=family)
    one, other = opened(base, family), opened(base, family)
    apply_lora(one, file, block_weights(weights, family))
    apply_lora(other, target)
    wanted = predicted(one)
    assert float((predicted(other) - wanted).norm() / wanted.norm()) < 1e-6
    assert found["size"] == target.stat().st_size
    with safe_open(target, framework="pt") as written_file:
        assert json.loads(written_file.metadata()["lora_tui_blocks"])["weights"] == weights


def test_blocks_are_measured_by_what_is_added_in_them(tmp_path: Path) -> None:
    base = written("sd15", tmp_path / "base")
    file = lora(tmp_path / "a.safetensors", "sd15", base, convolutions=True)
    found = done("blocks", file=file)
    sums: dict[str, float] = {}
    for place, layer in open_adapter(file).layers.items():
        slot = slot_of("sd15", place)
        sums[slot] = sums.get(slot, 0.0) + float(delta(layer).double().norm()) ** 2
    assert {block["block"]: block["norm"] for block in found["blocks"]} == pytest.approx(
        {slot: math.sqrt(value) for slot, value in sums.items()}, rel=1e-5
    )
    assert sum(block["share"] for block in found["blocks"]) == pytest.approx(1)


def test_every_kind_is_weighed_by_one_of_its_factors(tmp_path: Path) -> None:
    """LoHa, LoKr, GLoRA, (IA)^3, whole differences, norms; OFT is refused unless a block is left or taken whole."""
    base, generator = written("sd15", tmp_path / "base"), torch.Generator().manual_seed(3)
    kinds = [Form("lokr", factor=4), Form("loha"), Form("glora"), Form("ia3"), Form("full")]
    layers: dict[tuple[str, str], dict[str, torch.Tensor]] = {}
    for number, target in enumerate(facts_for("sd15").targets(base, text_encoder=False)):
        form = kinds[number % len(kinds)]
        kernel = target.kernel if target.convolution else None
        shapes = tensor_shapes(form, target.path, target.inputs, target.outputs, 4, kernel=kernel)
        tensors = {name: torch.randn(shape, generator=generator) * 0.1 for name, shape in shapes.items()}
        if form.kind == "ia3":
            tensors["on_input"] = torch.tensor(int(scales_inputs(target.path)))
        layers[target.part, target.path] = tensors | ({"alpha": torch.tensor(3.0)} if form.kind in RANKED else {})
    layers["unet", "mid_block.attentions.0.norm"] = {name: torch.full((64,), 0.3) for name in ("w_norm", "b_norm")}
    save_file(file_tensors("sd15", layers, dtype=torch.float32), tmp_path / "a.safetensors")
    weights = "IN01-IN08=0.3,M00=-0.5,OUT05=0"
    done("blocks", file=tmp_path / "a.safetensors", weights=weights, target=tmp_path / "b.safetensors")
    one, other = opened(base, "sd15"), opened(base, "sd15")
    apply_lora(one, tmp_path / "a.safetensors", block_weights(weights, "sd15"))
    apply_lora(other, tmp_path / "b.safetensors")
    wanted = predicted(one)
    assert float((predicted(other) - wanted).norm() / wanted.norm()) < 1e-5

    place = next(iter(layers))
    target = next(t for t in facts_for("sd15").targets(base) if (t.part, t.path) == place)
    shapes = tensor_shapes(Form("oft"), target.path, target.inputs, target.outputs, 4, kernel=1)
    layers[place] = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    save_file(file_tensors("sd15", layers, dtype=torch.float32), tmp_path / "c.safetensors")
    with pytest.raises(UserError) as caught:
        done("blocks", file=tmp_path / "c.safetensors", weights="IN01=0.5", target=tmp_path / "d.safetensors")
    assert caught.value.code == "lora.not_linear"
    found = done("blocks", file=tmp_path / "c.safetensors", weights="IN01=0", target=tmp_path / "d.safetensors")
    assert found["unmeasured"] > 0
    assert done("blocks", file=tmp_path / "c.safetensors", base=base)["unmeasured"] == 0


def test_all_ones_changes_no_number_and_all_noughts_are_refused(tmp_path: Path) -> None:
    base = written("sd15", tmp_path / "base")
    file = lora(tmp_path / "a.safetensors", "sd15", base)
    before = file.read_bytes()
    done("blocks", file=file, weights="ALL", target=tmp_path / "b.safetensors")
    own, same = load_file(file), load_file(tmp_path / "b.safetensors")
    assert own.keys() == same.keys()
    assert all(torch.equal(own[name], same[name]) for name in own)
    for options, code in (
        ({"weights": "NONE", "target": tmp_path / "c.safetensors"}, "lora.nothing"),
        ({"weights": "ALL", "target": file}, "lora.same_file"),
        ({"weights": "ALL", "target": tmp_path / "b.safetensors"}, "file.exists"),
        ({"weights": "INS,1"}, "lora.blocks"),
    ):
        with pytest.raises(UserError) as caught:
            done("blocks", file=file, **options)
        assert caught.value.code == code
    assert file.read_bytes() == before
    assert not (tmp_path / "c.safetensors").exists()


def test_two_files_are_compared_without_making_a_layer_whole(tmp_path: Path) -> None:
    """Cosines, norms together and shared directions, against the same from whole matrices in float64."""
    base = written("sd15", tmp_path / "base")
    one = lora(tmp_path / "a.safetensors", "sd15", base, seed=1, rank=3)
    two = lora(tmp_path / "b.safetensors", "sd15", base, seed=2, rank=5, layout="diffusers", text=False)
    loras = [{"file": str(one), "strength": 0.7}, {"file": str(two), "strength": -1.2}]
    found = done("compare", loras=loras)
    first, second = (
        {place: scale * delta(layer).flatten(1).double() for place, layer in open_adapter(file).layers.items()}
        for file, scale in ((one, 0.7), (two, -1.2))
    )
    assert found["alone"] == [len(first.keys() - second.keys()), 0]
    for block in found["blocks"]:
        places = [place for place in first if slot_of("sd15", place) == block["block"]]
        both = [(first[place], second[place]) for place in places if place in second]
        squares = [sum(float(own[p].norm()) ** 2 for p in places if p in own) for own in (first, second)]
        assert block["norms"] == pytest.approx([math.sqrt(value) for value in squares], rel=1e-5)
        if not both:
            assert block["cosine"] is None
            continue
        inner = sum(float((a * b).sum()) for a, b in both)
        assert block["cosine"] == pytest.approx(inner / math.sqrt(squares[0] * squares[1]), abs=1e-5)
        together = sum(float((a + b).norm()) ** 2 for a, b in both)
        assert block["together"] == pytest.approx(math.sqrt(together / sum(squares)), rel=1e-5)
        met = 0.0
        for a, b in both:
            for this, that in ((a, b), (b, a)):
                left, values, _right = torch.linalg.svd(that, full_matrices=False)
                met += float((left[:, values > 1e-6 * values[0]].T @ this).norm()) ** 2
        assert block["outputs"] == pytest.approx(met / sum(squares), rel=1e-4)


def test_the_same_file_is_wholly_alike_and_one_of_another_family_is_refused(tmp_path: Path) -> None:
    base, flux = written("sd15", tmp_path / "base"), written("flux", tmp_path / "flux")
    file = lora(tmp_path / "a.safetensors", "sd15", base)
    same = done("compare", loras=[{"file": str(file)}, {"file": str(file), "strength": 2.0}])["whole"]
    assert same["cosine"] == pytest.approx(1)
    assert same["together"] == pytest.approx(3 / math.sqrt(5))
    assert (same["outputs"], same["inputs"]) == (pytest.approx(1), pytest.approx(1))
    other = lora(tmp_path / "f.safetensors", "flux", flux)
    with pytest.raises(UserError) as caught:
        done("compare", loras=[{"file": str(file)}, {"file": str(other)}])
    assert caught.value.code == "lora.family"
