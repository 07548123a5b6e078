"""What a check says of a base model and of the files that stand in its place."""

import os
from pathlib import Path

import pytest
from config_samples import codes, config_with
from model_headers import checkpoint_shapes, write_checkpoint, write_folder, write_safetensors, write_vae

from lora_tui.config.load import dump_config, load_config
from lora_tui.config.presets import apply_preset, find_preset
from lora_tui.config.schema import Config
from lora_tui.config.validate import check_config
from lora_tui.weights.names.zimage_original import original_names

pytestmark = pytest.mark.usefixtures("may_fetch")


def safetensors(path: Path, tensors: dict[str, list[int]]) -> str:
    """A file with these tensors."""
    return str(write_safetensors(path, {name: tuple(shape) for name, shape in tensors.items()}))


def test_a_lora_file_whose_layers_are_damaged_is_an_error_wherever_it_is_named(ready, tmp_path):
    stem = "lora_unet_mid_block_attentions_0_proj_in"
    file = safetensors(
        tmp_path / "torn.safetensors", {f"{stem}.lora_down.weight": [4, 8], f"{stem}.lora_up.weight": [8, 2]}
    )
    changes = {"model": {**ready["model"], "loras": [file]}, "network": {"start_from": file, "rank": 4}}
    found = {finding.code: finding for finding in check_config(config_with(**{**ready, **changes}))}
    for code in ("model.lora_unreadable", "network.start_unreadable"):
        assert all(word in found[code].message for word in ("torn.safetensors", stem, "[4, 8]", "[8, 2]"))


def test_a_lora_in_place_of_the_base_model_is_an_error(ready, tmp_path):
    name = "lora_unet_down_blocks_0_attentions_0_proj_in"
    tensors = {
        f"{name}.lora_down.weight": [4, 320, 1, 1],
        f"{name}.lora_up.weight": [320, 4, 1, 1],
        f"{name}.alpha": [],
    }
    ready["model"] = {"base": safetensors(tmp_path / "lora.safetensors", tensors)}
    assert "model.is_lora" in codes(config_with(**ready))


UNET = "model.diffusion_model."


#: what is given as the base model -> tensors that tell it, and the code of what is said
OTHERS = {
    "a VAE": ({"decoder.conv_in.weight": [8, 4, 3, 3], "encoder.conv_in.weight": [8, 3, 3, 3]}, "model.is_vae"),
    "the VAE of FLUX": ({"decoder.conv_in.weight": [8, 16, 3, 3]}, "model.is_vae"),
    "CLIP": ({"text_model.embeddings.token_embedding.weight": [8, 4]}, "model.is_text_encoder"),
    "T5": ({"encoder.block.0.layer.0.SelfAttention.q.weight": [8, 4]}, "model.is_text_encoder"),
    "a ControlNet": ({"control_model.input_blocks.0.0.weight": [8, 4, 3, 3]}, "model.is_controlnet"),
    "an embedding": ({"emb_params": [4, 768]}, "model.is_embedding"),
    "FLUX": ({"double_blocks.0.img_attn.qkv.weight": [12, 4]}, "model.family"),
    "an LCM": (
        {
            f"{UNET}input_blocks.0.0.weight": [8, 4, 3, 3],
            f"{UNET}time_embed.cond_proj.weight": [8, 4],
            "cond_stage_model.transformer.weight": [8],
        },
        "model.special",
    ),
}


@pytest.mark.parametrize("what", OTHERS)
def test_other_files_are_told_from_their_headers(ready, tmp_path, what):
    tensors, code = OTHERS[what]
    ready["model"] = {"base": safetensors(tmp_path / "model.safetensors", tensors)}
    (told,) = (finding for finding in check_config(config_with(**ready)) if finding.field == "model.base")
    assert (told.code, told.severity) == (code, "error")
    assert told.remedy


def test_a_gguf_file_is_told_as_one(ready, tmp_path):
    (tmp_path / "flux1-dev-Q4_K_S.gguf").write_bytes(b"GGUF" + bytes(100))
    ready["model"] = {"base": str(tmp_path / "flux1-dev-Q4_K_S.gguf"), "family": "flux"}
    told = {finding.code: finding for finding in check_config(config_with(**ready))}
    assert "memory.base_weights" in told["model.gguf"].remedy


@pytest.mark.parametrize(
    ("name", "distilled"),
    [("sd_xl_turbo_1.0", True), ("DreamShaperXL-Lightning", True), ("hyperreal", False), ("LCMmix", False)],
)
def test_a_name_that_tells_of_few_steps_is_a_warning(ready, tmp_path, name, distilled):
    ready["model"] = {"base": str(write_checkpoint(tmp_path / f"{name}.safetensors"))}
    assert ("model.distilled" in codes(config_with(**ready))) == distilled


def test_turbo_is_trained_upon_its_adapter_by_a_preset_that_asks_for_the_file(ready, tmp_path):
    """Beside the configuration, where it is put; the warning names the preset, and goes with the adapter."""
    adapter, turbo = tmp_path / "zimage_turbo_training_adapter_v2.safetensors", tmp_path / "z_image_turbo.safetensors"
    names = original_names(2, 1)
    safetensors(turbo, {f"model.diffusion_model.{name}": [8, 8] for name in names})
    ready["model"] = {"base": str(turbo), "family": "zimage"}
    (warned,) = [one for one in check_config(config_with(**ready)) if one.code == "model.distilled"]
    assert "zimage-turbo" in warned.remedy
    config = apply_preset(config_with(**ready), find_preset("zimage-turbo"))
    assert config.model.loras == [adapter.name]
    path = tmp_path / "config.toml"
    path.write_text(dump_config(config), "utf-8")
    missing = [one for one in check_config(load_config(path)) if one.field == "model.loras"]
    assert [one.code for one in missing] == ["model.lora_missing"] and adapter.name in missing[0].message
    stem = "diffusion_model.layers.0.attention.to_q"
    safetensors(adapter, {f"{stem}.lora_A.weight": [2, 8], f"{stem}.lora_B.weight": [8, 2]})
    found = {one.code for one in check_config(load_config(path)) if one.field.startswith("model.")}
    assert not found & {"model.distilled", "model.lora_missing", "model.lora_unreadable", "model.lora_family"}


def test_what_is_wrong_with_the_base_alone_is_said_once(ready, tmp_path):
    """Its parts are not measured against a model that it is not: another family's, a LoRA, a folder's part, a page."""
    llm = safetensors(tmp_path / "llm.safetensors", {"model.embed_tokens.weight": [8, 8]})
    stem = "diffusion_model.layers.0.attention.to_q"
    page = tmp_path / "page.safetensors"
    page.write_text("<!DOCTYPE html>" + " " * 100)
    (tmp_path / "model" / "transformer").mkdir(parents=True)
    told = '{"_class_name": "ZImageTransformer2DModel"}'
    (tmp_path / "model" / "transformer" / "config.json").write_text(told)
    bases = {
        safetensors(tmp_path / "qwen.safetensors", {"transformer_blocks.0.img_mod.1.weight": [8, 8]}): "model.family",
        safetensors(tmp_path / "flux.safetensors", {"double_blocks.0.img_attn.qkv.weight": [24, 8]}): "model.family",
        safetensors(
            tmp_path / "lora.safetensors", {f"{stem}.lora_A.weight": [2, 8], f"{stem}.lora_B.weight": [8, 2]}
        ): "model.is_lora",
        str(page): "model.unreadable",
        str(tmp_path / "model" / "transformer"): "model.part",
    }
    for base, code in bases.items():
        ready["model"] = {"base": base, "family": "zimage", "llm": llm, "tokenizer": str(tmp_path)}
        found = [one for one in check_config(config_with(**ready)) if one.field.startswith("model.")]
        assert [(one.field, one.code) for one in found] == [("model.base", code)], base
    assert "model_index.json" in found[0].remedy


@pytest.mark.parametrize("family", ["sd15", "qwen"])
def test_a_pipe_and_the_address_of_a_page_are_no_models(ready, tmp_path, family):
    """Nobody waits for what comes out of the pipe."""
    os.mkfifo(tmp_path / "model.safetensors")
    page = "https://huggingface.co/Qwen/Qwen-Image/tree/main"
    for base, said, remedy in (
        (str(tmp_path / "model.safetensors"), "a named pipe", "a file"),
        (page, "an address", "alone: Qwen/Qwen-Image"),
    ):
        ready["model"] = {"base": base, "family": family}
        found = [one for one in check_config(config_with(**ready)) if one.field == "model.base"]
        assert [one.severity for one in found] == ["error"]
        assert said in found[0].message and remedy in found[0].remedy


@pytest.mark.parametrize(("family", "reads"), [("sd15", True), ("zimage", False), ("flux", False)])
def test_pickles_are_allowed_where_the_family_reads_them(ready, tmp_path, family, reads):
    for name in ("model.ckpt", "vae.pt"):
        (tmp_path / name).write_bytes(b"\x80\x02}q\x00.")
    model = {"base": str(tmp_path / "model.ckpt"), "vae": str(tmp_path / "vae.pt"), "family": family}
    for allowed in (False, True):
        ready["model"] = {**model, "allow_pickle": allowed}
        found = {one.field: one for one in check_config(config_with(**ready)) if one.code == "model.pickle"}
        assert found.keys() == (set() if reads and allowed else {"model.base", "model.vae"})
        assert all(("allow_pickle" in one.remedy) == reads for one in found.values())


def checkpoint(path: Path, *, text: str, channels: int = 4) -> str:
    """The few tensors that tell what a single-file checkpoint is."""
    return safetensors(path, {f"{UNET}input_blocks.0.0.weight": [8, channels, 3, 3], f"{text}.weight": [8]})


def test_a_model_of_another_family_or_another_task_is_an_error(ready, tmp_path):
    plain = {"base": str(write_checkpoint(tmp_path / "sd15.safetensors"))}
    larger = {"base": checkpoint(tmp_path / "xl.safetensors", text="conditioner.embedders.1")}
    inpaint = {"base": checkpoint(tmp_path / "in.safetensors", text="cond_stage_model.transformer", channels=9)}
    part = {"base": safetensors(tmp_path / "unet.safetensors", {f"{UNET}input_blocks.0.0.weight": [8, 4, 3, 3]})}
    assert not {code for code in codes(config_with(**{**ready, "model": plain})) if code.startswith("model.")}
    (told,) = (one for one in check_config(config_with(**{**ready, "model": larger})) if one.code == "model.family")
    assert "Stable Diffusion XL" in told.message and "Set model.family to sdxl" in told.remedy
    assert "model.special" in codes(config_with(**{**ready, "model": inpaint}))
    assert codes(config_with(**{**ready, "model": part})) & {"model.part", "model.unknown"}


def test_a_prediction_that_the_file_denies_is_a_warning(ready, tmp_path):
    silent, marked = write_checkpoint(tmp_path / "silent.safetensors"), tmp_path / "marked.safetensors"
    safetensors(marked, {**{name: list(shape) for name, shape in checkpoint_shapes().items()}, "v_pred": [0]})
    for base, prediction, warned in (
        (silent, "v_prediction", False),
        (marked, "auto", False),
        (marked, "v_prediction", False),
        (marked, "epsilon", True),
    ):
        model = {"base": str(base), "prediction": prediction}
        assert ("model.prediction_other" in codes(config_with(**{**ready, "model": model}))) == warned


def test_a_diffusers_folder_is_known_by_its_index(ready, tmp_path):
    folder = tmp_path / "xl"
    folder.mkdir()
    ready["model"] = {"base": str(folder)}
    assert "model.unknown" in codes(config_with(**ready))
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionXLPipeline"}')
    later = folder.stat().st_mtime_ns + 10**9
    os.utime(folder, ns=(later, later))
    assert "model.family" in codes(config_with(**ready))


def test_a_file_that_is_no_model_and_a_pickle_are_errors(ready, tmp_path):
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(b"hello")
    ready["model"] = {"base": str(torn)}
    assert "model.unreadable" in codes(config_with(**ready))
    pickle = tmp_path / "old.ckpt"
    pickle.write_bytes(b"\x80\x02}.")
    ready["model"] = {"base": str(pickle)}
    assert "model.pickle" in codes(config_with(**ready))
    ready["model"] = {"base": str(pickle), "allow_pickle": True}
    assert "model.pickle" not in codes(config_with(**ready))


def test_a_pickle_under_another_name_is_told_as_one(ready, tmp_path):
    path = tmp_path / "renamed.safetensors"
    path.write_bytes(b"PK\x03\x04 and more")
    ready["model"] = {"base": str(path)}
    (found,) = [item for item in check_config(config_with(**ready)) if item.code == "model.pickle"]
    assert "can run code" in found.message and "lora_tui.families.unpickle" in found.remedy


def found(config: Config) -> dict[str, str]:
    return {item.code: item.message for item in check_config(config) if item.field.startswith("model.")}


def test_a_model_folder_must_be_whole_and_is_looked_at_again_when_it_changed(ready, tmp_path):
    folder = write_folder(tmp_path / "base")
    config = config_with(**{**ready, "model": {"base": str(folder)}})
    assert found(config) == {}
    (folder / "scheduler" / "scheduler_config.json").unlink()
    assert list(found(config)) == ["model.no_scheduler"]
    weights = folder / "text_encoder" / "model.safetensors"
    whole = weights.read_bytes()
    weights.unlink()
    assert found(config) == {
        "model.incomplete": "the model base is incomplete: text_encoder/model.safetensors is missing."
    }
    weights.write_bytes(whole[:-9])
    assert "text_encoder/model.safetensors: the file is cut short" in found(config)["weights.torn"]
    weights.write_bytes(whole)
    (folder / "vae" / "config.json").unlink()
    assert "vae/config.json is missing" in found(config)["model.incomplete"]
    config.model.vae = str(write_vae(tmp_path / "vae"))
    assert list(found(config)) == ["model.no_scheduler"]
    (tmp_path / "vae" / "config.json").unlink()
    assert "config.json is missing" in found(config)["model.incomplete"]


def test_a_vae_must_hold_a_vae(ready, tmp_path):
    ready["model"] = {"base": "owner/model", "vae": safetensors(tmp_path / "x.safetensors", {"weight": [2]})}
    assert "model.no_vae" in codes(config_with(**ready))
    ready["model"] = {"base": "owner/model", "vae": "/nowhere/vae.safetensors"}
    assert "model.not_found" in codes(config_with(**ready))


def test_what_a_family_cannot_predict_is_an_error(ready):
    ready["model"] = {"base": "owner/model", "family": "flux", "prediction": "v_prediction"}
    told = [one for one in check_config(config_with(**ready)) if one.field == "model.prediction"]
    assert [(one.severity, one.code) for one in told] == [("error", "model.prediction_family")]
    assert "auto" in told[0].remedy


def test_a_name_that_tells_of_another_family_is_a_warning(ready):
    for base, told in (("black-forest-labs/FLUX.1-dev", True), ("owner/model", False)):
        ready["model"] = {"base": base, "family": "sdxl"}
        found = {one.code: one for one in check_config(config_with(**ready))}
        assert ("model.family_by_name" in found) == told
        assert not told or "flux" in found["model.family_by_name"].remedy


def test_the_last_timestep_is_told_by_what_the_files_say(ready, tmp_path):
    marked = {**{name: list(shape) for name, shape in checkpoint_shapes().items()}, "v_pred": [0]}
    velocity = safetensors(tmp_path / "v.safetensors", marked)
    noise = {"noise": {"zero_terminal_snr": "on"}}
    for base, told in (
        (str(write_checkpoint(tmp_path / "noise.safetensors")), True),
        (velocity, False),
        ("a/b", False),
    ):
        found = codes(config_with(**{**ready, "model": {"base": base}}, **noise))
        assert ("noise.zero_terminal" in found) == told
