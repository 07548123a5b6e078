"""Facts of Stable Diffusion 2.x that need no torch.

Its text encoder has 24 layers; the model reads the one before the last, through the final norm. Folders in diffusers'
layout leave the last layer out, single files carry it.
"""

from __future__ import annotations

from lora_tui.families.unet.encoders import EXCLAMATION, Encoder
from lora_tui.families.unet.facts import SCHEDULE, UnetFacts
from lora_tui.families.unet.shape import Shape, TextShape

FACTS = UnetFacts(
    name="sd2",
    title="Stable Diffusion 2",
    resolution=768,
    full=Shape(
        linear=True,
        heads=0,
        cross_width=1024,
        text=(TextShape(width=1024, layers=23, inner=4096),),
        side=96,
    ),
    encoders=(
        Encoder("cond_stage_model.model.", open_clip=True, activation="gelu", reads="last", pad=EXCLAMATION, unread=1),
    ),
    pipeline="StableDiffusionPipeline",
    model_version="sd_v2",
    architecture="stable-diffusion-v2-512",
    velocity=("sd_v2_v", "stable-diffusion-v2-768-v"),
    implementation="https://github.com/Stability-AI/StableDiffusion",
    scheduler={
        "_class_name": "DDIMScheduler",
        **SCHEDULE,
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
    },
    tells_prediction=False,
)
