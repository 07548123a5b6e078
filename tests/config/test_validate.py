"""What a check says of a configuration."""

from dataclasses import replace
from pathlib import Path

import pytest
from config_samples import SOME, codes, config_with, configs, image, plan_of, scan_of, squares
from hypothesis import given

from lora_tui.config.fields import field_for, sections
from lora_tui.config.findings import SEVERITIES
from lora_tui.config.rules import abilities
from lora_tui.config.rules.optimizer import has_gpu
from lora_tui.config.validate import check_config
from lora_tui.dataset.scan import Problem

pytestmark = pytest.mark.usefixtures("may_fetch")

PROMPT = [{"prompt": "a cat"}]


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


def test_a_schedule_type_that_the_sampler_does_not_take_is_an_error(ready):
    for family, sampler, spacing, wrong in (
        ("sd15", "ddim", "karras", True), ("sd15", "heun", "karras", False), ("flux", "euler", "uniform", True),
        ("flux", "euler_a", "exponential", False), ("sd15", "dpmpp_2m_karras", "sgm_uniform", True),
    ):  # fmt: skip
        samples = [{"prompt": "a cat", "sampler": sampler, "spacing": spacing}]
        found = codes(config_with(**{**ready, "model": {"family": family}, "samples": samples}))
        assert ("samples.spacing" in found) == wrong


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


@pytest.mark.parametrize(("base", "tokens", "told"), [("a/FLUX.1-schnell", 512, True), ("a/FLUX.1-schnell", 256, False),
                                                      ("a/FLUX.1-dev", 512, False)])  # fmt: skip
def test_schnell_reads_fewer_tokens(ready, base, tokens, told):
    ready["model"] = {"base": base, "family": "flux"}
    found = codes(config_with(**ready, captions={"t5_tokens": tokens}))
    assert ("captions.too_many_tokens" in found) == told


@pytest.mark.parametrize("place", ["/dev/nvidiactl", "/dev/dxg", "/dev/kfd", "/dev/sda"])
def test_a_gpu_is_known_by_its_driver_in_wsl_too(place, monkeypatch):
    has_gpu.cache_clear()
    monkeypatch.setattr(Path, "exists", lambda self, **_options: str(self) == place)
    try:
        assert has_gpu() == (place != "/dev/sda")
    finally:
        monkeypatch.undo()
        has_gpu.cache_clear()


def test_a_gpu_that_is_not_there_is_an_error(ready, monkeypatch):
    for there in (False, True):
        monkeypatch.setattr(abilities, "has_gpu", lambda there=there: there)
        assert ("memory.no_gpu" in codes(config_with(**ready, memory={"device": "cuda:0"}))) != there
