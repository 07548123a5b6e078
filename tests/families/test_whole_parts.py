"""Models with separate parts that lack a tensor, or have one in another shape: told from headers, before they load.

That the tables of tensors are those of the libraries is shown in the tests of each family's facts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from model_headers import DIFFUSERS, TRANSFORMERS, write_safetensors

from lora_tui.bench.chroma_model import MICRO as CHROMA
from lora_tui.bench.flux2_model import MICRO as FLUX2
from lora_tui.bench.flux_model import MICRO as FLUX
from lora_tui.bench.sd3_model import MICRO as SD3
from lora_tui.bench.zimage_model import MICRO as ZIMAGE
from lora_tui.errors import UserError
from lora_tui.families import check_model, facts_for, part_flaws
from lora_tui.families.blocks import block_count
from lora_tui.families.separate.language import LanguageShape
from lora_tui.families.separate.shapes import T5Shape
from lora_tui.families.separate.tensors import clip_tensors, makers_shapes, makers_vae, vae_tensors
from lora_tui.families.unet.shape import TextShape

MICRO: dict[str, Any] = {"flux": FLUX, "sd3": SD3, "chroma": CHROMA, "flux2": FLUX2, "zimage": ZIMAGE}
ENCODERS = {"flux": ("clip", "t5"), "sd3": ("clip_l", "clip_g", "t5"), "chroma": ("t5",), "flux2": ("text",),
            "zimage": ("language",)}  # fmt: skip
Shapes = Mapping[str, tuple[int, ...]]


def part_of(encoder: TextShape | T5Shape | LanguageShape) -> tuple[dict[str, Any], Shapes]:
    """What the configuration of a text encoder says, and its tensors."""
    if isinstance(encoder, TextShape):
        return {**encoder.config("gelu"), "model_type": "clip_text_model"}, clip_tensors(encoder)
    kind = "t5" if isinstance(encoder, T5Shape) else "qwen3"
    return {**encoder.config(), "model_type": kind}, encoder.tensors()


def vae_of(family: str) -> tuple[dict[str, Any], dict[str, tuple[int, ...]]]:
    shape, patched = MICRO[family], family == "flux2"
    latent = 32 if patched else 16
    tensors = vae_tensors(shape.vae_channels, latent, around=(patched, patched))
    normed = {"bn.running_mean": (4 * latent,), "bn.running_var": (4 * latent,)}
    return shape.vae_config(), {**tensors, **(normed if patched else {})}


def parts_of(family: str) -> dict[str, tuple[dict[str, Any], Shapes]]:
    """Configuration and tensors of each part, by its folder."""
    shape = MICRO[family]
    counting = import_module(f"lora_tui.families.{family}.counting")
    folders = ("text_encoder", "text_encoder_2", "text_encoder_3")
    texts = {folder: part_of(getattr(shape, name)) for folder, name in zip(folders, ENCODERS[family], strict=False)}
    return {"transformer": (shape.transformer_config(), counting.tensors(shape)), **texts, "vae": vae_of(family)}


def write_part(folder: Path, config: Mapping[str, Any], tensors: Shapes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    diffusers = folder.name in ("transformer", "vae")
    write_safetensors(folder / (DIFFUSERS if diffusers else TRANSFORMERS), tensors)


def write_model(folder: Path, family: str) -> Path:
    parts = parts_of(family)
    for part, (config, tensors) in parts.items():
        write_part(folder / part, config, tensors)
    names = {"flux": "FluxPipeline", "sd3": "StableDiffusion3Pipeline", "chroma": "ChromaPipeline"}
    names |= {"flux2": "Flux2KleinPipeline", "zimage": "ZImagePipeline"}
    index = {"_class_name": names[family], "transformer": ["diffusers", parts["transformer"][0]["_class_name"]]}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def refused(family: str, path: Path) -> UserError:
    with pytest.raises(UserError) as caught:
        check_model(family, path)
    assert (caught.value.code, caught.value.remedy != "") == ("model.incomplete", True)
    return caught.value


@pytest.mark.parametrize("family", MICRO)
def test_a_tensor_that_a_folder_lacks_or_has_in_another_shape_is_named(family: str, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", family)
    check_model(family, folder)
    for part, (config, tensors) in parts_of(family).items():
        inner = [name for name in tensors if ".1." in name]
        for name in (next(iter(tensors)), inner[len(inner) // 2] if inner else next(reversed(tensors))):
            write_part(folder / part, config, {one: shape for one, shape in tensors.items() if one != name})
            told = refused(family, folder)
            assert name in told.message and part in told.place
        odd = (tensors[name][0] + 1, *tensors[name][1:])
        write_part(folder / part, config, {**tensors, name: odd})
        told = refused(family, folder)
        assert f"{name} has the shape [{odd[0]}" in told.message and part in told.place
        write_part(folder / part, config, tensors)
    check_model(family, folder)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("flux", {"attention_head_dim": 1}),
        ("chroma", {"attention_head_dim": 7}),
        ("zimage", {"n_heads": 32, "dim": 96}),
    ],
)
def test_heads_of_a_width_that_cannot_be_turned_are_refused(
    family: str, changes: dict[str, int], tmp_path: Path
) -> None:
    folder = write_model(tmp_path / "model", family)
    config, tensors = parts_of(family)["transformer"]
    write_part(folder / "transformer", {**config, **changes}, tensors)
    with pytest.raises(UserError) as caught:
        check_model(family, folder)
    assert caught.value.code == "model.folder" and next(iter(changes)) in caught.value.message


@pytest.mark.parametrize("family", MICRO)
def test_a_tensor_that_a_file_lacks_or_has_in_another_shape_is_named(family: str, tmp_path: Path) -> None:
    checks = import_module(f"lora_tui.families.{family}.checks")
    known = parts_of(family)["transformer"][1]
    shapes = makers_shapes(tuple(checks.CHECKS.names(MICRO[family])), checks.CHECKS.pieces, known)
    path = write_safetensors(tmp_path / "model.safetensors", shapes)
    check_model(family, path)
    for name in [name for name in shapes if ".1." in name][-3:]:
        write_safetensors(path, {one: shape for one, shape in shapes.items() if one != name})
        assert name in refused(family, path).message
        write_safetensors(path, {**shapes, name: (*shapes[name][:-1], shapes[name][-1] + 1)})
        assert f"{name} has the shape" in refused(family, path).message


def test_tensors_without_sides_or_numbers_are_no_cause_for_a_traceback(tmp_path: Path) -> None:
    checks = import_module("lora_tui.families.chroma.checks").CHECKS
    shapes = makers_shapes(tuple(checks.names(CHROMA)), checks.pieces, parts_of("chroma")["transformer"][1])
    name = "double_blocks.0.img_attn.norm.query_norm.scale"
    path = write_safetensors(tmp_path / "model.safetensors", {**shapes, name: (0,)})
    assert name in refused("chroma", path).message
    assert facts_for("chroma").part_parameters(path)
    base, (_config, tensors) = write_model(tmp_path / "base", "zimage"), parts_of("zimage")["text_encoder"]
    alone = write_safetensors(tmp_path / "llm.safetensors", {**tensors, "layers.0.mlp.gate_proj.weight": ()})
    assert [flaw.code for _name, flaw in part_flaws("zimage", base, {"llm": str(alone)})] == ["model.tokenizer"]


@pytest.mark.parametrize("family", MICRO)
def test_a_part_in_a_file_of_its_own_is_looked_at_as_closely(family: str, tmp_path: Path) -> None:
    base = write_model(tmp_path / "model", family)
    layout = import_module(f"lora_tui.families.{family}.checks").LAYOUT
    parts = parts_of(family)
    for setting, part in layout.items():
        own = dict(parts[part.folder][1])
        ways = [own, makers_vae(own, 4)] if setting == "vae" and family != "flux2" else [own]
        for tensors in ways:
            path = write_safetensors(tmp_path / f"{setting}.safetensors", tensors)
            named = {setting: str(path), **({"tokenizer": ""} if part.words else {})}
            codes = [flaw.code for name, flaw in part_flaws(family, base, named) if name == setting]
            assert codes == [] or part.needs_tokenizer
            inner = [name for name in tensors if name.endswith((".conv1.weight", "0.layer_norm.weight", ".fc1.weight"))]
            for gap in inner[-1:] if not part.needs_tokenizer else ():
                write_safetensors(path, {one: shape for one, shape in tensors.items() if one != gap})
                assert gap in dict(part_flaws(family, base, named))[setting].message


def test_blocks_are_counted_by_their_highest_number_within_bounds() -> None:
    assert block_count(("layers.0.a", "layers.7.b", "layers.x.c", "other.9.a", "layers."), "layers.") == 8
    assert block_count(("layers.0.a", "layers.7.b"), "layers.", "a") == 1
    with pytest.raises(ValueError, match=r"layers\.1000"):
        block_count(("layers.99999999.a",), "layers.")


def test_a_block_with_a_huge_number_is_no_long_list(tmp_path: Path) -> None:
    known = parts_of("flux")["transformer"][1]
    checks = import_module("lora_tui.families.flux.checks").CHECKS
    shapes = makers_shapes(tuple(checks.names(FLUX)), checks.pieces, known)
    path = write_safetensors(
        tmp_path / "model.safetensors", {**shapes, "double_blocks.99999999.img_mod.lin.bias": (1,)}
    )
    assert "double_blocks.1000" in refused("flux", path).message
    assert facts_for("flux").targets(base=path) == facts_for("flux").targets()


@pytest.mark.parametrize(
    ("family", "name", "value"),
    [
        ("flux", "axes_dims_rope", [1, 2, 3]),
        ("flux", "guidance_embeds", "x"),
        ("flux", "patch_size", 3),
        ("sd3", "qk_norm", "nope"),
        ("sd3", "caption_projection_dim", 7),
        ("zimage", "n_kv_heads", 1),
    ],
)
def test_a_transformer_that_is_built_otherwise_is_told(family: str, name: str, value: Any, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", family)
    say(folder / "transformer" / "config.json", **{name: value})
    with pytest.raises(UserError, match=f"transformer/config.json says {name} = ") as caught:
        check_model(family, folder)
    assert caught.value.code == "model.folder"


def test_weights_that_the_configuration_does_not_know_are_told(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", "flux")
    say(folder / "transformer" / "config.json", guidance_embeds=False)
    with pytest.raises(UserError, match="guidance_embedder"):
        check_model("flux", folder)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("shift", float("nan")), ("shift", "x"), ("shift", 0), ("shift", -1.0), ("use_dynamic_shifting", "x"),
        ("base_shift", "x"), ("base_image_seq_len", 4096), ("num_train_timesteps", 10),
    ],
)  # fmt: skip
def test_levels_of_noise_that_cannot_be_are_told(name: str, value: Any, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", "flux")
    (folder / "scheduler").mkdir()
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text('{"shift": 3.0, "max_image_seq_len": 4096, "shift_terminal": null}')
    check_model("flux", folder)
    say(path, **{name: value})
    with pytest.raises(UserError, match=f"scheduler/scheduler_config.json says {name} = "):
        check_model("flux", folder)


def test_a_tokenizer_with_words_that_its_encoder_does_not_know_is_told(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", "chroma")
    (folder / "tokenizer").mkdir()
    with pytest.raises(UserError, match="missing"):
        check_model("chroma", folder)
    words = [[str(number), -1.0] for number in range(CHROMA.t5.vocabulary + 1)]
    (folder / "tokenizer" / "tokenizer.json").write_text(json.dumps({"model": {"vocab": words}}))
    with pytest.raises(UserError, match=f"the number {CHROMA.t5.vocabulary}"):
        check_model("chroma", folder)


def say(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize("family", ["chroma", "flux2", "sd3", "zimage"])
def test_the_vae_of_qwen_image_is_told_as_one_of_another_family(family: str, tmp_path: Path) -> None:
    """Its configuration has other words; no number of channels is made up for it."""
    base, vae = write_model(tmp_path / "model", family), tmp_path / "other" / "vae"
    config = {"_class_name": "AutoencoderKLQwenImage", "base_dim": 8, "z_dim": 16}
    write_part(vae, config, {"decoder.conv_in.weight": (64, 16, 3, 3, 3)})
    told = dict(part_flaws(family, base, {"vae": str(vae), "tokenizer": ""}))["vae"]
    assert (told.code, told.message) == ("model.vae_family", "vae is the VAE of another family.")


def test_umt5_is_no_t5(tmp_path: Path) -> None:
    """As wide and deep, and it lies in the same folder of people who also draw videos; its words are others."""
    base, own = write_model(tmp_path / "model", "chroma"), parts_of("chroma")["text_encoder"][1]
    bias = "encoder.block.{}.layer.0.SelfAttention.relative_attention_bias.weight"
    path = write_safetensors(tmp_path / "umt5.safetensors", {**own, bias.format(1): own[bias.format(0)]})
    told = dict(part_flaws("chroma", base, {"t5xxl": str(path)}))["t5xxl"]
    assert "UMT5" in told.message and told.code == "model.part" and told.remedy
