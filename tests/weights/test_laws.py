"""One sum, however it comes to a model: beside it live, weighed into a file, merged, baked, cut, and extracted again.

What layers give and what is drawn, in float32, for small random models of every family.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from interop_table import drawn
from lora_files import added, done
from lora_models import FAMILIES, LIGHT, UNETS, lora, opened, written
from safetensors.torch import save_file
from torch import Tensor, nn

from lora_tui.families import facts_for
from lora_tui.sampling.lora import apply_lora
from lora_tui.weights.base import open_base
from lora_tui.weights.base_reader import BaseReader
from lora_tui.weights.blocks import block_weights
from lora_tui.weights.delta import open_adapter
from lora_tui.weights.kinds import RANKED, Form, scales_inputs, tensor_shapes
from lora_tui.weights.lora_file import file_tensors

WEIGHTS = {
    "sd15": "IND", "sd2": "MIDD", "sdxl": "1,0.5,0,1,1,0.2,1,1,0,1,1,-1", "sd3": "BASE=0.5,J01=0",
    "flux": "D00=0.3,S01=0,CLIP=1.5", "chroma": "D00=0,S01=2", "flux2": "S00=0,D00=0.5", "zimage": "L00=0.4",
    "qwen": "B00=0",
}  # fmt: skip
WHOLE = {
    "sd15": "IN04-M00=0", "sd2": "OUT05=0", "sdxl": "M00=0", "sd3": "J01=0", "flux": "D00=0,CLIP=0", "chroma": "S01=0",
    "flux2": "S00=0", "zimage": "L00=0", "qwen": "B00=0",
}  # fmt: skip
"""Blocks left out: what turns or sizes a weight is no more or less of itself in a file."""
NEAR = 1e-5
Place = tuple[str, str]
#: A file, its strength, and the weights of its blocks.
Asked = tuple[Path, float, str]
LORA = Form("lora")
KINDS = (
    Form("lokr", factor=4), Form("loha"), Form("glora"), Form("ia3"), Form("oft"), Form("boft"), Form("full"), LORA,
    Form("loha", sizes=True), Form("lora", sizes=True),
)  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What a model draws, and what each of its layers gives for the same numbers."""

    image: Tensor
    layers: dict[Place, Tensor]

    def is_like(self, other: Seen) -> bool:
        assert self.layers.keys() == other.layers.keys()
        far = max(float((own - self.layers[place]).norm() / own.norm()) for place, own in other.layers.items())
        return far < NEAR and torch.allclose(self.image, other.image, rtol=0, atol=NEAR)


class Small:
    """A family's small model in float32, and files for it."""

    def __init__(self, family: str, folder: Path) -> None:
        self.family, self.folder = family, folder
        self.base = written(family, folder / "base")
        self.model = opened(self.base, family)
        self.seen: list[Place] = []

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.safetensors"

    def live(self, *files: Asked) -> Seen:
        applied = []
        for path, strength, blocks in files:
            one = apply_lora(self.model, path, block_weights(blocks, self.family) if blocks else None)
            one.strength = strength
            applied.append(one)
        found = self.look(self.model)
        for one in reversed(applied):
            one.remove()
        return found

    def baked(self, name: str, *files: Asked) -> Seen:
        target = self.folder / name
        done(operation="bake", base=str(self.base), target=str(target), loras=options(files), precision="fp32")
        return self.look(opened(target, self.family))

    def merged(self, name: str, *files: Asked, **more: Any) -> Path:
        done(operation="merge", target=str(self.path(name)), family=self.family, loras=options(files), **more)
        return self.path(name)

    def weighed(self, name: str, file: Path, blocks: str) -> Path:
        asked = {"file": str(file), "weights": blocks, "target": str(self.path(name)), "family": self.family}
        done(operation="blocks", **asked)
        return self.path(name)

    def extracted(self, name: str, tuned: str, **rule: Any) -> Path:
        asked = {"base": str(self.base), "tuned": str(self.folder / tuned), "target": str(self.path(name)), **rule}
        done(operation="extract", precision="fp32", **asked)
        return self.path(name)

    @torch.no_grad()
    def look(self, model: Any) -> Seen:
        parts, generator, layers = model.adapted_modules(text_encoder=True), torch.Generator().manual_seed(5), {}
        modules = {part: dict(root.named_modules()) for part, root in parts.items()}
        for part, path in self.seen:
            module = modules[part][path]
            wide = isinstance(module, nn.Conv2d)
            sides = (1, module.in_channels, 4, 4) if wide else (3, module.in_features)
            layers[part, path] = module(torch.randn(sides, generator=generator))
        return Seen(drawn(model), layers)


def options(files: Iterable[Asked]) -> list[dict[str, Any]]:
    return [{"file": str(path), "strength": strength, "blocks": blocks} for path, strength, blocks in files]


def marked(families: Collection[str], light: Collection[str] = LIGHT) -> list[Any]:
    return [name if name in light else pytest.param(name, marks=pytest.mark.slow) for name in families]


@pytest.fixture(scope="module")
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Small:
    """Of the family that the test is for."""
    return Small(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("small", marked(FAMILIES), indirect=True)
def test_live_weighed_merged_baked_cut_and_extracted_are_one_sum(small: Small) -> None:
    """Two files of other ranks, alphas, signs, layouts and layers; one with its blocks weighed."""
    family, convolutions = small.family, small.family in UNETS
    one = lora(small.path("one"), family, small.base, seed=1, rank=4, alpha=1.5)
    made = {"rank": 3, "alpha": 6.0, "layout": "kohya", "convolutions": convolutions}
    other = lora(small.path("other"), family, small.base, seed=2, **made)
    blocks = WEIGHTS[family]
    both = ((one, 0.7, blocks), (other, -0.4, ""))
    small.seen = sorted({*added(one, family), *added(other, family)})
    wanted = small.live(*both)
    assert not wanted.is_like(small.live())

    assert small.live((small.weighed("weighed", one, blocks), 0.7, ""), both[1]).is_like(wanted)
    merged = small.merged("merged", *both)
    assert small.live((merged, 1.0, "")).is_like(wanted)
    assert small.baked("baked", *both).is_like(wanted)
    kind = {"kind": "locon"} if convolutions else {}
    extracted = small.extracted("extracted", "baked", value=7, **kind)
    assert small.live((extracted, 1.0, "")).is_like(wanted)
    whole = added(merged, family)
    assert near(added(extracted, family), whole, small)

    done(operation="resize", source=str(merged), target=str(small.path("all")), family=family, keep=rank(7))
    assert small.live((small.path("all"), 1.0, "")).is_like(wanted)
    done(operation="resize", source=str(extracted), target=str(small.path("cut")), family=family, keep=rank(2))
    cut = added(small.path("cut"), family)
    for place, own in whole.items():
        best = float(torch.linalg.svdvals(own)[2:].norm())
        assert float((cut[place] - own).norm()) == pytest.approx(best, rel=NEAR, abs=NEAR * float(own.norm())), place


def rank(value: int) -> dict[str, Any]:
    return {"rule": "rank", "value": value}


def near(found: dict[Place, Tensor], wanted: dict[Place, Tensor], small: Small) -> bool:
    """Whether each layer is what it should be, but for what float32 rounds off a base model's weight."""
    assert found.keys() == wanted.keys()
    rounding = torch.finfo(torch.float32).eps
    with BaseReader(open_base(small.base)) as reader:
        return all(
            float((found[place] - own).norm()) < NEAR * float(own.norm()) + rounding * float(reader.layer(place).norm())
            for place, own in wanted.items()
        )


@pytest.mark.timeout(900)
@pytest.mark.parametrize("small", marked(FAMILIES, ["flux"]), indirect=True)
def test_lycoris_kinds_and_dora_beside_a_lora_are_one_sum_in_either_order(small: Small) -> None:
    """Every kind on some layers, at a strength between, with blocks left out, before and behind a plain LoRA."""
    family, blocks = small.family, WHOLE[small.family]
    kinds, plain = of_all_kinds(small), lora(small.path("plain"), family, small.base, seed=4, rank=2, alpha=1.0)
    small.seen = sorted({*added(plain, family), *open_adapter(kinds, family=family).layers})
    asked, beside = (kinds, 0.6, blocks), (plain, -0.5, "")
    wanted = small.live(asked, beside)
    assert not wanted.is_like(small.live())
    assert small.live(beside, asked).is_like(wanted)
    weighed = small.weighed("without", kinds, blocks)
    assert small.live((weighed, 0.6, ""), beside).is_like(wanted)
    assert small.baked("there", asked, beside).is_like(wanted)
    assert small.baked("back", beside, asked).is_like(wanted)
    merged = small.merged("sum", asked, beside, base=str(small.base))
    assert small.live((merged, 1.0, "")).is_like(wanted)
    extracted = small.extracted("difference", "there", kind="full")
    assert small.live((extracted, 1.0, "")).is_like(wanted)
    assert near(added(extracted, family), added(merged, family), small)


def of_all_kinds(small: Small) -> Path:
    """A file whose layers are of each of the kinds in turn."""
    generator, family = torch.Generator().manual_seed(3), small.family
    layers: dict[Place, dict[str, Tensor]] = {}
    with BaseReader(open_base(small.base)) as reader:
        for number, target in enumerate(facts_for(family).targets(small.base, convolutions=family in UNETS)):
            form, kernel = KINDS[number % len(KINDS)], target.kernel if target.convolution else None
            if form.kind == "ia3" and target.convolution:
                form = LORA
            if form.kind == "boft" and target.outputs % 2:
                form = LORA
            layers[target.part, target.path] = of_kind(form, target, kernel, generator, reader)
    path = small.path("kinds")
    told = {"ss_base_model_version": facts_for(family).versions("")[0]}
    save_file(file_tensors(family, layers, dtype=torch.float32), path, told)
    return path


def of_kind(form: Form, target: Any, kernel: int | None, generator: torch.Generator, reader: BaseReader) -> Any:
    sides, ones = ((kernel, kernel), (1, 1)) if kernel else ((), ())
    if form.kind == "lora":
        shapes: dict[str, Any] = {
            "lora_down.weight": (3, target.inputs, *sides), "lora_up.weight": (target.outputs, 3, *ones)
        }  # fmt: skip
    else:
        shapes = tensor_shapes(form, target.path, target.inputs, target.outputs, 4, kernel=kernel)
    found = {name: torch.randn(shape, generator=generator) * 0.1 for name, shape in shapes.items()}
    if form.kind == "ia3":
        found["on_input"] = torch.tensor(int(scales_inputs(target.path)))
    if form.sizes:
        weight = reader.layer((target.part, target.path))
        rows = weight.transpose(0, 1).flatten(1).norm(dim=1)
        found["dora_scale"] = (rows * (1 + 0.3 * torch.rand(rows.shape, generator=generator))).view(1, -1, *ones)
    if form.kind in ("lora", *RANKED):
        found["alpha"] = torch.tensor(3.0 / math.sqrt(2))
    return found
