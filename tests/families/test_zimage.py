"""Z-Image with torch: against diffusers' own pipeline, and from every kind of file that people have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ZImagePipeline
from diffusers.loaders.single_file_utils import convert_z_image_transformer_checkpoint_to_diffusers
from safetensors.torch import load_file, save_file
from torch import Tensor

from lora_tui.bench.zimage_model import MICRO, write_zimage_model
from lora_tui.config.load import parse_config
from lora_tui.config.schema import CaptionSection, ModelSection, SamplePrompt
from lora_tui.config.slots import named_slots, slots_of
from lora_tui.config.validate import check_config
from lora_tui.errors import UserError
from lora_tui.families import check_model, open_model
from lora_tui.families.text_rows import MASK, TEXT, batch_of, rows_of
from lora_tui.families.zimage.model_file import original_to_diffusers
from lora_tui.families.zimage.shape import ZIMAGE
from lora_tui.sampling.renderer import Renderer, RenderRequest
from lora_tui.weights.names.zimage_original import ORIGINAL, OUTER, TOKENS, original_names

TEXTS = ["a photo of a cat, red hat and a scarf", "a dog"]
PREFIX = {"transformer": "model.diffusion_model.", "llm": "text_encoders.qwen3_4b.transformer.", "vae": "vae."}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_zimage_model(tmp_path_factory.mktemp("zimage") / "model")


def opened(base: Path, **settings: Any) -> Any:
    section = ModelSection(base=str(base), family="zimage", **{name: str(value) for name, value in settings.items()})
    return open_model(section, CaptionSection(llm_tokens=128), device=torch.device("cpu"), dtype=torch.float32)


def noise(count: int = 1, size: tuple[int, int] = (8, 12)) -> Tensor:
    return torch.randn(count, 16, *size, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def predicted(model: Any) -> Tensor:
    return model.predict(noise(), torch.tensor([837.2]), model.encode_text(model.tokenize(TEXTS[:1], 64)))


def original(tensors: dict[str, Tensor], blocks: int, refiners: int) -> dict[str, Tensor]:
    """A transformer's tensors in ComfyUI's layout: put together from the rows of diffusers'."""
    found = {}
    for name in original_names(blocks, refiners):
        path, _dot, kind = name.rpartition(".")
        if name in TOKENS or path in OUTER:
            found[name] = tensors[name if name in TOKENS else f"{OUTER[path]}.{kind}"]
        else:
            found[name] = torch.cat([tensors[f"{piece.path}.{kind}"] for piece in ORIGINAL.layer_of(path)])
    return found


@pytest.fixture(scope="module")
def files(folder: Path) -> dict[str, Path]:
    """The same model as people download it: transformer, language model, VAE; and all in one."""
    home = folder.parent / "files"
    home.mkdir()
    transformer = load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors")
    parts = {
        "transformer": original(transformer, MICRO.blocks, MICRO.refiners),
        "llm": {f"model.{name}": t for name, t in load_file(folder / "text_encoder" / "model.safetensors").items()},
        "vae": load_file(folder / "vae" / "diffusion_pytorch_model.safetensors"),
    }
    whole = {PREFIX[part] + name: tensor.clone() for part, own in parts.items() for name, tensor in own.items()}
    for name, tensors in {**parts, "whole": whole, "diffusers": transformer}.items():
        save_file(tensors, home / f"{name}.safetensors")
    return {name: home / f"{name}.safetensors" for name in (*parts, "whole", "diffusers")}


def separate(folder: Path, files: dict[str, Path], **others: Path) -> dict[str, Path]:
    return {"llm": files["llm"], "vae": files["vae"], "tokenizer": folder, **others}


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
    yield ZImagePipeline.from_pretrained(folder, local_files_only=True)


@torch.no_grad()
def test_text_and_prediction_are_those_of_diffusers(reference: Any, pipeline: Any) -> None:
    """Two captions of different lengths at once, at two times; an image whose tokens must be filled up, and one whose
    need not."""
    model = reference
    states, _none = pipeline.encode_prompt(list(TEXTS), do_classifier_free_guidance=False, max_sequence_length=128)
    told = model.encode_text(model.tokenize(TEXTS, 128))
    rows = rows_of(told)
    for row, theirs in zip(rows, states, strict=True):
        assert torch.allclose(row[TEXT], theirs, atol=1e-5)
    timesteps = torch.tensor([837.2, 41.0])
    batch = batch_of(rows)
    assert len(batch[TEXT][0]) == max(map(len, states)) and MASK in batch
    for size in ((8, 12), (16, 16)):
        latents = noise(2, size)
        theirs = pipeline.transformer(
            list(latents.unsqueeze(2).unbind()), (1000 - timesteps) / 1000, states, return_dict=False
        )[0]
        wanted = -torch.stack(theirs).squeeze(2)
        assert torch.allclose(model.predict(latents, timesteps, batch), wanted, atol=1e-5)
        alone = [model.predict(latents[n : n + 1], timesteps[n : n + 1], batch_of(rows[n : n + 1])) for n in (0, 1)]
        assert torch.allclose(torch.cat(alone), wanted, atol=1e-5)


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_an_image_is_drawn_as_diffusers_draws_it(reference: Any, pipeline: Any, guidance: float) -> None:
    model = reference
    prompt = SamplePrompt(prompt=TEXTS[0], width=96, height=64, steps=3, guidance=guidance, sampler="euler", seed=5)
    told = model.encode_text(model.tokenize([TEXTS[0], ""], 128))
    positive, negative = ({name: tensor[n : n + 1] for name, tensor in told.items()} for n in (0, 1))
    ours = Renderer(model).latents(RenderRequest(prompt, positive, negative), lambda _done, _total: None)
    start = torch.randn((1, 16, 8, 12), generator=torch.Generator().manual_seed(5))
    theirs = pipeline(
        TEXTS[0], width=96, height=64, num_inference_steps=3, guidance_scale=guidance - 1, latents=start,
        output_type="latent", max_sequence_length=128,
    ).images  # fmt: skip
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_the_shift_is_that_of_the_schedule_that_was_published_with_it(folder: Path, tmp_path: Path) -> None:
    assert opened(folder).shift(512, 512) == 3.0
    base = opened(write_zimage_model(tmp_path / "base", shape=replace(MICRO, shift=6.0)))
    assert base.shift(1024, 512) == base.scheduler_config()["shift"] == 6.0


@torch.no_grad()
def test_images_go_to_latents_and_back_as_in_diffusers(reference: Any, pipeline: Any) -> None:
    model = reference
    pixels = torch.rand(1, 3, 64, 96) * 2 - 1
    latents = model.encode_image(pixels, torch.zeros(1, 16, 8, 12))
    config = pipeline.vae.config
    assert (config.scaling_factor, config.shift_factor) == (0.3611, 0.1159)
    theirs = (pipeline.vae.encode(pixels).latent_dist.mean - config.shift_factor) * config.scaling_factor
    assert torch.allclose(latents, theirs, atol=1e-5)
    back = pipeline.vae.decode(theirs / config.scaling_factor + config.shift_factor).sample
    assert torch.allclose(model.decode_latents(latents), (back / 2 + 0.5).clamp(0, 1), atol=1e-5)


@pytest.mark.parametrize("one_file", [True, False])
def test_single_files_predict_what_the_folder_does(
    folder: Path, reference: Any, wanted: Tensor, files: dict[str, Path], one_file: bool
) -> None:
    base = files["whole"] if one_file else files["transformer"]
    check_model("zimage", base)
    model = opened(base, **({"tokenizer": folder} if one_file else separate(folder, files)))
    assert torch.allclose(predicted(model), wanted, atol=1e-5)
    pixels, none = torch.rand(1, 3, 64, 64) * 2 - 1, torch.zeros(1, 16, 8, 8)
    assert torch.allclose(model.encode_image(pixels, none), reference.encode_image(pixels, none), atol=1e-5)
    read = [files["whole"]] if one_file else [files[part] for part in ("transformer", "llm", "vae")]
    assert list(model.weight_files()) == read


def test_other_files_are_refused_with_what_they_are(files: dict[str, Path], tmp_path: Path) -> None:
    torn = load_file(files["transformer"])
    del torn["context_refiner.0.feed_forward.w2.weight"]
    save_file(torn, tmp_path / "torn.safetensors")
    with pytest.raises(UserError, match=r"context_refiner\.0\.feed_forward\.w2"):
        check_model("zimage", tmp_path / "torn.safetensors")
    omni = load_file(files["transformer"]) | {"siglip_pad_token": torch.zeros(1, 48)}
    save_file(omni, tmp_path / "omni.safetensors")
    with pytest.raises(UserError, match="Omni"):
        check_model("zimage", tmp_path / "omni.safetensors")
    with pytest.raises(UserError, match="text_encoder"):
        check_model("zimage", files["llm"])
    with pytest.raises(UserError, match="zimage"):
        check_model("flux", files["transformer"])
    with pytest.raises(UserError, match="model_index"):
        check_model("zimage", files["diffusers"])


def test_layout_is_turned_as_diffusers_turns_it_at_real_width() -> None:
    """One block of each kind, as wide as the published model; the inner sides of matrices are cut short."""
    shape, generator = replace(ZIMAGE, blocks=1, refiners=1), torch.Generator().manual_seed(0)
    rows = {"attention.qkv": 3 * shape.width, "w1": shape.feed, "w3": shape.feed, "adaLN_modulation.0": 4 * shape.width}
    tensors = {}
    for name in original_names(1, 1):
        path, _dot, kind = name.rpartition(".")
        count = next((size for ending, size in rows.items() if path.endswith(ending)), shape.width)
        whole = kind == "weight" and not path.endswith("norm")
        tensors[name] = torch.randn((count, 3) if whole else (count,), generator=generator)
    ours = dict(pair for name, tensor in tensors.items() for pair in original_to_diffusers(name, tensor, shape.width))
    theirs = convert_z_image_transformer_checkpoint_to_diffusers(dict(tensors))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_check_names_the_part_that_is_missing_before_anything_loads(
    folder: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    def wrong(base: Path, **named: Path) -> dict[str, str]:
        model = {"base": str(base), "family": "zimage", **{name: str(path) for name, path in named.items()}}
        config = parse_config({"model": model, "datasets": [{"path": str(tmp_path)}]}, base=None, place="test")
        return {finding.field: finding.code for finding in check_config(config) if finding.field.startswith("model.")}

    assert wrong(folder) == wrong(files["transformer"], **separate(folder, files)) == {}
    assert wrong(files["whole"]) == {"model.tokenizer": "model.tokenizer"}
    assert wrong(files["transformer"], tokenizer=folder) == {"model.llm": "model.part", "model.vae": "model.part"}
    assert wrong(files["transformer"], **separate(folder, files, tokenizer=tmp_path / "none")) == {
        "model.tokenizer": "model.missing"
    }
    narrow = {name: tensor[..., :16] if name.endswith(("cap_embedder.0.weight", "cap_embedder.1.weight")) else tensor
              for name, tensor in load_file(files["transformer"]).items()}  # fmt: skip
    save_file({name: tensor.contiguous() for name, tensor in narrow.items()}, tmp_path / "narrow.safetensors")
    assert wrong(tmp_path / "narrow.safetensors", **separate(folder, files)) == {"model.llm": "model.part"}


def test_gradients_are_the_same_when_blocks_are_computed_again(folder: Path) -> None:
    """By this family's own prediction, captions of different lengths and all; blocks go by the name SINGLE0 and on."""
    gradients = []
    for share in (0.0, 1.0):
        model = opened(folder)
        told = model.encode_text(model.tokenize(TEXTS, 64))
        if share:
            model.enable_checkpointing(text_encoder=False, share=share)
        weight = model.transformer.layers[0].attention.to_q.weight.requires_grad_()
        model.predict(noise(2), torch.tensor([837.2, 41.0]), told).square().mean().backward()
        gradients.append(weight.grad)
    assert gradients[0].any() and torch.equal(*gradients)
    assert slots_of("transformer", "layers.12.attention.to_q") == {"SINGLE12"} == named_slots("SINGLE12")
