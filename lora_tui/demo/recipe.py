"""The demo's configuration: small pictures and many quick steps, about a minute on two CPU cores."""

from __future__ import annotations

from pathlib import Path

from lora_tui.config.schema import Config, DatasetEntry, SamplePrompt
from lora_tui.demo.dataset import TRIGGER

PROMPTS = (
    f"{TRIGGER}, solo, standing, smile, outdoors, meadow",
    f"{TRIGGER}, solo, waving, red scarf, outdoors, night",
)


def recipe(model: Path, images: Path) -> Config:
    """A LoRA on UNet and text encoder at 128 px; its loss falls well below where it began."""
    config = Config(datasets=[DatasetEntry(path=str(images))])
    config.model.base = str(model)
    config.data.resolution = 128
    config.data.bucket_min, config.data.bucket_max, config.data.bucket_step = 96, 192, 32
    config.captions.shuffle, config.captions.keep_tokens, config.captions.dropout = True, 1, 0.05
    config.network.rank, config.network.alpha = 16, 16.0
    config.learning.unet_lr, config.learning.text_encoder_lr = 1e-3, 1e-4
    config.learning.warmup = 10
    config.steps.epochs, config.steps.batch_size, config.steps.seed = 16, 2, 7
    config.samples = [
        SamplePrompt(prompt=prompt, width=128, height=128, steps=8, guidance=4.0, seed=7) for prompt in PROMPTS
    ]
    config.sampling.every_epochs = 4
    config.validation.every_epochs = 2
    config.memory.precision = "fp32"
    config.memory.threads = 1  # layers this small lose more time to waiting for a second thread than they gain
    config.saving.name, config.saving.every_epochs, config.saving.state_every_epochs = TRIGGER, 4, 4
    config.saving.trigger = TRIGGER
    config.saving.title = "The mimbu of the demo"
    return config
