"""Z-Image and Qwen-Image, which read captions in rows of their own lengths: against diffusers, and from all files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from row_models import TEXTS, RowModel, noise, predicted
from safetensors.torch import load_file, save_file

from lora_tui.config.schema import CaptionSection, ModelSection, SamplePrompt
from lora_tui.config.slots import named_slots, slots_of
from lora_tui.errors import UserError
from lora_tui.families import check_model, open_model
from lora_tui.families.text_rows import MASK, TEXT, batch_of, rows_of
from lora_tui.sampling.renderer import Renderer, RenderRequest
from lora_tui.trainer.data.texts import embed


@torch.no_grad()
def test_text_and_prediction_are_those_of_diffusers(own: RowModel) -> None:
    """Two captions of different lengths at once, at two times; places, packing and mask are the pipeline's."""
    model, states = own.reference, own.states(TEXTS)
    rows = rows_of(model.encode_text(model.tokenize(TEXTS, 128)))
    for row, theirs in zip(rows, states, strict=True):
        assert torch.allclose(row[TEXT], theirs, atol=1e-5)
    batch, lengths = batch_of(rows), torch.tensor([len(one) for one in states])
    longest = int(lengths.max())
    assert batch[TEXT].shape == (2, longest, states[0].shape[1])
    assert torch.equal(batch[MASK], torch.arange(longest) < lengths[:, None])
    timesteps = torch.tensor([837.2, 41.0])
    for size in own.sizes:
        latents = noise(2, size)
        wanted = own.theirs(latents, timesteps, TEXTS)
        assert torch.allclose(model.predict(latents, timesteps, batch), wanted, atol=1e-5)
        alone = [model.predict(latents[n : n + 1], timesteps[n : n + 1], batch_of(rows[n : n + 1])) for n in (0, 1)]
        assert torch.allclose(torch.cat(alone), wanted, atol=1e-5)


def test_a_language_model_works_in_bfloat16_where_the_model_works_in_float16(own: RowModel) -> None:
    section = ModelSection(base=str(own.folder), family=own.family)
    model: Any = open_model(section, CaptionSection(), device=torch.device("cpu"), dtype=torch.float16)
    kinds: set[torch.dtype] = set()
    for layer in model.encoder("llm").modules():
        if isinstance(layer, torch.nn.Linear):
            layer.register_forward_hook(lambda _layer, _inputs, given: kinds.add(given.dtype))
    told = embed(model, model.tokenize(TEXTS, 128))
    assert kinds == {torch.bfloat16} and told[TEXT].dtype == torch.float16


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_an_image_is_drawn_as_diffusers_draws_it(own: RowModel, guidance: float) -> None:
    model = own.reference
    prompt = SamplePrompt(prompt=TEXTS[0], width=96, height=64, steps=3, guidance=guidance, sampler="euler", seed=5)
    with torch.no_grad():
        told = model.encode_text(model.tokenize([TEXTS[0], own.negative], 128))
    positive, negative = ({name: tensor[n : n + 1] for name, tensor in told.items()} for n in (0, 1))
    ours = Renderer(model).latents(RenderRequest(prompt, positive, negative), lambda _done, _total: None)
    assert torch.allclose(ours, own.drawn(noise(seed=5), guidance), atol=1e-4)


@pytest.mark.parametrize("one_file", [True, False])
def test_single_files_predict_what_the_folder_does(own: RowModel, one_file: bool) -> None:
    base = own.files["whole" if one_file else "transformer"]
    check_model(own.family, base)
    model = own.opened(base, **({"tokenizer": own.folder} if one_file else own.separate()))
    assert torch.allclose(predicted(model), own.wanted, atol=1e-5)
    pixels, none = torch.rand(1, 3, 64, 64) * 2 - 1, torch.zeros(1, 16, 8, 8)
    assert torch.allclose(model.encode_image(pixels, none), own.reference.encode_image(pixels, none), atol=1e-5)
    read = ["whole"] if one_file else ["transformer", "llm", "vae"]
    assert list(model.weight_files()) == [own.files[part] for part in read]


def test_other_files_are_refused_with_what_they_are(own: RowModel, tmp_path: Path) -> None:
    tensors = load_file(own.files["transformer"])
    name, shape, word = own.stranger
    save_file({**tensors, name: torch.zeros(shape)}, tmp_path / "relative.safetensors")
    with pytest.raises(UserError, match=word):
        check_model(own.family, tmp_path / "relative.safetensors")
    del tensors[own.gap]
    save_file(tensors, tmp_path / "torn.safetensors")
    with pytest.raises(UserError, match=own.gap.removesuffix(".weight").replace(".", r"\.")):
        check_model(own.family, tmp_path / "torn.safetensors")
    with pytest.raises(UserError, match="text_encoder"):
        check_model(own.family, own.files["llm"])
    with pytest.raises(UserError, match=own.family):
        check_model("flux", own.files["transformer"])


def test_a_check_names_the_part_that_is_missing_before_anything_loads(own: RowModel, tmp_path: Path) -> None:
    files = own.files
    assert own.wrong(own.folder) == own.wrong(files["transformer"], **own.separate()) == {}
    assert own.wrong(files["whole"]) == {"model.tokenizer": "model.tokenizer"}
    nothing = {"model.llm": "model.part", "model.vae": "model.part"}
    assert own.wrong(files["transformer"], tokenizer=own.folder) == nothing
    nowhere = own.separate(tokenizer=tmp_path / "none")
    assert own.wrong(files["transformer"], **nowhere) == {"model.tokenizer": "model.missing"}
    words = own.folder / "tokenizer" / "tokenizer.json"
    assert own.wrong(files["transformer"], **own.separate(tokenizer=words)) == {"model.tokenizer": "model.missing"}
    narrow = load_file(files["transformer"])
    for name in own.told:
        narrow[name] = narrow[name][..., :16].contiguous()
    save_file(narrow, tmp_path / "narrow.safetensors")
    assert own.wrong(tmp_path / "narrow.safetensors", **own.separate()) == {"model.llm": "model.part"}


def test_gradients_are_the_same_when_blocks_are_computed_again(own: RowModel) -> None:
    """By this family's own prediction, captions of different lengths and all; blocks go by names of their own."""
    gradients = []
    for share in (0.0, 1.0):
        model = own.opened(own.folder)
        told = model.encode_text(model.tokenize(TEXTS, 64))
        if share:
            model.enable_checkpointing(text_encoder=False, share=share)
        weight = model.transformer.get_parameter(own.learner).requires_grad_()
        model.predict(noise(2), torch.tensor([837.2, 41.0]), told).square().mean().backward()
        gradients.append(weight.grad)
    assert gradients[0].any() and torch.equal(*gradients)
    slot, path = own.slot
    assert slots_of("transformer", path) == {slot} == named_slots(slot)
