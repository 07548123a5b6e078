"""FLUX.1 with torch: against diffusers' own pipeline, and from every kind of file that people have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FluxPipeline
from diffusers.loaders.single_file_utils import convert_flux_transformer_checkpoint_to_diffusers
from safetensors.torch import load_file, save_file
from torch import Tensor

from lora_tui.bench.flux_model import MICRO, write_flux_model
from lora_tui.config.load import parse_config
from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.config.validate import check_config
from lora_tui.errors import UserError
from lora_tui.families import check_model, open_model, part_flaws
from lora_tui.families.flux.model_file import original_to_diffusers
from lora_tui.families.protocol import Framing
from lora_tui.families.sd15.facts import FACTS as SD15
from lora_tui.families.unet.layout import file_name
from lora_tui.trainer.data.texts import embed
from lora_tui.weights.header.models import identify_model
from lora_tui.weights.names.flux_original import LAST_MODULATION, layer_of, original_names, split_name

TEXT = "a photo of a cat, red hat"
FRAMING = Framing(original=(96, 64), corner=(0, 0), size=(96, 64))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_flux_model(tmp_path_factory.mktemp("flux") / "model")


def opened(base: Path, **settings: Any) -> Any:
    section = ModelSection(base=str(base), family="flux", **{name: str(value) for name, value in settings.items()})
    return open_model(section, CaptionSection(t5_tokens=128), device=torch.device("cpu"), dtype=torch.float32)


@torch.no_grad()
def predicted(model: Any, timestep: float = 837.2) -> Tensor:
    latents = torch.randn(1, 16, 8, 12, generator=torch.Generator().manual_seed(0))
    text = model.encode_text(model.tokenize([TEXT], 128))
    return model.predict(
        latents, torch.tensor([timestep]), {**text, **model.picture_conditioning([FRAMING], guidance=3.5)}
    )


def original(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A transformer's tensors in the layout of Black Forest Labs: put together from the rows of diffusers'."""
    found = {}
    for name in original_names(MICRO.double, MICRO.single, guidance=True):
        path, kind = split_name(name)
        whole = torch.cat([tensors[f"{piece.path}.{kind}"] for piece in layer_of(path)])
        if path == LAST_MODULATION:
            scale, shift = whole.chunk(2)
            whole = torch.cat([shift, scale])
        found[name] = whole.contiguous()
    return found


def fp8(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Matrices as 8-bit numbers with a factor each, as ComfyUI's scaled files have them."""
    found: dict[str, Tensor] = {"scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}
    for name, tensor in tensors.items():
        if name.endswith(".weight") and tensor.dim() == 2:
            factor = tensor.abs().max() / 448
            found[name] = (tensor / factor).to(torch.float8_e4m3fn)
            found[name.removesuffix("weight") + "scale_weight"] = factor
        else:
            found[name] = tensor
    return found


@pytest.fixture(scope="module")
def files(folder: Path) -> dict[str, Path]:
    """The same model as people download it: transformer, ``ae``, ``clip_l`` and ``t5xxl``; and all in one file."""
    home = folder.parent / "files"
    home.mkdir()
    parts = {
        "transformer": original(load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors")),
        "clip_l": load_file(folder / "text_encoder" / "model.safetensors"),
        "t5xxl": load_file(folder / "text_encoder_2" / "model.safetensors"),
        "vae": load_file(folder / "vae" / "diffusion_pytorch_model.safetensors"),
    }
    parts["clip_l"] = {"text_model." + name.removeprefix("text_model."): t for name, t in parts["clip_l"].items()}
    parts["t5xxl"].pop("encoder.embed_tokens.weight", None)
    prefixes = {
        "transformer": "model.diffusion_model.", "clip_l": "text_encoders.clip_l.transformer.",
        "t5xxl": "text_encoders.t5xxl.transformer.", "vae": "vae.",
    }  # fmt: skip
    whole = {prefixes[part] + name: tensor.clone() for part, own in parts.items() for name, tensor in own.items()}
    scaled = {**{f"{part}_fp8": fp8(parts[part]) for part in ("transformer", "t5xxl")}, **parts, "whole": whole}
    for name, tensors in scaled.items():
        save_file(tensors, home / f"{name}.safetensors")
    return {name: home / f"{name}.safetensors" for name in scaled}


def separate(files: dict[str, Path], **others: Path) -> dict[str, Path]:
    return {"clip_l": files["clip_l"], "t5xxl": files["t5xxl"], "vae": files["vae"], **others}


@pytest.fixture(scope="module")
def reference(folder: Path) -> Any:
    """The model of the folder, for tests that leave it as it is."""
    return opened(folder)


@pytest.fixture(scope="module")
def wanted(reference: Any) -> Tensor:
    """What it predicts."""
    return predicted(reference)


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Iterator[Any]:
    yield FluxPipeline.from_pretrained(folder, local_files_only=True)


@torch.no_grad()
def test_text_and_prediction_are_those_of_diffusers(reference: Any, wanted: Tensor, pipeline: Any) -> None:
    model = reference
    states, pooled, places = pipeline.encode_prompt(TEXT, TEXT, max_sequence_length=128)
    text = model.encode_text(model.tokenize([TEXT], 128))
    assert torch.allclose(text["text"], states, atol=1e-5)
    assert torch.allclose(text["pooled"], pooled, atol=1e-5)
    latents = torch.randn(1, 16, 8, 12, generator=torch.Generator().manual_seed(0))
    cpu = torch.device("cpu")
    theirs = pipeline.transformer(
        hidden_states=pipeline._pack_latents(latents, 1, 16, 8, 12),
        timestep=torch.tensor([0.8372]),
        guidance=torch.tensor([3.5]),
        pooled_projections=pooled,
        encoder_hidden_states=states,
        txt_ids=places,
        img_ids=pipeline._prepare_latent_image_ids(1, 4, 6, cpu, torch.float32),
        return_dict=False,
    )[0]
    theirs = pipeline._unpack_latents(theirs, 64, 96, 8)
    assert torch.allclose(wanted, theirs, atol=1e-5)


def test_t5_works_in_bfloat16_where_the_model_works_in_float16(folder: Path) -> None:
    """In autocast, too, which would put its products into what its states overflow."""
    section = ModelSection(base=str(folder), family="flux")
    model: Any = open_model(section, CaptionSection(t5_tokens=128), device=torch.device("cpu"), dtype=torch.float16)
    kinds: dict[str, set[torch.dtype]] = {"clip_l": set(), "t5xxl": set()}
    for name, seen in kinds.items():
        for layer in model.encoder(name).modules():
            if isinstance(layer, torch.nn.Linear):
                layer.register_forward_hook(lambda _layer, _inputs, given, seen=seen: seen.add(given.dtype))
    told = embed(model, model.tokenize([TEXT], 128))
    assert kinds == {"clip_l": {torch.float16}, "t5xxl": {torch.bfloat16}}
    assert told["text"].dtype == torch.float16


@torch.no_grad()
def test_images_go_to_latents_and_back_as_in_diffusers(reference: Any, pipeline: Any) -> None:
    model = reference
    pixels = torch.rand(1, 3, 64, 96) * 2 - 1
    latents = model.encode_image(pixels, torch.zeros(1, 16, 8, 12))
    config = pipeline.vae.config
    theirs = (pipeline.vae.encode(pixels).latent_dist.mean - config.shift_factor) * config.scaling_factor
    assert torch.allclose(latents, theirs, atol=1e-5)
    back = pipeline.vae.decode(theirs / config.scaling_factor + config.shift_factor).sample
    assert torch.allclose(model.decode_latents(latents), (back / 2 + 0.5).clamp(0, 1), atol=1e-5)


def test_timesteps_are_not_rounded_by_half_precision(folder: Path) -> None:
    model = opened(folder)
    model.transformer.to(torch.bfloat16)
    told: list[Tensor] = []
    model.transformer.time_text_embed.time_proj.register_forward_pre_hook(lambda _module, args: told.append(args[0]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        predicted(model)
    assert [float(number) for number in told] == [pytest.approx(837.2), 3500.0]


@pytest.mark.parametrize("one_file", [True, False])
def test_single_files_predict_what_the_folder_does(
    reference: Any, wanted: Tensor, files: dict[str, Path], one_file: bool
) -> None:
    base = files["whole"] if one_file else files["transformer"]
    check_model("flux", base)
    model = opened(base, **({} if one_file else separate(files)))
    assert torch.allclose(predicted(model), wanted, atol=1e-5)
    pixels = torch.rand(1, 3, 64, 64) * 2 - 1
    noise = torch.zeros(1, 16, 8, 8)
    assert torch.allclose(model.encode_image(pixels, noise), reference.encode_image(pixels, noise), atol=1e-5)
    read = [files["whole"]] if one_file else [files[part] for part in ("transformer", "clip_l", "t5xxl", "vae")]
    assert list(model.weight_files()) == read


def test_scaled_weights_of_8_bits_are_multiplied_by_their_factors(wanted: Tensor, files: dict[str, Path]) -> None:
    model = opened(files["transformer_fp8"], **separate(files, t5xxl=files["t5xxl_fp8"]))
    assert (predicted(model) - wanted).abs().mean() < 0.1 * wanted.abs().mean()


def test_parts_come_from_the_folder_of_a_whole_model_too(folder: Path, wanted: Tensor, files: dict[str, Path]) -> None:
    model = opened(files["transformer"], clip_l=folder, t5xxl=folder / "text_encoder_2", vae=folder)
    assert torch.allclose(predicted(model), wanted, atol=1e-5)


@pytest.mark.parametrize("part", ["clip_l", "t5xxl", "vae"])
def test_a_part_that_is_nowhere_is_named(files: dict[str, Path], part: str) -> None:
    others = {name: path for name, path in separate(files).items() if name != part}
    with pytest.raises(UserError) as caught:
        opened(files["transformer"], **others)
    assert caught.value.place == f"model.{part}"
    with pytest.raises(UserError) as caught:
        opened(files["transformer"], **{**others, part: files["transformer"]})
    assert caught.value.place == f"model.{part}"


def test_other_files_are_refused_with_what_they_are(files: dict[str, Path], tmp_path: Path) -> None:
    tensors = load_file(files["transformer"])
    tensors["img_in.weight"] = torch.zeros(32, 384)
    save_file(tensors, tmp_path / "fill.safetensors")
    with pytest.raises(UserError, match="384"):
        check_model("flux", tmp_path / "fill.safetensors")
    packed = {**load_file(files["transformer"]), "img_in.weight.absmax": torch.zeros(1)}
    save_file(packed, tmp_path / "packed.safetensors")
    with pytest.raises(UserError, match="bitsandbytes"):
        check_model("flux", tmp_path / "packed.safetensors")
    torn = load_file(files["transformer"])
    del torn["double_blocks.1.img_mlp.2.weight"]
    save_file(torn, tmp_path / "torn.safetensors")
    with pytest.raises(UserError, match=r"double_blocks\.1\.img_mlp\.2"):
        check_model("flux", tmp_path / "torn.safetensors")
    with pytest.raises(UserError, match="text_encoder"):
        check_model("flux", files["clip_l"])


def test_layout_is_turned_as_diffusers_turns_it_at_real_width() -> None:
    width, generator = 3072, torch.Generator().manual_seed(0)
    rows = {"qkv": 3, "linear1": 7, "lin": 6, "modulation.lin": 3, "mlp.0": 4, "adaLN_modulation.1": 2}
    tensors = {}
    for name in original_names(1, 1, guidance=True):
        path, kind = split_name(name)
        count = next((n for ending, n in sorted(rows.items(), key=lambda i: -len(i[0])) if path.endswith(ending)), 1)
        shape = (count * width, 3) if kind == "weight" and not name.endswith("scale") else (count * width,)
        tensors[name] = torch.randn(128 if name.endswith("scale") else shape, generator=generator)
    ours = dict(pair for name, tensor in tensors.items() for pair in original_to_diffusers(name, tensor, width))
    theirs = convert_flux_transformer_checkpoint_to_diffusers(dict(tensors))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_check_names_the_part_that_is_missing_before_anything_loads(
    folder: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    def wrong(base: Path, **named: Path) -> dict[str, str]:
        model = {"base": str(base), "family": "flux", **{name: str(path) for name, path in named.items()}}
        config = parse_config({"model": model, "datasets": [{"path": str(tmp_path)}]}, base=None, place="test")
        return {finding.field: finding.code for finding in check_config(config) if finding.field.startswith("model.")}

    assert wrong(folder) == wrong(files["whole"]) == wrong(files["transformer"], **separate(files)) == {}
    away = wrong(files["transformer"], **separate(files, t5xxl=Path("someone/flux")))
    assert away == {"model.t5xxl": "model.offline"}  # the tests' environment forbids to fetch it
    lacking = wrong(files["transformer"], vae=files["vae"])
    assert lacking == {"model.clip_l": "model.part", "model.t5xxl": "model.part"}
    mistaken = wrong(files["transformer"], **separate(files, clip_l=files["t5xxl"], t5xxl=tmp_path / "none"))
    assert mistaken == {"model.clip_l": "model.part", "model.t5xxl": "model.missing"}
    assert wrong(files["clip_l"]) != {}


def test_a_check_says_what_the_family_and_its_names_do_not_go_with(folder: Path, tmp_path: Path) -> None:
    config = parse_config(
        {
            "model": {"base": str(folder), "family": "flux"},
            "datasets": [{"path": str(tmp_path)}],
            "network": {"type": "locon", "dora": True},
            "saving": {"layout": "kohya"},
        },
        base=None,
        place="test",
    )
    found = {finding.field: finding.code for finding in check_config(config)}
    assert found["network.type"] == "network.no_convolutions"
    assert found["saving.layout"] == "saving.dora_layout"


def as_published(vae: dict[str, Tensor]) -> dict[str, Tensor]:
    """A VAE's tensors as ``ae.safetensors`` has them: the names of its makers, attention as 1x1 convolutions."""
    found = {}
    for name, tensor in vae.items():
        attention = ".attentions.0." in name and name.endswith(".weight") and tensor.dim() == 2
        published = file_name(SD15, "vae", name).removeprefix("first_stage_model.")
        found[published] = (tensor[:, :, None, None] if attention else tensor).contiguous()
    return found


def test_the_file_that_comfyui_ships_holds_all_parts_in_8_bits(
    reference: Any, wanted: Tensor, files: dict[str, Path], tmp_path: Path
) -> None:
    """flux1-dev-fp8.safetensors: everything below its prefix, numbers of 8 bits without factors, ae as published."""
    prefixes = {"clip_l": "text_encoders.clip_l.transformer.", "t5xxl": "text_encoders.t5xxl.transformer.", "vae": ""}
    vae = as_published(load_file(files["vae"]))
    assert {"encoder.down.0.block.0.conv1.weight", "decoder.mid.attn_1.q.weight"} <= vae.keys()
    whole = {f"vae.{name}": tensor for name, tensor in vae.items()}
    for part in ("clip_l", "t5xxl", "transformer"):
        kind = torch.float16 if part == "clip_l" else torch.float8_e4m3fn
        prefix = prefixes.get(part, "model.diffusion_model.")
        whole |= {prefix + name: tensor.to(kind) for name, tensor in load_file(files[part]).items()}
    whole |= {f"text_encoders.{part}.logit_scale": torch.ones(()) for part in ("clip_l", "t5xxl")}
    path = tmp_path / "flux1-dev-fp8.safetensors"
    save_file(whole, path)
    assert (identify_model(path).family, identify_model(path).kind) == ("flux", "checkpoint")
    check_model("flux", path)
    model = opened(path)
    assert (predicted(model) - wanted).abs().mean() < 0.15 * wanted.abs().mean()
    pixels, noise = torch.rand(1, 3, 64, 64) * 2 - 1, torch.zeros(1, 16, 8, 8)
    assert torch.allclose(model.encode_image(pixels, noise), reference.encode_image(pixels, noise), atol=1e-5)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_parts_in_half_precision_are_the_same_but_for_rounding(
    kind: torch.dtype, wanted: Tensor, files: dict[str, Path], tmp_path: Path
) -> None:
    halves = {}
    for part in ("transformer", "clip_l", "t5xxl", "vae"):
        halves[part] = tmp_path / f"{part}.safetensors"
        save_file({name: tensor.to(kind) for name, tensor in load_file(files[part]).items()}, halves[part])
    model = opened(halves["transformer"], **separate(halves))
    assert (predicted(model) - wanted).abs().mean() < 0.02 * wanted.abs().mean()


def test_parts_of_other_models_are_refused_with_what_they_are(
    folder: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    def told(part: str, tensors: dict[str, Tensor]) -> UserError:
        path = tmp_path / f"{part}.safetensors"
        save_file(tensors, path)
        flaws = dict(part_flaws("flux", files["transformer"], {**separate_texts(files), part: str(path)}))
        assert flaws.keys() == {part}
        return flaws[part]

    vae, t5 = load_file(files["vae"]), load_file(files["t5xxl"])
    assert "4 channels" in told("vae", {**vae, "decoder.conv_in.weight": torch.zeros(32, 4, 3, 3)}).message
    name = "encoder.block.0.layer.0.SelfAttention.q"
    assert told("t5xxl", {**t5, f"{name}.weight.quant_map": torch.zeros(16)}).code == "model.packed"
    wide = {key: torch.zeros(tensor.shape[0], 48) for key, tensor in t5.items() if key == "shared.weight"}
    assert "48" in told("t5xxl", {**t5, **wide}).message
    clip = load_file(files["clip_l"])
    token = "text_model.embeddings.token_embedding.weight"
    assert "80" in told("clip_l", {**clip, token: torch.zeros(len(clip[token]), 80)}).message
    alone = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    with pytest.raises(UserError, match="diffusers' layout") as caught:
        check_model("flux", alone)
    assert "model_index.json" in caught.value.remedy


def separate_texts(files: dict[str, Path]) -> dict[str, str]:
    return {part: str(path) for part, path in separate(files).items()}
