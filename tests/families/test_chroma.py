"""Chroma with torch: against diffusers' own pipeline, and from every kind of file that people have."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ChromaPipeline
from diffusers.loaders.single_file_utils import convert_chroma_transformer_checkpoint_to_diffusers
from diffusers.pipelines.chroma.pipeline_chroma import calculate_shift
from safetensors.torch import load_file, save_file
from torch import Tensor

from lora_tui.bench.chroma_model import MICRO, write_chroma_model
from lora_tui.bench.flux_model import write_flux_model
from lora_tui.config.load import parse_config
from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.config.validate import check_config
from lora_tui.errors import UserError
from lora_tui.families import check_model, open_model
from lora_tui.families.chroma.model_file import original_to_diffusers
from lora_tui.families.text_rows import MASK, TEXT, batch_of, rows_of
from lora_tui.weights.names.chroma_original import APPROXIMATOR, ORIGINAL, approximator_path, original_names
from lora_tui.weights.names.flux_original import split_name

WORDS = ("a photo of a cat, red hat", "a dog")
PARTS = {"t5xxl": "text_encoder", "vae": "vae"}
TOKENS = 128


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_chroma_model(tmp_path_factory.mktemp("chroma") / "model")


def opened(base: Path, **settings: Any) -> Any:
    section = ModelSection(base=str(base), family="chroma", **{name: str(value) for name, value in settings.items()})
    return open_model(section, CaptionSection(t5_tokens=TOKENS), device=torch.device("cpu"), dtype=torch.float32)


def noisy(count: int = 1) -> Tensor:
    return torch.randn(count, 16, 8, 12, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def predicted(model: Any, *words: str) -> Tensor:
    """Each caption in the row of its own that is kept of it, then all in one batch."""
    texts = words or WORDS[:1]
    rows = [rows_of(model.encode_text(model.tokenize([text], model.text_length([text]))))[0] for text in texts]
    return model.predict(noisy(len(texts)), torch.full((len(texts),), 837.2), batch_of(rows))


def original(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """A transformer's tensors in its makers' layout: put together from the rows of diffusers'."""
    found = {}
    for name in original_names(MICRO.double, MICRO.single, approximator=MICRO.deep):
        path, kind = split_name(name)
        if path.startswith(APPROXIMATOR):
            found[name] = tensors[f"{approximator_path(path)}.{kind}"]
        else:
            found[name] = torch.cat([tensors[f"{piece.path}.{kind}"] for piece in ORIGINAL.layer_of(path)])
    return found


@pytest.fixture(scope="module")
def files(folder: Path) -> dict[str, Path]:
    """The same model as people download it: transformer (in bfloat16, too), ``t5xxl`` and ``ae``; and all in one."""
    home = folder.parent / "files"
    home.mkdir()
    parts = {"transformer": original(load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors"))}
    parts["t5xxl"] = load_file(folder / "text_encoder" / "model.safetensors")
    parts["vae"] = load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
    parts["t5xxl"].pop("encoder.embed_tokens.weight", None)
    prefixes = {
        "transformer": "model.diffusion_model.", "t5xxl": "text_encoders.t5xxl.transformer.", "vae": "vae.",
    }  # fmt: skip
    whole = {prefixes[part] + name: tensor.clone() for part, own in parts.items() for name, tensor in own.items()}
    half = {name: tensor.bfloat16() for name, tensor in parts["transformer"].items()}
    for name, tensors in {**parts, "whole": whole, "half": half}.items():
        save_file(tensors, home / f"{name}.safetensors")
    return {name: home / f"{name}.safetensors" for name in (*parts, "whole", "half")}


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
    yield ChromaPipeline.from_pretrained(folder, local_files_only=True)


@torch.no_grad()
def theirs(pipeline: Any, *words: str) -> Tensor:
    """What the pipeline's transformer predicts, with captions filled up and the pipeline's mask."""
    states, places, mask, *_negative = pipeline.encode_prompt(
        list(words), do_classifier_free_guidance=False, max_sequence_length=TOKENS
    )
    count, cpu = len(words), torch.device("cpu")
    mask = pipeline._prepare_attention_mask(count, 24, torch.float32, mask.bool())
    found = pipeline.transformer(
        hidden_states=pipeline._pack_latents(noisy(count), count, 16, 8, 12), timestep=torch.full((count,), 0.8372),
        encoder_hidden_states=states, txt_ids=places, attention_mask=mask, return_dict=False,
        img_ids=pipeline._prepare_latent_image_ids(count, 4, 6, cpu, torch.float32),
    )[0]  # fmt: skip
    return pipeline._unpack_latents(found, 64, 96, 8)


@torch.no_grad()
def test_text_and_prediction_are_those_of_diffusers(reference: Any, pipeline: Any) -> None:
    """Rows of their own lengths predict what those do that are filled up, alone and beside a longer one."""
    model = reference
    states, _places, mask, *_negative = pipeline.encode_prompt(
        list(WORDS), do_classifier_free_guidance=False, max_sequence_length=TOKENS
    )
    text = model.encode_text(model.tokenize(WORDS, TOKENS))
    assert torch.equal(text[MASK], mask.bool())
    assert torch.allclose(text[TEXT], states * mask[..., None], atol=1e-5)
    for words in (WORDS[:1], WORDS[1:], WORDS):
        assert torch.allclose(predicted(model, *words), theirs(pipeline, *words), atol=1e-5)


def test_a_caption_as_long_as_the_limit_has_no_filling_to_be_seen(reference: Any) -> None:
    model = reference
    long = "red hat " * TOKENS
    assert model.text_length([long]) == TOKENS and model.token_limit == (TOKENS - 1, "captions.t5_tokens")
    assert model.encode_text(model.tokenize([long], TOKENS))[MASK].all()
    count = model.token_count(WORDS[1])
    assert model.text_length([WORDS[1]]) == count + 2
    assert model.encode_text(model.tokenize([WORDS[1]], TOKENS))[MASK].sum() == count + 2


def test_gradients_are_the_same_when_blocks_are_computed_again(folder: Path) -> None:
    """diffusers leaves the mask of single blocks out where they are computed again."""
    model = opened(folder)
    found = []
    for share in (0.0, 0.5, 1.0):
        model.enable_checkpointing(text_encoder=False, share=share)
        start = noisy(2).requires_grad_()
        with torch.no_grad():
            rows = [rows_of(model.encode_text(model.tokenize([text], TOKENS)))[0] for text in WORDS]
        other = model.predict(noisy(2), torch.tensor([3.0, 500.0]), batch_of(rows[::-1])).sum()
        result = model.predict(start, torch.tensor([100.0, 837.2]), batch_of(rows))
        (result.square().sum() + other).backward()
        found.append((result.detach(), start.grad))
    for result, gradient in found[1:]:
        assert torch.allclose(result, found[0][0], atol=1e-6)
        assert torch.allclose(gradient, found[0][1], atol=1e-6)


def test_timesteps_are_not_rounded_by_half_precision(folder: Path) -> None:
    model = opened(folder)
    model.transformer.to(torch.bfloat16)
    told: list[Tensor] = []
    model.transformer.time_text_embed.time_proj.register_forward_pre_hook(lambda _module, args: told.append(args[0]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        predicted(model)
    assert [float(number) for number in told] == [pytest.approx(837.2)]


@torch.no_grad()
def test_images_go_to_latents_and_back_as_in_diffusers(reference: Any, pipeline: Any) -> None:
    model = reference
    pixels = torch.rand(1, 3, 64, 96) * 2 - 1
    latents = model.encode_image(pixels, torch.zeros(1, 16, 8, 12))
    config = pipeline.vae.config
    wanted = (pipeline.vae.encode(pixels).latent_dist.mean - config.shift_factor) * config.scaling_factor
    assert torch.allclose(latents, wanted, atol=1e-5)
    back = pipeline.vae.decode(wanted / config.scaling_factor + config.shift_factor).sample
    assert torch.allclose(model.decode_latents(latents), (back / 2 + 0.5).clamp(0, 1), atol=1e-5)


def test_levels_are_shifted_as_the_folder_says(folder: Path, files: dict[str, Path]) -> None:
    """By diffusers' calculate_shift over tokens of 16 x 16 px, or by one factor."""
    grows = float(torch.tensor(calculate_shift(64 * 48)).exp())
    assert opened(folder).shift(1024, 768) == pytest.approx(grows)
    assert opened(files["transformer"], **separate(files)).shift(1024, 768) == pytest.approx(grows)
    place = folder / "scheduler" / "scheduler_config.json"
    before = place.read_bytes()
    place.write_text(json.dumps({"shift": 3.0, "use_dynamic_shifting": False}))
    try:
        assert opened(folder).shift(1024, 768) == 3.0
    finally:
        place.write_bytes(before)


@pytest.mark.parametrize("kind", ["whole", "transformer", "half"])
def test_single_files_predict_what_the_folder_does(
    reference: Any, wanted: Tensor, files: dict[str, Path], kind: str
) -> None:
    base = files[kind]
    check_model("chroma", base)
    model = opened(base, **({} if kind == "whole" else separate(files)))
    assert torch.allclose(predicted(model), wanted, atol=0.1 * float(wanted.abs().max()) if kind == "half" else 1e-5)
    if kind == "whole":
        pixels, noise = torch.rand(1, 3, 64, 64) * 2 - 1, torch.zeros(1, 16, 8, 8)
        assert torch.allclose(model.encode_image(pixels, noise), reference.encode_image(pixels, noise), atol=1e-5)
    assert list(model.weight_files()) == ([base] if kind == "whole" else [base, *(files[part] for part in PARTS)])


def test_t5_and_vae_come_from_the_folder_of_flux(folder: Path, files: dict[str, Path], tmp_path: Path) -> None:
    """Whose T5 is the second encoder, with a tokenizer of that number; its first, CLIP, is none."""
    flux = write_flux_model(tmp_path / "flux")
    model = opened(files["transformer"], t5xxl=flux, vae=flux)
    assert {flux / "text_encoder_2" / "model.safetensors", flux / "vae" / "diffusion_pytorch_model.safetensors"} < set(
        model.weight_files()
    )
    ids, reference = (one.tokenize(WORDS, TOKENS)["ids"] for one in (model, opened(folder)))
    assert torch.equal(ids, reference)
    with pytest.raises(UserError, match="holds no T5"):
        opened(files["transformer"], t5xxl=flux / "text_encoder", vae=flux)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_nowhere_is_named(files: dict[str, Path], part: str) -> None:
    others = {name: path for name, path in separate(files).items() if name != part}
    for wrong in ({}, {part: files["transformer"]}):
        with pytest.raises(UserError) as caught:
            opened(files["transformer"], **others, **wrong)
        assert caught.value.place == f"model.{part}"


def test_other_files_are_refused_with_what_they_are(files: dict[str, Path], tmp_path: Path) -> None:
    for gap in ("double_blocks.1.img_mlp.2.weight", f"{APPROXIMATOR}.norms.1.scale"):
        torn = load_file(files["transformer"])
        del torn[gap]
        save_file(torn, tmp_path / "torn.safetensors")
        with pytest.raises(UserError, match=gap.rpartition(".")[0].replace(".", r"\.")):
            check_model("chroma", tmp_path / "torn.safetensors")
    with pytest.raises(UserError, match="text_encoder"):
        check_model("chroma", files["t5xxl"])
    with pytest.raises(UserError, match="chroma"):
        check_model("flux", files["transformer"])


def test_layout_is_turned_as_diffusers_turns_it_at_real_width() -> None:
    width, generator = 3072, torch.Generator().manual_seed(0)
    rows = {"qkv": 3, "linear1": 7, "mlp.0": 4}
    tensors = {}
    for name in original_names(1, 1, approximator=2):
        path, kind = split_name(name)
        count = next((n for ending, n in rows.items() if path.endswith(ending)), 1)
        shape = (count * width, 3) if kind == "weight" and not name.endswith("scale") else (count * width,)
        tensors[name] = torch.randn(shape, generator=generator)
    ours = dict(pair for name, tensor in tensors.items() for pair in original_to_diffusers(name, tensor, width))
    wanted = convert_chroma_transformer_checkpoint_to_diffusers(dict(tensors))
    assert ours.keys() == wanted.keys()
    assert all(torch.equal(ours[name], wanted[name]) for name in wanted)


def test_a_check_names_the_part_that_is_missing_before_anything_loads(
    folder: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    def wrong(base: Path, **named: Path) -> dict[str, str]:
        model = {"base": str(base), "family": "chroma", **{name: str(path) for name, path in named.items()}}
        config = parse_config({"model": model, "datasets": [{"path": str(tmp_path)}]}, base=None, place="test")
        assert not config.trains_text and config.masks_text and config.keeps_text
        return {finding.field: finding.code for finding in check_config(config) if finding.field.startswith("model.")}

    assert wrong(folder) == wrong(files["whole"]) == wrong(files["transformer"], **separate(files)) == {}
    assert wrong(files["transformer"], vae=files["vae"]) == {"model.t5xxl": "model.part"}
    narrow = load_file(files["t5xxl"])
    outwards = (".o.weight", ".wo.weight")
    narrow = {name: one[:16] if name.endswith(outwards) else one[..., :16] for name, one in narrow.items()}
    save_file({name: tensor.contiguous() for name, tensor in narrow.items()}, tmp_path / "narrow.safetensors")
    assert wrong(files["transformer"], **separate(files, t5xxl=tmp_path / "narrow.safetensors")) == {
        "model.t5xxl": "model.part"
    }
