"""A folder written as one file: the names of the published checkpoints, every bit, and what tensors cannot tell."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lora_tui.bench.model import write_model
from lora_tui.config.schema import CaptionSection, ModelSection
from lora_tui.families.sd15.facts import FACTS
from lora_tui.families.sd15.model import open_model
from lora_tui.families.unet.layout import file_name
from lora_tui.families.unet.model_file import write_single_file
from lora_tui.families.unet.particulars import KEY, TOKENIZER, Particulars, particulars_of_folder, read_particulars
from lora_tui.weights.header.format import read_header
from lora_tui.weights.header.models import identify_model

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "base", seed=5)


@pytest.fixture(scope="module")
def odd(folder: Path) -> Path:
    """The same weights with other heads, groups and scale, and a tokenizer of a few words."""
    copy = folder.parent / "odd"
    shutil.copytree(folder, copy)
    changes: dict[str, dict[str, Any]] = {
        "unet": {"attention_head_dim": 4, "norm_num_groups": 16},
        "vae": {"norm_num_groups": 8, "scaling_factor": 0.9},
        "text_encoder": {"num_attention_heads": 2},
    }
    for part, values in changes.items():
        path = copy / part / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), "utf-8")
    vocabulary = json.loads((copy / "tokenizer" / "vocab.json").read_text("utf-8"))
    kept = {token: number for token, number in vocabulary.items() if number < 513 or token.startswith("<|")}
    (copy / "tokenizer" / "vocab.json").write_text(json.dumps(kept), "utf-8")
    (copy / "tokenizer" / "merges.txt").write_text("#version: 0.2\ni n\n", "utf-8")
    return copy


def _open(base: Path) -> Any:
    return open_model(ModelSection(base=str(base)), CaptionSection(), device=CPU, dtype=torch.float32)


def _outputs(base: Path) -> list[torch.Tensor]:
    model, generator = _open(base), torch.Generator().manual_seed(1)
    pixels, noise = torch.randn(1, 3, 64, 64, generator=generator), torch.randn(1, 4, 8, 8, generator=generator)
    text = model.encode_text(model.tokenize(["a red disc"], 1))
    latents = model.encode_image(pixels, noise)
    with torch.no_grad():
        return [text["text"], latents, model.predict(latents, torch.tensor([500]), text)]


def _equal(one: Path, other: Path) -> list[bool]:
    return [a.shape == b.shape and torch.equal(a, b) for a, b in zip(_outputs(one), _outputs(other), strict=True)]


def test_every_bit_comes_back(folder: Path, tmp_path: Path) -> None:
    single = _open(write_single_file(folder, tmp_path / "single.safetensors"))
    whole = _open(folder)
    for part in ("unet", "vae", "text_encoder"):
        own, other = whole.part(part).state_dict(), single.part(part).state_dict()
        assert own.keys() == other.keys()
        assert all(torch.equal(tensor, other[name]) for name, tensor in own.items())


def test_the_names_are_those_of_the_published_checkpoint() -> None:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    names = []
    with torch.device("meta"):
        for part, kind in (("unet", UNet2DConditionModel), ("vae", AutoencoderKL)):
            module = kind.from_config(json.loads((TOKENIZER.parent / part / "config.json").read_text("utf-8")))
            names += [file_name(FACTS, part, name) for name in module.state_dict()]
        config = json.loads((TOKENIZER.parent / "text_encoder" / "config.json").read_text("utf-8"))
        names += [
            file_name(FACTS, "text_encoder", name) for name in CLIPTextModel(CLIPTextConfig(**config)).state_dict()
        ]
    # The published file has one more of the text encoder, the constant position_ids.
    assert Counter(name.split(".")[0] for name in names) == {
        "model": 686,
        "first_stage_model": 248,
        "cond_stage_model": 196,
    }
    assert len(set(names)) == len(names)
    assert set(names) >= {
        "model.diffusion_model.input_blocks.4.0.skip_connection.weight",
        "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight",
        "model.diffusion_model.output_blocks.5.2.conv.weight",
        "model.diffusion_model.output_blocks.11.1.proj_out.bias",
        "first_stage_model.encoder.down.1.block.0.nin_shortcut.weight",
        "first_stage_model.decoder.up.3.upsample.conv.weight",
        "first_stage_model.decoder.mid.attn_1.proj_out.weight",
        "cond_stage_model.transformer.text_model.encoder.layers.11.mlp.fc2.bias",
    }


def test_a_file_says_what_its_tensors_cannot(odd: Path, tmp_path: Path) -> None:
    single = write_single_file(odd, tmp_path / "odd.safetensors")
    assert _equal(odd, single) == [True, True, True]
    silent = tmp_path / "silent.safetensors"
    save_file(load_file(single), silent)
    assert _equal(odd, silent) == [False, False, False]


def test_the_metadata_are_those_of_modelspec(folder: Path, odd: Path, tmp_path: Path) -> None:
    single = write_single_file(folder, tmp_path / "micro.safetensors")
    metadata = read_header(single).metadata
    assert metadata["modelspec.sai_model_spec"] == "1.0.1"
    assert metadata["modelspec.architecture"] == "stable-diffusion-v1"
    assert (metadata["modelspec.title"], metadata["modelspec.resolution"]) == ("micro", "64x64")
    assert metadata["modelspec.prediction_type"] == "epsilon"
    assert KEY not in metadata, "it is like the published model"
    assert (identify_model(single).family, identify_model(single).kind) == ("sd15", "checkpoint")
    named = write_single_file(odd, tmp_path / "odd.safetensors", title="An odd one")
    stated = read_header(named).metadata
    assert stated["modelspec.title"] == "An odd one"
    assert read_particulars(stated) == particulars_of_folder(FACTS, odd)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        '{"settings": 3, "tokenizer": []}',
        '{"settings": {"unet": {"attention_head_dim": "4"}, "vae": [1]}}',
        '{"settings": {"text_encoder": {"num_attention_heads": true}}}',
        '{"settings": {"unet": {"norm_num_groups": -1, "block_out_channels": 4}, "other": {"x": 1}}}',
        '{"settings": {"vae": {"scaling_factor": 1e400}}}',
        '{"tokenizer": {"vocab.json": 3, "merges.txt": "", "../../x": "y"}}',
        '{"tokenizer": {"vocab.json": "{}"}}',
    ],
)
def test_whatever_else_the_metadata_say_is_left_out(text: str) -> None:
    assert read_particulars({KEY: text}) == Particulars()


def test_a_folder_without_weights_writes_nothing(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    next((copy / "vae").glob("*.safetensors")).unlink()
    with pytest.raises(FileNotFoundError):
        write_single_file(copy, tmp_path / "single.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy"]
