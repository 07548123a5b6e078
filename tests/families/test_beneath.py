"""LoRA files merged into a base model as it is loaded: what is drawn, what is kept under which name, what is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from config_samples import config_with
from row_models import ZImage
from safetensors.torch import load_file, save_file

from lora_tui.bench.flux_model import write_flux_model
from lora_tui.bench.model import write_model
from lora_tui.config.load import dump_config, parse_config
from lora_tui.config.loras import MergedLora, read_loras
from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.config.validate import check_config
from lora_tui.errors import UserError
from lora_tui.families import beneath, facts_for, open_model
from lora_tui.families.protocol import Framing, Storage
from lora_tui.families.quantized import full_weight, quantize
from lora_tui.sampling.lora import apply_lora
from lora_tui.weights.kinds import RANKED, Form, scales_inputs, tensor_shapes
from lora_tui.weights.lora_file import file_tensors, write_lora
from lora_tui.weights.names.zimage_original import OUTER
from lora_tui.weights.reading import Stored, read_lora

CPU = torch.device("cpu")


def _open(base: Path, family: str, *loras: str, storage: Storage | None = None) -> Any:
    section = ModelSection(base=str(base), family=family, loras=list(loras))  # type: ignore[arg-type]
    captions = CaptionSection(t5_tokens=128)
    return open_model(section, captions, device=CPU, dtype=torch.float32, storage=storage)


def _file(path: Path, family: str, base: Path, *, dora: bool = False, seed: int = 0) -> Path:
    generator = torch.Generator().manual_seed(seed)
    layers = {}
    for target in facts_for(family).targets(base):
        ones = (1, 1) if target.convolution else ()
        layers[target.part, target.path] = {
            "lora_down.weight": torch.randn(2, target.inputs, *ones, generator=generator) * 0.1,
            "lora_up.weight": torch.randn(target.outputs, 2, *ones, generator=generator) * 0.1,
            "alpha": torch.tensor(3.0),
            **({"dora_scale": torch.rand(1, target.inputs, *ones, generator=generator) + 0.5} if dora else {}),
        }
    write_lora(path, file_tensors(family, layers, dtype=torch.float32), {})
    return path


@torch.no_grad()
def _predicted(model: Any) -> torch.Tensor:
    told = model.encode_text(model.tokenize(["a disc"], model.text_length(["a disc"])))
    told |= model.picture_conditioning([Framing((64, 64), (0, 0), (64, 64))])
    noisy = torch.randn(1, model.facts.latent_channels, 8, 8, generator=torch.Generator().manual_seed(2))
    found: torch.Tensor = model.predict(noisy, torch.tensor([400]), told)
    return found


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {"sd15": write_model(root / "sd15", seed=6), "flux": write_flux_model(root / "flux", seed=6)}


@pytest.mark.parametrize("family", ["sd15", "flux"])
def test_what_is_merged_draws_as_it_does_beside_the_base(bases: dict[str, Path], tmp_path: Path, family: str) -> None:
    """A LoRA at 0.7 and a DoRA upon it, against the first beside the layers and the second merged by hand."""
    base = bases[family]
    first, second = (
        _file(tmp_path / "a.safetensors", family, base),
        _file(tmp_path / "b.safetensors", family, base, dora=True),
    )
    before = {path: path.read_bytes() for path in base.rglob("*.safetensors")}
    plain, one = _open(base, family), _open(base, family, f"{first} strength=0.7")
    beside = apply_lora(plain, first)
    beside.strength = 0.7
    assert torch.allclose(_predicted(one), _predicted(plain), atol=1e-4)
    both = _open(base, family, f"{first} strength=0.7", str(second))
    apply_lora(one, second)
    assert torch.allclose(_predicted(both), _predicted(one), atol=1e-4)
    beside.remove()
    assert not torch.allclose(_predicted(one), _predicted(plain), atol=1e-2)
    assert all(path.read_bytes() == content for path, content in before.items())


def _others(path: Path, base: Path) -> Path:
    """A file with a kind of LyCORIS for each part of SD1.5, and differences of norms."""
    generator = torch.Generator().manual_seed(3)
    kinds = [Form("lokr", factor=4, sizes=True), Form("loha"), Form("glora"), Form("ia3"), Form("oft"), Form("full")]
    layers: dict[tuple[str, str], dict[str, torch.Tensor]] = {}
    for number, target in enumerate(facts_for("sd15").targets(base)):
        form = kinds[number % len(kinds)]
        kernel = target.kernel if target.convolution else None
        shapes = tensor_shapes(form, target.path, target.inputs, target.outputs, 4, kernel=kernel)
        tensors = {name: torch.randn(shape, generator=generator) * 0.1 for name, shape in shapes.items()}
        if "dora_scale" in tensors:
            tensors["dora_scale"] = tensors["dora_scale"].abs() + 0.5
        if form.kind == "ia3":
            tensors["on_input"] = torch.tensor(int(scales_inputs(target.path)))
        alpha = {"alpha": torch.tensor(3.0)} if form.kind in RANKED else {}
        layers[target.part, target.path] = tensors | alpha
    norms = {
        ("unet", "down_blocks.0.attentions.0.norm"): 32,
        ("unet", "conv_norm_out"): 32,
        ("text_encoder", "final_layer_norm"): 64,
    }
    for place, width in norms.items():
        layers[place] = {name: torch.full((width,), 0.3) for name in ("w_norm", "b_norm")}
    save_file(file_tensors("sd15", layers, dtype=torch.float32), path)
    return path


def test_kinds_of_lycoris_are_merged_as_they_are_drawn_with(bases: dict[str, Path], tmp_path: Path) -> None:
    """Every kind, and differences of norms: merged at 0.7 they draw as beside the layers."""
    file = _others(tmp_path / "mixed.safetensors", bases["sd15"])
    plain, merged = _open(bases["sd15"], "sd15"), _open(bases["sd15"], "sd15", f"{file} strength=0.7")
    before = _predicted(plain)
    beside = apply_lora(plain, file)
    beside.strength = 0.7
    assert torch.allclose(_predicted(merged), _predicted(plain), atol=1e-4)
    assert not torch.allclose(before, _predicted(plain), atol=1e-2)
    beside.remove()
    assert torch.equal(before, _predicted(plain))
    modules = merged.adapted_modules(text_encoder=False)
    texts = [(target.part, target.path) for target in merged.targets(text_encoder=True)]
    assert merged.beneath.left_out(modules, texts) == []
    found = check_config(config_with(model={"base": str(bases["sd15"]), "loras": [str(file)]}))
    assert [finding for finding in found if finding.field == "model.loras"] == []


def test_what_is_kept_of_a_model_is_filed_under_what_is_merged_into_it(
    bases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Embeddings and packed networks: another file or strength is another entry, and the packed one holds the sum."""
    monkeypatch.setenv("LORA_TUI_HOME", str(tmp_path / "home"))
    base = bases["flux"]
    file = _file(tmp_path / "a.safetensors", "flux", base)
    other = _file(tmp_path / "b.safetensors", "flux", base, seed=1)
    opened = [_open(base, "flux", *loras) for loras in ((), (str(file),), (f"{file} strength=0.5",), (str(other),))]
    assert len({model.text_identity(model.text_parts[0]) for model in opened}) == 4
    packed = [_open(base, "flux", str(file), storage=Storage("int8")) for _time in range(2)]
    name = "transformer_blocks.0.attn.to_q"
    whole = opened[1].transformer.get_submodule(name).weight
    numbers, factors = quantize(whole, "int8")
    for model, origin in zip(packed, ("kept", "read"), strict=True):
        assert model.transformer.packed_from == origin
        assert torch.equal(full_weight(model.transformer.get_submodule(name)), numbers.float() * factors)
    assert _open(base, "flux", storage=Storage("int8")).transformer.packed_from == "kept"


def test_what_the_model_does_not_have_is_named(bases: dict[str, Path], tmp_path: Path) -> None:
    down, up = torch.ones(1, 2), torch.ones(2, 1)
    strange = {"lora_unet_x.lora_down.weight": down, "lora_unet_x.lora_up.weight": up, "bundle_emb.x": up.clone()}
    save_file(strange, tmp_path / "strange.safetensors")
    known = _file(tmp_path / "a.safetensors", "sd15", bases["sd15"])
    save_file({**load_file(known), **strange}, tmp_path / "mixed.safetensors")
    model = _open(bases["sd15"], "sd15", str(known))
    modules = model.adapted_modules(text_encoder=False)
    texts = [(target.part, target.path) for target in model.targets(text_encoder=True)]
    assert model.beneath.left_out(modules, texts) == []
    mixed = _open(bases["sd15"], "sd15", str(tmp_path / "mixed.safetensors")).beneath
    assert mixed.left_out(modules, texts) == ["lora_unet_x", "bundle_emb.x"]
    with pytest.raises(UserError) as caught:
        _open(bases["sd15"], "sd15", str(tmp_path / "strange.safetensors")).beneath.left_out(modules, texts)
    assert caught.value.code == "lora.unmatched"


def test_a_file_is_read_once_for_all_parts_and_again_when_it_is_another(
    bases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def counted(path: Path) -> Stored:
        read.append(path)
        return read_lora(path)

    monkeypatch.setattr(beneath, "read_lora", counted)
    path = _file(tmp_path / "a.safetensors", "sd15", bases["sd15"])
    for seed in range(2):
        model = _open(bases["sd15"], "sd15", str(path))
        modules = model.adapted_modules(text_encoder=True)
        assert model.beneath.left_out(modules, []) == []
        assert read == [path] * (seed + 1)
        _file(path, "sd15", bases["sd15"], seed=seed + 1)


def test_places_are_made_absolute_and_written_short_again(tmp_path: Path) -> None:
    loras = ["style.safetensors strength=0.5", "sub/x.safetensors"]
    config = parse_config({"model": {"loras": loras}}, base=tmp_path, place="test")
    assert config.model.loras == [f"{tmp_path}/style.safetensors strength=0.5", f"{tmp_path}/sub/x.safetensors"]
    assert read_loras(config.model.loras)[0] == MergedLora(f"{tmp_path}/style.safetensors", 0.5)
    assert '"style.safetensors strength=0.5"' in dump_config(config, base=tmp_path)


def test_a_check_refuses_what_cannot_be_merged(bases: dict[str, Path], tmp_path: Path) -> None:
    def codes(*loras: str) -> set[str]:
        found = check_config(config_with(model={"base": str(bases["sd15"]), "loras": list(loras)}))
        return {finding.code for finding in found if finding.field == "model.loras"}

    file = _file(tmp_path / "a.safetensors", "sd15", bases["sd15"])
    flux = _file(tmp_path / "f.safetensors", "flux", bases["flux"])
    (tmp_path / "x.safetensors").write_bytes(b"no")
    assert codes(str(file), f"{file} strength=-0.5") == set()
    assert codes(f"{file} strength=x") == {"model.loras"}
    assert codes(str(tmp_path / "none.safetensors")) == {"model.lora_missing"}
    assert codes(str(flux)) == {"model.lora_family"}
    assert codes(str(tmp_path / "x.safetensors")) == {"model.lora_unreadable"}
    assert codes(f"{file} strength=0") == {"model.lora_strength"}


def test_a_training_adapter_in_comfyuis_names_is_merged_whole_beneath_z_image(zimage: ZImage, tmp_path: Path) -> None:
    """What refines image and text and the modulations, too, which no LoRA of ours has; a LoRA upon it is its own.

    As turbo's adapter is used: beneath while it is trained, and no part of what is saved.
    """
    plain = zimage.reference
    generator, tensors = torch.Generator().manual_seed(3), {}
    linear = {path: layer for path, layer in plain.transformer.named_modules() if isinstance(layer, torch.nn.Linear)}
    assert {path.partition(".")[0] for path in linear} > {"layers", "noise_refiner", "context_refiner"}
    called = {path: next((name for name, own in OUTER.items() if own == path), path) for path in linear}
    for path, layer in linear.items():
        down = torch.randn(2, layer.in_features, generator=generator) * 0.1
        up = torch.randn(layer.out_features, 2, generator=generator) * 0.1
        name = f"diffusion_model.{called[path]}"
        tensors |= {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
    save_file(tensors, tmp_path / "adapter.safetensors")
    model = _open(zimage.folder, "zimage", str(tmp_path / "adapter.safetensors"))
    assert model.beneath.left_out({"transformer": model.transformer}, []) == ["transformer.norm_out.linear"]
    del linear["all_final_layer.2-1.adaLN_modulation.1"]  # in this name it is told to be left out
    for path, layer in linear.items():
        names = [f"diffusion_model.{called[path]}.lora_{letter}.weight" for letter in "BA"]
        merged = model.transformer.get_submodule(path).weight
        assert torch.allclose(merged, layer.weight + tensors[names[0]] @ tensors[names[1]], atol=1e-6), path
    before, alone = _predicted(model), _predicted(plain)
    own = _file(tmp_path / "own.safetensors", "zimage", zimage.folder)
    upon, beside = apply_lora(model, own), apply_lora(plain, own)
    assert upon.layers == beside.layers == len(facts_for("zimage").targets(zimage.folder))
    learned, without = _predicted(model), _predicted(plain)
    assert not torch.allclose(learned, before, atol=1e-2) and not torch.allclose(without, alone, atol=1e-2)
    assert not torch.allclose(learned, without, atol=1e-2)  # what is saved is the LoRA without the adapter
    beside.remove()
