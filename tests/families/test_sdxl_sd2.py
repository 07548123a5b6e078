"""SDXL and SD2 against diffusers' own pipelines: conditioning, single files, pictures, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import load_file, save_file

from lora_tui.bench.model import micro_shape, write_model
from lora_tui.config.schema import CaptionSection, ModelSection, SamplePrompt
from lora_tui.errors import UserError
from lora_tui.families import check_model, check_vae, facts_for, open_model
from lora_tui.families.protocol import Framing
from lora_tui.families.unet.facts import UnetFacts
from lora_tui.families.unet.layout import file_name
from lora_tui.families.unet.model_file import write_single_file
from lora_tui.sampling.renderer import Renderer, RenderRequest
from lora_tui.weights.header.format import read_header
from lora_tui.weights.header.models import identify_model

CPU = torch.device("cpu")
PIPELINES = {"sdxl": StableDiffusionXLPipeline, "sd2": StableDiffusionPipeline}
VELOCITY = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("models")
    return {
        "sdxl": write_model(place / "sdxl", seed=2, family="sdxl"),
        "sd2": write_model(place / "sd2", seed=3, family="sd2", schedule=VELOCITY),
    }


@pytest.fixture(scope="module")
def singles(folders: dict[str, Path]) -> dict[str, Path]:
    return {name: write_single_file(folder, folder.parent / f"{name}.safetensors") for name, folder in folders.items()}


def _open(family: str, base: Path, **changes: Any) -> Any:
    section = ModelSection(base=str(base), family=family, **changes)  # type: ignore[arg-type]
    return open_model(section, CaptionSection(), device=CPU, dtype=torch.float32)


def _told(model: Any, text: str, length: int = 1) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        found: dict[str, torch.Tensor] = model.encode_text(model.tokenize([text], length))
    return found


def _pipeline(family: str, folder: Path) -> Any:
    pipe = PIPELINES[family].from_pretrained(folder, local_files_only=True, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def models(folders: dict[str, Path]) -> dict[str, Any]:
    """The models of the folders, for tests that leave them as they are."""
    return {family: _open(family, folder) for family, folder in folders.items()}


@pytest.fixture(scope="module")
def pipelines(folders: dict[str, Path]) -> dict[str, Any]:
    """The same as diffusers opens them."""
    return {family: _pipeline(family, folder) for family, folder in folders.items()}


@pytest.mark.parametrize("family", PIPELINES)
def test_a_single_file_is_the_folder_to_the_bit_for_us_and_for_diffusers(
    family: str, models: dict[str, Any], folders: dict[str, Path], singles: dict[str, Path]
) -> None:
    whole, single = models[family], _open(family, singles[family])
    assert (whole.prediction, whole.scheduler_config()) == (single.prediction, single.scheduler_config())
    theirs = PIPELINES[family].from_single_file(
        str(singles[family]), config=str(folders[family]), local_files_only=True, torch_dtype=torch.float32
    )
    counted = whole.facts.part_parameters(singles[family])
    assert counted == whole.facts.part_parameters(folders[family])
    for part, parameters in counted.items():
        own = whole.part(part).state_dict()
        assert sum(p.numel() for p in whole.part(part).parameters()) == parameters
        for other in (single.part(part).state_dict(), getattr(theirs, part).state_dict()):
            assert own.keys() == other.keys()
            assert all(torch.equal(tensor, other[name]) for name, tensor in own.items())
    told, same = (_told(model, "a disc", 2) for model in (whole, single))
    assert told.keys() == same.keys() and all(torch.equal(told[name], same[name]) for name in told)


def test_sdxl_is_told_what_the_pipeline_tells_it(models: dict[str, Any], pipelines: dict[str, Any]) -> None:
    model, pipe = models["sdxl"], pipelines["sdxl"]
    text, _, pooled, _ = pipe.encode_prompt("a red disc", do_classifier_free_guidance=False)
    told = _told(model, "a red disc")
    assert torch.allclose(told["text"], text, atol=1e-6)
    assert torch.allclose(told["pooled"], pooled, atol=1e-6)
    long = _told(model, "a red disc, " * 30, 2)
    assert long["text"].shape == (1, 152, 192)
    # a caption of several chunks is told by the vector of its first
    first = "a red disc, " * 30
    ids = pipe.tokenizer_2(first, truncation=True, max_length=77, return_tensors="pt").input_ids
    with torch.no_grad():
        assert torch.allclose(long["pooled"], pipe.text_encoder_2(ids).text_embeds, atol=1e-6)
    framing = Framing(original=(640, 480), corner=(12, 34), size=(96, 64))
    width = pipe.text_encoder_2.config.projection_dim
    wanted = pipe._get_add_time_ids((480, 640), (34, 12), (64, 96), torch.float32, text_encoder_projection_dim=width)
    assert torch.equal(model.picture_conditioning([framing])["sizes"], wanted)


def test_sd2_reads_the_layer_before_the_last(pipelines: dict[str, Any], singles: dict[str, Path]) -> None:
    pipe = pipelines["sd2"]
    text, _ = pipe.encode_prompt("a red disc", CPU, 1, do_classifier_free_guidance=False)
    assert torch.allclose(_told(_open("sd2", singles["sd2"]), "a red disc")["text"], text, atol=1e-6)
    names = [name for name in read_header(singles["sd2"]).tensors if name.endswith("attn.in_proj_weight")]
    assert len(names) == micro_shape("sd2").text[0].layers + 1  # the file carries the layer that nobody reads


@pytest.mark.parametrize("family", PIPELINES)
def test_pictures_are_those_of_the_pipeline(family: str, models: dict[str, Any], pipelines: dict[str, Any]) -> None:
    model, pipe = models[family], pipelines[family]
    prompt = SamplePrompt(prompt="a disc", negative="blur", width=64, height=96, steps=3, guidance=4.0, sampler="ddim")
    request = RenderRequest(prompt, _told(model, "a disc"), _told(model, "blur"))
    renderer = Renderer(model)
    ours = renderer.image(renderer.latents(request, lambda done, total: None))
    from lora_tui.sampling.samplers import Course, make_sampler

    generator = torch.Generator().manual_seed(prompt.seed)
    course = Course(model.scheduler_config(), model.prediction, 3, 1.0, generator, CPU)
    pipe.scheduler = make_sampler("ddim", course).scheduler
    theirs = pipe(
        "a disc", negative_prompt="blur", width=64, height=96, num_inference_steps=3, guidance_scale=4.0,
        latents=torch.randn((1, 4, 12, 8), generator=generator), output_type="np",
    ).images[0]  # fmt: skip
    assert np.abs(np.asarray(ours, dtype=np.float32) - theirs * 255).max() <= 1.0


def test_the_kind_is_told_from_the_header_and_a_wrong_one_is_named(
    folders: dict[str, Path], singles: dict[str, Path], tmp_path: Path
) -> None:
    for family in PIPELINES:
        for path in (folders[family], singles[family]):
            assert identify_model(path).family == family
            check_model(family, path)
            with pytest.raises(UserError, match=family) as caught:
                check_model("sd15", path)
            assert caught.value.code == "model.family"
    tensors = load_file(singles["sdxl"])
    gaps = (
        ("conditioner.embedders.1.model.transformer.resblocks.1.attn.in_proj_weight", "in_proj_weight"),
        ("conditioner.embedders.1.model.text_projection", "text_projection"),
        ("model.diffusion_model.label_emb.0.2.weight", "label_emb"),
        ("conditioner.embedders.0.transformer.text_model.encoder.layers.1.mlp.fc2.weight", "fc2"),
    )
    for name, word in gaps:
        assert name in tensors
        path = tmp_path / "gap.safetensors"
        save_file({key: tensor for key, tensor in tensors.items() if key != name}, path)
        with pytest.raises(UserError, match=word) as caught:
            check_model("sdxl", path)
        assert caught.value.code == "model.incomplete"


def test_what_an_sd2_file_predicts_must_be_said_by_somebody(singles: dict[str, Path], tmp_path: Path) -> None:
    silent = tmp_path / "silent.safetensors"
    save_file({n: t for n, t in load_file(singles["sd2"]).items() if n not in ("v_pred", "ztsnr")}, silent)
    with pytest.raises(UserError) as caught:
        check_model("sd2", silent)
    assert caught.value.code == "model.prediction_unknown" and "model.prediction" in caught.value.remedy
    for said in ("epsilon", "v_prediction"):
        check_model("sd2", silent, prediction=said)
        assert _open("sd2", silent, prediction=said).prediction == said
    save_file(load_file(silent), tmp_path / "768.safetensors", {"modelspec.architecture": "stable-diffusion-v2-768-v"})
    assert _open("sd2", tmp_path / "768.safetensors").prediction == "v_prediction"
    assert read_header(singles["sd2"]).metadata["modelspec.architecture"] == "stable-diffusion-v2-768-v"
    save_file({**load_file(singles["sdxl"]), "edm_mean": torch.zeros(4)}, tmp_path / "edm.safetensors")
    with pytest.raises(UserError, match="EDM") as caught:
        check_model("sdxl", tmp_path / "edm.safetensors")
    assert caught.value.code == "model.prediction"


def test_unets_that_are_built_otherwise_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    for name, value in (("transformer_layers_per_block", [0, [2, 1], 2]), ("layers_per_block", 3)):
        copy = tmp_path / name
        shutil.copytree(folders["sdxl"], copy)
        config = copy / "unet" / "config.json"
        config.write_text(json.dumps({**json.loads(config.read_text("utf-8")), name: value}), "utf-8")
        with pytest.raises(UserError, match=name) as caught:
            check_model("sdxl", copy)
        assert caught.value.code == "model.special"


def test_a_vae_of_another_family_is_refused(folders: dict[str, Path], singles: dict[str, Path]) -> None:
    check_vae("sdxl", folders["sdxl"] / "vae")
    check_vae("sd15", folders["sd2"] / "vae")
    for family, vae in (("sdxl", folders["sd2"] / "vae"), ("sdxl", singles["sd2"]), ("sd15", folders["sdxl"])):
        with pytest.raises(UserError) as caught:
            check_vae(family, vae)
        assert caught.value.code == "model.vae_family"


def test_the_published_sizes_and_names() -> None:
    """Parameters as the published models report them; the layers are as many as sd-scripts counts."""
    xl, two = facts_for("sdxl"), facts_for("sd2")
    assert xl.part_parameters() == {
        "unet": 2_567_463_684, "text_encoder": 123_060_480, "text_encoder_2": 694_659_840, "vae": 83_653_863,
    }  # fmt: skip
    assert two.part_parameters() == {"unet": 865_910_724, "text_encoder": 340_387_840, "vae": 83_653_863}
    assert len(xl.targets(text_encoder=False)) == 722
    assert len(xl.targets()) - 722 == 72 + 192
    assert len(two.targets(text_encoder=False)) == 192
    assert isinstance(xl, UnetFacts)
    for path, name in (
        (
            "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
            "input_blocks.4.1.transformer_blocks.0.attn1.to_q",
        ),
        ("up_blocks.1.upsamplers.0.conv", "output_blocks.5.2.conv"),
        ("up_blocks.0.upsamplers.0.conv", "output_blocks.2.2.conv"),
        ("down_blocks.1.resnets.0.conv_shortcut", "input_blocks.4.0.skip_connection"),
        ("add_embedding.linear_2", "label_emb.0.2"),
    ):
        assert file_name(xl, "unet", f"{path}.weight") == f"model.diffusion_model.{name}.weight"
    with torch.device("meta"):
        from diffusers import UNet2DConditionModel

        names = UNet2DConditionModel.from_config(xl.full.unet_config()).state_dict()
    assert len({file_name(xl, "unet", name) for name in names}) == len(names) == 1680
