"""Language models as text encoders: the states that diffusers' pipelines read, from folders and from single files."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import Flux2KleinPipeline, ZImagePipeline
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM, Qwen3Model

from lora_tui.bench.language import VOCABULARY, write_language_tokenizer
from lora_tui.errors import UserError
from lora_tui.families.separate.language import (
    QWEN3_4B,
    QWEN3_8B,
    LanguageShape,
    Qwen3,
    language_of_config,
    language_parameters,
    language_shape,
)
from lora_tui.families.separate.model_language import LanguageText, tokenizer_of
from lora_tui.families.separate.places import Part, Place, header_shapes
from lora_tui.families.separate.whole import check_part, part_flaws

SHAPE = LanguageShape(width=32, layers=5, inner=48, heads=4, keys=2, head_width=16, vocabulary=VOCABULARY)
TEXTS = ["a photo of a cat, red hat", "été"]
ENDING = "text_encoders.qwen3_4b.transformer."


def part(reads: tuple[int, ...] = (-2,), *, thinks: bool = True) -> Part:
    kind = Qwen3(reads=reads, thinks=thinks)
    return Part(kind, "Qwen3", "text_encoder", (ENDING,), "tokenizer", needs_tokenizer=True, words="tokenizer")


def encoder(place: Place, reads: tuple[int, ...] = (-2,), *, thinks: bool = True) -> LanguageText:
    return LanguageText(part(reads, thinks=thinks), place, "ids", "own")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folders of text encoder and tokenizer, and the same as single files."""
    home = tmp_path_factory.mktemp("language")
    torch.manual_seed(0)
    Qwen3ForCausalLM(Qwen3Config(**SHAPE.config())).save_pretrained(home / "text_encoder")
    write_language_tokenizer(home / "tokenizer")
    tensors = load_file(home / "text_encoder" / "model.safetensors")
    save_file(tensors, home / "plain.safetensors")
    save_file({ENDING + name: tensor for name, tensor in tensors.items()}, home / "inside.safetensors")
    return home


@pytest.fixture(scope="module")
def theirs(folder: Path) -> tuple[Any, Any]:
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    return Qwen3ForCausalLM.from_pretrained(folder / "text_encoder", local_files_only=True).eval(), tokenizer


@pytest.mark.parametrize("kind", [Qwen3ForCausalLM, Qwen3Model])
def test_what_is_never_read_is_left_without_a_word(kind: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A head of words of its own, as that with 8 billion parameters has it, and the layers behind the one that is read:
    a library's report of them would stand in the log of each training."""
    config = Qwen3Config(**{**SHAPE.config(), "tie_word_embeddings": False})
    kind(config).save_pretrained(tmp_path)
    assert ("lm_head.weight" in load_file(tmp_path / "model.safetensors")) == (kind is Qwen3ForCausalLM)
    logging.getLogger("transformers").addHandler(caplog.handler)
    try:
        encoder(Place(tmp_path)).load(torch.float32)
    finally:
        logging.getLogger("transformers").removeHandler(caplog.handler)
    assert caplog.text == ""


@torch.no_grad()
@pytest.mark.parametrize("name", ["text_encoder", "plain.safetensors", "inside.safetensors"])
def test_states_are_those_of_z_image(folder: Path, theirs: tuple[Any, Any], name: str) -> None:
    ours = encoder(Place(folder / name, ENDING if name.startswith("inside") else ""))
    tokens = ours.tokenize(TEXTS, 64)
    states = ours.read(ours.load(torch.float32).eval(), *tokens.values())
    pipeline = ZImagePipeline(None, None, *theirs, None)
    wanted = pipeline._encode_prompt(list(TEXTS), torch.device("cpu"), max_sequence_length=64)
    for row, own, reference in zip(states, tokens["own"], wanted, strict=True):
        assert torch.allclose(row[own], reference, atol=1e-5)


@torch.no_grad()
def test_several_layers_are_those_of_flux2_klein(folder: Path, theirs: tuple[Any, Any]) -> None:
    """What fills a row up is among them."""
    ours = encoder(Place(folder / "text_encoder"), (1, 2, 4), thinks=False)
    states = ours.read(ours.load(torch.float32).eval(), *ours.tokenize(TEXTS, 64).values())
    wanted = Flux2KleinPipeline._get_qwen3_prompt_embeds(
        *theirs, list(TEXTS), max_sequence_length=64, hidden_states_layers=[1, 2, 4]
    )
    assert torch.allclose(states, wanted, atol=1e-5)


def test_only_what_is_read_is_loaded(folder: Path) -> None:
    for reads, layers in (((-2,), 4), ((1, 2), 2)):
        kind = Qwen3(reads=reads)
        for name in ("text_encoder", "plain.safetensors"):
            module = encoder(Place(folder / name), reads).load(torch.float32)
            assert len(module.layers) == layers
            assert sum(one.numel() for one in module.parameters()) == kind.parameters(SHAPE)


def test_a_long_text_is_cut_with_its_template_and_is_counted_without(folder: Path, theirs: tuple[Any, Any]) -> None:
    ours = encoder(Place(folder / "text_encoder"))
    assert len(ours.rows(["abcde"])[0]) == 5
    assert ours.adds + 5 == len(ours.templated(["abcde"])[0])
    assert encoder(Place(folder / "text_encoder"), thinks=False).adds > ours.adds  # thoughts that are none
    short = ours.tokenize(["x" * 100], 20)
    assert short["own"].all() and short["ids"].shape == (1, 20)
    assert short["ids"].tolist() == [ours.templated(["x" * 100])[0][:20]]


@pytest.mark.parametrize("shape", [SHAPE, QWEN3_4B, QWEN3_8B])
def test_shapes_and_parameters_are_those_of_transformers(shape: LanguageShape) -> None:
    with torch.device("meta"):
        module = Qwen3ForCausalLM(Qwen3Config(**shape.config()))
    shapes = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items() if name != "lm_head.weight"}
    assert language_shape(shapes) == language_of_config(module.config.to_dict()) == shape
    assert {name: shapes[f"model.{name}"] for name in shape.tensors()} == shape.tensors() and len(shapes) == len(
        shape.tensors()
    )
    assert language_parameters(shape) == sum(one.numel() for one in module.model.parameters())
    assert language_parameters(QWEN3_4B) == 4_022_468_096


def test_encoders_that_cannot_serve_are_refused_by_name(folder: Path, tmp_path: Path) -> None:
    def flaw(kind: Part, base: Path, **named: Path) -> str:
        found = part_flaws({"llm": kind}, base, {name: str(path) for name, path in named.items()})
        return ", ".join(f"{name}: {error.code}" for name, error in found)

    lone = folder / "elsewhere"
    lone.mkdir(exist_ok=True)
    save_file(load_file(folder / "plain.safetensors"), lone / "llm.safetensors")
    assert flaw(part(), folder) == flaw(part(), folder / "inside.safetensors") == ""
    assert flaw(part(), folder, llm=lone / "llm.safetensors") == "tokenizer: model.tokenizer"
    for words in (folder, folder / "tokenizer"):
        assert flaw(part(), folder, llm=lone / "llm.safetensors", tokenizer=words) == ""
    assert flaw(part(), folder, llm=lone / "llm.safetensors", tokenizer=tmp_path) == "tokenizer: model.tokenizer"
    assert flaw(part(), folder, tokenizer=tmp_path / "none") == "tokenizer: model.missing"
    for shallow in (folder / "plain.safetensors", folder / "text_encoder"):
        assert flaw(part((9,)), folder, llm=shallow) == "llm: model.incomplete"
    other = tmp_path / "text_encoder"
    other.mkdir()
    save_file(load_file(folder / "plain.safetensors"), other / "model.safetensors")
    (other / "config.json").write_text(json.dumps({"model_type": "mistral"}))
    with pytest.raises(UserError, match="mistral"):
        check_part({"llm": part()}, "llm", other, {"tokenizer": str(folder)})


def test_a_tokenizer_of_more_words_and_a_model_of_other_widths_are_refused(folder: Path, tmp_path: Path) -> None:
    shapes = header_shapes(folder / "plain.safetensors")
    assert Qwen3(reads=(1, 2)).width(shapes, "") == 2 * SHAPE.width
    small = replace(SHAPE, vocabulary=200)
    Qwen3ForCausalLM(Qwen3Config(**small.config())).save_pretrained(tmp_path / "text_encoder")
    write_language_tokenizer(tmp_path / "tokenizer")
    with pytest.raises(UserError, match="200"):
        encoder(Place(tmp_path / "text_encoder")).tokenize(TEXTS, 8)


def test_a_tokenizer_without_its_settings_or_what_fills_rows_up_is_refused(folder: Path, tmp_path: Path) -> None:
    words = write_language_tokenizer(tmp_path / "tokenizer")
    settings = words / "tokenizer_config.json"
    (words / "chat_template.jinja").write_text(json.loads(settings.read_text())["chat_template"])
    said = json.loads(settings.read_text())
    settings.unlink()  # the library would not know what fills rows up
    lone = tmp_path / "llm.safetensors"
    shutil.copy(folder / "plain.safetensors", lone)
    flaws = part_flaws({"llm": part()}, folder, {"llm": str(lone), "tokenizer": str(words)})
    assert [(name, error.code) for name, error in flaws] == [("tokenizer", "model.tokenizer")]
    for wrong, told in (({"tokenizer_class": None, "pad_token": None}, "pad_token"), ({}, "cannot be read")):
        settings.write_text(json.dumps({**said, **wrong}))
        if not wrong:
            (words / "tokenizer.json").write_text('{"model": {"vocab": {"a": 0}}}')
        with pytest.raises(UserError, match=told) as caught:
            tokenizer_of(part(), words, 1000)
        assert caught.value.code == "model.tokenizer" and caught.value.remedy
