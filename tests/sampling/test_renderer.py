"""Our renderer draws what diffusers' own pipeline draws from the same noise, prompt and sampler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lora_tui.config.schema import CaptionSection, ModelSection, SamplePrompt
from lora_tui.families.sd15.model import open_model
from lora_tui.sampling.renderer import Renderer, RenderRequest
from lora_tui.sampling.samplers import SAMPLERS, Course, make_sampler
from lora_tui.trainer.control import StopRun

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from lora_tui.bench.model import write_model

    return write_model(tmp_path_factory.mktemp("model") / "base", seed=4)


@pytest.fixture(scope="module")
def model(base: Path) -> Any:
    return open_model(ModelSection(base=str(base)), CaptionSection(), device=CPU, dtype=torch.float32)


@pytest.fixture(scope="module")
def pipeline(base: Path) -> Any:
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(
        base, local_files_only=True, safety_checker=None, torch_dtype=torch.float32
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _request(model: Any, prompt: SamplePrompt) -> RenderRequest:
    with torch.no_grad():
        positive, negative = (model.encode_text(model.tokenize([text], 1)) for text in (prompt.prompt, prompt.negative))
    return RenderRequest(prompt, positive, negative)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("guidance", [7.0, 1.0])
def test_every_sampler_draws_as_the_pipeline_does(model: Any, pipeline: Any, sampler: str, guidance: float) -> None:
    prompt = SamplePrompt(
        prompt="a disc", negative="blur", width=64, height=96, steps=4, guidance=guidance, seed=5, sampler=sampler
    )
    renderer = Renderer(model)
    request = _request(model, prompt)
    ours = renderer.image(renderer.latents(request, lambda done, total: None))

    generator = torch.Generator().manual_seed(5)
    latents = torch.randn((1, 4, 12, 8), generator=generator)
    course = Course(model.scheduler_config(), "epsilon", 4, 1.0, generator, CPU)
    pipeline.scheduler = make_sampler(sampler, course).scheduler
    theirs = pipeline(
        prompt_embeds=request.positive["text"], negative_prompt_embeds=request.negative["text"], width=64, height=96,
        num_inference_steps=4, guidance_scale=guidance, latents=latents, generator=generator, output_type="np",
    ).images[0]  # fmt: skip
    assert ours.size == (64, 96)
    assert np.abs(np.asarray(ours, dtype=np.float32) - theirs * 255).max() <= 1.0


def test_it_stops_between_two_steps(model: Any) -> None:
    prompt = SamplePrompt(prompt="a disc", width=64, height=64, steps=5)
    seen: list[int] = []

    def progress(done: int, total: int) -> None:
        seen.append(done)
        if done == 2:
            raise StopRun(now=False)

    with pytest.raises(StopRun):
        Renderer(model).latents(_request(model, prompt), progress)
    assert seen == [0, 1, 2]
