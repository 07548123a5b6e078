"""Each axis does what its label says: the pictures are those of a plain diffusers call with the same settings."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from grid_models import Nursery, drawn, new_grid, picture
from safetensors.torch import load_file, save_file

FIRST: dict[str, Any] = {
    "prompt": "a red disc", "negative": "", "steps": 2, "guidance": 3.0, "seed": 5, "width": 64, "height": 64,
    "clip_skip": 1, "sampler": "DDIM", "loras": [], "vae": None, "base": "base",
}  # fmt: skip
SCHEDULERS: dict[str, Any] = {
    "DDIM": lambda config: diffusers.DDIMScheduler(
        **config, clip_sample=False, set_alpha_to_one=False, steps_offset=1, timestep_spacing="leading"
    ),
    "DPM++ 2M Karras": lambda config: diffusers.DPMSolverMultistepScheduler(**config, use_karras_sigmas=True),
}


def theirs(nursery: Nursery, **settings: Any) -> Any:
    """What diffusers draws; ``loras`` are (file, strength of the UNet, of the text encoder)."""
    asked = {**FIRST, **settings}
    pipe = pipeline(getattr(nursery, asked["base"]))
    own_vae = pipe.vae
    names = ("beta_start", "beta_end", "beta_schedule", "num_train_timesteps")
    pipe.scheduler = SCHEDULERS[asked["sampler"]]({name: pipe.scheduler.config[name] for name in names})
    if asked["vae"] is not None:
        pipe.vae = diffusers.AutoencoderKL.from_pretrained(asked["vae"], torch_dtype=torch.float32)
    for number, (file, _unet, _text) in enumerate(asked["loras"]):
        pipe.load_lora_weights(str(file), adapter_name=f"lora{number}")
    if asked["loras"]:
        strengths = [{"unet": unet, "text_encoder": text} for _file, unet, text in asked["loras"]]
        pipe.set_adapters([f"lora{number}" for number in range(len(strengths))], strengths)
    noise = torch.randn((1, 4, asked["height"] // 8, asked["width"] // 8),
                        generator=torch.Generator().manual_seed(asked["seed"]))  # fmt: skip
    texts = [embedded(pipe, asked[name], asked["clip_skip"]) for name in ("prompt", "negative")]
    found = pipe(
        prompt_embeds=texts[0], negative_prompt_embeds=texts[1], width=asked["width"], height=asked["height"],
        num_inference_steps=asked["steps"], guidance_scale=asked["guidance"], latents=noise, output_type="np",
    ).images[0] * 255  # fmt: skip
    pipe.unload_lora_weights()
    pipe.vae = own_vae
    return found


@cache
def pipeline(base: Path) -> Any:
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(
        base, local_files_only=True, safety_checker=None, torch_dtype=torch.float32
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


@torch.no_grad()
def embedded(pipe: Any, text: str, clip_skip: int) -> torch.Tensor:
    """What the text encoder says, of the layer that clip skip names."""
    ids = pipe.tokenizer(text, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    found = pipe.text_encoder(ids, output_hidden_states=True)
    inner = getattr(pipe.text_encoder, "text_model", pipe.text_encoder)
    return inner.final_layer_norm(found.hidden_states[-clip_skip])


def alike(one: Any, other: Any) -> bool:
    return bool(one.shape == other.shape and np.abs(one - other).max() <= 1.5)


GRIDS: dict[str, tuple[tuple[str, str, str], tuple[dict[str, Any], ...]]] = {
    "numbers": (
        ("steps=2,3", "cfg=3, 6", "seed=5-6"),
        ({"steps": 3}, {"guidance": 6.0}, {"seed": 6}),
    ),
    "ways": (
        ("size=64x64, 64x96", "clip skip=1,2", "sampler=DDIM, DPM++ 2M Karras"),
        ({"height": 96}, {"clip_skip": 2}, {"sampler": "DPM++ 2M Karras"}),
    ),
    "texts": (
        ('prompt="a red disc", "a red ring, large"', "negative=dust, blur", "sr=red, green"),
        ({"prompt": "a red ring, large"}, {"negative": "blur"}, {"prompt": "a green disc"}),
    ),
}


@pytest.mark.parametrize("name", GRIDS)
def test_an_axis_of_settings(nursery: Nursery, tmp_path: Path, name: str) -> None:
    """The second value of each of three axes, and of all of them, against what diffusers makes of it."""
    axes, changes = GRIDS[name]
    folder = new_grid(nursery, tmp_path, *axes)
    drawn(folder)
    usual = {"negative": "dust"} if name == "texts" else {}
    first = picture(folder, 0, 0, 0)
    assert alike(first, theirs(nursery, **usual))
    for number, change in enumerate(changes):
        found = picture(folder, *(int(number == axis) for axis in range(3)))
        assert alike(found, theirs(nursery, **{**usual, **change})), axes[number]
        assert not alike(found, first), axes[number]
    every = {name: value for change in changes for name, value in change.items()}
    every |= {"prompt": "a green ring, large"} if name == "texts" else {}
    assert alike(picture(folder, 1, 1, 1), theirs(nursery, **every))


def test_axes_of_models(nursery: Nursery, tmp_path: Path) -> None:
    vae = nursery.other / "vae"
    folder = new_grid(nursery, tmp_path, f"base={nursery.base},{nursery.other}", f"vae=own,{vae}")
    result, _report = drawn(folder)
    assert result["loads"] == result["planned"] == {"bases": 2, "loras": 0, "vaes": 2, "texts": 4}
    assert alike(picture(folder, 0, 0), theirs(nursery))
    assert alike(picture(folder, 1, 0), theirs(nursery, base="other"))
    assert alike(picture(folder, 0, 1), theirs(nursery, vae=vae))
    assert not alike(picture(folder, 0, 0), picture(folder, 1, 0))
    assert not alike(picture(folder, 0, 0), picture(folder, 0, 1))


def test_lora_against_strength_and_a_baseline(nursery: Nursery, tmp_path: Path) -> None:
    folder = new_grid(nursery, tmp_path, "strength=0.5,1", "lora=one, plain", baseline=True)
    drawn(folder)
    plain = theirs(nursery)
    for row, file in enumerate((nursery.one, nursery.plain)):
        assert alike(picture(folder, 0, row), plain)  # the baseline
        for column, strength in ((1, 0.5), (2, 1.0)):
            assert alike(picture(folder, column, row), theirs(nursery, loras=[(file, strength, strength)]))
    found = [picture(folder, column, row) for column in (0, 1, 2) for row in range(2)]
    assert len({one.tobytes() for one in found}) == 5


def test_strengths_of_unet_and_text_encoder_apart(nursery: Nursery, tmp_path: Path) -> None:
    folder = new_grid(nursery, tmp_path, "unet=0, 0.8", "te=0, 0.6", loras=(str(nursery.one),))
    drawn(folder)
    for column, unet in enumerate((0.0, 0.8)):
        for row, text in enumerate((0.0, 0.6)):
            assert alike(picture(folder, column, row), theirs(nursery, loras=[(nursery.one, unet, text)]))


def test_a_second_lora(nursery: Nursery, tmp_path: Path) -> None:
    folder = new_grid(nursery, tmp_path, "lora2=none, two=-0.4", loras=(f"{nursery.one}=0.7",))
    drawn(folder)
    assert alike(picture(folder, 0), theirs(nursery, loras=[(nursery.one, 0.7, 0.7)]))
    both = [(nursery.one, 0.7, 0.7), (nursery.two, -0.4, -0.4)]
    assert alike(picture(folder, 1), theirs(nursery, loras=both))


def test_block_weights_are_those_of_a_file_weighed_by_hand(nursery: Nursery, tmp_path: Path) -> None:
    tensors = load_file(nursery.one)
    kept = {
        name: tensor * (0.0 if name.endswith("lora_up.weight") and "up_blocks" in name else 1.0)
        for name, tensor in tensors.items()
    }
    save_file(kept, tmp_path / "weighed.safetensors")
    folder = new_grid(nursery, tmp_path, "blocks=ALL; OUT00-OUT11=0", loras=(str(nursery.one),))
    drawn(folder)
    assert alike(picture(folder, 0), theirs(nursery, loras=[(nursery.one, 1.0, 1.0)]))
    assert alike(picture(folder, 1), theirs(nursery, loras=[(tmp_path / "weighed.safetensors", 1.0, 1.0)]))
    assert not alike(picture(folder, 0), picture(folder, 1))


def test_loras_in_prompts_by_search_and_replace(nursery: Nursery, tmp_path: Path) -> None:
    prompt = "a red disc, <lora:NAME:WEIGHT>"
    folder = new_grid(nursery, tmp_path, "sr=NAME, one, two", "sr=WEIGHT, 0.5, 1", prompts=(prompt,))
    drawn(folder)
    for place, (file, strength) in enumerate(((nursery.one, 0.5), (nursery.two, 1.0))):
        assert alike(picture(folder, place, place), theirs(nursery, loras=[(file, strength, strength)]))
    assert not alike(picture(folder, 0, 1), picture(folder, 1, 0))


def test_strength_0_is_the_base_bit_for_bit(nursery: Nursery, tmp_path: Path) -> None:
    """Drawn after and beside LoRA files at other strengths, in the order that the plan chose."""
    folder = new_grid(nursery, tmp_path / "a", "strength=1, 0", "lora=one, two")
    bare = new_grid(nursery, tmp_path / "b", "seed=5")
    drawn(folder)
    drawn(bare)
    for row in range(2):
        assert np.array_equal(picture(folder, 1, row), picture(bare, 0))
        assert not np.array_equal(picture(folder, 0, row), picture(bare, 0))
