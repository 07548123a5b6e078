"""What is said of a base model before anything of it is loaded: by its files' names and headers, without torch."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import pytest
from model_headers import (
    DIFFUSERS,
    TRANSFORMERS,
    checkpoint_shapes,
    into_shards,
    text_shapes,
    unet_shapes,
    write_checkpoint,
    write_folder,
    write_safetensors,
    write_vae,
)

from lora_tui.errors import UserError
from lora_tui.families import check_model, check_vae
from lora_tui.families.sdxl.facts import FACTS as SDXL
from lora_tui.families.separate.kinds import Kind
from lora_tui.families.separate.places import Part
from lora_tui.families.separate.tensors import clip_tensors
from lora_tui.families.separate.whole import check_part, part_flaws
from lora_tui.families.unet.layout import file_name
from lora_tui.families.unet.shape import Shape, shape_of_tensors
from lora_tui.families.unet.tensors import own_vae_tensors, unet_tensors


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "base")


def refused(path: Path, **options: bool) -> UserError:
    with pytest.raises(UserError) as caught:
        check_model("sd15", path, **options)
    assert caught.value.remedy and caught.value.place
    return caught.value


def test_a_whole_model_passes_as_a_folder_in_shards_in_half_precision_and_as_a_file(folder, tmp_path):
    check_model("sd15", folder)
    into_shards(folder / "unet", "diffusion_pytorch_model", unet_shapes())
    into_shards(folder / "text_encoder", "model", text_shapes())
    check_model("sd15", folder)
    (folder / "vae" / DIFFUSERS).rename(folder / "vae" / "diffusion_pytorch_model.fp16.safetensors")
    check_model("sd15", folder)
    check_model("sd15", write_checkpoint(tmp_path / "single.safetensors"))
    bare = {name.replace(".text_model.", "."): shape for name, shape in checkpoint_shapes().items()}
    check_model("sd15", write_safetensors(tmp_path / "bare.safetensors", bare))


@pytest.mark.parametrize(
    "file",
    [
        "unet/config.json",
        f"unet/{DIFFUSERS}",
        "text_encoder/config.json",
        f"text_encoder/{TRANSFORMERS}",
        "vae/config.json",
        f"vae/{DIFFUSERS}",
        "tokenizer/vocab.json",
        "tokenizer/merges.txt",
    ],
)
def test_a_file_that_is_missing_is_named_whether_it_or_its_whole_part_is_gone(folder, file):
    (folder / file).unlink()
    told = refused(folder)
    assert (told.code, told.message) == ("model.incomplete", f"the model base is incomplete: {file} is missing.")
    shutil.rmtree((folder / file).parent)
    told = refused(folder)
    assert told.code == "model.incomplete" and f"{file.partition('/')[0]}/" in told.message


def test_the_vae_of_a_model_is_not_missed_when_a_separate_one_is_used(folder):
    shutil.rmtree(folder / "vae")
    check_model("sd15", folder, own_vae=False)
    refused(folder, own_vae=True)


def test_one_file_of_a_tokenizer_is_enough_when_it_is_the_whole(folder):
    shutil.rmtree(folder / "tokenizer")
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "tokenizer.json").write_text('{"model": {"vocab": {"a": 0}}}')
    check_model("sd15", folder)


@pytest.mark.parametrize("part", [f"unet/{DIFFUSERS}", f"text_encoder/{TRANSFORMERS}", f"vae/{DIFFUSERS}"])
def test_weights_that_are_cut_short_are_named(folder, part):
    os.truncate(folder / part, (folder / part).stat().st_size - 7)
    told = refused(folder)
    assert told.code == "weights.torn"
    assert told.message.startswith(f"{part}: the file is cut short")


def test_a_shard_that_is_missing_or_torn_is_named(folder):
    index = into_shards(folder / "unet", "diffusion_pytorch_model", unet_shapes())
    shard = folder / "unet" / "diffusion_pytorch_model-00002-of-00002.safetensors"
    os.truncate(shard, 100)
    assert shard.name in refused(folder).message
    shard.unlink()
    assert refused(folder).message.endswith(f"unet/{shard.name} is missing.")
    for content in ("", "[]", '{"weight_map": 3}', "{" * 2000):
        index.write_text(content)
        assert refused(folder).message == f"unet/{index.name} is no list of weights."


def test_a_tensor_that_is_missing_is_named(folder, tmp_path):
    name = "mid_block.attentions.0.transformer_blocks.0.attn2.to_q.weight"
    gap = {key: shape for key, shape in unet_shapes().items() if key != name}
    write_safetensors(folder / "unet" / DIFFUSERS, gap)
    assert refused(folder).message == f"1 tensors are missing, {name} for one."
    for part, gone in (
        ("middle_block.1.transformer_blocks.0.attn2.to_q", "1 tensors are missing"),
        ("layers.1.mlp.fc2", "2 tensors are missing"),
        ("final_layer_norm.bias", "1 tensors are missing"),
        ("input_blocks.2.0.in_layers.0", "2 tensors are missing"),
        ("time_embed.2.bias", "1 tensors are missing"),
        ("output_blocks.5.2.conv.weight", "1 tensors are missing"),
        ("first_stage_model.decoder.up.3.block.0.norm1.bias", "1 tensors are missing"),
        ("embeddings.position", "a part of Stable Diffusion 1.5 is missing in it"),
    ):
        shapes = {key: shape for key, shape in checkpoint_shapes().items() if part not in key}
        told = refused(write_safetensors(tmp_path / "gap.safetensors", shapes))
        assert (told.code, gone in told.message, part in told.message) == ("model.incomplete", True, True)


def test_a_file_without_a_vae_needs_one_of_its_own(tmp_path):
    shapes = {key: shape for key, shape in checkpoint_shapes().items() if not key.startswith("first_stage_model.")}
    path = write_safetensors(tmp_path / "bare.safetensors", shapes)
    check_model("sd15", path, own_vae=False)
    told = refused(path)
    assert (told.code, "VAE" in told.message, "model.vae" in told.remedy) == ("model.incomplete", True, True)


def test_a_layer_that_no_adapter_attaches_to_is_missed_too_and_has_its_width(folder, tmp_path):
    name, wide = "up_blocks.1.resnets.2.conv2.weight", "time_embedding.linear_1.weight"
    write_safetensors(folder / "unet" / DIFFUSERS, {key: at for key, at in unet_shapes().items() if key != name})
    assert refused(folder).message == f"1 tensors are missing, {name} for one."
    shapes = {**checkpoint_shapes(), "model.diffusion_model.time_embed.0.weight": (32, 9)}
    assert "time_embed.0.weight has the shape [32, 9]" in refused(write_safetensors(tmp_path / "a.st", shapes)).message
    write_safetensors(folder / "unet" / DIFFUSERS, {**unet_shapes(), wide: (32, 9)})
    config = json.loads((folder / "unet" / "config.json").read_text())
    (folder / "unet" / "config.json").write_text(json.dumps({**config, "block_out_channels": [8, 16, 32, 32]}))
    texts = {"hidden_size": 8, "intermediate_size": 8, "vocab_size": 100, "max_position_embeddings": 77}
    texts |= {"num_hidden_layers": 2, "projection_dim": 8}
    (folder / "text_encoder" / "config.json").write_text(json.dumps(texts))
    (folder / "vae" / "config.json").write_text(json.dumps({"block_out_channels": [8] * 4, "latent_channels": 4}))
    assert f"{wide} has the shape [32, 9]" in refused(folder).message


@pytest.mark.parametrize("block", [3, 9])
def test_a_block_that_is_missing_in_a_transformer_is_named_whichever_it_is(tmp_path, block):
    """The depth of a level is the highest number in any of its transformers: one that is cut short is damaged."""
    encoders = SDXL.full.text
    texts = (replace(encoders[0], width=8, inner=8, layers=1), replace(encoders[1], width=8, inner=8, layers=1))
    small = replace(
        SDXL.full, unet_channels=(8, 8, 8), cross_width=16, told_width=1280 + 6, text=texts, vae_channels=(8,) * 4
    )
    own = {file_name(SDXL, "unet", name): shape for name, shape in unet_tensors(small).items()}
    assert max(shape_of_tensors(SDXL, _with_texts(own, small)).depths) == 10
    gap = f"input_blocks.7.1.transformer_blocks.{block}."
    cut = {name: shape for name, shape in own.items() if gap not in name}
    assert shape_of_tensors(SDXL, _with_texts(cut, small)).depths == (0, 2, 10)
    with pytest.raises(UserError) as caught:
        check_model("sdxl", write_safetensors(tmp_path / "gap.safetensors", _with_texts(cut, small)))
    assert gap in caught.value.message and caught.value.code == "model.incomplete"


def _with_texts(unet: dict[str, tuple[int, ...]], shape: Shape) -> dict[str, tuple[int, ...]]:
    """A whole single file around a UNet."""
    found = dict(unet)
    for encoder, text in zip(SDXL.encoders, shape.text, strict=True):
        found |= {encoder.file_name(name): at for name, at in clip_tensors(text).items()}
        if encoder.open_clip:
            found[f"{encoder.prefix}text_projection"] = (text.width, text.projection)
    return {**found, **{file_name(SDXL, "vae", name): at for name, at in own_vae_tensors(shape).items()}}


@pytest.mark.parametrize("layers", [0, -1, 10**9, "2", None, 2.5])
def test_a_number_of_layers_that_cannot_be_is_told(folder, layers):
    (folder / "text_encoder" / "config.json").write_text(json.dumps({"num_hidden_layers": layers}))
    assert refused(folder).code == "model.folder"


def test_weights_that_are_only_pickled_are_told(folder):
    (folder / "unet" / DIFFUSERS).rename(folder / "unet" / "diffusion_pytorch_model.bin")
    assert refused(folder).code == "model.pickle"


def change(what: str) -> Callable[[Path], None]:
    def config(vae: Path) -> None:
        (vae / "config.json").unlink()

    def weights(vae: Path) -> None:
        (vae / DIFFUSERS).unlink()

    def torn(vae: Path) -> None:
        os.truncate(vae / DIFFUSERS, 20)

    return {"config.json is missing": config, f"{DIFFUSERS} is missing": weights, "cut short": torn}[what]


@pytest.mark.parametrize("says", ["config.json is missing", f"{DIFFUSERS} is missing", "cut short"])
def test_a_separate_vae_is_looked_at_as_a_folder_of_its_own_and_of_a_model(tmp_path, says):
    alone, within = write_vae(tmp_path / "alone"), write_folder(tmp_path / "model")
    check_vae("sd15", alone)
    check_vae("sd15", within)
    change(says)(alone)
    change(says)(within / "vae")
    for path in (alone, within):
        with pytest.raises(UserError, match=says):
            check_vae("sd15", path)


def test_a_pickled_vae_folder_passes_only_where_pickles_are_allowed(tmp_path):
    vae = write_vae(tmp_path / "vae")
    (vae / DIFFUSERS).rename(vae / "diffusion_pytorch_model.bin")
    check_vae("sd15", vae, allow_pickle=True)
    with pytest.raises(UserError, match=r"no \.safetensors weights"):
        check_vae("sd15", vae)


def test_the_trainer_says_the_same_before_it_loads(folder, tmp_path):
    """What it says when it opens the model; the checks themselves are proved to need no torch in test_imports.py."""
    import torch

    from lora_tui.config.schema import CaptionSection, ModelSection
    from lora_tui.families.sd15.model import open_model

    def said(base: Path, vae: Path | str = "") -> str:
        section = ModelSection(base=str(base), vae=str(vae))
        with pytest.raises(UserError) as told:
            model = open_model(section, CaptionSection(), device=torch.device("cpu"), dtype=torch.float32)
            _ = model.vae
        return told.value.message

    broken = {name: tmp_path / name for name in ("unet", "text_encoder", "tokenizer", "torn", "vae")}
    for copy in broken.values():
        shutil.copytree(folder, copy)
    for part in ("unet", "text_encoder", "tokenizer", "vae"):
        shutil.rmtree(broken[part] / part)
    os.truncate(broken["torn"] / "unet" / DIFFUSERS, 5000)
    lone = write_vae(tmp_path / "lone")
    (lone / DIFFUSERS).unlink()
    for copy in broken.values():
        assert said(copy) == refused(copy).message
    with pytest.raises(UserError) as caught:
        check_vae("sd15", lone)
    assert said(folder, lone) == caught.value.message


def test_a_text_encoder_whose_tokenizer_is_not_shipped_needs_it_beside_it(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Reader(Kind):
        signs: ClassVar[tuple[str, ...]] = ("model.layers.0.weight",)

    layout = {"reader": Part(Reader(), "Reader", "text_encoder", ("text.",), "tokenizer", needs_tokenizer=True)}
    alone, model = tmp_path / "reader.safetensors", tmp_path / "model"
    write_safetensors(alone, {"model.layers.0.weight": (1,)})
    (model / "text_encoder").mkdir(parents=True)
    (model / "text_encoder" / "config.json").write_text("{}")
    shutil.copyfile(alone, model / "text_encoder" / "model.safetensors")
    places = (alone, model, model / "text_encoder")
    for named in places:
        flaws = part_flaws(layout, tmp_path / "base", {"reader": str(named)})
        assert [(part, flaw.code) for part, flaw in flaws] == [("reader", "model.tokenizer")]
    for home in (tmp_path, model):
        (home / "tokenizer").mkdir()
        (home / "tokenizer" / "tokenizer.json").write_text('{"model": {"vocab": {"a": 0}}}')
    for named in places:
        assert part_flaws(layout, tmp_path / "base", {"reader": str(named)}) == []
    write_safetensors(tmp_path / "other.safetensors", {"model.norm.weight": (1,)})
    with pytest.raises(UserError, match="Reader"):
        check_part(layout, "reader", tmp_path / "other.safetensors")
