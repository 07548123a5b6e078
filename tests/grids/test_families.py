"""Grids of every family: each axis against a plain call of the family's pipeline in diffusers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from grid_models import drawn, picture
from lora_models import FAMILIES, lora, written

from lora_tui.config.family import with_family
from lora_tui.config.schema import Config, SamplePrompt
from lora_tui.config.write import save_config
from lora_tui.errors import UserError
from lora_tui.grids.ask import Wanted, asked, made
from lora_tui.grids.folder import GridFolder

PIPELINES = {
    "sd15": "StableDiffusionPipeline", "sd2": "StableDiffusionPipeline", "sdxl": "StableDiffusionXLPipeline",
    "sd3": "StableDiffusion3Pipeline", "flux": "FluxPipeline", "chroma": "ChromaPipeline",
    "flux2": "Flux2KleinPipeline", "zimage": "ZImagePipeline", "qwen": "QwenImagePipeline",
}  # fmt: skip
UNETS = ("sd15", "sd2", "sdxl")
FIRST: dict[str, Any] = {
    "prompt": "a red disc", "negative": "dust", "steps": 3, "guidance": 3.0, "seed": 5, "width": 64, "height": 64,
    "sampler": "euler", "spacing": "automatic", "strength": 0.0,
}  # fmt: skip
TOKENS = 128


@dataclass
class Family:
    """A small random model, a LoRA file for it, and what diffusers draws with both."""

    name: str
    root: Path

    @cached_property
    def base(self) -> Path:
        return written(self.name, self.root / "base")

    @cached_property
    def lora(self) -> Path:
        return lora(self.root / "one.safetensors", self.name, self.base, text=False)

    @cached_property
    def pipeline(self) -> Any:
        kind = getattr(diffusers, PIPELINES[self.name])
        more = {"safety_checker": None} if self.name in ("sd15", "sd2") else {}
        pipe = kind.from_pretrained(self.base, local_files_only=True, torch_dtype=torch.float32, **more)
        pipe.set_progress_bar_config(disable=True)
        if self.name == "chroma":  # its mask is made of numbers, which attention adds where it means to leave out
            own = pipe._prepare_attention_mask
            pipe._prepare_attention_mask = lambda attention_mask, **more: own(
                attention_mask=attention_mask if attention_mask is None else attention_mask.bool(), **more
            )
        return pipe

    def grid(self, place: Path, *axes: str, **more: Any) -> GridFolder:
        config = with_family(Config(), self.name)
        config.model.base, config.model.clip_skip = str(self.base), 1
        config.captions.t5_tokens = config.captions.llm_tokens = TOKENS
        config.memory.precision, config.memory.device, config.memory.threads = "fp32", "cpu", 1
        own = {name: FIRST[name] for name in SamplePrompt.model_fields if name in FIRST and name != "strength"}
        if self.name in ("flux", "flux2"):
            own["negative"] = ""
        config.samples = [SamplePrompt(**own)]
        save_config(config, self.root / "small.toml")
        told = tuple(zip(("--x", "--y", *["--page"] * 9), axes, strict=False))
        return made(asked(Wanted(str(self.root / "small.toml"), axes=told, **more)), parent=place)

    def theirs(self, **changes: Any) -> Any:
        """The picture that the pipeline draws: [height, width, 3], 0 to 255."""
        asked = {**FIRST, **changes}
        pipe = self.pipeline
        pipe.scheduler = self._scheduler(asked)
        if asked["strength"]:
            pipe.load_lora_weights(str(self.lora), adapter_name="one")
            pipe.set_adapters(["one"], [asked["strength"]])
        found = pipe(
            prompt=asked["prompt"], width=asked["width"], height=asked["height"], num_inference_steps=asked["steps"],
            latents=self._noise(asked), output_type="np", **self._own(asked),
        ).images[0] * 255  # fmt: skip
        if asked["strength"]:
            pipe.unload_lora_weights()
        return found

    def _scheduler(self, asked: dict[str, Any]) -> Any:
        config = self.pipeline.scheduler.config
        karras = asked["spacing"] == "karras"
        if self.name in UNETS:
            names = ("beta_start", "beta_end", "beta_schedule", "num_train_timesteps", "prediction_type")
            kind = {"euler": "EulerDiscreteScheduler", "heun": "HeunDiscreteScheduler"}[asked["sampler"]]
            return getattr(diffusers, kind)(
                **{name: config[name] for name in names}, timestep_spacing="linspace", use_karras_sigmas=karras
            )
        kind = {"euler": "FlowMatchEulerDiscreteScheduler", "heun": "FlowMatchHeunDiscreteScheduler"}[asked["sampler"]]
        return getattr(diffusers, kind).from_config(config, use_karras_sigmas=karras)

    def _noise(self, asked: dict[str, Any]) -> Any:
        channels = 4 if self.name in UNETS else 128 if self.name == "flux2" else 16
        factor = 16 if self.name == "flux2" else 8
        height, width = asked["height"] // factor, asked["width"] // factor
        noise = torch.randn((1, channels, height, width), generator=torch.Generator().manual_seed(asked["seed"]))
        if self.name in ("flux", "chroma", "qwen"):
            return self.pipeline._pack_latents(noise, 1, channels, height, width)
        return noise

    def _own(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What each pipeline calls guidance, what is not to be drawn, and the length of texts."""
        told = {"negative_prompt": asked["negative"], "guidance_scale": asked["guidance"]}
        if self.name in UNETS:
            return told
        levels = [1 - number / asked["steps"] for number in range(asked["steps"])]
        if self.name == "qwen":
            return {"negative_prompt": asked["negative"], "true_cfg_scale": asked["guidance"], "sigmas": levels}
        if self.name == "zimage":
            return {**told, "guidance_scale": asked["guidance"] - 1, "max_sequence_length": TOKENS, "sigmas": levels}
        if self.name in ("flux", "flux2"):  # no prompt of what is not to be drawn
            return {"guidance_scale": asked["guidance"], "max_sequence_length": TOKENS, "sigmas": levels}
        return {**told, "max_sequence_length": TOKENS, "sigmas": levels}


def alike(one: Any, other: Any) -> bool:
    return bool(one.shape == other.shape and np.abs(one - other).max() <= 0.75)


def axes_of(family: str) -> dict[str, dict[str, Any]]:
    """Each axis with its second value, and what it changes."""
    found: dict[str, dict[str, Any]] = {
        "strength=0,0.8": {"strength": 0.8}, "steps=3,2": {"steps": 2}, "guidance=3,6": {"guidance": 6.0},
        "seed=5,6": {"seed": 6}, "size=64x64,64x96": {"height": 96}, "prompt=a red disc,a green ring":
        {"prompt": "a green ring"}, "sr=red,blue": {"prompt": "a blue disc"}, "schedule=automatic,karras":
        {"spacing": "karras"},
    }  # fmt: skip
    if family in UNETS:
        found["sampler=Euler,Heun"] = {"sampler": "heun"}
    if family not in ("flux", "flux2"):
        found["negative=dust,blur"] = {"negative": "blur"}
    return found


@pytest.fixture(params=[name if name == "flux" else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES])
def family(request: pytest.FixtureRequest, tmp_path: Path) -> Family:
    return Family(request.param, tmp_path / "model")


def test_each_axis_of_a_family(family: Family, tmp_path: Path) -> None:
    first = family.theirs()
    for axis, change in axes_of(family.name).items():
        loras = (str(family.lora),) if axis.startswith("strength") else ()
        folder = family.grid(tmp_path / "grids", axis, loras=loras)
        result, report = drawn(folder)
        assert result["complete"] and not report.warnings, (axis, report.warnings)
        assert result["loads"] == result["planned"]
        assert alike(picture(folder, 0), first), axis
        assert alike(picture(folder, 1), family.theirs(**change)), axis
        assert not alike(picture(folder, 1), first), axis
    _what_it_lacks_is_refused(family, tmp_path)


def _what_it_lacks_is_refused(family: Family, place: Path) -> None:
    lacking = {"sampler=DDIM": "grid.value", "schedule=Uniform": "grid.schedule"} if family.name not in UNETS else {}
    if family.name != "sd15":
        lacking["clip skip=1,2"] = "grid.clip_skip"
    for axis, code in lacking.items():
        with pytest.raises(UserError) as caught:
            family.grid(place / "none", axis)
        assert caught.value.code == code
