"""Facts of Stable Diffusion XL that need no torch.

Both text encoders are read at the layer before the last, without the final norm; the second's pooled vector and six
numbers about the picture's size are told besides.
"""

from __future__ import annotations

from lora_tui.families.unet.encoders import EXCLAMATION, Encoder
from lora_tui.families.unet.facts import SCHEDULE, UnetFacts
from lora_tui.families.unet.shape import Shape, TextShape

FACTS = UnetFacts(
    name="sdxl",
    title="Stable Diffusion XL",
    resolution=1024,
    full=Shape(
        unet_channels=(320, 640, 1280),
        depths=(0, 2, 10),
        middle=10,
        linear=True,
        heads=0,
        cross_width=2048,
        told_width=1280 + 6 * 256,
        text=(TextShape(), TextShape(width=1280, layers=32, inner=5120, projection=1280)),
        vae_scale=0.13025,
        side=128,
    ),
    encoders=(
        Encoder("conditioner.embedders.0.transformer.", reads="before_last"),
        Encoder(
            "conditioner.embedders.1.model.",
            part="text_encoder_2",
            tokenizer="tokenizer_2",
            open_clip=True,
            activation="gelu",
            reads="before_last",
            pooled=True,
            pad=EXCLAMATION,
        ),
    ),
    pipeline="StableDiffusionXLPipeline",
    model_version="sdxl_base_v1-0",
    architecture="stable-diffusion-xl-v1-base",
    velocity=("sdxl_base_v1-0", "stable-diffusion-xl-v1-base"),
    implementation="https://github.com/Stability-AI/generative-models",
    scheduler={
        "_class_name": "EulerDiscreteScheduler",
        **SCHEDULE,
        "timestep_spacing": "leading",
        "steps_offset": 1,
    },
)
