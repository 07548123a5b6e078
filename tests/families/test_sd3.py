"""SD3.5 with torch: against diffusers' own pipeline, and from every kind of file that people have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusion3Pipeline
from diffusers.loaders.single_file_utils import convert_sd3_transformer_checkpoint_to_diffusers
from safetensors.torch import load_file, save_file
from torch import Tensor

from lora_tui.bench.sd3_model import MICRO, write_sd3_model
from lora_tui.config.load import parse_config
from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.config.validate import check_config
from lora_tui.errors import UserError
from lora_tui.families import check_model, open_model
from lora_tui.families.sd3.model_file import original_to_diffusers
from lora_tui.families.sd3.shape import SD35_MEDIUM
from lora_tui.weights.names.sd3_original import (
    BLOCKS,
    LAST_MODULATION,
    ORIGINAL,
    POSITIONS,
    TEXT_MODULATION,
    original_names,
)

TEXT = "a photo of a cat, red hat"
PARTS = {"clip_l": "text_encoder", "clip_g": "text_encoder_2", "t5xxl": "text_encoder_3", "vae": "vae"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sd3_model(tmp_path_factory.mktemp("sd3") / "model")


def opened(base: Path, **settings: Any) -> Any:
    section = ModelSection(base=str(base), family="sd3", **{name: str(value) for name, value in settings.items()})
    return open_model(section, CaptionSection(t5_tokens=128), device=torch.device("cpu"), dtype=torch.float32)


@torch.no_grad()
def predicted(model: Any) -> Tensor:
    latents = torch.randn(1, 16, 8, 12, generator=torch.Generator().manual_seed(0))
    return model.predict(latents, torch.tensor([837.2]), model.encode_text(model.tokenize([TEXT], 128)))


def turned(path: str, blocks: int) -> bool:
    return path in (LAST_MODULATION, f"{BLOCKS}.{blocks - 1}.{TEXT_MODULATION}")


def original(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A transformer's tensors in Stability's layout: put together from the rows of diffusers'."""
    found = {}
    for name in original_names(MICRO.blocks, dual=MICRO.dual, norms=MICRO.norms):
        path, _dot, kind = name.rpartition(".")
        if name == POSITIONS:
            found[name] = tensors["pos_embed.pos_embed"]
            continue
        whole = torch.cat([tensors[f"{piece.path}.{kind}"] for piece in ORIGINAL.layer_of(path)])
        found[name] = torch.cat(whole.chunk(2)[::-1]) if turned(path, MICRO.blocks) else whole.contiguous()
    return found


@pytest.fixture(scope="module")
def files(folder: Path) -> dict[str, Path]:
    """The same model as people download it: transformer, ``clip_l``, ``clip_g``, ``t5xxl``, VAE; and all in one."""
    home = folder.parent / "files"
    home.mkdir()
    parts = {"transformer": original(load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors"))}
    parts |= {part: load_file(folder / PARTS[part] / "model.safetensors") for part in ("clip_l", "clip_g", "t5xxl")}
    parts["vae"] = load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
    parts["t5xxl"].pop("encoder.embed_tokens.weight", None)
    for part in ("clip_l", "clip_g"):
        parts[part] = {
            name if name.startswith("text_") else f"text_model.{name}": tensor for name, tensor in parts[part].items()
        }
    prefixes = {part: f"text_encoders.{part}.transformer." for part in ("clip_l", "clip_g", "t5xxl")}
    prefixes |= {"transformer": "model.diffusion_model.", "vae": "first_stage_model."}
    whole = {prefixes[part] + name: tensor.clone() for part, own in parts.items() for name, tensor in own.items()}
    for name, tensors in {**parts, "whole": whole}.items():
        save_file(tensors, home / f"{name}.safetensors")
    return {name: home / f"{name}.safetensors" for name in (*parts, "whole")}


def separate(files: dict[str, Path], **others: Path) -> dict[str, Path]:
    return {**{part: files[part] for part in PARTS}, **others}


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
    yield StableDiffusion3Pipeline.from_pretrained(folder, local_files_only=True)


@torch.no_grad()
def test_text_and_prediction_are_those_of_diffusers(reference: Any, wanted: Tensor, pipeline: Any) -> None:
    model = reference
    states, _negative, pooled, _other = pipeline.encode_prompt(
        TEXT, None, None, max_sequence_length=128, do_classifier_free_guidance=False
    )
    text = model.encode_text(model.tokenize([TEXT], 128))
    width = text["clip"].shape[-1]
    assert torch.allclose(text["clip"], states[:, :77, :width], atol=1e-5)
    assert torch.allclose(text["text"], states[:, 77:], atol=1e-5)
    assert torch.allclose(text["pooled"], pooled, atol=1e-5)
    latents = torch.randn(1, 16, 8, 12, generator=torch.Generator().manual_seed(0))
    theirs = pipeline.transformer(
        hidden_states=latents, timestep=torch.tensor([837.2]), encoder_hidden_states=states,
        pooled_projections=pooled, return_dict=False,
    )[0]  # fmt: skip
    assert torch.allclose(wanted, theirs, atol=1e-5)


@torch.no_grad()
def test_images_go_to_latents_and_back_as_in_diffusers(reference: Any, pipeline: Any) -> None:
    model = reference
    pixels = torch.rand(1, 3, 64, 96) * 2 - 1
    latents = model.encode_image(pixels, torch.zeros(1, 16, 8, 12))
    config = pipeline.vae.config
    assert (config.scaling_factor, config.shift_factor) == (1.5305, 0.0609)
    theirs = (pipeline.vae.encode(pixels).latent_dist.mean - config.shift_factor) * config.scaling_factor
    assert torch.allclose(latents, theirs, atol=1e-5)
    back = pipeline.vae.decode(theirs / config.scaling_factor + config.shift_factor).sample
    assert torch.allclose(model.decode_latents(latents), (back / 2 + 0.5).clamp(0, 1), atol=1e-5)


def test_the_encoders_that_learn_and_the_one_that_never_does_are_kept_apart(folder: Path) -> None:
    model = opened(folder)
    clip, t5 = model.text_parts
    tokens = model.tokenize([TEXT, ""], 128)
    assert set(model.encode_text({name: tokens[name] for name in clip.tokens})) == {"clip", "pooled"}
    assert len(model.loaded()) == 2
    assert set(model.encode_text({name: tokens[name] for name in t5.tokens})) == {"text"}
    assert not t5.learns
    model.release("frozen_text")
    assert len(model.loaded()) == 2
    assert model.text_identity(clip) != model.text_identity(t5)


@pytest.mark.parametrize("one_file", [True, False])
def test_single_files_predict_what_the_folder_does(
    reference: Any, wanted: Tensor, files: dict[str, Path], one_file: bool
) -> None:
    base = files["whole"] if one_file else files["transformer"]
    check_model("sd3", base)
    model = opened(base, **({} if one_file else separate(files)))
    assert torch.allclose(predicted(model), wanted, atol=1e-5)
    pixels = torch.rand(1, 3, 64, 64) * 2 - 1
    noise = torch.zeros(1, 16, 8, 8)
    assert torch.allclose(model.encode_image(pixels, noise), reference.encode_image(pixels, noise), atol=1e-5)
    read = [files["whole"]] if one_file else [files[part] for part in ("transformer", *PARTS)]
    assert list(model.weight_files()) == read


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_nowhere_is_named(files: dict[str, Path], part: str) -> None:
    others = {name: path for name, path in separate(files).items() if name != part}
    with pytest.raises(UserError) as caught:
        opened(files["transformer"], **others)
    assert caught.value.place == f"model.{part}"
    with pytest.raises(UserError) as caught:
        opened(files["transformer"], **{**others, part: files["transformer"]})
    assert caught.value.place == f"model.{part}"


def test_the_two_clips_in_each_others_place_are_refused(files: dict[str, Path]) -> None:
    """Both load into either place, and would draw wrongly."""
    with pytest.raises(UserError) as caught:
        opened(files["transformer"], **separate(files, clip_l=files["clip_g"], clip_g=files["clip_l"]))
    assert caught.value.place == "model.clip_l" and "CLIP-G" in caught.value.message


def test_other_files_are_refused_with_what_they_are(files: dict[str, Path], tmp_path: Path) -> None:
    torn = load_file(files["transformer"])
    del torn[f"{BLOCKS}.1.x_block.mlp.fc2.weight"]
    save_file(torn, tmp_path / "torn.safetensors")
    with pytest.raises(UserError, match=r"joint_blocks\.1\.x_block\.mlp\.fc2"):
        check_model("sd3", tmp_path / "torn.safetensors")
    with pytest.raises(UserError, match="text_encoder"):
        check_model("sd3", files["clip_l"])
    with pytest.raises(UserError, match="sd3"):
        check_model("flux", files["transformer"])


def test_layout_is_turned_as_diffusers_turns_it_at_real_width() -> None:
    """Two blocks of SD3.5 medium's width: the first with a second attention, the last without text."""
    shape, generator = replace(SD35_MEDIUM, blocks=2, dual=1, positions=4), torch.Generator().manual_seed(0)
    width = shape.width
    rows = {"attn.qkv": 3, "attn2.qkv": 3, "mlp.fc1": 4, "0.x_block.adaLN_modulation.1": 9, "adaLN_modulation.1": 6}
    tensors = {}
    for name in original_names(shape.blocks, dual=shape.dual, norms=True):
        path, _dot, kind = name.rpartition(".")
        count = next((n for ending, n in rows.items() if path.endswith(ending)), 1)
        count = 2 if turned(path, shape.blocks) else count
        size = (64,) if ".ln_" in name else (count * width, 3) if kind == "weight" else (count * width,)
        tensors[name] = torch.randn(size, generator=generator)
    tensors["context_embedder.weight"] = torch.randn(width, 4096, generator=generator)
    ours = dict(pair for name, tensor in tensors.items() for pair in original_to_diffusers(name, tensor, shape))
    theirs = convert_sd3_transformer_checkpoint_to_diffusers(dict(tensors))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_check_names_the_part_that_is_missing_before_anything_loads(
    folder: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    def wrong(base: Path, **named: Path) -> dict[str, str]:
        model = {"base": str(base), "family": "sd3", **{name: str(path) for name, path in named.items()}}
        config = parse_config({"model": model, "datasets": [{"path": str(tmp_path)}]}, base=None, place="test")
        return {finding.field: finding.code for finding in check_config(config) if finding.field.startswith("model.")}

    assert wrong(folder) == wrong(files["whole"]) == wrong(files["transformer"], **separate(files)) == {}
    lacking = wrong(files["transformer"], vae=files["vae"], clip_l=files["clip_l"])
    assert lacking == {"model.clip_g": "model.part", "model.t5xxl": "model.part"}
    swapped = wrong(files["transformer"], **separate(files, clip_l=files["clip_g"], clip_g=files["clip_l"]))
    assert swapped == {"model.clip_l": "model.part"}
