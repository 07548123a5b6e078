"""LoRA files baked into base models of every family and layout: what they draw live, and not a byte of the sources."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lora_models import FAMILIES, LIGHT, UNETS, WRITERS, Listener, lora, makers_file, opened, predicted, written
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lora_tui.errors import UserError
from lora_tui.families import facts_for
from lora_tui.families.unet.model_file import write_single_file
from lora_tui.sampling.lora import apply_lora
from lora_tui.weights.blocks import block_weights
from lora_tui.weights.work import work

WEIGHTS = {"flux": "D00=0.3,S01=0,CLIP=1.5", "sd3": "BASE=0.5,J01=0", "qwen": "B00=0", "zimage": "L00=0.4"}
WEIGHTS |= {"chroma": "D00=0,S01=2", "flux2": "S00=0,D00=0.5", "sd15": "IND", "sd2": "IND"}
WEIGHTS |= {"sdxl": "1,0.5,0,1,1,0.2,1,1,0,1,1,1"}
Writer = Callable[[str], Path]


def marked(names: tuple[str, ...]) -> list[Any]:
    return [name if name in LIGHT else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Writer:
    """Gives the small model of a family, made when it is first asked for."""
    home, made = tmp_path_factory.mktemp("models"), {}

    def give(family: str) -> Path:
        if family not in made:
            made[family] = written(family, home / family)
        return made[family]

    return give


def bake(base: Path, target: Path, *loras: dict[str, Any], **options: Any) -> tuple[dict[str, Any], Listener]:
    report = Listener()
    options = {"operation": "bake", "base": str(base), "target": str(target), "loras": list(loras), **options}
    return work(options, report), report


def of(file: Path, strength: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"file": str(file), "strength": strength, **more}


def digests(folder: Path) -> dict[str, str]:
    files = [folder] if folder.is_file() else sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def near(found: torch.Tensor, wanted: torch.Tensor, family: str = "") -> bool:
    """Within 1e-5; what the small SD2 gives moves further when the last bit of each weight does."""
    return float((found - wanted).norm() / wanted.norm()) < (5e-5 if family == "sd2" else 1e-5)


@pytest.mark.parametrize("family", marked(FAMILIES))
def test_two_files_weighed_by_block_draw_baked_as_live(model: Writer, tmp_path: Path, family: str) -> None:
    """Of other ranks, alphas, layouts and signs; text encoders apart; a folder, and a file in the makers' names."""
    base = model(family)
    before = digests(base)
    first = lora(tmp_path / "a.safetensors", family, base, seed=1)
    second = lora(tmp_path / "b.safetensors", family, base, seed=2, rank=3, alpha=1.5, layout="kohya")
    live = opened(base, family)
    plain = predicted(live)
    one, two = apply_lora(live, first, block_weights(WEIGHTS[family], family)), apply_lora(live, second)
    one.strength, two.strength = 0.7, -0.4
    wanted = predicted(live)
    assert not torch.allclose(plain, wanted, atol=1e-2)
    asked = of(first, 0.7, blocks=WEIGHTS[family]), of(second, -0.4)
    found, report = bake(base, tmp_path / "baked", *asked, precision="fp32")
    assert near(predicted(opened(tmp_path / "baked", family)), wanted, family)
    assert found["survived"] == pytest.approx(1, abs=1e-5)
    assert not report.warned
    assert digests(base) == before

    single = tmp_path / "single.safetensors"
    if family in UNETS:
        write_single_file(base, single)
        named = {}
    else:
        makers_file(family, base, single)
        named = dict.fromkeys(facts_for(family).separate, base)
        named["vae"] = base
        asked = of(first, 0.7, blocks=WEIGHTS[family], text=0), of(second, -0.4, text=0)
        wanted = _without_text(base, family, first, second)
    bake(single, tmp_path / "of_single.safetensors", *asked, precision="fp32")
    drawn = predicted(opened(tmp_path / "of_single.safetensors", family, **named))
    assert near(drawn, wanted, family)


def _without_text(base: Path, family: str, first: Path, second: Path) -> torch.Tensor:
    """What both draw live on the transformer alone."""
    silent = {"flux": "CLIP=0", "sd3": "BASE=0"}.get(family, "ALL")
    weighed = f"{WEIGHTS[family]},{silent}" if silent != "ALL" else WEIGHTS[family]
    live = opened(base, family)
    one = apply_lora(live, first, block_weights(weighed, family))
    two = apply_lora(live, second, block_weights(silent, family))
    one.strength, two.strength = 0.7, -0.4
    return predicted(live)


def test_a_bake_is_the_sum_by_hand_in_the_makers_names(model: Writer, tmp_path: Path) -> None:
    """Rows of query, key and value in one matrix, halves turned, and layers behind the blocks: by plain arithmetic."""
    base = model("flux")
    single = makers_file("flux", base, tmp_path / "flux.safetensors")
    own = load_file(single)
    width = own["img_in.weight"].shape[0]
    rows = {"norm_out.linear": (2 * width, width), "x_embedder": own["img_in.weight"].shape}
    also = {("transformer", path): (int(out), int(into)) for path, (out, into) in rows.items()}
    file = lora(tmp_path / "a.safetensors", "flux", base, seed=3, rank=2, alpha=1.0, text=False, also=also)
    matrices = load_file(file)

    def added(path: str) -> torch.Tensor:
        up, down = (matrices[f"transformer.{path}.lora_{side}.weight"] for side in "BA")
        return 0.8 * (1.0 / 2) * up.double() @ down.double()

    bake(single, tmp_path / "baked.safetensors", of(file, 0.8), precision="fp32")
    baked = load_file(tmp_path / "baked.safetensors")
    block = "transformer_blocks.1.attn"
    qkv = torch.cat([added(f"{block}.to_{letter}") for letter in "qkv"])
    scale, shift = added("norm_out.linear").chunk(2)
    wanted = {
        "double_blocks.1.img_attn.qkv.weight": qkv,
        "single_blocks.0.linear1.weight": torch.cat(
            [
                added(f"single_transformer_blocks.0.{path}")
                for path in ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")
            ]
        ),
        "final_layer.adaLN_modulation.1.weight": torch.cat([shift, scale]),
        "img_in.weight": added("x_embedder"),
    }
    for name, delta in wanted.items():
        assert torch.allclose(baked[name].double() - own[name].double(), delta, atol=1e-6), name
    assert torch.equal(baked["double_blocks.0.img_attn.qkv.bias"], own["double_blocks.0.img_attn.qkv.bias"].float())


def test_the_text_encoder_of_open_clip_gets_its_rows(model: Writer, tmp_path: Path) -> None:
    """SD2's single file has query, key and value of its text encoder in one matrix."""
    base = model("sd2")
    single = write_single_file(base, tmp_path / "sd2.safetensors")
    file = lora(tmp_path / "a.safetensors", "sd2", base, rank=1, alpha=1.0)
    bake(single, tmp_path / "baked.safetensors", of(file, 0.0, text=0.5), precision="fp32")
    own, baked, matrices = load_file(single), load_file(tmp_path / "baked.safetensors"), load_file(file)
    name = "cond_stage_model.model.transformer.resblocks.1.attn.in_proj_weight"
    stem = "lora_te_text_model_encoder_layers_1_self_attn_{}_proj.lora_{}.weight"
    delta = torch.cat([matrices[stem.format(a, "up")] @ matrices[stem.format(a, "down")] for a in "qkv"]) * 0.5
    assert torch.allclose(baked[name] - own[name].float(), delta, atol=1e-6)
    changed = {name for name in own if not torch.equal(own[name].float(), baked[name].float())}
    assert changed
    assert all(name.startswith("cond_stage_model.") for name in changed)


@pytest.mark.parametrize("precision", ["keep", "bf16", "fp8", pytest.param("fp16", marks=pytest.mark.slow)])
def test_a_single_file_is_read_in_every_precision(model: Writer, tmp_path: Path, precision: str) -> None:
    base = model("sd15")
    single = write_single_file(base, tmp_path / "sd15.safetensors")
    file = lora(tmp_path / "a.safetensors", "sd15", base)
    live = opened(base, "sd15")
    before = predicted(live)
    apply_lora(live, file)
    wanted = predicted(live)
    target = tmp_path / "baked.safetensors"
    found, _report = bake(single, target, of(file), precision=precision)
    drawn = predicted(opened(target, "sd15"))
    assert (drawn - wanted).norm() < 0.15 * (wanted - before).norm()
    kinds = {"keep": "F16", "fp16": "F16", "bf16": "BF16", "fp8": "F8_E4M3"}
    with safe_open(target, framework="pt") as read:
        name = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"
        assert read.get_slice(name).get_dtype() == kinds[precision]
        told = json.loads(read.metadata()["lora_tui_bake"])
        assert read.get_slice("first_stage_model.decoder.conv_in.weight").get_dtype() == "F16"
    assert told["loras"] == [{"file": "a.safetensors", "strength": 1.0, "text": None, "blocks": ""}]
    assert told["survived"] == pytest.approx(found["survived"], abs=1e-3)
    assert found["survived"] > 0.99


def test_what_rounding_takes_is_said_layer_by_layer(model: Writer, tmp_path: Path) -> None:
    """A thousandth of a LoRA is next to nothing beside weights of a half; by hand it is as much as is told."""
    base = model("sd15")
    file = lora(tmp_path / "a.safetensors", "sd15", base)
    found, report = bake(base, tmp_path / "baked", of(file, 1e-4))
    assert found["below"] == len(found["layers_kept"])
    assert [error.code for error in report.warned] == ["lora.lost"]
    name = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    part, matrices = "unet/diffusion_pytorch_model.safetensors", load_file(file)
    before, after = (load_file(one / part)[f"{name}.weight"].double() for one in (base, tmp_path / "baked"))
    stem = f"lora_unet_{name.replace('.', '_')}"
    delta = 1e-4 * 1.5 * (matrices[f"{stem}.lora_up.weight"].double() @ matrices[f"{stem}.lora_down.weight"].double())
    told = next(layer for layer in found["layers_kept"] if layer["layer"] == f"unet.{name}")
    assert told["survived"] == pytest.approx(float(((after - before) * delta).sum() / delta.norm() ** 2), rel=1e-2)
    assert told["survived"] < 0.5
    assert told["error"] == pytest.approx(float((after - before - delta).norm() / delta.norm()), rel=1e-2)
    assert told["block"] == "M00"


def test_scaled_weights_of_8_bits_keep_their_kind(model: Writer, tmp_path: Path) -> None:
    """Each changed weight gets a new factor; the others keep their bytes; and other precisions have no factors."""
    base = model("flux")
    own = load_file(makers_file("flux", base, tmp_path / "plain.safetensors"))
    scaled: dict[str, torch.Tensor] = {"scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}
    for name, tensor in own.items():
        if name.endswith(".weight") and tensor.dim() == 2:
            factor = tensor.abs().max().float() / 448
            scaled[name] = (tensor / factor).to(torch.float8_e4m3fn)
            scaled[name.removesuffix("weight") + "scale_weight"] = factor
        else:
            scaled[name] = tensor
    save_file(scaled, tmp_path / "fp8.safetensors")
    file = lora(tmp_path / "a.safetensors", "flux", base, text=False)
    named = {**dict.fromkeys(facts_for("flux").separate, base), "vae": base}
    live = opened(tmp_path / "fp8.safetensors", "flux", **named)
    before = predicted(live)
    apply_lora(live, file)
    wanted = predicted(live)
    bake(tmp_path / "fp8.safetensors", tmp_path / "kept.safetensors", of(file))
    bake(tmp_path / "fp8.safetensors", tmp_path / "full.safetensors", of(file), precision="fp32")
    kept, full = load_file(tmp_path / "kept.safetensors"), load_file(tmp_path / "full.safetensors")
    assert {name: tensor.dtype for name, tensor in kept.items()} == {n: t.dtype for n, t in scaled.items()}
    assert torch.equal(kept["img_in.weight"].view(torch.uint8), scaled["img_in.weight"].view(torch.uint8))
    assert not any("scale" in name.rpartition(".")[2] and "norm" not in name for name in full)
    assert torch.allclose(predicted(opened(tmp_path / "full.safetensors", "flux", **named)), wanted, atol=1e-5)
    drawn = predicted(opened(tmp_path / "kept.safetensors", "flux", **named))
    assert (drawn - wanted).norm() < 0.5 * (wanted - before).norm()


def test_kinds_of_lycoris_and_dora_are_baked_by_their_own_formulas(model: Writer, tmp_path: Path) -> None:
    from lora_tui.weights.kinds import RANKED, Form, scales_inputs, tensor_shapes
    from lora_tui.weights.lora_file import file_tensors

    base, generator = model("sd15"), torch.Generator().manual_seed(3)
    kinds = [
        Form("lokr", factor=4, sizes=True),
        Form("loha"),
        Form("glora"),
        Form("ia3"),
        Form("oft"),
        Form("full"),
        None,
    ]
    layers: dict[tuple[str, str], dict[str, torch.Tensor]] = {}
    for number, target in enumerate(facts_for("sd15").targets(base)):
        form = kinds[number % len(kinds)]
        kernel = target.kernel if target.convolution else None
        if form is None:
            ones = (1, 1) if kernel else ()
            shapes = {"lora_down.weight": (2, target.inputs, *ones), "lora_up.weight": (target.outputs, 2, *ones)}
            shapes["dora_scale"] = (1, target.inputs, *ones)
        else:
            shapes = tensor_shapes(form, target.path, target.inputs, target.outputs, 4, kernel=kernel)
        tensors = {name: torch.randn(shape, generator=generator) * 0.1 for name, shape in shapes.items()}
        if "dora_scale" in tensors:
            tensors["dora_scale"] = tensors["dora_scale"].abs() + 0.5
        if form is not None and form.kind == "ia3":
            tensors["on_input"] = torch.tensor(int(scales_inputs(target.path)))
        alpha = {"alpha": torch.tensor(3.0)} if form is None or form.kind in RANKED else {}
        layers[target.part, target.path] = tensors | alpha
    layers["unet", "conv_norm_out"] = {name: torch.full((32,), 0.3) for name in ("w_norm", "b_norm")}
    file = tmp_path / "mixed.safetensors"
    save_file(file_tensors("sd15", layers, dtype=torch.float32), file)
    live = opened(base, "sd15")
    beside = apply_lora(live, file, block_weights("IN04-M00=0.5", "sd15"))
    beside.strength = 0.7
    wanted = predicted(live)
    bake(base, tmp_path / "baked", of(file, 0.7, blocks="IN04-M00=0.5"), precision="fp32")
    assert torch.allclose(predicted(opened(tmp_path / "baked", "sd15")), wanted, atol=1e-4)


def test_what_cannot_be_baked_is_refused_and_leaves_nothing(model: Writer, tmp_path: Path) -> None:
    base, flux = model("sd15"), model("flux")
    single, transformer = write_single_file(base, tmp_path / "sd15.safetensors"), tmp_path / "flux.safetensors"
    makers_file("flux", flux, transformer)
    file, other = lora(tmp_path / "a.safetensors", "sd15", base), lora(tmp_path / "f.safetensors", "flux", flux)
    cut, nan = tmp_path / "cut.safetensors", tmp_path / "nan.safetensors"
    cut.write_bytes(single.read_bytes()[:-100])
    broken = load_file(single)
    broken["model.diffusion_model.input_blocks.1.1.proj_in.weight"].view(-1)[0] = torch.nan
    save_file(broken, nan)
    there = tmp_path / "there.safetensors"
    there.write_bytes(b"mine")
    before = sorted(tmp_path.iterdir())
    new = tmp_path / "new.safetensors"
    cases: list[tuple[Path, Path, Path, str, dict[str, Any]]] = [
        (single, new, other, "lora.family", {}), (transformer, new, other, "lora.text_encoder", {}),
        (single, there, file, "file.exists", {}), (single, single, file, "lora.same_file", {"force": True}),
        (single, file, file, "lora.same_file", {"force": True}), (base, base / "x", file, "lora.same_file", {}),
        (base, tmp_path / "a.safetensors", file, "file.exists", {}), (cut, new, file, "weights.torn", {}),
        (nan, new, file, "model.damaged", {}), (file, new, file, "model.family", {}),
        (base, tmp_path / "new", file, "lora.precision", {"precision": "fp8"}),
        (single, new, single, "lora.not_a_lora", {}), (single, new, file, "lora.options", {"precision": "int3"}),
        (single, new, file, "lora.blocks", {"blocks": "nix"}),
    ]  # fmt: skip
    for source, target, added, code, options in cases:
        blocks = {"blocks": options.pop("blocks")} if "blocks" in options else {}
        with pytest.raises(UserError) as caught:
            bake(source, target, of(added, **blocks), **options)
        assert (caught.value.code, sorted(tmp_path.iterdir())) == (code, before), (code, str(caught.value))
        assert caught.value.remedy or code == "lora.not_a_lora"
    with pytest.raises(UserError, match="0"):
        bake(single, new, of(file, 0.0))


def test_a_disk_without_room_is_told_before(model: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lora_tui.weights.operations import output

    base = model("sd15")
    file = lora(tmp_path / "a.safetensors", "sd15", base)
    monkeypatch.setattr(output, "disk_free", lambda _folder: 1000)
    with pytest.raises(UserError, match="1 kB") as caught:
        bake(base, tmp_path / "baked", of(file))
    assert caught.value.code == "disk.full"
    preview, _report = bake(base, tmp_path / "baked", of(file), preview=True)
    assert not (tmp_path / "baked").exists()
    assert preview["memory"] > preview["size"] > 1_000_000


def test_a_folder_is_whole_or_not_there(model: Writer, tmp_path: Path) -> None:
    """Stopped in the midst, it leaves nothing; what a killed one left goes with the next; others' versions stay."""
    base = tmp_path / "base"
    shutil.copytree(model("sd15"), base)
    (base / "unet" / "diffusion_pytorch_model.fp16.safetensors").write_bytes(b"old")
    (base / "v1-5-pruned.ckpt").write_bytes(b"old")
    (base / ".cache").mkdir()
    file = lora(tmp_path / "a.safetensors", "sd15", base)
    left = tmp_path / ".baked.abcdefgh.lora-tui.tmp"
    left.mkdir()
    (left / "half").write_bytes(b"x")
    report = Listener()
    report.stop_at = "writing"
    options = {"operation": "bake", "base": str(base), "target": str(tmp_path / "baked"), "loras": [of(file)]}
    assert work(options, report)["complete"] is False
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "base"]
    found, _report = bake(base, tmp_path / "baked", of(file), precision="fp16")
    assert found["complete"]
    names = {str(path.relative_to(tmp_path / "baked")) for path in (tmp_path / "baked").rglob("*")}
    ours = {str(path.relative_to(base)) for path in base.rglob("*")}
    assert ours - names == {"unet/diffusion_pytorch_model.fp16.safetensors", "v1-5-pruned.ckpt", ".cache"}
    assert names <= ours
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path / "baked", local_files_only=True, safety_checker=None)
    assert pipeline.unet is not None


def test_fp16_that_would_overflow_is_refused(model: Writer, tmp_path: Path) -> None:
    base = model("sd15")
    file = lora(tmp_path / "a.safetensors", "sd15", base, alpha=3e7)
    with pytest.raises(UserError) as caught:
        bake(base, tmp_path / "baked", of(file), precision="fp16")
    assert caught.value.code == "lora.overflow"
    assert not (tmp_path / "baked").exists()


@pytest.mark.slow
@pytest.mark.parametrize("family", [name for name in WRITERS if name != "qwen"])
def test_every_layer_of_a_transformer_is_found_in_its_makers_file(model: Writer, tmp_path: Path, family: str) -> None:
    """The numbers of each layer are the folder's, bit for bit."""
    from lora_tui.weights.base import open_base
    from lora_tui.weights.base_reader import BaseReader

    base = model(family)
    folder, single = open_base(base), open_base(makers_file(family, base, tmp_path / "one.safetensors"))
    own = {key for key in folder.layers if key[0][0] == "transformer"}
    assert own - single.layers.keys() <= {(("transformer", "pos_embed"), "weight")}
    with BaseReader(folder) as ours, BaseReader(single) as theirs:
        for place, kind in sorted(own & single.layers.keys()):
            assert torch.equal(ours.layer(place, kind), theirs.layer(place, kind)), (place, kind)
