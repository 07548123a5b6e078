"""Qwen-Image with torch: against diffusers' own pipeline, and from every kind of file that people have."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import QwenImagePipeline
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers
from safetensors.torch import load_file, save_file
from torch import Tensor

from lora_tui.bench.qwen_model import write_qwen_model
from lora_tui.config.load import parse_config
from lora_tui.config.schema import CaptionSection, ModelSection, SamplePrompt
from lora_tui.config.slots import named_slots, slots_of
from lora_tui.config.validate import check_config
from lora_tui.errors import UserError
from lora_tui.families import check_model, decoding, open_model
from lora_tui.families.qwen.language import READER
from lora_tui.families.qwen.tensors import vae_name
from lora_tui.families.text_rows import MASK, TEXT, batch_of, rows_of
from lora_tui.sampling.renderer import Renderer, RenderRequest

TEXTS = ["a photo of a cat, red hat and a scarf", "a dog"]
PREFIX = {"transformer": "model.diffusion_model.", "llm": "text_encoders.qwen25_7b.transformer.", "vae": "vae."}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_qwen_model(tmp_path_factory.mktemp("qwen") / "model")


def opened(base: Path, **settings: Any) -> Any:
    section = ModelSection(base=str(base), family="qwen", **{name: str(value) for name, value in settings.items()})
    return open_model(section, CaptionSection(llm_tokens=128), device=torch.device("cpu"), dtype=torch.float32)


def noise(count: int = 1, size: tuple[int, int] = (8, 12)) -> Tensor:
    return torch.randn(count, 16, *size, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def predicted(model: Any) -> Tensor:
    return model.predict(noise(), torch.tensor([837.2]), model.encode_text(model.tokenize(TEXTS[:1], 64)))


def wan(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A VAE in the names of ComfyUI's file: those which become the ones it has."""
    levels = [f"{half}.{kind}.{number}" for half, kind in (("encoder", "downsamples"), ("decoder", "upsamples"))
              for number in range(15)]  # fmt: skip
    layers = [f"residual.{place}" for place in (0, 2, 3, 6)] + ["shortcut", "resample.1", "time_conv"]
    paths = [f"{level}.{layer}" for level in levels for layer in layers]
    for half in ("encoder", "decoder"):
        paths += [f"{half}.{path}" for path in ("conv1", "head.0", "head.2")]
        paths += [f"{half}.middle.{place}.{layer}" for place in (0, 2) for layer in layers]
        paths += [f"{half}.middle.1.{layer}" for layer in ("norm", "to_qkv", "proj")]
    names = [f"{path}.{kind}" for path in (*paths, "conv1", "conv2") for kind in ("weight", "bias", "gamma")]
    found = {name: tensors[vae_name(name)] for name in names if vae_name(name) in tensors}
    assert len(found) == len(tensors)
    return found


@pytest.fixture(scope="module")
def files(folder: Path) -> dict[str, Path]:
    """The same model as people download it: transformer, language model, VAE; and all in one."""
    home = folder.parent / "files"
    home.mkdir()
    transformer = load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors")
    parts = {
        "transformer": transformer,
        "llm": load_file(folder / "text_encoder" / "model.safetensors"),
        "vae": wan(load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")),
    }
    whole = {PREFIX[part] + name: tensor.clone() for part, own in parts.items() for name, tensor in own.items()}
    for name, tensors in {**parts, "whole": whole}.items():
        save_file(tensors, home / f"{name}.safetensors")
    return {name: home / f"{name}.safetensors" for name in (*parts, "whole")}


def separate(folder: Path, files: dict[str, Path], **others: Path) -> dict[str, Path]:
    return {"llm": files["llm"], "vae": files["vae"], "tokenizer": folder, **others}


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Iterator[Any]:
    yield QwenImagePipeline.from_pretrained(folder, local_files_only=True)


@torch.no_grad()
def test_text_and_prediction_are_those_of_diffusers(folder: Path, pipeline: Any) -> None:
    """Two captions of different lengths at once, at two times; places, packing and mask are the pipeline's."""
    model = opened(folder)
    states, seen = pipeline.encode_prompt(list(TEXTS))
    told = model.encode_text(model.tokenize(TEXTS, 128))
    rows = rows_of(told)
    for row, theirs, own in zip(rows, states, seen, strict=True):
        assert torch.allclose(row[TEXT], theirs[: int(own.sum())], atol=1e-5)
    timesteps, latents = torch.tensor([837.2, 41.0]), noise(2)
    batch = batch_of(rows)
    assert batch[TEXT].shape == states.shape and torch.equal(batch[MASK], seen.bool())
    theirs = pipeline.transformer(
        hidden_states=pipeline._pack_latents(latents, 2, 16, 8, 12), timestep=timesteps / 1000,
        encoder_hidden_states=states, encoder_hidden_states_mask=seen, img_shapes=[[(1, 4, 6)]] * 2, return_dict=False,
    )[0]  # fmt: skip
    wanted = pipeline._unpack_latents(theirs, 64, 96, 8)[:, :, 0]
    assert torch.allclose(model.predict(latents, timesteps, batch), wanted, atol=1e-5)
    alone = [model.predict(latents[n : n + 1], timesteps[n : n + 1], batch_of(rows[n : n + 1])) for n in (0, 1)]
    assert torch.allclose(torch.cat(alone), wanted, atol=1e-5)


def test_a_long_caption_is_cut_where_the_pipeline_cuts_it(folder: Path, pipeline: Any) -> None:
    model, text = opened(folder), "a red disc " * 30
    assert model.text_length([text]) == 128 and model.token_limit == (
        128 - model.encoders["llm"].adds,
        "captions.llm_tokens",
    )
    with torch.no_grad():
        states, _all = pipeline.encode_prompt(text, max_sequence_length=128)
        told = model.encode_text(model.tokenize([text], 128))
    assert states.shape[1] == 128 and torch.allclose(told[TEXT], states, atol=1e-5)


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_an_image_is_drawn_as_diffusers_draws_it(folder: Path, pipeline: Any, guidance: float) -> None:
    """With a negative prompt: what is followed is as long as what the prompt alone gives. The last level is 0.02."""
    model = opened(folder)
    prompt = SamplePrompt(prompt=TEXTS[0], width=96, height=64, steps=3, guidance=guidance, sampler="euler", seed=5)
    with torch.no_grad():
        told = model.encode_text(model.tokenize([TEXTS[0], "blurred"], 128))
    positive, negative = ({name: tensor[n : n + 1] for name, tensor in told.items()} for n in (0, 1))
    ours = Renderer(model).latents(RenderRequest(prompt, positive, negative), lambda _done, _total: None)
    start = torch.randn((1, 16, 8, 12), generator=torch.Generator().manual_seed(5))
    theirs = pipeline(
        TEXTS[0], negative_prompt="blurred", width=96, height=64, num_inference_steps=3, true_cfg_scale=guidance,
        latents=pipeline._pack_latents(start, 1, 16, 8, 12), output_type="latent",
    ).images  # fmt: skip
    assert torch.allclose(ours, pipeline._unpack_latents(theirs, 64, 96, 8)[:, :, 0], atol=1e-4)


def test_the_shift_grows_with_the_image_as_the_schedule_says(folder: Path, pipeline: Any, tmp_path: Path) -> None:
    model = opened(folder)
    for width, height in ((512, 512), (1328, 1328), (1664, 928)):
        pipeline.scheduler.set_timesteps(
            sigmas=[1.0, 0.5, 0.1], mu=0.5 + 0.4 * ((width // 16) * (height // 16) - 256) / (8192 - 256)
        )
        shift = model.shift(width, height)
        plain = [shift * s / (1 + (shift - 1) * s) for s in (1.0, 0.5, 0.1)]
        stretched = [1 - (1 - one) * 0.98 / (1 - plain[-1]) for one in plain]
        assert pipeline.scheduler.sigmas[:-1].tolist() == pytest.approx(stretched, rel=1e-4)
    told = {"use_dynamic_shifting": False, "shift": 3.0, "shift_terminal": None}  # as of its distilled descendants
    shutil.copytree(folder, tmp_path / "other")
    (tmp_path / "other" / "scheduler" / "scheduler_config.json").write_text(json.dumps(told))
    other = opened(tmp_path / "other")
    assert other.shift(1024, 512) == 3.0 and other.scheduler_config()["shift_terminal"] is None


@torch.no_grad()
def test_images_go_to_latents_and_back_as_in_diffusers(
    folder: Path, pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each channel by its own mean and spread; in strips, too, which take no more than the one frame there is."""
    model = opened(folder)
    for parameter in model.vae.parameters():  # norms that are not all alike
        parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
    pipeline.vae.load_state_dict(model.vae.state_dict())
    pixels = torch.rand(1, 3, 64, 96) * 2 - 1
    latents = model.encode_image(pixels, torch.zeros(1, 16, 8, 12))
    config = pipeline.vae.config
    mean, spread = (torch.tensor(one).view(1, 16, 1, 1) for one in (config.latents_mean, config.latents_std))
    theirs = pipeline.vae.encode(pixels[:, :, None]).latent_dist.mode()
    assert torch.allclose(latents, (theirs[:, :, 0] - mean) / spread, atol=1e-5)
    back = (pipeline.vae.decode(theirs).sample[:, :, 0] / 2 + 0.5).clamp(0, 1)
    assert torch.allclose(model.decode_latents(latents), back, atol=1e-5) and back.std() > 0.05
    monkeypatch.setattr(decoding, "STRIP_CELLS", 120)
    monkeypatch.setattr(decoding, "ASKING_CELLS", 9)
    model.tiled = True
    assert torch.allclose(model.decode_latents(latents), back, atol=1e-5)


def test_the_vae_of_comfyui_has_the_names_that_diffusers_knows_as_those_of_wan(folder: Path) -> None:
    """The shortcuts of its decoder apart, of which diffusers' conversion knows those of Wan's widths alone."""
    tensors = load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
    theirs = convert_wan_vae_to_diffusers(wan(tensors))
    assert theirs.keys() == tensors.keys()
    assert all(torch.equal(theirs[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("one_file", [True, False])
def test_single_files_predict_what_the_folder_does(folder: Path, files: dict[str, Path], one_file: bool) -> None:
    base = files["whole"] if one_file else files["transformer"]
    check_model("qwen", base)
    model = opened(base, **({"tokenizer": folder} if one_file else separate(folder, files)))
    reference = opened(folder)
    assert torch.allclose(predicted(model), predicted(reference), atol=1e-5)
    pixels, none = torch.rand(1, 3, 64, 64) * 2 - 1, torch.zeros(1, 16, 8, 8)
    assert torch.allclose(model.encode_image(pixels, none), reference.encode_image(pixels, none), atol=1e-5)
    wanted = [files["whole"]] if one_file else [files[part] for part in ("transformer", "llm", "vae")]
    assert list(model.weight_files()) == wanted


def test_the_text_encoder_is_loaded_whatever_its_age_and_without_its_eyes(folder: Path, tmp_path: Path) -> None:
    """Older configurations say all at the top; newer weights have a word for the part that reads texts."""
    shutil.copytree(folder, tmp_path / "other")
    place = tmp_path / "other" / "text_encoder"
    config = json.loads((place / "config.json").read_text())
    inner = config.pop("text_config")
    theta = inner.pop("rope_parameters")["rope_theta"]
    turned = {"rope_theta": theta, "rope_scaling": {"mrope_section": [16, 24, 24], "type": "mrope"}}
    (place / "config.json").write_text(json.dumps({**inner, **config, **turned}))
    tensors = load_file(place / "model.safetensors")
    assert {name.partition(".")[0] for name in tensors} == {"model", "visual", "lm_head"}
    begins = {"model.": f"model.{READER}", "visual.": "model.visual."}
    newer = {next((name.replace(old, new, 1) for old, new in begins.items() if name.startswith(old)), name): tensor
             for name, tensor in tensors.items()}  # fmt: skip
    save_file(newer, place / "model.safetensors")
    check_model("qwen", tmp_path / "other")
    model = opened(tmp_path / "other")
    assert torch.equal(predicted(model), predicted(opened(folder)))
    assert not [name for name in model.encoder("llm").state_dict() if "visual" in name or "lm_head" in name]


def test_other_files_are_refused_with_what_they_are(folder: Path, files: dict[str, Path], tmp_path: Path) -> None:
    torn = load_file(files["transformer"])
    del torn["transformer_blocks.1.txt_mod.1.bias"]
    save_file(torn, tmp_path / "torn.safetensors")
    with pytest.raises(UserError, match=r"transformer_blocks\.1\.txt_mod\.1\.bias"):
        check_model("qwen", tmp_path / "torn.safetensors")
    layered = load_file(files["transformer"]) | {"time_text_embed.addition_t_embedding.weight": torch.zeros(2, 64)}
    save_file(layered, tmp_path / "layered.safetensors")
    with pytest.raises(UserError, match="reads pictures"):
        check_model("qwen", tmp_path / "layered.safetensors")
    with pytest.raises(UserError, match="text_encoder"):
        check_model("qwen", files["llm"])
    with pytest.raises(UserError, match="qwen"):
        check_model("flux", files["transformer"])


@pytest.mark.parametrize(
    ("file", "changes", "word"),
    [
        ("model_index.json", {"_class_name": "QwenImageEditPipeline"}, "reads pictures"),
        ("transformer/config.json", {"zero_cond_t": True}, "reads pictures"),
        ("text_encoder/config.json", {"model_type": "qwen3"}, "no Qwen2.5-VL"),
        ("text_encoder/config.json", {"text_config": {"num_hidden_layers": 10**12}}, "num_hidden_layers"),
        ("text_encoder/config.json", {"text_config": {"hidden_act": "softer"}}, "hidden_act"),
        ("text_encoder/config.json", {"text_config": {"vocab_size": 300}}, "embed_tokens"),
        ("text_encoder/config.json", {"text_config": {"rope_parameters": {"mrope_section": [1, 2]}}}, "mrope_section"),
        ("transformer/config.json", {"axes_dims_rope": [16, 8, 8]}, "axes_dims_rope"),
        ("scheduler/scheduler_config.json", {"max_shift": "wide"}, "max_shift"),
        ("vae/config.json", {"latents_std": [0.0] * 16}, "latents_std"),
        ("vae/config.json", {"latents_mean": [float("nan")] * 16}, "latents_mean"),
        ("vae/config.json", {"z_dim": 48}, "48 channels"),
        ("vae/config.json", {"base_dim": 10**9}, "base_dim"),
        ("vae/config.json", {"dim_mult": [1, 2]}, "dim_mult"),
    ],
)
def test_a_folder_that_says_another_thing_is_refused(
    folder: Path, tmp_path: Path, file: str, changes: dict[str, Any], word: str
) -> None:
    base = tmp_path / "model"
    shutil.copytree(folder, base, copy_function=lambda old, new: Path(new).symlink_to(old))
    told = json.loads((folder / file).read_text())
    told |= {name: {**told[name], **new} if name == "text_config" else new for name, new in changes.items()}
    (base / file).unlink()
    (base / file).write_text(json.dumps(told))
    with pytest.raises(UserError, match=word):
        check_model("qwen", base)


def test_a_check_names_the_part_that_is_missing_before_anything_loads(
    folder: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    def wrong(base: Path, **named: Path) -> dict[str, str]:
        model = {"base": str(base), "family": "qwen", **{name: str(path) for name, path in named.items()}}
        config = parse_config({"model": model, "datasets": [{"path": str(tmp_path)}]}, base=None, place="test")
        return {finding.field: finding.code for finding in check_config(config) if finding.field.startswith("model.")}

    assert wrong(folder) == wrong(files["transformer"], **separate(folder, files)) == {}
    assert wrong(files["whole"]) == {"model.tokenizer": "model.tokenizer"}
    assert wrong(files["transformer"], tokenizer=folder) == {"model.llm": "model.part", "model.vae": "model.part"}
    flux = {"decoder.conv_in.weight": torch.zeros(8, 16, 3, 3), "encoder.conv_in.weight": torch.zeros(8, 3, 3, 3)}
    save_file(flux, tmp_path / "flux.safetensors")
    assert wrong(files["transformer"], **separate(folder, files, vae=tmp_path / "flux.safetensors")) == {
        "model.vae": "model.vae_family"
    }
    gap = load_file(files["llm"])
    del gap["model.layers.1.mlp.up_proj.weight"]
    save_file(gap, tmp_path / "gap.safetensors")
    assert wrong(files["transformer"], **separate(folder, files, llm=tmp_path / "gap.safetensors")) == {
        "model.llm": "model.incomplete"
    }
    narrow = {name: tensor[..., :128].contiguous() if name in ("txt_in.weight", "txt_norm.weight") else tensor
              for name, tensor in load_file(files["transformer"]).items()}  # fmt: skip
    save_file(narrow, tmp_path / "narrow.safetensors")
    assert wrong(tmp_path / "narrow.safetensors", **separate(folder, files)) == {"model.llm": "model.part"}


def test_gradients_are_the_same_when_blocks_are_computed_again(folder: Path) -> None:
    """By this family's own prediction, captions of different lengths and all; blocks go by the name DOUBLE0 and on."""
    gradients = []
    for share in (0.0, 1.0):
        model = opened(folder)
        told = model.encode_text(model.tokenize(TEXTS, 64))
        if share:
            model.enable_checkpointing(text_encoder=False, share=share)
        weight = model.transformer.transformer_blocks[0].attn.add_k_proj.weight.requires_grad_()
        model.predict(noise(2), torch.tensor([837.2, 41.0]), told).square().mean().backward()
        gradients.append(weight.grad)
    assert gradients[0].any() and torch.equal(*gradients)
    assert slots_of("transformer", "transformer_blocks.59.attn.to_q") == {"DOUBLE59"} == named_slots("DOUBLE59")
