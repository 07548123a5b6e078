"""FLUX.2 klein with torch: against diffusers' own pipeline, and from every kind of file that people have."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import Flux2KleinPipeline
from diffusers.loaders.single_file_utils import convert_flux2_transformer_checkpoint_to_diffusers
from safetensors.torch import load_file, save_file
from torch import Tensor

from lora_tui.bench.flux2_model import MICRO, write_flux2_model
from lora_tui.config.load import parse_config
from lora_tui.config.schema import CaptionSection, ModelSection, SamplePrompt
from lora_tui.config.validate import check_config
from lora_tui.errors import UserError
from lora_tui.families import check_model, open_model
from lora_tui.families.flux2.model_file import original_to_diffusers
from lora_tui.families.flux2.shape import KLEIN_4B
from lora_tui.sampling.renderer import Renderer, RenderRequest
from lora_tui.weights.names.flux2_original import LAST_MODULATION, ORIGINAL, original_names

TEXT = "a photo of a cat, red hat"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_flux2_model(tmp_path_factory.mktemp("flux2") / "model")


def opened(base: Path, dtype: torch.dtype = torch.float32, **settings: Any) -> Any:
    section = ModelSection(base=str(base), family="flux2", **{name: str(value) for name, value in settings.items()})
    return open_model(section, CaptionSection(), device=CPU, dtype=dtype)


@torch.no_grad()
def predicted(model: Any) -> Tensor:
    latents = torch.randn(1, 128, 4, 6, generator=torch.Generator().manual_seed(0))
    return model.predict(latents.to(model.dtype), torch.tensor([837.2]), model.encode_text(model.tokenize([TEXT], 512)))


def original(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A transformer's tensors in the makers' layout: put together from the rows of diffusers'."""
    found = {}
    for name in original_names(MICRO.double, MICRO.single):
        path = name.rpartition(".")[0]
        whole = torch.cat([tensors[f"{piece.path}.weight"] for piece in ORIGINAL.layer_of(path)])
        found[name] = torch.cat(whole.chunk(2)[::-1]) if path == LAST_MODULATION else whole.contiguous()
    return found


def makers_vae(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A VAE's tensors in Black Forest Labs' layout."""
    places = {"quant_conv": "encoder.quant_conv", "post_quant_conv": "decoder.post_quant_conv"}
    for side, blocks in (("encoder", "down"), ("decoder", "up")):
        places |= {f"{side}.conv_norm_out": f"{side}.norm_out", f"{side}.mid_block.attentions.0": f"{side}.mid.attn_1"}
        places |= {f"{side}.mid_block.resnets.{n}": f"{side}.mid.block_{n + 1}" for n in (0, 1)}
        for n in range(4):
            own = n if blocks == "down" else 3 - n
            places[f"{side}.{blocks}_blocks.{n}.resnets"] = f"{side}.{blocks}.{own}.block"
            places[f"{side}.{blocks}_blocks.{n}.{blocks}samplers.0"] = f"{side}.{blocks}.{own}.{blocks}sample"
    inner = {"conv_shortcut": "nin_shortcut", "group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v"}
    inner["to_out.0"] = "proj_out"
    found = {}
    for name, tensor in tensors.items():
        for old, new in places.items():
            if name.startswith(f"{old}."):
                name = new + name.removeprefix(old)
                break
        for old, new in inner.items():
            name = name.replace(f".{old}.", f".{new}.")
        attends = ".attn_1." in name and tensor.dim() == 2
        found[name] = tensor[..., None, None].contiguous() if attends else tensor
    return found


@pytest.fixture(scope="module")
def files(folder: Path) -> dict[str, Path]:
    """The same model as people download it: transformer, language model, VAE in both layouts, and the tokenizer."""
    home = folder.parent / "files"
    home.mkdir()
    vae = load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
    parts = {
        "transformer": original(load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors")),
        "llm": load_file(folder / "text_encoder" / "model.safetensors"),
        "vae": makers_vae(vae),
        "diffusers-vae": vae,
    }
    for name, tensors in parts.items():
        save_file(tensors, home / f"{name}.safetensors")
    shutil.copytree(folder / "tokenizer", home / "words")
    return {**{name: home / f"{name}.safetensors" for name in parts}, "tokenizer": home / "words"}


def separate(files: dict[str, Path], **others: Path) -> dict[str, Path]:
    return {**{part: files[part] for part in ("llm", "tokenizer", "vae")}, **others}


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Iterator[Any]:
    yield Flux2KleinPipeline.from_pretrained(folder, local_files_only=True)


@torch.no_grad()
def test_text_and_prediction_are_those_of_diffusers(folder: Path, pipeline: Any) -> None:
    """Three layers of the language model side by side; a text is read with what fills it up."""
    model = opened(folder)
    theirs, places = pipeline.encode_prompt([TEXT, ""])
    text = model.encode_text(model.tokenize([TEXT, ""], model.text_length([TEXT, ""])))["text"]
    assert text.shape == (2, 512, 3 * MICRO.text.width)
    assert torch.allclose(text, theirs, atol=1e-6)
    latents = torch.randn(2, 128, 4, 6, generator=torch.Generator().manual_seed(0))
    at = pipeline._prepare_latent_ids(latents)
    wanted = pipeline.transformer(
        hidden_states=pipeline._pack_latents(latents), timestep=torch.tensor([0.8372, 0.1]), txt_ids=places, img_ids=at,
        encoder_hidden_states=theirs, return_dict=False,
    )[0]  # fmt: skip
    ours = model.predict(latents, torch.tensor([837.2, 100.0]), {"text": text})
    assert torch.allclose(ours, pipeline._unpack_latents_with_ids(wanted, at, 4, 6), atol=1e-5)


@torch.no_grad()
def test_an_image_is_drawn_as_the_pipeline_draws_it(folder: Path, pipeline: Any) -> None:
    """The shift of its levels depends on the steps as well as on the size."""
    model = opened(folder)
    told = model.encode_text(model.tokenize([TEXT, ""], 512))["text"]
    prompt = SamplePrompt(prompt=TEXT, width=96, height=64, steps=3, seed=5, sampler="euler", guidance=3.0)
    request = RenderRequest(prompt, {"text": told[:1]}, {"text": told[1:]})
    ours = model.decode_latents(Renderer(model).latents(request, lambda _done, _total: None))
    noise = torch.randn(1, 128, 4, 6, generator=torch.Generator().manual_seed(5))
    theirs = pipeline(
        prompt_embeds=told[:1], negative_prompt_embeds=told[1:], width=96, height=64, num_inference_steps=3,
        guidance_scale=3.0, latents=noise, output_type="pt",
    ).images  # fmt: skip
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_levels_are_shifted_by_the_size() -> None:
    """While it learns as musubi-tuner shifts them, while it draws as its makers do."""
    from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu

    from lora_tui.families.flux2.model import Flux2Model

    model = Flux2Model.__new__(Flux2Model)
    assert model.shift(1024, 1024) == pytest.approx(3.1582, abs=1e-4)
    for width, height, steps in ((512, 512, 4), (1024, 768, 28), (1024, 1024, 50), (1536, 1536, 50)):
        mu = compute_empirical_mu((width // 16) * (height // 16), steps)
        assert model.drawing_shift(width, height, steps) == pytest.approx(torch.tensor(mu).exp().item(), rel=1e-5)


@torch.no_grad()
def test_images_go_to_latents_and_back_as_in_diffusers(folder: Path, pipeline: Any) -> None:
    model = opened(folder)
    pixels = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1)) * 2 - 1
    latents = model.encode_image(pixels, torch.randn(1, 128, 4, 6))
    assert torch.allclose(latents, pipeline._encode_vae_image(pixels, None), atol=1e-5)
    whole = model.decode_latents(latents)
    model.tiled = True
    assert torch.allclose(model.decode_latents(latents), whole, atol=1e-4)
    assert not torch.allclose(latents, latents.new_zeros(()), atol=0.1)


def test_single_files_predict_what_the_folder_does(folder: Path, files: dict[str, Path]) -> None:
    check_model("flux2", files["transformer"])
    model = opened(files["transformer"], **separate(files))
    reference = opened(folder)
    assert torch.allclose(predicted(model), predicted(reference), atol=1e-6)
    other = opened(files["transformer"], **separate(files, vae=files["diffusers-vae"]))
    pixels = torch.rand(1, 3, 64, 64) * 2 - 1
    wanted = reference.encode_image(pixels, torch.zeros(1, 128, 4, 4))
    for one in (model, other):
        assert torch.allclose(one.encode_image(pixels, torch.zeros(1, 128, 4, 4)), wanted, atol=1e-6)
    assert list(model.weight_files()) == [files[part] for part in ("transformer", "llm", "vae")]


@torch.no_grad()
def test_half_precision_is_told_the_timestep_as_it_is(folder: Path) -> None:
    """bfloat16 makes 836 of 837.2."""
    model, told = opened(folder, torch.bfloat16), []
    model.transformer.time_guidance_embed.time_proj.register_forward_pre_hook(lambda _module, args: told.append(args))
    text = torch.zeros(1, 8, 3 * MICRO.text.width, dtype=torch.bfloat16)
    made = model.predict(torch.zeros(1, 128, 2, 2, dtype=torch.bfloat16), torch.tensor([837.2]), {"text": text})
    assert made.dtype == torch.bfloat16 and told[0][0].item() == pytest.approx(837.2)


@pytest.mark.parametrize("part", ["llm", "tokenizer", "vae"])
def test_a_part_that_is_nowhere_is_named(files: dict[str, Path], part: str) -> None:
    others = {name: path for name, path in separate(files).items() if name != part}
    with pytest.raises(UserError) as caught:
        opened(files["transformer"], **others)
    assert caught.value.place == f"model.{part}"


def test_flux2_dev_is_refused_by_its_name(folder: Path, files: dict[str, Path], tmp_path: Path) -> None:
    """Its transformer is of the same class, and its text encoder of another kind."""
    shutil.copytree(folder, tmp_path / "dev")
    config = tmp_path / "dev" / "transformer" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "guidance_embeds": True}))
    tensors = load_file(files["transformer"])
    tensors["guidance_in.in_layer.weight"] = torch.zeros(32, 256)
    save_file(tensors, tmp_path / "dev.safetensors")
    for place in (tmp_path / "dev", tmp_path / "dev.safetensors"):
        with pytest.raises(UserError, match=r"FLUX\.2 dev.*Mistral") as caught:
            check_model("flux2", place)
        assert "klein" in caught.value.remedy


def test_other_files_are_refused_with_what_they_are(files: dict[str, Path], tmp_path: Path) -> None:
    torn = load_file(files["transformer"])
    del torn["double_blocks.1.txt_mlp.2.weight"]
    save_file(torn, tmp_path / "torn.safetensors")
    with pytest.raises(UserError, match=r"double_blocks\.1\.txt_mlp\.2"):
        check_model("flux2", tmp_path / "torn.safetensors")
    with pytest.raises(UserError, match="flux2"):
        check_model("flux", files["transformer"])
    plain = {name: tensor for name, tensor in load_file(files["vae"]).items() if not name.startswith("bn.")}
    save_file(plain, tmp_path / "vae.safetensors")
    with pytest.raises(UserError) as caught:
        opened(files["transformer"], **separate(files, vae=tmp_path / "vae.safetensors"))
    assert caught.value.code == "model.vae_family"


def test_layout_is_turned_as_diffusers_turns_it_at_real_width() -> None:
    """A block of each kind of klein 4B's width."""
    shape, generator = replace(KLEIN_4B, double=1, single=1), torch.Generator().manual_seed(0)
    rows = {"qkv": 3, "mlp.0": 6, "linear1": 9, "adaLN_modulation.1": 2}
    tensors = {}
    for name in original_names(1, 1):
        path = name.rpartition(".")[0]
        count = next((count for ending, count in rows.items() if path.endswith(ending)), 1)
        size = (128,) if name.endswith(".scale") else (count * shape.width, 3)
        tensors[name] = torch.randn(size, generator=generator)
    ours = dict(pair for name, tensor in tensors.items() for pair in original_to_diffusers(name, tensor, shape.width))
    theirs = convert_flux2_transformer_checkpoint_to_diffusers(dict(tensors))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_check_names_the_part_that_is_missing_before_anything_loads(
    folder: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    def wrong(base: Path, **named: Path) -> dict[str, str]:
        model = {"base": str(base), "family": "flux2", **{name: str(path) for name, path in named.items()}}
        config = parse_config({"model": model, "datasets": [{"path": str(tmp_path)}]}, base=None, place="test")
        return {finding.field: finding.code for finding in check_config(config) if finding.field.startswith("model.")}

    assert wrong(folder) == wrong(files["transformer"], **separate(files)) == {}
    assert wrong(files["transformer"], vae=files["vae"]) == {"model.llm": "model.part"}
    assert wrong(files["transformer"], **separate(files, llm=files["vae"])) == {"model.llm": "model.part"}
    without = {name: path for name, path in separate(files).items() if name != "tokenizer"}
    assert wrong(files["transformer"], **without) == {"model.tokenizer": "model.tokenizer"}
