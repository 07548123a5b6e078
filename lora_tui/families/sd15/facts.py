"""Facts of Stable Diffusion 1.x that need no torch."""

from __future__ import annotations

from lora_tui.families.unet.encoders import Encoder
from lora_tui.families.unet.facts import SCHEDULE, UnetFacts
from lora_tui.families.unet.shape import Shape

FACTS = UnetFacts(
    name="sd15",
    title="Stable Diffusion 1.5",
    resolution=512,
    full=Shape(),
    encoders=(Encoder("cond_stage_model.transformer."),),
    pipeline="StableDiffusionPipeline",
    model_version="sd_v1",
    architecture="stable-diffusion-v1",
    velocity=("sd_v1_v", "stable-diffusion-v1"),
    implementation="https://github.com/Stability-AI/StableDiffusion",
    scheduler={
        "_class_name": "DDIMScheduler",
        **SCHEDULE,
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
    },
)
