"""What a check says of a configuration."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from config_samples import SOME, config_with, configs, image, plan_of, scan_of, squares
from hypothesis import given
from model_headers import checkpoint_shapes, write_checkpoint, write_folder, write_safetensors, write_vae

from lora_tui.config.fields import field_for, sections
from lora_tui.config.findings import SEVERITIES
from lora_tui.config.load import dump_config, load_config
from lora_tui.config.presets import apply_preset, find_preset
from lora_tui.config.rules import abilities
from lora_tui.config.schema import Config
from lora_tui.config.validate import check_config
from lora_tui.dataset.scan import Problem
from lora_tui.weights.names.zimage_original import original_names

pytestmark = pytest.mark.usefixtures("may_fetch")

PROMPT = [{"prompt": "a cat"}]


def codes(config: Config, **given_) -> set[str]:
    return {finding.code for finding in check_config(config, **given_)}


@pytest.fixture
def ready(tmp_path) -> dict[str, object]:
    """Sections of a configuration that has nothing to be said against it, but for its prompts."""
    images = tmp_path / "images"
    images.mkdir()
    return {"model": {"base": "owner/model"}, "datasets": [{"path": str(images)}], "samples": PROMPT}


@SOME
@given(configs())
def test_a_check_never_fails_and_its_findings_name_settings(config):
    names = {section.name for section in sections()}
    for finding in check_config(config):
        assert finding.severity in SEVERITIES
        assert finding.message and finding.code
        assert finding.remedy or finding.severity == "note"
        assert field_for(finding.field) is not None or finding.field in names


def test_a_sound_configuration_has_only_a_note_on_its_hub_name(ready):
    found = check_config(config_with(**ready), scan=squares(30), plan=plan_of(config_with(**ready), squares(30)))
    assert [finding.code for finding in found] == ["model.hub_name"]


def test_files_that_cannot_be_used_are_named(ready):
    problems = tuple(Problem(Path(f"/data/{name}.png"), "image.damaged", "cut", "copy it") for name in "abcde")
    scan = replace(squares(30), problems=problems)
    found = {finding.code: finding.message for finding in check_config(config_with(**ready), scan=scan)}
    assert found["datasets.problems"] == "5 files cannot be used: a.png, b.png, c.png and 2 more."


def test_a_negative_prompt_that_is_not_read_is_said(ready):
    prompt = [{"prompt": "a cat", "negative": "blurry"}]
    assert "samples.negative" in codes(config_with(**{**ready, "model": {"family": "flux"}, "samples": prompt}))
    assert "samples.negative" not in codes(config_with(**{**ready, "samples": prompt}))


@pytest.mark.parametrize(
    ("family", "section", "value", "remedy"),
    [
        ("sdxl", "flow_sampling", "uniform", 'Set it back to "sigmoid"; here noise.timesteps is what you mean.'),
        ("flux", "min_snr_gamma", 5.0, "Set it back to 0."),
    ],
)
def test_what_another_family_has_in_its_place_is_named(ready, family, section, value, remedy):
    config = config_with(**{**ready, "model": {"family": family}, "noise": {section: value}})
    assert [one.remedy for one in check_config(config) if one.field == f"noise.{section}"] == [remedy]


def test_an_optimizer_that_finds_its_rate_asks_for_those_that_are_used(ready):
    for trained, remedy in ((False, "Set learning.unet_lr to 1."), (True, "learning.text_encoder_lr to 1.")):
        config = config_with(**ready, optimizer={"type": "prodigy"}, network={"text_encoder": trained})
        (found,) = [one for one in check_config(config) if one.code == "optimizer.needs_rate"]
        assert found.remedy.endswith(remedy) and (trained or "text_encoder" not in found.remedy)


def test_images_that_are_enlarged_far_are_named(ready):
    scan = scan_of(image(1, width=256, height=256), image(2, width=1024, height=1024), image(3, width=400, height=400))
    large = {**ready, "data": {"resolution": 1024, "bucket_max": 2048}}
    found = {finding.code: finding for finding in check_config(config_with(**large), scan=scan)}["data.enlarged"]
    assert (found.severity, found.field) == ("warning", "data.resolution")
    assert found.message.startswith("2 images of 3") and "0001.png is enlarged 4.0 times" in found.message
    assert "data.enlarged" not in codes(
        config_with(**{**large, "data": {**large["data"], "upscale": False}}), scan=scan
    )
    assert "data.enlarged" not in codes(config_with(**ready), scan=squares(3))


def test_more_files_than_one_chooses_from_are_named_with_a_better_setting(ready):
    def found(**changes):
        config = config_with(**ready, **changes)
        return {one.code: one for one in check_config(config, scan=squares(30), plan=plan_of(config, squares(30)))}

    assert "saving.more_than_usual" not in found()
    note = found(steps={"epochs": 30})["saving.more_than_usual"]
    assert (note.severity, note.field) == ("note", "saving.every_epochs")
    assert "every 3 epochs" in note.remedy
    assert "saving.more_than_usual" not in found(steps={"epochs": 30}, saving={"every_epochs": 3, "name": "a"})


def test_errors_come_first_and_in_the_order_of_the_file():
    found = check_config(
        config_with(network={"rank": 8}, saving={"name": ""}, noise={"min_timestep": 900, "max_timestep": 5})
    )
    severities = [SEVERITIES.index(finding.severity) for finding in found]
    assert severities == sorted(severities)
    errors = [finding.field for finding in found if finding.severity == "error"]
    assert errors == ["model.base", "datasets", "noise.min_timestep", "saving.name"]


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"network": {"rank": 8, "alpha": 16.0}}, "network.alpha_above_rank", "network.alpha"),
        (
            {"network": {"type": "locon", "conv_rank": 4, "conv_alpha": 8.0}},
            "network.alpha_above_rank",
            "network.conv_alpha",
        ),
        ({"learning": {"unet_lr": 0.0}, "network": {"text_encoder": False}}, "learning.all_zero", "learning.unet_lr"),
        ({"learning": {"unet_lr": 0.0}}, "learning.unet_zero", "learning.unet_lr"),
        ({"learning": {"text_encoder_lr": 0.0}}, "learning.text_encoder_zero", "learning.text_encoder_lr"),
        ({"learning": {"unet_lr": 0.1}}, "learning.high_rate", "learning.unet_lr"),
        ({"learning": {"schedule": "cosine_with_restarts"}}, "learning.one_restart", "learning.restarts"),
        ({"noise": {"min_timestep": 500, "max_timestep": 500}}, "noise.empty_range", "noise.min_timestep"),
        ({"noise": {"noise_offset": 0.5}}, "noise.high_offset", "noise.noise_offset"),
        ({"noise": {"min_snr_gamma": 0.5}}, "noise.low_gamma", "noise.min_snr_gamma"),
        ({"noise": {"min_snr_gamma": 5.0, "debiased": True}}, "noise.two_weights", "noise.debiased"),
        ({"noise": {"noise_offset": 0.1, "pyramid_levels": 6}}, "noise.two_kinds", "noise.pyramid_levels"),
        (
            {"noise": {"zero_terminal_snr": "on"}, "model": {"prediction": "epsilon"}},
            "noise.zero_terminal",
            "noise.zero_terminal_snr",
        ),
        ({"noise": {"huber_c": 0.5}}, "config.no_effect", "noise.huber_c"),
        ({"captions": {"extensions": []}}, "captions.no_extension", "captions.extensions"),
        ({"captions": {"extensions": ["txt"]}}, "captions.extension", "captions.extensions"),
        ({"captions": {"dropout": 1.0}}, "captions.all_dropped", "captions.dropout"),
        ({"captions": {"dropout": 0.7}}, "captions.high_dropout", "captions.dropout"),
        ({"captions": {"dropout_epochs": 1}}, "captions.all_dropped", "captions.dropout_epochs"),
        ({"captions": {"dropout_epochs": 11}}, "config.no_effect", "captions.dropout_epochs"),
        ({"captions": {"tag_dropout": 1.0}}, "captions.all_tags_dropped", "captions.tag_dropout"),
        ({"captions": {"placeholder": "[w]"}}, "captions.no_trigger", "captions.placeholder"),
        ({"captions": {"prefix": "sks,", "shuffle": True}}, "captions.prefix_moves", "captions.prefix"),
        (
            {"captions": {"tag_dropout": 0.1}, "saving": {"name": "a", "trigger": "sks"}},
            "captions.trigger_dropped",
            "captions.tag_dropout",
        ),
        ({"captions": {"tag_warmup_from": 3}}, "config.no_effect", "captions.tag_warmup_from"),
        ({"data": {"buckets": False, "resolution": 510}}, "data.resolution_multiple", "data.resolution"),
        ({"data": {"bucket_min": 1024, "bucket_max": 256}}, "data.bucket_limits", "data.bucket_min"),
        ({"data": {"bucket_min": 640}}, "data.bucket_outside", "data.bucket_min"),
        ({"data": {"bucket_max": 448}}, "data.bucket_outside", "data.bucket_max"),
        ({"data": {"bucket_max": 1000}}, "data.bucket_rounded", "data.bucket_max"),
        ({"data": {"resolution": 1536, "bucket_max": 2048}}, "data.resolution_far", "data.resolution"),
        ({"memory": {"device": "gpu"}}, "memory.device", "memory.device"),
        ({"memory": {"device": "cpu", "precision": "fp16"}}, "memory.fp16_cpu", "memory.precision"),
        ({"samples": [{"prompt": "x", "width": 500}]}, "samples.size", "samples.0.width"),
        ({"samples": [{"prompt": "x", "width": 2048, "height": 2048}]}, "samples.large", "samples.0.width"),
        ({"samples": [{"prompt": " "}]}, "samples.empty_prompt", "samples.0.prompt"),
        ({"samples": []}, "samples.none", "samples"),
        (
            {"sampling": {"at_start": False, "every_epochs": 0}},
            "sampling.never",
            "sampling.every_epochs",
        ),
        ({"validation": {"every_epochs": 0}}, "validation.never", "validation.every_epochs"),
        ({"saving": {"every_epochs": 0}}, "saving.only_final", "saving.every_epochs"),
        ({"saving": {"every_epochs": 0, "keep_last": 2}}, "config.no_effect", "saving.keep_last"),
        ({"saving": {"name": "a/b"}}, "saving.name", "saving.name"),
        ({"saving": {"name": " "}}, "saving.name", "saving.name"),
        ({"saving": {"name": ".hidden"}}, "saving.name", "saving.name"),
        ({"saving": {"name": "a\x1b"}}, "saving.name", "saving.name"),
        ({"learning": {"power": 2.0}}, "config.no_effect", "learning.power"),
        ({"captions": {"keep_tokens": 1}}, "config.no_effect", "captions.keep_tokens"),
        ({"captions": {"keep_separator": "a, b"}}, "captions.separator", "captions.keep_separator"),
        ({"captions": {"keep_separator": " ;;; "}}, "captions.separator", "captions.secondary_separator"),
        ({"data": {"buckets": False, "bucket_max": 768}}, "config.no_effect", "data.bucket_max"),
        ({"model": {"base": ""}}, "model.missing", "model.base"),
        ({"model": {"base": "/nowhere/x.safetensors"}}, "model.not_found", "model.base"),
        ({"datasets": []}, "datasets.missing", "datasets"),
        ({"datasets": [{"path": "/nowhere"}]}, "datasets.path", "datasets.0.path"),
    ],
)
def test_each_mistake_is_named_with_its_field(ready, changes, code, field):
    assert code not in codes(config_with(**ready))
    found = [finding for finding in check_config(config_with(**{**ready, **changes})) if finding.code == code]
    assert [finding.field for finding in found] == [field]


def test_a_setting_without_effect_that_still_has_its_default_is_nothing_to_say(ready):
    assert "config.no_effect" not in codes(config_with(**ready, data={"buckets": False}))


def test_a_size_gets_the_nearest_sizes_that_work(ready):
    ready["samples"] = [{"prompt": "x", "width": 515}]
    (finding,) = (item for item in check_config(config_with(**ready)) if item.code == "samples.size")
    assert "512" in finding.remedy and "520" in finding.remedy


def test_two_dataset_folders_with_the_same_images_are_noticed(ready, tmp_path):
    inner = tmp_path / "images" / "10_hat"
    inner.mkdir()
    link = tmp_path / "link"
    link.symlink_to(inner)
    for other in (str(tmp_path / "images"), str(inner), str(link)):
        ready["datasets"] = [{"path": str(tmp_path / "images")}, {"path": other}]
        assert "datasets.twice" in codes(config_with(**ready))
    beside = tmp_path / "images2"
    beside.mkdir()
    ready["datasets"] = [{"path": str(tmp_path / "images")}, {"path": str(beside)}]
    assert "datasets.twice" not in codes(config_with(**ready))


def test_a_file_in_place_of_a_dataset_folder_is_an_error(ready, tmp_path):
    file = tmp_path / "file.png"
    file.write_bytes(b"")
    ready["datasets"] = [{"path": str(file)}]
    assert "datasets.path" in codes(config_with(**ready))


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


def test_buckets_have_sides_that_the_family_takes(ready):
    """Transformers take cells of 16 px; sides between would fail in the first step."""
    ready["data"] = {"bucket_step": 8}
    assert "data.bucket_step" not in codes(config_with(**ready))
    for family in ("sd3", "flux", "flux2", "chroma", "zimage", "qwen"):
        found = check_config(config_with(**{**ready, "model": {**ready["model"], "family": family}}))
        (told,) = [finding for finding in found if finding.field == "data.bucket_step"]
        assert told.severity == "error" and "16" in told.message and "16" in told.remedy
    ready["data"] = {"bucket_step": 8, "buckets": False}
    assert "data.bucket_step" not in codes(config_with(**{**ready, "model": {**ready["model"], "family": "sd3"}}))


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


def test_what_the_scan_found_is_told(ready):
    config = config_with(**ready)
    assert "datasets.no_images" in codes(config, scan=scan_of())
    assert "captions.none" in codes(config, scan=scan_of(image(1, caption=False)))
    bare = scan_of(image(1), *(image(number, caption=False) for number in range(2, 7)))
    (said,) = [finding for finding in check_config(config, scan=bare) if finding.code == "captions.missing"]
    assert said.message == "5 images have no caption: 0002.png, 0003.png, 0004.png and 2 more."
    assert "lora-tui dataset check" in said.remedy


@pytest.mark.parametrize(
    ("changes", "images", "code"),
    [
        ({"learning": {"warmup": 100}, "steps": {"max_steps": 100}}, 30, "learning.long_warmup"),
        (
            {"learning": {"schedule": "warmup_stable_decay", "decay": 90, "warmup": 20}, "steps": {"max_steps": 100}},
            30,
            "learning.long_decay",
        ),
        (
            {"learning": {"schedule": "warmup_stable_decay", "decay_share": 0.0}, "steps": {"max_steps": 100}},
            30,
            "learning.no_decay",
        ),
        ({"validation": {"mode": "on"}}, 1, "validation.too_few"),
        ({"steps": {"gradient_accumulation": 9}}, 8, "steps.accumulation"),
        ({"steps": {"batch_size": 9}}, 8, "steps.batch_not_filled"),
        ({"steps": {"max_steps": 5}}, 30, "saving.only_final"),
        ({"saving": {"every_steps": 1}, "steps": {"epochs": 50}}, 30, "saving.many"),
        ({"sampling": {"every_steps": 1}, "steps": {"epochs": 50}}, 30, "sampling.many"),
    ],
)
def test_what_the_plan_of_batches_shows_is_told(ready, changes, images, code):
    config = config_with(**{**ready, **changes})
    plan = plan_of(config, squares(images))
    assert code in codes(config, plan=plan)


@pytest.mark.parametrize(
    ("changes", "repeats", "code"),
    [
        ({"steps": {"epochs": 100_000}}, 10_000, "steps.too_many"),
        ({"steps": {"max_steps": 1}}, 300_000, "datasets.long_epoch"),
        ({"steps": {"max_steps": 10_000_000}}, 10_000, ""),
    ],
)
def test_a_run_that_nobody_can_have_meant_is_refused_before_it_is_counted(ready, changes, repeats, code):
    config = config_with(**{**ready, **changes})
    found = {finding.code for finding in check_config(config, scan=squares(40, repeats=repeats))}
    assert found & {"steps.too_many", "datasets.long_epoch"} == ({code} if code else set())


def test_a_deep_check_looks_into_the_folders_itself(ready):
    assert "datasets.no_images" in codes(config_with(**ready), deep=True)


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


@pytest.mark.parametrize(("base", "tokens", "told"), [("a/FLUX.1-schnell", 512, True), ("a/FLUX.1-schnell", 256, False),
                                                      ("a/FLUX.1-dev", 512, False)])  # fmt: skip
def test_schnell_reads_fewer_tokens(ready, base, tokens, told):
    ready["model"] = {"base": base, "family": "flux"}
    found = codes(config_with(**ready, captions={"t5_tokens": tokens}))
    assert ("captions.too_many_tokens" in found) == told


def test_a_gpu_that_is_not_there_is_an_error(ready, monkeypatch):
    for there in (False, True):
        monkeypatch.setattr(abilities, "has_gpu", lambda there=there: there)
        assert ("memory.no_gpu" in codes(config_with(**ready, memory={"device": "cuda:0"}))) != there
