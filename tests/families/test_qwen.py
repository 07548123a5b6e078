"""What is Qwen-Image's own: its language model, its VAE, what its folders may say; ``test_rows.py`` holds the rest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import QwenImagePipeline
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers
from row_models import Qwen, predicted, wan
from safetensors.torch import load_file, save_file

from lora_tui.bench.language import write_language_tokenizer
from lora_tui.errors import UserError
from lora_tui.families import check_model, decoding
from lora_tui.families.qwen.language import READER
from lora_tui.families.text_rows import TEXT


def test_a_long_caption_is_cut_where_the_pipeline_cuts_it(qwen: Qwen) -> None:
    model, pipeline, text = qwen.reference, qwen.pipeline, "a red disc " * 30
    assert model.text_length([text]) == 128 and model.token_limit == (
        128 - model.encoders["llm"].adds,
        "captions.llm_tokens",
    )
    with torch.no_grad():
        states, _all = pipeline.encode_prompt(text, max_sequence_length=128)
        told = model.encode_text(model.tokenize([text], 128))
    assert states.shape[1] == 128 and torch.allclose(told[TEXT], states, atol=1e-5)


def test_a_tokenizer_of_other_words_would_cut_captions_elsewhere_and_is_refused(qwen: Qwen, tmp_path: Path) -> None:
    shutil.copytree(qwen.folder, tmp_path / "other")
    write_language_tokenizer(tmp_path / "other" / "tokenizer")  # a token a byte
    with pytest.raises(UserError, match="other words") as caught:
        qwen.opened(tmp_path / "other").tokenize(["a red disc"], 64)
    assert caught.value.code == "model.tokenizer"


def test_the_shift_grows_with_the_image_as_the_schedule_says(qwen: Qwen, tmp_path: Path) -> None:
    model, pipeline, folder = qwen.reference, qwen.pipeline, qwen.folder
    for width, height in ((512, 512), (1328, 1328), (1664, 928)):
        pipeline.scheduler.set_timesteps(
            sigmas=[1.0, 0.5, 0.1], mu=0.5 + 0.4 * ((width // 16) * (height // 16) - 256) / (8192 - 256)
        )
        shift = model.shift(width, height)
        plain = [shift * s / (1 + (shift - 1) * s) for s in (1.0, 0.5, 0.1)]
        stretched = [1 - (1 - one) * 0.98 / (1 - plain[-1]) for one in plain]
        assert pipeline.scheduler.sigmas[:-1].tolist() == pytest.approx(stretched, rel=1e-4)
    told = {"use_dynamic_shifting": False, "shift": 3.0, "shift_terminal": None}  # as of its distilled descendants
    shutil.copytree(folder, tmp_path / "other")
    (tmp_path / "other" / "scheduler" / "scheduler_config.json").write_text(json.dumps(told))
    other = qwen.opened(tmp_path / "other")
    assert other.shift(1024, 512) == 3.0 and other.scheduler_config()["shift_terminal"] is None


@torch.no_grad()
def test_images_go_to_latents_and_back_as_in_diffusers(qwen: Qwen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each channel by its own mean and spread; in strips, too, which take no more than the one frame there is."""
    model, pipeline = qwen.opened(qwen.folder), QwenImagePipeline.from_pretrained(qwen.folder, local_files_only=True)
    for parameter in model.vae.parameters():  # norms that are not all alike
        parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
    pipeline.vae.load_state_dict(model.vae.state_dict())
    pixels = torch.rand(1, 3, 64, 96) * 2 - 1
    latents = model.encode_image(pixels, torch.zeros(1, 16, 8, 12))
    config = pipeline.vae.config
    mean, spread = (torch.tensor(one).view(1, 16, 1, 1) for one in (config.latents_mean, config.latents_std))
    theirs = pipeline.vae.encode(pixels[:, :, None]).latent_dist.mode()
    assert torch.allclose(latents, (theirs[:, :, 0] - mean) / spread, atol=1e-5)
    back = (pipeline.vae.decode(theirs).sample[:, :, 0] / 2 + 0.5).clamp(0, 1)
    assert torch.allclose(model.decode_latents(latents), back, atol=1e-5) and back.std() > 0.05
    monkeypatch.setattr(decoding, "STRIP_CELLS", 120)
    monkeypatch.setattr(decoding, "ASKING_CELLS", 9)
    model.tiled = True
    assert torch.allclose(model.decode_latents(latents), back, atol=1e-5)


def test_the_vae_of_comfyui_has_the_names_that_diffusers_knows_as_those_of_wan(qwen: Qwen) -> None:
    """The shortcuts of its decoder apart, of which diffusers' conversion knows those of Wan's widths alone."""
    tensors = qwen.loaded("vae")
    theirs = convert_wan_vae_to_diffusers(wan(tensors))
    assert theirs.keys() == tensors.keys()
    assert all(torch.equal(theirs[name], tensors[name]) for name in tensors)


def test_the_text_encoder_is_loaded_whatever_its_age_and_without_its_eyes(qwen: Qwen, tmp_path: Path) -> None:
    """Older configurations say all at the top; newer weights have a word for the part that reads texts."""
    shutil.copytree(qwen.folder, tmp_path / "other")
    place = tmp_path / "other" / "text_encoder"
    config = json.loads((place / "config.json").read_text())
    inner = config.pop("text_config")
    theta = inner.pop("rope_parameters")["rope_theta"]
    turned = {"rope_theta": theta, "rope_scaling": {"mrope_section": [16, 24, 24], "type": "mrope"}}
    (place / "config.json").write_text(json.dumps({**inner, **config, **turned}))
    tensors = load_file(place / "model.safetensors")
    assert {name.partition(".")[0] for name in tensors} == {"model", "visual", "lm_head"}
    begins = {"model.": f"model.{READER}", "visual.": "model.visual."}
    newer = {next((name.replace(old, new, 1) for old, new in begins.items() if name.startswith(old)), name): tensor
             for name, tensor in tensors.items()}  # fmt: skip
    save_file(newer, place / "model.safetensors")
    check_model("qwen", tmp_path / "other")
    model = qwen.opened(tmp_path / "other")
    assert torch.equal(predicted(model), qwen.wanted)
    assert not [name for name in model.encoder("llm").state_dict() if "visual" in name or "lm_head" in name]


@pytest.mark.parametrize(
    ("file", "changes", "word"),
    [
        ("model_index.json", {"_class_name": "QwenImageEditPipeline"}, "reads pictures"),
        ("transformer/config.json", {"zero_cond_t": True}, "reads pictures"),
        ("text_encoder/config.json", {"model_type": "qwen3"}, "no Qwen2.5-VL"),
        ("text_encoder/config.json", {"text_config": {"num_hidden_layers": 10**12}}, "num_hidden_layers"),
        ("text_encoder/config.json", {"text_config": {"hidden_act": "softer"}}, "hidden_act"),
        ("text_encoder/config.json", {"text_config": {"vocab_size": 300}}, "embed_tokens"),
        ("text_encoder/config.json", {"text_config": {"rope_parameters": {"mrope_section": [1, 2]}}}, "mrope_section"),
        ("transformer/config.json", {"axes_dims_rope": [16, 8, 8]}, "axes_dims_rope"),
        ("scheduler/scheduler_config.json", {"max_shift": "wide"}, "max_shift"),
        ("vae/config.json", {"latents_std": [0.0] * 16}, "latents_std"),
        ("vae/config.json", {"latents_mean": [float("nan")] * 16}, "latents_mean"),
        ("vae/config.json", {"z_dim": 48}, "48 channels"),
        ("vae/config.json", {"base_dim": 10**9}, "base_dim"),
        ("vae/config.json", {"dim_mult": [1, 2]}, "dim_mult"),
    ],
)
def test_a_folder_that_says_another_thing_is_refused(
    qwen: Qwen, tmp_path: Path, file: str, changes: dict[str, Any], word: str
) -> None:
    base = tmp_path / "model"
    shutil.copytree(qwen.folder, base, copy_function=lambda old, new: Path(new).symlink_to(old))
    told = json.loads((qwen.folder / file).read_text())
    told |= {name: {**told[name], **new} if name == "text_config" else new for name, new in changes.items()}
    (base / file).unlink()
    (base / file).write_text(json.dumps(told))
    with pytest.raises(UserError, match=word):
        check_model("qwen", base)


def test_a_check_looks_into_the_parts_that_are_named(qwen: Qwen, tmp_path: Path) -> None:
    transformer = qwen.files["transformer"]
    flux = {"decoder.conv_in.weight": torch.zeros(8, 16, 3, 3), "encoder.conv_in.weight": torch.zeros(8, 3, 3, 3)}
    save_file(flux, tmp_path / "flux.safetensors")
    others = qwen.separate(vae=tmp_path / "flux.safetensors")
    assert qwen.wrong(transformer, **others) == {"model.vae": "model.vae_family"}
    gap = load_file(qwen.files["llm"])
    del gap["model.layers.1.mlp.up_proj.weight"]
    save_file(gap, tmp_path / "gap.safetensors")
    others = qwen.separate(llm=tmp_path / "gap.safetensors")
    assert qwen.wrong(transformer, **others) == {"model.llm": "model.incomplete"}
